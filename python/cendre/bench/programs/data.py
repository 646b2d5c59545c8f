"""Rows about data: objects with attributes in a list, and programs that live in dicts, lists and strings.

Read `docs/benchmarks.md` for what each row means; `worker.py` for how a program is run.
"""


PASSES = 40


class Particle:
    def __init__(self, x, y, weight):
        self.x = x
        self.y = y
        self.weight = weight


def object_loop(particles):
    mass = 0
    moment = 0.0
    for particle in particles:
        mass += particle.weight
        moment += particle.x * particle.weight - particle.y
        particle.y = particle.x
    return mass, moment


def objects(n):
    """Passes over the list take most of the time, making it a twentieth."""
    particles = [Particle(i * 0.5, 0.0, i & 7) for i in range(n)]
    return [object_loop(particles) for _ in range(PASSES)]


def count_words(words, n):
    counts = {}
    for i in range(n):
        word = words[i % 97]
        counts[word] = counts.get(word, 0) + 1
        if word in counts and i & 1:
            counts[word] += 1
    return counts


def dicts(n):
    counts = count_words([f"word{i}" for i in range(97)], n)
    return len(counts), sum(counts.values())


def sieve(n):
    """Primes below n by crossing out in a list, one element at a time."""
    flags = [True] * n
    flags[0] = flags[1] = False
    primes = []
    for i in range(n):
        if flags[i]:
            primes.append(i)
            j = i * i
            while j < n:
                flags[j] = False
                j += i
    return primes


def lists(n):
    primes = sieve(n)
    return len(primes), primes[-1]


def tokens(text):
    """Splits by hand, a character at a time: names and numbers apart."""
    names, numbers, start = [], [], 0
    for end in range(len(text)):
        if text[end] == " ":
            word = text[start:end]
            start = end + 1
            if word.isdigit():
                numbers.append(word)
            elif word:
                names.append(word + "/" + str(len(word)))
    return names, numbers


def strings(n):
    text = "alpha 12 beta 7 gamma " * n
    names, numbers = tokens(text)
    return len(names), len(numbers), "".join(numbers) == "127" * n, names[:3]


PRIMES = 25_997, 299_993  # below 300 000: how many, and the largest; known values


def workload(name):
    """The program of a row: (function of n, n, number of operations, expected result for n)."""
    if name == "object-loop":
        def expected(n):
            # weights go 0..7; x is i / 2; y is 0.0 in the first pass and x from then on; all sums are exact floats
            mass, moment, xs = n // 8 * 28, sum(i * (i % 8) for i in range(n)) / 2, n * (n - 1) / 4
            return [(mass, moment)] + [(mass, moment - xs)] * (PASSES - 1)

        return objects, 4000, 4000 * PASSES, expected
    if name == "dict":
        return dicts, 97 * 2000, 97 * 2000, lambda n: (97, n + n // 2)
    if name == "list":
        return lists, 300_000, 300_000, lambda n: PRIMES
    if name == "str":
        return strings, 12_000, 12_000 * 22, lambda n: (3 * n, 2 * n, True, ["alpha/5", "beta/4", "gamma/5"])
    raise LookupError(name)
