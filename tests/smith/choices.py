"""Where the generator's decisions come from: a seed, or Hypothesis.

Invariant: a program is a function of its decisions alone, and every decision is one `below(n)`; smaller answers stand for simpler programs,
so that Hypothesis shrinks towards them.
"""
import random


class Seeded:
    """Decisions of a seed: what `make fuzz` uses, since a draw costs a tenth of one of Hypothesis."""

    def __init__(self, seed):
        self.random = random.Random(seed).random

    def below(self, n):
        """A number from 0 up to n, without n."""
        return int(self.random() * n)


class Drawn:
    """Decisions that Hypothesis makes, records and shrinks."""

    def __init__(self, data):
        from hypothesis import strategies
        self.data = data
        self.integers = strategies.integers
        self.known = {}

    def below(self, n):
        """A number from 0 up to n, without n."""
        strategy = self.known.get(n)
        if strategy is None:
            strategy = self.known[n] = self.integers(0, n - 1)
        return self.data.draw(strategy)
