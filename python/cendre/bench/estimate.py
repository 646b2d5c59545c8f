"""Figures from samples: medians, ratios and differences with a 95 % bootstrap interval.

Samples come in blocks: block i holds what the i-th process of each feature measured, one right after the other, so that
slow drift of the machine is the same for all features of a block. A resample draws blocks, and within a block rounds;
the figure is worked out block by block and the median over the blocks is taken.
Invariant: the same samples always give the same interval (the generator's seed is fixed).
"""
import random
from dataclasses import dataclass
from statistics import fmean, median

RESAMPLES = 1000
MAXIMUM_ROUNDS = 64  # rounds kept of one process; more make the bootstrap slow and its interval no better


@dataclass(frozen=True)
class Estimate:
    """A figure and the bounds of its 95 % interval."""

    median: float
    low: float
    high: float

    def as_json(self):
        return {"median": self.median, "low": self.low, "high": self.high}


def thin(rounds):
    """At most `MAXIMUM_ROUNDS` of the rounds, evenly spread."""
    if len(rounds) <= MAXIMUM_ROUNDS:
        return list(rounds)
    step = len(rounds) / MAXIMUM_ROUNDS
    return [rounds[int(i * step)] for i in range(MAXIMUM_ROUNDS)]


def bootstrap(blocks, figure, centre):
    """The median over blocks of `figure(left, right)`, with its interval.

    `blocks` is a list of (rounds on the left, rounds on the right); `centre` makes one number of a list of rounds.
    """
    rng = random.Random(20220430)
    whole = median(figure(centre(left), centre(right)) for left, right in blocks)
    blocks = [(thin(left), thin(right)) for left, right in blocks]
    values = []
    for _ in range(RESAMPLES):
        drawn = rng.choices(blocks, k=len(blocks))
        values.append(median(
            figure(centre(rng.choices(left, k=len(left))), centre(rng.choices(right, k=len(right))))
            for left, right in drawn
        ))
    values.sort()
    low, high = values[round(0.025 * (RESAMPLES - 1))], values[round(0.975 * (RESAMPLES - 1))]
    # The figure itself is always inside, also where thinning moved the resamples a little.
    return Estimate(whole, min(low, whole), max(high, whole))


def speedup(plain, other, phase):
    """How many times as fast as plain: the ratio of the times, above 1 is faster.

    Cold rounds are averaged, as what counts is the work that was done in the first seconds; of the warm ones the median is
    taken, as what counts is the speed that was reached.
    """
    centre = fmean if phase == "cold" else median
    return bootstrap(list(zip(plain, other, strict=True)), lambda left, right: left / right, centre)


def cost_ratio(numerator, denominator):
    """The ratio of two costs of one feature (lists of blocks of warm times for each operation)."""
    return bootstrap(list(zip(numerator, denominator, strict=True)), lambda left, right: left / right, median)


def difference(plain, other):
    """Other minus plain, for single measurements taken in pairs."""
    blocks = [([left], [right]) for left, right in zip(plain, other, strict=True)]
    return bootstrap(blocks, lambda left, right: right - left, median)


def split(rounds, cold_seconds, warm_after=None):
    """Lengths of the rounds that began in the cold phase, and of those after it, or after a later moment.

    Where rounds are so long that none began in the warm phase, the last one stands for it.
    """
    cold = [length for start, length in rounds if start < cold_seconds]
    warm = [length for start, length in rounds if start >= (cold_seconds if warm_after is None else warm_after)]
    return cold, warm or [length for _, length in rounds[-1:]]
