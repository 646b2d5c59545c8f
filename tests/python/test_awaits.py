"""Awaited calls: what can be seen of them from Python equals CPython, and they did happen.

Each snippet runs in a plain process and in processes with cendre, where the chain below is compiled, and prints what it
sees; `compiled(...)` does nothing in the plain one. The last tests look at cendre's own counts: an awaited call that finishes at once must be
counted so at its `await` site, else all the others would prove nothing.
"""
import pytest

import support

CHAIN = """
import asyncio, contextvars, functools, gc, inspect, sys, threading, traceback, types, warnings, weakref
from kit import Ready, Yield, deltas, describe, drive, outcome, show

async def leaf(make, x):
    if make is not None:
        await make(x)
    return x + 1

async def mid(make, x):
    return await leaf(make, x)

async def down(make, d, x):
    if d:
        return await down(make, d - 1, x)
    return await make(x)

async def guard(make, x, sink):
    try:
        return await leaf(make, x)
    except ValueError:
        return await sink(x)

async def fin(make, x, log):
    try:
        r = await leaf(make, x)
    finally:
        log.append(x)
    return r

async def top(make, n, k):
    s = 0
    for i in range(n):
        s += await mid(make if k and i % k == 0 else None, i)
    return s

async def done(x):
    return x

def suspend(x):
    return Yield(x)

def boom(x):
    raise ValueError(f"boom {x}")

for _ in range(20):
    drive(top(done, 4, 2)), drive(mid(None, 1)), drive(down(done, 2, 1)), drive(guard(done, 1, done)), drive(fin(done, 1, []))
CHAIN = leaf, mid, down, guard, fin, top, done
compiled(*CHAIN)

def look(c):
    out = []
    while isinstance(c, types.CoroutineType):
        f = c.cr_frame
        out.append((c.__name__, c.__qualname__, inspect.getcoroutinestate(c), c.cr_suspended, c.cr_running, c.cr_code is globals()[c.__name__].__code__,
                    repr(c).split(" at ")[0], f.f_lineno, f.f_lasti, sorted(f.f_locals), f.f_back, f.f_generator is c, gc.is_tracked(c), sys.getrefcount(c), c.cr_origin))
        c = c.cr_await
    return out + [type(c).__name__]
if jit:
    jit.never(look)         # compiled code may hold one reference more to what it passes on; here the coroutine's own count is looked at
"""

SNIPPETS = {
    "values": """
for x in (1, 2.5, 10**30, True):
    print(drive(mid(None, x)), drive(mid(done, x)), drive(mid(suspend, x)))
print(drive(top(None, 100, 0)), drive(top(suspend, 30, 7)), drive(top(done, 30, 1)))
""",
    "suspended_chain": """
for c in (down(suspend, 5, 7), top(suspend, 5, 2), fin(suspend, 5, []), mid(suspend, 1)):
    for _ in range(2):
        try:
            print("yields", c.send(None))
        except StopIteration as stop:
            print("value", stop.value)
            break
        print(*look(c), sep="\\n")
    print(outcome(drive, c))
    print(inspect.getcoroutinestate(c), c.cr_await, c.cr_frame)
""",
    "throw_and_close": """
log = []
async def sink(x):
    return "sunk", x, repr(sys.exception())
for make, extra in ((mid, ()), (fin, (log,)), (guard, (sink,)), (guard, (boom,))):
    for error in (ValueError("v"), KeyError("k"), GeneratorExit(), KeyboardInterrupt(), StopIteration(1), ValueError):
        c = make(suspend, 3, *extra)
        c.send(None)
        inner = c.cr_await
        print(make.__name__, outcome(c.throw, error), inspect.getcoroutinestate(c), inspect.getcoroutinestate(inner))
    c = make(suspend, 4, *extra)
    c.send(None)
    inner = c.cr_await
    c.close()
    print(inspect.getcoroutinestate(c), inspect.getcoroutinestate(inner), inner.cr_frame, outcome(c.send, None), outcome(c.throw, ValueError("late")))
    c = make(suspend, 5, *extra)
    c.send(None)
    del c, inner
    c = make(suspend, 6, *extra)
    print(outcome(c.throw, ValueError("before start")), outcome(c.send, None))
print(log)
""",
    "inner_is_thrown_into_directly": """
c = mid(suspend, 1)
c.send(None)
inner = c.cr_await
print(outcome(inner.send, "from outside"), outcome(c.send, None))
c = down(suspend, 3, 1)
c.send(None)
print(outcome(c.cr_await.cr_await.close), outcome(c.send, None))
""",
    "exceptions": """
def later(x):
    async def inner():
        await Yield()
        raise ValueError("late")
    return inner()
for f, args in ((mid, (None, "a")), (top, (boom, 3, 1)), (top, (later, 9, 4)), (down, (later, 4, 0)), (fin, (boom, 1, [])), (fin, (later, 1, [])), (leaf, (lambda x: 5, 1)),
                (top, (None, "x", 1)), (mid, (lambda: None, 1)), (mid, (lambda x: 5, 1)), (guard, (boom, 1, boom)), (guard, (later, 1, None))):
    try:
        print(drive(f(*args)))
    except Exception as e:
        print("".join(traceback.format_exception(e)))
print(outcome(lambda: mid(None)), outcome(lambda: mid(None, 1, 2)), outcome(lambda: mid(make=None, z=1)))
async def wrong(f, *args, **kw):
    return await f(*args, **kw)
compiled(wrong)
print(outcome(drive, wrong(mid, 1)), outcome(drive, wrong(mid, None, x=4)), outcome(drive, wrong(mid, None, y=4)), outcome(drive, wrong(5)), outcome(drive, wrong(len, [])))
def stop(x):
    raise StopIteration(3)
print(outcome(drive, mid(stop, 1)), outcome(drive, fin(stop, 1, [])))
""",
    "exception_item": """
seen = []
async def sink(x):
    seen.append(repr(sys.exception()))
    await Yield()
    seen.append(repr(sys.exception()))
    return "sunk"
async def inside():
    try:
        raise KeyError("outer")
    except KeyError:
        r = await guard(boom, 1, sink)
        seen.append(repr(sys.exception()))
        return r
for _ in range(10):
    drive(inside())
compiled(inside, sink)
a, b = guard(boom, 1, sink), inside()
a.send(None), seen.append(repr(sys.exception()))
b.send(None), seen.append(repr(sys.exception()))
print(drive(a), drive(b), seen[-12:])
async def worse(x):
    if x > 1:
        await Yield()
    raise KeyError("in handler")
print(outcome(drive, guard(boom, 1, worse)), outcome(drive, guard(boom, 2, worse)), outcome(drive, guard(boom, 1, None)), sys.exception())
""",
    "frames_inside": """
kept = []
def make(x):
    f, out = sys._getframe(1), []
    while f.f_code.co_name in globals() and f.f_code.co_name != "<module>":
        kept.append(f)
        out.append((f.f_code.co_name, f.f_lineno, f.f_lasti, sorted(f.f_locals), f.f_generator is not None and f.f_generator.cr_running, f.f_generator and f.f_generator.cr_frame is f))
        f = f.f_back
    print(out)
    return Yield() if x % 2 else done(x)
print(drive(top(make, 4, 1)))
print([(f.f_back, f.f_lineno, f.f_lasti, sorted(f.f_locals), f.f_generator is None) for f in kept if f.f_code.co_name in ("leaf", "mid", "top")])
def writes(x):
    sys._getframe(1).f_locals["x"] = x * 100.5
    return done(x)
print(drive(top(writes, 5, 2)))
c = mid(suspend, 41)
c.send(None)
c.cr_await.cr_frame.f_locals["x"] = 99
print(outcome(drive, c), traceback.extract_stack()[-1].name)
""",
    "frame_kept_over_suspension": """
kept = []
def make(x):
    kept.append(sys._getframe(1))
    return Yield()
c = mid(make, 41)
c.send(None)
f = kept[0]
print(f is c.cr_await.cr_frame, f.f_lineno, f.f_locals["x"], f.f_back)
f.f_locals["x"] = 99
print(drive(c), f.f_lineno, f.f_locals["x"], f.f_back)
""",
    "never_awaited": """
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    mid(None, 1)
    c = mid(suspend, 1)
    c.send(None)
    del c
    top(None, 2, 0)
    async def forgets(x):
        leaf(None, x)
        return await mid(None, x)
    compiled(forgets)
    print(drive(forgets(1)))
print([str(w.message) for w in seen])
""",
    "origin": """
sys.set_coroutine_origin_tracking_depth(4)
c = mid(suspend, 1)
c.send(None)
for o in (c, c.cr_await):
    print([(line, name) for _, line, name in o.cr_origin])
print(drive(c))
sys.set_coroutine_origin_tracking_depth(0)
""",
    "awaited_twice": """
async def waits(it):
    return await it
for _ in range(8):
    drive(waits(done(1)))
compiled(waits)
c = mid(suspend, 1)
a = waits(c)
a.send(None)
print(outcome(drive, waits(c)), outcome(drive, waits(c.cr_await)), outcome(drive, a), outcome(drive, c), outcome(drive, waits(c)))
d = leaf(lambda x: d, 1)
print(outcome(drive, d))
started = mid(suspend, 2)
started.send(None)
print(outcome(drive, waits(started)))
""",
    "collected": """
class Box(list): pass
log = []
for depth in (0, 1):
    box = Box()
    c = fin(suspend, box, log)
    c.send(None)
    box.append(c.cr_await if depth else c)
    inner, outer = weakref.ref(c.cr_await), weakref.ref(box)
    log.clear()
    del c, box
    gc.collect()
    print(inner() is None, len(log))
    log.clear()
    gc.collect()
    print(outer() is None)
def make(x):
    gc.collect()
    return Yield() if x % 2 else done(x)
gc.set_threshold(5)
print(drive(top(make, 20, 2)), len(drive(top(lambda x: Yield([]), 500, 2))[0]))
""",
    "rebound_while_running": """
old = leaf
def make(x):
    global leaf
    async def other(make, x):
        return x * 1000
    leaf = other if leaf is old else old
    return done(x)
print(drive(top(make, 8, 3)), drive(top(make, 8, 1)))
leaf = old
code = mid.__code__
mid.__code__ = top.__code__.replace()
print(outcome(drive, mid(None, 3, 0)))
mid.__code__ = code
mid.__defaults__ = (5,)
async def short():
    return await mid(None)
print(drive(short()))
""",
    "all_kinds_of_callees": """
class Service:
    def __init__(self, k): self.k = k
    async def get(self, x): return await self.load(x) + self.k
    async def load(self, x):
        await suspend(x) if x % 2 else await done(x)
        return x
    @classmethod
    async def make(cls, k): return cls(await done(k))
    @staticmethod
    async def static(x): return await done(x)
    def plain(self, x): return self.get(x)
    async def __call__(self, x, *rest, k=1, **kw): return x, rest, k, kw
    async def __aenter__(self): return await self.load(2)
    async def __aexit__(self, *e):
        await self.load(3)
        return e[0] is KeyError
    def __aiter__(self):
        self.i = 0
        return self
    async def __anext__(self):
        self.i += 1
        if self.i > 3: raise StopAsyncIteration
        return await self.load(self.i)
def traced(f):
    @functools.wraps(f)
    def wrapper(*args, **kw):
        return f(*args, **kw)
    return wrapper
decorated = traced(traced(mid))
partial = functools.partial(mid, None)
async def closure(n):
    async def inner(x): return x + n
    return await inner(1) + await inner(n)
async def all_of(n):
    s = await Service.make(n)
    out = [await s.get(n), await s.plain(n), await s.static(n), await s(n, 2, k=3, z=4), await decorated(None, n), await partial(n), await closure(n), await Ready(n), await suspend(n)]
    async with s as x:
        out.append(x)
        raise KeyError
    async for x in s:
        out.append(x)
    return out + [x async for x in s] + [await s.get(i) for i in range(3)]
for i in range(10):
    r = drive(all_of(i))
print(r)
compiled(all_of, closure, Service.get, Service.load, Service.__aenter__, Service.__aexit__, Service.__anext__, Service.make, Service.static, Service.__call__)
for n in (1, 2, 3, 2.0, 10**20):
    print(outcome(drive, all_of(n)))
""",
    "tasks": """
var = contextvars.ContextVar("var", default=0)
async def main():
    loop = asyncio.get_running_loop()
    def make(x):
        var.set(var.get() + 1)
        f = loop.create_future()
        loop.call_soon(f.set_result, x)
        return f
    print(await top(make, 50, 3), var.get())
    t1, t2 = loop.create_task(top(make, 30, 2)), loop.create_task(top(make, 30, 5))
    print(await t1, await t2, var.get())
    print(await loop.create_task(top(lambda x: asyncio.sleep(0), 20, 4)))
    log = []
    t = loop.create_task(fin(lambda x: loop.create_future(), 1, log))
    await asyncio.sleep(0)
    print([(f.f_code.co_name, f.f_lineno) for f in t.get_stack()], look(t.get_coro())[:2])
    t.cancel("enough")
    print([e.args for e in await asyncio.gather(t, return_exceptions=True)], log, t.cancelled())
    async def sink(x):
        await asyncio.sleep(0)
        return "late"
    def fail(x):
        f = loop.create_future()
        loop.call_soon(f.set_exception, ValueError())
        return f
    print(await asyncio.gather(*(loop.create_task(guard(fail, i, sink)) for i in range(3)), mid(make, 4), down(make, 3, 5)))
    try:
        async with asyncio.timeout(0.01):
            await mid(lambda x: loop.create_future(), 1)
    except TimeoutError as e:
        print(describe(e)[:40])
    try:
        async with asyncio.TaskGroup() as tg:
            a = tg.create_task(mid(make, 1))
            b = tg.create_task(mid(boom, 2))
            c = tg.create_task(mid(lambda x: loop.create_future(), 3))
    except* ValueError as g:
        print(g.exceptions, a.done(), b.done(), c.cancelled())
    async def child(x):
        return asyncio.current_task().get_name(), var.get()
    print(await asyncio.create_task(mid(lambda x: child(x), 1), name="named"), await asyncio.wait_for(mid(make, 1), 5))
print(outcome(asyncio.run, main()))
""",
    "in_threads": """
out = []
sys.setswitchinterval(1e-5)
ts = [threading.Thread(target=lambda: out.append(drive(top(suspend, 3000, 3))[1])) for _ in range(4)]
[t.start() for t in ts], [t.join() for t in ts]
print(out)
""",
    "async_generators": """
async def ticker(make, n):
    try:
        for i in range(n):
            got = yield await leaf(make, i)
            if got: await make(got)
    finally:
        await done("closing")
async def consume(make, n):
    total = 0
    async for x in ticker(make, n):
        total += x
        if total > 40: break
    g = ticker(make, 3)
    out = [await g.asend(None), await g.asend("sent"), await anext(g), await anext(g, "end")]
    h = ticker(make, 3)
    await anext(h)
    await h.aclose()
    return total, out, [x async for x in ticker(make, n) if x % 2]
for _ in range(10): drive(consume(done, 5))
compiled(ticker, consume)
for make in (done, suspend, lambda x: Ready(x)):
    print(drive(consume(make, 12)))
print(outcome(drive, consume(boom, 3)))
""",
    "anext_of_classes": """
class It:
    def __init__(s, n): s.n = n; s.i = 0
    def __aiter__(s): return s
    async def __anext__(s):
        s.i += 1
        if s.i > s.n: raise StopAsyncIteration
        return s.i
async def total(it):
    t = 0
    async for x in it: t += x
    return t
for _ in range(40): drive(total(It(3)))
compiled(total, It.__anext__)
print(drive(total(It(3))), drive(total(It(30))))
first = It.__anext__
class Sub(It):
    def __anext__(self): return first(self)
async def other(self, k=7):
    self.i += 1
    if self.i > 3: raise StopAsyncIteration
    if self.i == 2: await suspend(k)
    return k
async def two(self, k): return 1
async def boom(self): raise ValueError(1)
compiled(other, two, boom)
print(drive(total(Sub(5))))
It.__anext__ = other
print(drive(total(It(5))), drive(total(Sub(5))))
for it in (two, None, staticmethod(first), boom):
    It.__anext__ = it
    try: drive(total(It(3)))
    except Exception as e: print(type(e), e, [(f.name, f.lineno) for f in traceback.extract_tb(e.__traceback__)])
""",
    "reference_counts": """
o = [1]
async def keep(x):
    await Yield(x)
    return x
async def give(x):
    return await keep(await done(x))
for _ in range(8): drive(give(o))
compiled(keep, give)
def half(close):
    c = give(o)
    c.send(None)
    if close: c.close()
def thrown():
    c = give(o)
    c.send(None)
    c.throw(ValueError(o))
for f in (lambda: drive(give(o)), lambda: half(True), lambda: half(False), thrown, lambda: drive(fin(suspend, o, [])), lambda: drive(guard(boom, o, done)), lambda: drive(down(boom, 4, o)), lambda: drive(down(done, 4, o))):
    print(deltas(f, o, give, keep, down, down.__code__, keep.__code__, give.__code__, leaf.__code__, guard.__code__))
""",
    "traced_in_the_middle": """
events = []
def tracer(frame, event, arg):
    if frame.f_code.co_name in ("leaf", "mid", "top", "down"):
        events.append((frame.f_code.co_name, event, frame.f_lineno))
    return tracer
def make(x):
    if x == 2:
        sys.settrace(tracer)
        f = sys._getframe(1)
        while f is not None:
            f.f_trace = tracer
            f = f.f_back
    return Yield() if x % 2 else done(x)
r = drive(top(make, 6, 1))
sys.settrace(None)
print(r, *events, drive(top(make, 2, 1)), sep="\\n")
""",
    "numbers": """
async def give(x):
    return x + x
async def pass_on(x):
    return await give(x)
async def twice(x):
    return await pass_on(x) - 1
async def total(n, make, every):
    s = 0
    for i in range(n):
        s += await pass_on(i)
        if i % every == every - 1:
            s += await mid(make, i)
    return s
async def half(x):
    return x / 2
async def halves(n):
    s = 0.0
    for i in range(n):
        s += await half(i)
    return s
for _ in range(40): drive(twice(5)), drive(total(50, done, 7)), drive(halves(50))
compiled(give, pass_on, twice, total, half, halves)
print(drive(total(500, None, 3)), drive(total(500, done, 10)), drive(total(500, suspend, 10)), drive(halves(500)))
for x in (1, 2**29, 2**62, -2**63, 10**30, 1.5, True, float("inf")):
    print(repr(drive(twice(x))), repr(drive(pass_on(x))), repr(drive(half(x) if x < 2**70 else give(x))))
for x in ("ab", (1,), None):
    print(repr(drive(pass_on(x))) if x else outcome(drive, pass_on(x)), outcome(drive, twice(x)), outcome(drive, halves(x)))
print(drive(total(500, done, 10)), drive(total(500, suspend, 10)), drive(halves(500)))

# somebody keeps the frame that returns a number, changes numbers while the loop is suspended, or what a function is
kept = []
async def seen(x):
    kept.append(sys._getframe())
    return x + 1
async def sees(n):
    s = 0
    for i in range(n):
        s += await seen(i)
    return s
for _ in range(10): drive(sees(9))
compiled(seen, sees)
print(drive(sees(30)), [f.f_locals for f in kept[-3:]], kept[-1].f_back)
for new in (100, 2.5, 10**20):
    c = total(40, suspend, 10)
    c.send(None)
    c.cr_frame.f_locals["s"] = new
    c.cr_frame.f_locals["i"] = 20
    print(repr(drive(c)))
def other(x): return x
async def third(x): return x * 3
old = give.__code__
give.__code__ = third.__code__
print(drive(twice(7)), drive(total(50, suspend, 10)))
give.__code__ = other.__code__
print(outcome(drive, twice(7)))
give.__code__ = old
print(drive(twice(7)), drive(total(50, suspend, 10)))
""",
    "closures": """
def adder(k, name):
    async def add(x):
        return x + k
    add.__name__ = name
    add.__qualname__ = name * 2
    return add
async def adds(n, add):
    s = 0
    for i in range(n):
        s += await add(i)
    return s
def counter():
    n = 0
    async def count(make):
        nonlocal n
        n += 1
        if make: await make(n)
        return sys._getframe().f_generator.__qualname__, n
    return count
one = adder(1, "one")
for _ in range(40): drive(adds(50, one))
compiled(one, adds)
print(drive(adds(50, one)), drive(adds(50, adder(5, "five"))), drive(adds(50, adder(0.5, "half"))), outcome(drive, adds(5, adder("x", "text"))))
async def counts(f, n, make):
    r = []
    for _ in range(n):
        r.append(await f(make))
    return r
f, g = counter(), counter()
for _ in range(40): drive(counts(f, 3, None))
compiled(f, counts)
g.__qualname__ = "renamed"
print(drive(counts(f, 3, None)), drive(counts(g, 3, suspend)), drive(counts(f, 3, suspend)), drive(counts(g, 3, None)))
f.__qualname__ = "again"
print(drive(counts(f, 3, None)), drive(counts(g, 1, done)), deltas(lambda: drive(counts(f, 3, None)), f, f.__code__, f.__closure__[0]))
""",
    "handled": """
async def current(make):
    if make is not None:
        await make(1)
    return sys.exception(), sys.exc_info()[0]
async def inside(make):
    return await current(make)
async def handles(make):
    try:
        raise KeyError("outer")
    except KeyError:
        try:
            seen = [await inside(make)]
            await inside(boom)
        except ValueError as e:
            seen.append((await inside(make), e.__context__))
        seen.append(await inside(make))
    seen.append(await inside(make))
    return repr(seen)
for _ in range(40): drive(handles(None))
compiled(current, inside, handles)
for make in (None, done, suspend): print(drive(handles(make)), sys.exception())
""",
    "tail_watched": """
events = []
class Switch:
    def __init__(self, on): self.on = on
    def __del__(self):
        if self.on: sys.setprofile(lambda frame, event, arg: events.append((frame.f_code.co_name, event)) if event != "c_call" and event != "c_return" else None)
async def number(switch):
    return 10**6
async def ask(on):
    return await number(Switch(on))
async def asks(on):
    s = 0
    for _ in range(3):
        s += await ask(on)
    return s
for _ in range(40): drive(asks(False))
compiled(number, ask, asks)
print(drive(asks(False)))
r = drive(asks(True))
sys.setprofile(None)
print(r, drive(asks(False)), *[e for e in events if e[0] in ("number", "ask", "asks")])
""",
    "async_generators_at_each_state": """
async def items(make, n, log):
    try:
        for i in range(n):
            try:
                got = yield (i, await leaf(make, i))
            except KeyError as e:
                log.append(("caught", e.args))
                got = None
            if got: log.append(got)
    finally:
        log.append("closing")
        await done(1)
async def each(g):
    out = []
    async for x in g:
        out.append(x)
        if len(out) == 30: break
    else:
        out.append("all")
    return out
async def sends(g):
    return [await g.asend(None), await g.asend("a"), await g.__anext__(), await anext(g), await anext(g, "end"), await g.asend("b")]
for _ in range(20): drive(each(items(done, 4, []))), drive(sends(items(done, 9, []))), drive(each(items(suspend, 2, [])))
compiled(items, each, sends)
def state(g):
    a = g.ag_await
    return g.ag_running, g.ag_suspended, g.ag_frame and g.ag_frame.f_lineno, type(a).__name__, getattr(a, "__name__", None), repr(g).split(" at ")[0]
if jit: jit.never(state)
for make in (None, done, suspend):
    for n in (0, 1, 5, 40):
        log = []
        print(drive(each(items(make, n, log))), log, drive(sends(items(make, 20, log))), log, outcome(drive, sends(items(make, n, log))))
# suspended inside an await of its own: what can be seen, thrown, closed, done twice
for do in ("throw", "close", "again", "anext", "aclose", "athrow", "drop", "stop", "resume"):
    log = []
    g = items(suspend, 5, log)
    c = each(g)
    got = [c.send(None), c.send(None), state(g), type(c.cr_await).__name__, state(g)[4]]
    a = c.cr_await
    if do == "throw": got.append(outcome(c.throw, ValueError("in")))
    if do == "stop": got.append(outcome(c.throw, GeneratorExit))
    if do == "close": got.append(outcome(c.close))
    if do == "again": got.append((outcome(drive, a), outcome(a.send, None), outcome(a.throw, KeyError("k"))))
    if do == "anext": got.append((outcome(drive, anext(g)), outcome(drive, g.asend(1)), outcome(drive, each(g)), state(g)))
    if do == "aclose": got.append((outcome(drive, g.aclose()), state(g), outcome(drive, c)))
    if do == "athrow": got.append((outcome(drive, g.athrow(KeyError("k"))), state(g), outcome(drive, c)))
    if do == "drop": c = a = None
    if do == "resume": got.append((drive(c), outcome(a.send, None), outcome(a.close)))
    print(do, got, state(g), log, gc.collect() >= 0)
# suspended at an item
for do in ("athrow", "aclose", "asend", "thrown", "reused", "closed", "stopped"):
    log = []
    g = items(done, 5, log)
    got = [drive(anext(g)), state(g)]
    if do == "athrow": got.append((outcome(drive, g.athrow(ValueError("v"))), outcome(drive, each(g))))
    if do == "aclose": got.append((outcome(drive, g.aclose()), outcome(drive, each(g)), outcome(drive, anext(g, "none"))))
    if do == "asend": got.append((outcome(drive, g.asend("sent")), outcome(drive, each(g))))
    if do == "thrown": got.append((outcome(drive, g.athrow(KeyError("k"))), outcome(drive, each(g))))
    if do == "reused":
        a = g.asend("one")
        got.append((outcome(drive, a), outcome(drive, a), outcome(drive, each(g))))
    if do == "closed":
        a = g.asend("one")
        got.append((a.close(), outcome(drive, a), outcome(drive, each(g))))
    if do == "stopped":
        a = g.asend("one")
        got.append((outcome(a.throw, StopAsyncIteration), outcome(drive, each(g)), state(g)))
    print(do, got, log)
# what it raises, and where
async def raises(kind, n):
    for i in range(n): yield i
    raise kind("end")
for kind in (ValueError, StopAsyncIteration, StopIteration, GeneratorExit):
    for _ in range(6):
        try: drive(each(raises(kind, 3)))
        except BaseException as e: seen = repr(e), repr(e.__cause__), [(f.name, f.lineno) for f in traceback.extract_tb(e.__traceback__)]
    compiled(raises)
    try: drive(each(raises(kind, 3)))
    except BaseException as e: print(seen == (repr(e), repr(e.__cause__), [(f.name, f.lineno) for f in traceback.extract_tb(e.__traceback__)]), seen)
# items that look like what an iterator ends with, and what uses its own generator
class Odd(StopIteration): pass
async def odd():
    for x in ((), (1, 2), StopIteration(3), Odd(4), None, StopAsyncIteration(5)): yield x
own = None
async def itself():
    yield 1
    try: await anext(own)
    except RuntimeError as e: yield str(e)
    try:
        async for x in own: yield x
    except RuntimeError as e: yield str(e)
for _ in range(20): drive(each(odd())); own = itself(); drive(each(own))
compiled(odd, itself)
own = itself()
print(repr(drive(each(odd()))), drive(each(own)))
# hooks, finalisation, lifetimes
first, final = [], []
def hooked():
    old = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(lambda g: first.append(g.__name__), lambda g: final.append(state(g)))
    try:
        r = drive(each(items(done, 3, []))), drive(each(items(done, 40, [])))
        gc.collect()
        return r
    finally: sys.set_asyncgen_hooks(*old)
print(hooked(), first, final)
class Item: pass
async def fresh(n):
    for i in range(n): yield Item()
async def count(g, refs):
    n = 0
    async for x in g:
        refs.append(weakref.ref(x))
        n += sum(r() is not None for r in refs)
    return n
for _ in range(20): drive(count(fresh(4), []))
compiled(fresh, count)
print(drive(count(fresh(50), [])), deltas(lambda: drive(each(items(suspend, 3, []))), None, items.__code__, done), deltas(lambda: drive(each(items(done, 50, []))), None, items.__code__, done))
""",
    "tools_inside_async_generators": """
events = []
async def ticks(n, at, switch):
    for i in range(n):
        if i == at: switch()
        yield i
async def reads(n, at, switch):
    t = []
    async for x in ticks(n, at, switch):
        t.append(x)
    return t
for _ in range(40): drive(reads(5, 9, None))
compiled(ticks, reads)
def hear(kinds):
    def on():
        sys.settrace(lambda f, e, a: None)
        def trace(frame, event, arg):
            if event in kinds: events.append((frame.f_code.co_name, event, frame.f_lineno, repr(arg)[:40] if event != "exception" else arg[0].__name__))
            return trace
        sys.settrace(trace)
        sys._getframe(1).f_trace = trace
        sys._getframe(1).f_generator and None
        f = sys._getframe(1)
        while f and f.f_code.co_name in ("ticks", "reads"):
            f.f_trace = trace
            f = f.f_back
    return on
for kinds in (("call", "return", "exception"), ("line",)):
    r = drive(reads(5, 2, hear(kinds)))
    sys.settrace(None)
    print(r, events)
    events.clear()
mon = sys.monitoring
for tool in (3,):
    mon.use_tool_id(tool, "x")
    for kind in ("STOP_ITERATION", "RAISE", "PY_YIELD", "PY_RESUME", "PY_RETURN"):
        event = getattr(mon.events, kind)
        mon.register_callback(tool, event, lambda code, at, *rest, kind=kind: events.append((kind, code.co_name, repr(rest).split(" at ")[0])) if code.co_name in ("ticks", "reads") else None)
    r = drive(reads(5, 2, lambda: mon.set_events(tool, mon.events.STOP_ITERATION | mon.events.RAISE | mon.events.PY_YIELD | mon.events.PY_RESUME | mon.events.PY_RETURN)))
    mon.set_events(tool, 0)
    mon.free_tool_id(tool)
    print(r, events)
    print(drive(reads(5, 9, None)))
""",
    "objects_of_wide_calls": """
async def wide(a, *args, k=1, **more):
    return await leaf(k, a), args, sorted(more.items())
def wraps(f):
    def wrapper(*args, **kwargs):
        return f(*args, **kwargs)
    return wrapper
wrapped = wraps(wide)
def produce(a, k):
    for i in range(a): yield i, k
async def agen(a, *, k):
    for i in range(a): yield i, k
class Owner:
    async def leaf(self, x, k=2): return x, k
    def inner(self, x): return self.leaf(x, k=3)
def objects(a, t, d):
    return [wide(a, k=None), wide(a, 2, 3, k=None, z=4), wide(*t, **d), wrapped(a, 5, k=None, y=6), produce(a=2, k=a), produce(*t[:1], **{"k": 1}), agen(2, k=a), agen(*t[:1], **{"k": 1}), Owner().inner(a)]
async def awaits(a, t, d):
    return [await wide(a, k=None), await wide(*t, **d), await wrapped(a, 5, k=suspend), await Owner().inner(a), [x async for x in agen(2, k=a)], list(produce(a=2, k=a))]
def use(o):
    if isinstance(o, types.CoroutineType): return o.__qualname__, o.cr_frame.f_lasti, sorted(o.cr_frame.f_locals), gc.is_tracked(o), drive(o)
    if isinstance(o, types.GeneratorType): return o.__qualname__, o.gi_frame.f_lasti, gc.is_tracked(o), list(o)
    return o.__qualname__, o.ag_frame.f_lasti, gc.is_tracked(o), drive(each(o))
async def each(o): return [x async for x in o]
if jit: jit.never(use)
given = (2, 7), {"k": None, "w": 8}
for _ in range(30): [use(o) for o in objects(2, *given)], drive(awaits(2, *given))
compiled(wide, wrapped, wide, produce, agen, objects, awaits, Owner.leaf, Owner.inner)
print([use(o) for o in objects(2, *given)])
print(drive(awaits(2, *given)))
for bad in ((1, (), {}), (1, (1, 2), {"a": 3}), (1, (1,), {"k": None, 5: 6}), (1, 7, {}), (1, [2, 3], {"k": None})):
    print(outcome(lambda: [use(o) for o in objects(*bad)]), outcome(drive, awaits(*bad)))
class Arg:
    def __del__(self): ended.append(1)
ended = []
def hold(f):
    c = f(Arg(), k=None)
    n = len(ended)
    c.close()
    return n, len(ended), f.__name__
for _ in range(20): hold(wide)
compiled(hold)
ended.clear()
print(hold(wide), ended, deltas(lambda: [o.close() for o in objects(2, *given)[:4]], wide, wide.__code__, given[0], given[1]["k"]))
""",
}


@pytest.mark.parametrize("entries", support.ENTRIES)
@pytest.mark.parametrize("name", SNIPPETS)
def test_seen_from_python(name, entries):
    """The snippet prints the same under cendre."""
    support.same(CHAIN + SNIPPETS[name], entries=entries)


@pytest.mark.parametrize("name", SNIPPETS)
def test_seen_from_python_without_awaited_calls(name):
    """The same with the protocol switched off: coroutines compiled, each an object."""
    support.same(CHAIN + SNIPPETS[name], CENDRE_AWAITS="0")


@pytest.mark.parametrize("name", SNIPPETS)
def test_seen_from_python_at_first_sight(name):
    """Everything compiled at first sight, asyncio and the tests' own helpers included."""
    support.same(CHAIN + SNIPPETS[name], mode="first")


COUNTS = """
def sites(f):
    return sorted((line, calls, finished, suspended) for line, calls, finished, suspended, other in record(f)["awaits"])
gc.disable()        # the collector waits as an event
jit.reset_stats()
before = {f: sites(f) for f in (mid, down)}
drive(top(None, 100, 0))
drive(top(suspend, 100, 10))
after = {f: sites(f) for f in (mid, down)}
grown = [tuple(a - b for a, b in zip(x[1:], y[1:])) for x, y in zip(after[mid], before[mid] or [(0, 0, 0, 0)])]
print(grown)
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_finished_at_once_is_counted(entries):
    """200 awaits of `leaf` in `mid`: 190 finish at once, 10 suspend. No more, no fewer."""
    out = support.python(CHAIN + COUNTS, entries=entries, **support.NO_EVENTS)
    assert out.strip() == "[(200, 190, 10)]", out


COUNTED = """
gc.disable()        # the collector waits as an event
made = []
def make(x):
    made.append(sum(isinstance(o, types.CoroutineType) and o.cr_code is leaf.__code__ for o in gc.get_objects()))
    return done(x)
gc.collect()
drive(top(make, 20, 1))
print(len(made), sum(made))
"""


def test_no_coroutine_object_is_tracked_while_the_callee_runs():
    """In CPython there is one `leaf` object for the collector at each call; with awaited calls there is none."""
    assert support.python(CHAIN + COUNTED, enable=False, mode="plain").strip() == "20 20"
    assert support.python(CHAIN + COUNTED, **support.NO_EVENTS).strip() == "20 0"


FOR_ASYNC = """
gc.disable()        # the collector waits as an event
seen = []
async def ticks(n, make):
    for i in range(n):
        seen.append(sum(type(o).__name__ == "async_generator_asend" for o in gc.get_objects()))
        if make: await make(i)
        yield i
async def reads(n, make):
    t = 0
    async for x in ticks(n, make): t += x
    return t
for _ in range(20): drive(reads(5, None))
compiled(ticks, reads)
gc.collect()
seen.clear()
jit.reset_stats() if jit else None
print(drive(reads(20, None))[1], seen[0], sum(seen[1:]))
if jit: print(record(reads)["awaits"][0][1:4])
print(drive(reads(10, suspend))[1])
if jit: print(record(reads)["awaits"][0][1:4])
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_async_for_builds_no_objects(entries):
    """The first step is the slot's, which calls the hooks; the others build nothing that the collector finds, unless the generator waits."""
    assert support.python(CHAIN + FOR_ASYNC, enable=False, mode="plain").split("\n")[0] == "190 1 19"
    out = support.python(CHAIN + FOR_ASYNC, entries=entries, **support.NO_EVENTS).splitlines()
    # 20 items and the end: one ordinary call; the end is an exception. Then 10 that wait once each, the first in an object of the slot's.
    assert out == ["190 1 0", "(21, 19, 0)", "45", "(32, 19, 9)"], out


@pytest.mark.parametrize("entries", support.ENTRIES)
@pytest.mark.parametrize("name", ["async_generators_at_each_state", "objects_of_wide_calls", "async_generators"])
def test_seen_from_python_with_forced_leaves(name, entries):
    """One guard in three fails although nothing is wrong."""
    support.same(CHAIN + SNIPPETS[name], entries=entries, CENDRE_FORCE_LEAVES="3")


HANDS_ON = """
import time
def items(n):
    for i in range(n): yield i
def hands_on(n):
    yield from items(n)
def summed(n):
    yield from items(n)
async def pauses(n):
    for i in range(n): await suspend(i)
async def delegates(n):
    await pauses(n)
def loop(n):
    s = 0
    for x in hands_on(n): s += x
    return s
async def awaits(c):
    return await c
jit.compile(loop), jit.compile(items), jit.compile(pauses), jit.compile(awaits)
for way, f, result in ((loop, hands_on, 4950), (lambda n: sum(summed(n)), summed, 4950), (lambda n: drive(awaits(delegates(n)))[1], delegates, None)):
    while not jit.is_compiled(f) and time.process_time() < 60:      # the compiler has a budget: a share of the time that the program has run
        assert way(100) == result
    print(f.__name__, jit.is_compiled(f))
"""


def test_cold_generators_that_only_hand_on_are_compiled():
    """What runs is always below them, so the sampler does not meet them: who resumes them asks."""
    assert support.python(CHAIN + HANDS_ON).splitlines() == ["hands_on True", "summed True", "delegates True"]


MEMORY = """
def rss():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4
def work(n):
    drive(top(None, n, 0)), drive(top(suspend, n // 10, 1))
    for i in range(n // 100):
        drive(guard(boom, 10**6, done)), outcome(drive, down(boom, 3, 10**6))
        c = fin(suspend, 10**6, [])
        c.send(None)
        c.close()
work(5000)
gc.collect()
size, blocks = rss(), sys.getallocatedblocks()
work(100_000)
gc.collect()
print(rss() - size, sys.getallocatedblocks() - blocks)
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_nothing_is_leaked(entries):
    """A hundred thousand awaited calls, ten thousand suspensions: memory stays where it was."""
    kib, blocks = map(int, support.python(CHAIN + MEMORY, entries=entries).split())
    assert kib < 2000 and blocks < 200, (kib, blocks)
