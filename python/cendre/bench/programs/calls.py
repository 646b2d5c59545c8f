"""Rows about ordinary calls: functions, methods, closures, recursion, and exceptions in a loop.

`call_chain` is `awaits.chain` with every `async` and `await` taken out: the row "await against call" divides the two.
Read `docs/benchmarks.md` for what each row means; `worker.py` for how a program is run.
"""


def leaf(x):
    return x + 1


def middle(x):
    return leaf(x)


def call_chain(n):
    total = 0
    for i in range(n):
        total += middle(i)
    return total


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


class Account:
    def __init__(self):
        self.balance = 0
        self.count = 0

    def add(self, amount):
        self.balance += amount
        self.count += 1
        return self.balance

    def half(self):
        return self.balance >> 1


def method_calls(n):
    account = Account()
    halves = 0
    for i in range(n):
        account.add(i & 3)
        halves ^= account.half()
    return account.balance, account.count, halves


def clamp(value, low, high):
    if value < low:
        return low
    if value > high:
        return high
    return value


def scale(value, factor, offset):
    return clamp(value * factor + offset, 0, 1000)


def mix(a, b):
    return scale(a, 3, b) - scale(b, 2, 1)


def nested_calls(n):
    total = 0
    for i in range(n):
        total += mix(i & 127, i & 31)
    return total


def make_counter(step):
    count = 0

    def bump(by):
        nonlocal count
        count += by * step
        return count

    return bump


def closures(n):
    """A closure made anew every 16 calls, so that code is found by code object and not by function object."""
    total = 0
    for i in range(n >> 4):
        bump = make_counter(i & 3)
        for j in range(16):
            total += bump(j)
    return total


def look_up(table, n):
    hits = misses = 0
    for i in range(n):
        try:
            hits += table[i & 15]
        except KeyError:
            misses += 1
    return hits, misses


def try_except(n):
    return look_up({key: key for key in range(15)}, n)


def fibonacci(n):
    """The n-th Fibonacci number by addition."""
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def expected_methods(n):
    """The balance grows by 0, 1, 2, 3 and again: a closed form of it, halved and xored."""
    halves, balance = 0, 0
    for i in range(n):
        balance = (0, 1, 3, 6)[i & 3] + 6 * (i >> 2)
        halves ^= balance // 2
    return balance, n, halves


def expected_nested(n):
    """One period of 128 calls, worked out with `sorted` for the clamping; n is whole periods."""
    def clip(value):
        return sorted((0, value, 1000))[1]

    period = sum(clip(3 * (i % 128) + i % 32) - clip(2 * (i % 32) + 1) for i in range(128))
    return n // 128 * period


def expected_closures(n):
    """Sixteen bumps by 0..15 add up to 1 + 3 + 6 + ... = 680 times the step; steps go 0, 1, 2, 3."""
    return n // 64 * 680 * 6


def workload(name):
    """The program of a row: (function of n, n, number of operations, expected result for n)."""
    if name == "call-two-deep":
        return call_chain, 300_000, 600_000, lambda n: n * (n + 1) // 2
    if name == "fib":
        return fib, 27, 2 * fibonacci(28) - 1, fibonacci
    if name == "method-calls":
        return method_calls, 200_000, 400_000, expected_methods
    if name == "nested-calls":
        return nested_calls, 128 * 800, 128 * 800 * 5, expected_nested
    if name == "closures":
        return closures, 64 * 5000, 64 * 5000, expected_closures
    if name == "try-except":
        return try_except, 16 * 20_000, 16 * 20_000, lambda n: (n // 16 * 105, n // 16)
    raise LookupError(name)
