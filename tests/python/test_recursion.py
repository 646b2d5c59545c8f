"""Deep recursion: RecursionError at Python's limit, and 100 000 levels with a raised limit, for calls, awaits and mixtures.

Invariant of all tests here: never a crash; and with executors as the way in, everything that CPython can do, cendre can.
Without executors (vectorcall) frames are on the C stack, so that depth is bounded: it must end in RecursionError.
"""
import pytest

import support

FUNCTIONS = """
import sys, threading
from kit import Ready, Yield, drive, outcome

def down(n):
    return 0 if n < 1 else 1 + down(n - 1)

def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n != 0 and even(n - 1)

def through(f, n):
    return f(n)

def mixed(n):                       # through an interpreted function each second time
    return 0 if n < 1 else 1 + interpreted(mixed, n - 1)

def interpreted(f, n):
    return f(n)

def caught(n):
    try:
        return caught(n - 1) + 1 if n else 0
    finally:
        n = None

class Node:
    def __init__(self, n):
        self.inner = Node(n - 1) if n else None
    def depth(self):
        return 1 + self.inner.depth() if self.inner else 0
    def __len__(self):
        return len(self.inner) + 1 if self.inner else 0

async def adown(n):
    if n:
        return 1 + await adown(n - 1)
    return 0

async def suspends(n):
    if n:
        return 1 + await suspends(n - 1)
    await Yield("bottom")
    return 0

async def amixed(n):
    if n:
        return 1 + await interpreted_await(amixed, n - 1)
    return 0

async def interpreted_await(f, n):
    return await f(n)

def gen(n):
    if n:
        yield from gen(n - 1)
    yield n

FUNCTIONS = down, even, odd, through, mixed, caught, Node.__init__, Node.depth, adown, suspends, amixed, gen
for _ in range(10):
    down(3), even(4), through(down, 2), mixed(3), caught(3), Node(3).depth(), drive(adown(3)), drive(suspends(3)), drive(amixed(3)), list(gen(3))
compiled(*FUNCTIONS)
if jit:
    jit.never(interpreted), jit.never(interpreted_await)
"""

LIMIT = """
def deepest(f):
    low, high = 0, 3000
    while low + 1 < high:
        half = (low + high) // 2
        try:
            f(half)
            low = half
        except RecursionError as e:
            message = str(e)
            high = half
    return low, message
def at_limit():
    return [(name, deepest(f)) for name, f in (
        ("down", down), ("even", even), ("through", lambda n: through(down, n)), ("mixed", mixed), ("caught", caught), ("adown", lambda n: drive(adown(n))),
        ("suspends", lambda n: drive(suspends(n))), ("amixed", lambda n: drive(amixed(n))), ("gen", lambda n: list(gen(n))))]
first = at_limit()
print(*first, at_limit() == first, sep="\\n")
for limit in (200, 1500):
    sys.setrecursionlimit(limit)
    print(limit, deepest(down), deepest(lambda n: drive(adown(n))))
sys.setrecursionlimit(1000)
t = threading.Thread(target=lambda: print("thread", deepest(down), deepest(lambda n: drive(suspends(n)))))
t.start()
t.join()
def unlimited(n):
    return unlimited(n + 1)
compiled(unlimited)
print(outcome(unlimited, 0)[:60])
def swallows(n):
    try:
        return swallows(n + 1)
    except RecursionError:
        return n
compiled(swallows)
print(swallows(0), swallows(0))
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_same_limit(entries):
    """RecursionError comes at the same depth, for every kind of recursion, and again after it was caught."""
    support.same(FUNCTIONS + LIMIT, entries=entries)


def test_same_limit_at_first_sight():
    support.same(FUNCTIONS + LIMIT, mode="first")


THROUGH_INIT = """
print(deepest(lambda n: Node(n).depth()))
"""


@pytest.mark.parametrize("mode", ["warm", "first"])
@pytest.mark.parametrize("entries", support.ENTRIES)
def test_limit_of_a_recursion_through_init(mode, entries):
    """A call of a class counts two levels where CPython has specialised it and there is room for both frames in the present
    chunk of the data stack, else one. So CPython's own depth lies between the half and the whole limit, and ours does."""
    source = FUNCTIONS + LIMIT.split("first = at_limit()")[0] + THROUGH_INIT
    for out in (support.python_plain(source), support.python(source, mode=mode, entries=entries)):
        depth, message = eval(out)
        assert 490 < depth < 1000 and message == "maximum recursion depth exceeded", out


DEEP = """
sys.setrecursionlimit(1_000_000)
N = 100_000
print(down(N), even(N), odd(N), through(down, N), caught(N))
print(mixed(N // 2))
print(drive(adown(N))[1])
print(drive(suspends(N)))
print(drive(amixed(N // 2))[1])
print(down(N), drive(adown(N))[1])
def fails(n):
    return fails(n - 1) if n else 1 // n
compiled(fails)
try:
    fails(50_000)
except ZeroDivisionError as e:
    depth, tb = 0, e.__traceback__
    while tb:
        depth, tb = depth + 1, tb.tb_next
    print(depth)
del tb
c = suspends(20_000)
c.send(None)
c.close()
print("closed")
"""


def test_100_000_levels():
    """Calls, awaits, suspended chains, exceptions: as deep as in CPython when the limit is raised."""
    support.same(FUNCTIONS + DEEP)


def test_100_000_levels_without_awaited_calls():
    support.same(FUNCTIONS + DEEP, CENDRE_AWAITS="0")


SMALL_STACK = """
sys.setrecursionlimit(1_000_000)
threading.stack_size(512 * 1024)
out = []
def work():
    out.append((down(50_000), drive(adown(30_000))[1], mixed(20_000)))
t = threading.Thread(target=work)
t.start()
t.join()
print(out)
"""


def test_small_stack_of_a_thread():
    """A thread with 512 KiB of C stack: its own margin counts."""
    support.same(FUNCTIONS + SMALL_STACK)


BOUNDED = """
import sys
sys.setrecursionlimit(1_000_000)
def attempt(f):
    try:
        return f()
    except RecursionError as e:
        return "RecursionError"
for f, want in ((lambda: down(100_000), 100_000), (lambda: even(100_000), True), (lambda: mixed(50_000), 50_000), (lambda: drive(adown(100_000))[1], 100_000), (lambda: drive(suspends(50_000))[1], 50_000)):
    got = attempt(f)
    assert got in (want, "RecursionError"), got
    assert attempt(lambda: down(500)) == 500 and attempt(lambda: drive(adown(500))[1]) == 500
print("alive")
"""


@pytest.mark.parametrize("mode", ["warm", "first"])
def test_vectorcall_ends_in_recursion_error_never_in_a_crash(mode):
    """Without executors a very deep recursion may end early, but only so; and the process goes on working."""
    assert support.python(FUNCTIONS + BOUNDED, mode=mode, entries="vectorcall").strip() == "alive"


NATIVE_BETWEEN = """
sys.setrecursionlimit(100_000)
import functools
def fold(n):
    return functools.reduce(lambda a, b: a + fold(n - 1), (1, 2)) if n else 1
def key(n):
    return sorted([n], key=lambda k: key(n - 1) if n else 0)[0] if n else 0
def attribute(n):
    class Lazy:
        def __getattr__(self, name):
            return attribute(n - 1)
    return Lazy().anything if n else "bottom"
def attempt(f, n):
    try:
        return f(n)
    except RecursionError:
        return "RecursionError"
for f in (fold, key, attribute):
    for _ in range(8):
        f(3)
    compiled(f)
    print(f(60), f.__name__)
    assert attempt(f, 90_000) in (f(20), "RecursionError")
    print(f(60))
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_c_functions_between(entries):
    """Recursion through C functions uses the C stack in CPython as well: RecursionError there, and here."""
    support.same(FUNCTIONS + NATIVE_BETWEEN, entries=entries)
