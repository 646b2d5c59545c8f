"""Rows about loops: two functions that are called once and loop until the row's time is up, and a generator's loop.

The loops that are called once take their work from an iterator: its pieces say how often the inner loop goes round,
and the clock is read when the next piece is asked for. The function itself is never called again, so it gets machine
code in the middle of its only call or not at all.
Read `docs/benchmarks.md` for what each row means; `worker.py` for how a program is run.
"""

INT_PIECE = 500_000
FLOAT_PIECE = 400_000
MASK = 0xFFFFFF


def int_loop(pieces):
    total = 0
    for size in pieces:
        for i in range(size):
            total = (total + i * 3) & MASK
    return total


def float_loop(pieces):
    x = 0.0
    for size in pieces:
        i = 0.0
        while i < size:
            x = x + (i * 0.5 - 12.25) * 2.0
            i += 1.0
    return x


def count_up(n):
    i = 0
    while i < n:
        yield i
        i += 1


def generator_loop(n):
    total = 0
    for i in count_up(n):
        total += i & 7
    return total


def expected_int(pieces):
    # the mask only takes the sum modulo 2**24
    return pieces * 3 * (INT_PIECE * (INT_PIECE - 1) // 2) & MASK


def expected_float(pieces):
    # every partial sum is a multiple of 0.5 below 2**52, so the floats are exact and this closed form is their value
    return pieces * (FLOAT_PIECE * (FLOAT_PIECE - 1) / 2 - 24.5 * FLOAT_PIECE)


def workload(name):
    """The program of a row: (function, size, number of operations, expected result).

    For the loops in one call the function takes the iterator of pieces, and the expectation the number of pieces."""
    if name == "int-loop":
        return int_loop, INT_PIECE, INT_PIECE, expected_int
    if name == "float-loop":
        return float_loop, FLOAT_PIECE, FLOAT_PIECE, expected_float
    if name == "generator-loop":
        return generator_loop, 320_000, 320_000, lambda n: n // 8 * 28
    raise LookupError(name)
