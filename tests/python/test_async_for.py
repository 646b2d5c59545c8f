"""`async for` over classes whose `__anext__` is a coroutine function: each step is an awaited call.

As in `test_awaits.py`: snippets print the same with and without cendre, and the last test looks at cendre's counts and at the collector.
"""
import pytest

import support

HEAD = """
import gc, inspect, sys, traceback, types
from kit import Yield, deltas, describe, drive, outcome

def suspend(x):
    return Yield(x)
async def done(x):
    return x
def boom(x):
    raise ValueError(f"boom {x}")

class It:
    def __init__(self, n, make=None): self.n, self.make = n, make
    def __aiter__(self): return self
    async def __anext__(self):
        self.n -= 1
        if self.n < 0: raise StopAsyncIteration
        if self.make: await self.make(self.n)
        return self.n * 1000
async def total(it):
    t = 0
    async for x in it: t += x
    return t
async def listed(it): return [x async for x in it]
for _ in range(40): drive(total(It(3))), drive(listed(It(3)))
drive(total(It(3, done))), drive(listed(It(3, suspend)))
compiled(total, listed, It.__anext__, done)
"""

SNIPPETS = {
    "values": """
for make in (None, done, suspend, boom):
    print(outcome(drive, total(It(5, make))), outcome(drive, listed(It(4, make))))
print(deltas(lambda: drive(total(It(5, done))), None, It.__anext__, It.__anext__.__code__), deltas(lambda: drive(total(It(5, suspend))), None, It.__anext__, It.__anext__.__code__))
""",
    "suspended": """
def look(c):
    while isinstance(c, types.CoroutineType):
        f = c.cr_frame
        print(c.__qualname__, inspect.getcoroutinestate(c), f.f_lineno, f.f_lasti, sorted(f.f_locals), f.f_back, f.f_generator is c, gc.is_tracked(c), sys.getrefcount(c))
        c = c.cr_await
if jit: jit.never(look)
for of in (total, listed):
    c = of(It(5, suspend))
    print(c.send(None))
    look(c)
    print(outcome(c.throw, KeyError("thrown")))
    c = of(It(5, suspend))
    c.send(None)
    c.close()
    print(inspect.getcoroutinestate(c))
    print(outcome(drive, of(It(5, suspend))))
""",
    "frames_seen_from_inside": """
def see(x):
    f = sys._getframe(1)
    while f is not None and f.f_code.co_name != "drive":
        print(f.f_code.co_name, f.f_lineno, f.f_lasti, sorted(f.f_locals), f.f_generator and f.f_generator.__qualname__)
        f = f.f_back
    print([(s.name, s.lineno, s.colno, s.end_colno) for s in traceback.extract_stack()[-5:]])
    return done(x)
for of in (total, listed): drive(of(It(2, see)))
""",
    "a_class_that_changes": """
def swap(x):
    It.__anext__ = other if x % 2 else first
    return done(x)
first = It.__anext__
async def other(self):
    self.n -= 1
    if self.n < 0: raise StopAsyncIteration
    if self.make: await self.make(self.n)
    return 1
compiled(other)
for _ in range(3): print(drive(total(It(6, swap))), drive(listed(It(7, swap))))
del first, other
It.__anext__ = None
gc.collect()
print(outcome(drive, total(It(2))))
""",
    "tools_that_come_inside": """
events, mon = [], sys.monitoring
mon.use_tool_id(3, "x")
kinds = [k for k in ("STOP_ITERATION", "RAISE", "PY_START", "PY_YIELD", "PY_RESUME", "PY_RETURN", "PY_UNWIND", "RERAISE", "EXCEPTION_HANDLED")]
names = ("total", "listed", "__anext__")
for kind in kinds:
    mon.register_callback(3, getattr(mon.events, kind), lambda code, at, *rest, kind=kind: events.append((kind, code.co_name, at, repr(rest).split(" at ")[0])) if code.co_name in names else None)
def on(x):
    if x == 2: mon.set_events(3, sum(getattr(mon.events, k) for k in kinds))
    return done(x)
for of in (total, listed):
    print(drive(of(It(5, on))))
    mon.set_events(3, 0)
    print(*events, sep="\\n")
    events.clear()
    print(drive(of(It(5, done))), events)
mon.free_tool_id(3)
def traced(x):
    if x == 2:
        def trace(frame, event, arg):
            if frame.f_code.co_name in names: events.append((frame.f_code.co_name, event, frame.f_lineno, repr(arg) if event == "return" else ""))
            return trace
        f = sys._getframe(1)
        while f:
            f.f_trace = trace
            f = f.f_back
        sys.settrace(trace)
    return done(x)
for of in (total, listed):
    r = drive(of(It(4, traced)))
    sys.settrace(None)
    print(r, *events, sep="\\n")
    events.clear()
""",
}


@pytest.mark.parametrize("entries", support.ENTRIES)
@pytest.mark.parametrize("name", SNIPPETS)
def test_seen_from_python(name, entries):
    """The snippet prints the same under cendre."""
    support.same(HEAD + SNIPPETS[name], entries=entries)


@pytest.mark.parametrize("name", SNIPPETS)
def test_seen_from_python_at_first_sight(name):
    """Everything compiled at first sight, the tests' own helpers included."""
    support.same(HEAD + SNIPPETS[name], mode="first")


@pytest.mark.parametrize("name", SNIPPETS)
def test_seen_from_python_with_forced_leaves(name):
    """One guard in five fails although nothing is wrong."""
    support.same(HEAD + SNIPPETS[name], CENDRE_FORCE_LEAVES="5", CENDRE_SEED="1")


COUNTED = """
gc.disable()        # the collector waits as an event
made = []
code = It.__anext__.__code__
def count(x):
    made.append(sum(isinstance(o, types.CoroutineType) and o.cr_code is code for o in gc.get_objects()))
    return done(x)
gc.collect()
if jit: jit.reset_stats()
drive(total(It(20, count)))
print(len(made), sum(made))
if jit:
    for _ in range(10): drive(total(It(9))), drive(total(It(9, suspend)))
    print(record(total)["awaits"][0][1:4])
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_each_step_is_an_awaited_call(entries):
    """In CPython there is a coroutine for the collector at each step. 110 steps finish at once, 90 suspend, 21 raise StopAsyncIteration."""
    assert support.python(HEAD + COUNTED, enable=False, mode="plain").splitlines() == ["20 20"]
    assert support.python(HEAD + COUNTED, entries=entries, **support.NO_EVENTS).splitlines() == ["20 0", "(221, 110, 90)"]


WANTED = """
from kit import drive
class It:
    def __init__(self, n): self.n = n
    def __aiter__(self): return self
    async def __anext__(self):
        self.n -= 1
        if self.n < 0: raise StopAsyncIteration
        return self.n
async def total(n):
    t = 0
    async for x in It(n): t += x
    return t
jit.compile(total)
for _ in range(20_000):     # the compiler has a budget: a share of the time that the program has run
    assert drive(total(100))[1] == 4950
    if jit.is_compiled(It.__anext__): break
print(jit.is_compiled(It.__anext__))
"""


def test_a_cold_anext_is_compiled_when_it_is_awaited_often():
    """It is too short for the sampler: its compiled awaiter asks for it."""
    assert support.python(WANTED).split() == ["True"]
