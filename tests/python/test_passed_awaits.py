"""Awaited calls that reach their coroutine function through a plain one (a decorator's wrapper), and calls with keywords or unpacked arguments.

As in `test_awaits.py`: snippets print the same with and without cendre, and the last tests look at cendre's counts and at the
collector: no coroutine object was made where the callee finished at once.
"""
import pytest

import support

HEAD = """
import asyncio, functools, gc, inspect, sys, traceback, types, warnings, weakref
from kit import Yield, deltas, describe, drive, outcome, show

def suspend(x):
    return Yield(x)
async def done(x):
    return x
def boom(x):
    raise ValueError(f"boom {x}")

async def leaf(x, make=None, *, k=0):
    if make is not None:
        await make(x)
    return x + k + 1

def decorate(f):
    @functools.wraps(f)
    def wrapper(*args, **kwargs):
        return f(*args, **kwargs)
    return wrapper

wrapped = decorate(leaf)
twice = decorate(wrapped)

def positional(x, make=None):
    return leaf(x, make)
def keywords(x, make=None):
    return leaf(x=x, make=make, k=10)
def either(x, make=None):
    return positional(x, make) if x % 2 else keywords(x, make=make)

class Service:
    def __init__(self, k):
        self.k = k
    async def inner(self, x, make=None):
        if make is not None:
            await make(x)
        return x * self.k
    def outer(self, x, make=None):
        return self.inner(x, make)
    def named(self, x, make=None):
        return self.inner(make=make, x=x)
    def spread(self, *a, **k):
        return self.inner(*a, **k)

service = Service(3)

async def by_wrapper(x, make=None): return await wrapped(x, make)
async def by_twice(x, make=None): return await twice(x, make=make, k=5)
async def by_positional(x, make=None): return await positional(x, make)
async def by_keywords(x, make=None): return await keywords(x, make)
async def by_either(x, make=None): return await either(x, make)
async def by_method(x, make=None): return await service.outer(x, make)
async def by_named(x, make=None): return await service.named(x, make)
async def by_spread(x, make=None): return await service.spread(x, make=make)
async def by_bound(x, make=None):
    f = service.outer
    return await f(x, make)
async def kw(x, make=None): return await leaf(x, make=make, k=2)
async def ex(x, make=None): return await leaf(*(x,), **{"make": make, "k": 3})
async def ex_positional(x, make=None):
    a = (x, make)
    return await leaf(*a)
async def ex_iterable(x, make=None): return await leaf(*(v for v in (x, make)))
def iterable(x, make=None):
    return leaf(*iter((x, make)))
async def by_iterable(x, make=None): return await iterable(x, make)
async def kw_method(x, make=None): return await service.inner(x, make=make)
async def ex_method(x, make=None): return await service.inner(*[x], make=make)

WAYS = [by_wrapper, by_twice, by_positional, by_keywords, by_either, by_method, by_named, by_spread, by_bound, kw, ex, ex_positional, ex_iterable, by_iterable, kw_method, ex_method]
PLAIN = [wrapped, wrapped.__wrapped__, twice, positional, keywords, either, iterable, Service.outer, Service.named, Service.spread, Service.inner]
for _ in range(30):
    for way in WAYS: drive(way(1)), drive(way(2, done))
compiled(*WAYS, *PLAIN)
for n in range(4):          # plain functions are compiled again once somebody awaits what they return
    for way in WAYS: drive(way(n)), drive(way(n, done))
compiled(*WAYS, *PLAIN)
"""

SNIPPETS = {
    "values": """
for way in WAYS:
    print(way.__name__, drive(way(1)), drive(way(2, done)), drive(way(3, suspend)), drive(way(4)), drive(way(1.5)) if way is not by_either else "", outcome(drive, way("s")))
""",
    "suspended": """
def look(c):
    out = []
    while isinstance(c, types.CoroutineType):
        f = c.cr_frame
        out.append((c.__name__, c.__qualname__, inspect.getcoroutinestate(c), c.cr_suspended, c.cr_running, repr(c).split(" at ")[0], f.f_lineno, f.f_lasti,
                    sorted(f.f_locals), f.f_back, f.f_generator is c, gc.is_tracked(c), sys.getrefcount(c), c.cr_origin))
        c = c.cr_await
    return out
if jit: jit.never(look)
for way in WAYS:
    c = way(3, suspend)
    print(way.__name__, c.send(None), *look(c), sep="\\n ")
    print(outcome(drive, c), inspect.getcoroutinestate(c))
    c = way(4, suspend)
    c.send(None)
    print(outcome(c.throw, KeyError("thrown")))
    c = way(5, suspend)
    c.send(None)
    c.close()
""",
    "frames_seen_from_inside": """
def see(x):
    f = sys._getframe(1)
    out = []
    while f is not None and f.f_code.co_name != "drive":
        out.append((f.f_code.co_name, f.f_lineno, f.f_lasti, sorted(f.f_locals), f.f_generator and f.f_generator.__qualname__))
        f = f.f_back
    print(out)
    print([(s.name, s.lineno, s.colno, s.end_colno) for s in traceback.extract_stack()[-5:]])
    return done(x)
for way in WAYS:
    print(way.__name__)
    drive(way(3, see))
""",
    "exceptions": """
for way in WAYS:
    print(way.__name__, outcome(drive, way(7, boom)))
async def too_many(x): return await positional(x, None, 3)
async def unknown(x): return await wrapped(x, nonsense=1)
async def unknown_kw(x): return await leaf(x, nonsense=1)
async def given_twice(x): return await leaf(x, x=2)
async def no_mapping(x): return await leaf(**x)
async def no_iterable(x): return await leaf(*x)
def inside(x):
    return leaf(x, None, 5, 6)
async def wrong_inside(x): return await inside(x)
def raises(x):
    x / 0
    return leaf(x)
async def raised_inside(x): return await raises(x)
def gives(x):
    return x
async def no_awaitable(x): return await gives(x)
def later(x):
    y = leaf(x)
    return y
async def by_later(x): return await later(x)
bad = [too_many, unknown, unknown_kw, given_twice, no_mapping, no_iterable, wrong_inside, raised_inside, no_awaitable, by_later]
for _ in range(3):
    for f in bad: print(f.__name__, outcome(drive, f(3)))
    compiled(inside, raises, gives, later, *bad)
""",
    "in_a_try": """
log = []
def guarded(x, make=None):
    try:
        return leaf(x, make)
    finally:
        log.append(("finally", x))
def within(x, make=None):
    with Manager():
        return leaf(x, make)
class Manager:
    def __enter__(self): log.append("enter")
    def __exit__(self, *a): log.append(("exit", a[0]))
async def by_guarded(x, make=None): return await guarded(x, make)
async def by_within(x, make=None): return await within(x, make)
for _ in range(30): drive(by_guarded(1)), drive(by_within(1))
compiled(guarded, within, by_guarded, by_within)
log.clear()
for make in (None, done, suspend, boom): print(outcome(drive, by_guarded(1, make)), outcome(drive, by_within(1, make)), log)
""",
    "order_of_ends": """
log = []
class End:
    def __init__(self, name): self.name = name
    def __del__(self): log.append(f"end {self.name}")
async def takes(x, *rest, **more):
    log.append("runs")
    del x
    log.append("gave x up")
def first(x, y):
    z = End("local")
    return takes(x)
def spreads(*args, **kwargs):
    return takes(*args, **kwargs)
async def by_first(): await first(End("x"), End("y")); log.append("back")
async def by_spreads(): await spreads(End("x"), End("rest"), more=End("more")); log.append("back")
async def direct_kw(): await takes(End("x"), more=End("more")); log.append("back")
async def direct_ex(): await takes(*(End("x"), End("rest")), **{"more": End("more")}); log.append("back")
ways = [by_first, by_spreads, direct_kw, direct_ex]
for _ in range(30):
    for f in ways: drive(f())
compiled(takes, first, spreads, *ways)
for _ in range(2):
    for f in ways:
        log.clear()
        drive(f())
        print(f.__name__, log)
""",
    "references": """
async def many(way, n):
    for _ in range(n): await way(10**6)
value = 10**20
for way in WAYS:
    print(way.__name__, deltas(lambda: drive(way(value)), value, leaf, leaf.__code__, service, Service.inner.__code__), deltas(lambda: outcome(drive, way(value, boom)), value, leaf.__code__))
    c = way(value, suspend); c.send(None); del c
    print(deltas(lambda: drive(way(value)), value, leaf, leaf.__code__))
""",
    "tools_switched_on_inside": """
events = []
def profile(frame, event, arg):
    if frame.f_code.co_filename == __file__ and not event.startswith("c_"): events.append((event, frame.f_code.co_name, type(arg).__name__))
def switches(x, on):
    if on: sys.setprofile(profile)
    return leaf(x)
class Switch:
    def __del__(self): sys.setprofile(profile)
def drops(x, on):
    s = Switch() if on else None
    return leaf(x)
async def by_switches(on): return await switches(1, on)
async def by_drops(on): return await drops(1, on)
for _ in range(30): drive(by_switches(False)), drive(by_drops(False))
compiled(switches, drops, by_switches, by_drops)
for f in (by_switches, by_drops):
    drive(f(False))
    events.clear()
    r = drive(f(True))
    sys.setprofile(None)
    print(f.__name__, r, events)
sys.setprofile(profile)
events.clear()
for way in WAYS: drive(way(2))
sys.setprofile(None)
print(events)
""",
    "origin": """
sys.set_coroutine_origin_tracking_depth(5)
for way in WAYS:
    c = way(3, suspend)
    c.send(None)
    inner = c.cr_await
    while inner.cr_await is not None and isinstance(inner.cr_await, types.CoroutineType): inner = inner.cr_await
    print(way.__name__, [(n, f) for _, n, f in inner.cr_origin])
    c.close()
sys.set_coroutine_origin_tracking_depth(0)
""",
    "frames_kept": """
kept = []
def keeps(x, make=None):
    kept.append(sys._getframe())
    return leaf(x,
                make)
async def by_keeps(x, make=None): return await keeps(x, make)
for _ in range(30): drive(by_keeps(1))
compiled(keeps, by_keeps)
drive(by_keeps(1))
kept.clear()
print(drive(by_keeps(1)), drive(by_keeps(2, suspend)))
for f in kept: print(f.f_lineno, f.f_lasti, sorted(f.f_locals), f.f_back and f.f_back.f_code.co_name)
""",
    "changed_while_it_runs": """
def other(x, make=None): return done(x * 100)
async def third(x, make=None, *, k=0): return x * 1000
for name, change, back in (
    ("code of the wrapper", lambda: setattr(positional, "__code__", other.__code__), lambda code=positional.__code__: setattr(positional, "__code__", code)),
    ("code of the function", lambda: setattr(leaf, "__code__", third.__code__), lambda code=leaf.__code__: setattr(leaf, "__code__", code)),
    ("defaults", lambda: setattr(leaf, "__defaults__", (suspend,)), lambda: setattr(leaf, "__defaults__", (None,))),
    ("keyword defaults", lambda: setattr(leaf, "__kwdefaults__", {"k": 50}), lambda: setattr(leaf, "__kwdefaults__", {"k": 0})),
    ("name", lambda: setattr(leaf, "__qualname__", "renamed"), lambda: setattr(leaf, "__qualname__", "leaf")),
):
    change()
    print(name, [outcome(drive, way(3)) for way in WAYS])
    c = by_positional(3, suspend)
    print(outcome(c.send, None), getattr(c.cr_await, "__qualname__", None))
    c.close()
    back()
    print([outcome(drive, way(3)) for way in WAYS])
""",
    "not_awaited": """
c = wrapped(1)
print(type(c).__name__, inspect.getcoroutinestate(c), drive(c))
c = positional(3, suspend)
print(c.send(None), c.cr_frame.f_locals["x"])
c.close()
with warnings.catch_warnings(record=True) as w:
    warnings.simplefilter("always")
    wrapped(1); positional(2); service.outer(3)
print([str(x.message) for x in w])
async def later():
    c = wrapped(1)
    d = await c
    return d, outcome(drive, c)
for _ in range(30): drive(later())
compiled(later)
print(drive(later()))
""",
    "iterables": """
class Said:
    def __init__(self, name): self.name = name
    def __del__(self): print("end of", self.name)
class Items:
    def __init__(self, *items): self.items = items
    def __iter__(self):
        print("iter", sys._getframe(1).f_code.co_name, sys._getframe(1).f_lineno)
        yield from self.items
        if len(self.items) > 2: raise KeyError("no more")
class Old:
    def __getitem__(self, n): return (5, None)[n]
async def give(items, make=None):
    def local():
        return leaf(*items)
    return await leaf(*items), await local(), await wrapped(*items)
async def to(f, items): return await f(*items)
async def last(make): return await leaf(*Items(Said(1) and 1, make))
for _ in range(30): drive(give([1])), drive(give(Items(1))), drive(to(leaf, iter([1]))), drive(last(None))
compiled(give, to, last, Items.__iter__)
for items in ([1, done], Items(1, suspend), Items(1, boom), Items(1, None, 3), Items(1, None, 3, 4), Items(), Old(), 7, None, "ab", {3: 1}, range(2), range(1), (i for i in ())):
    print(outcome(drive, give(items)))
    for f in (leaf, wrapped, service.outer, asyncio.gather, len, 3, lambda *a: leaf(*a)): print(outcome(drive, to(f, items))[:150])
drive(last(done)), drive(last(suspend)), outcome(drive, last(boom))
print(deltas(lambda: drive(to(leaf, iter([1]))), None, leaf, leaf.__code__), deltas(lambda: outcome(drive, to(leaf, Items(1, 2, 3, 4))), None, leaf, leaf.__code__))
""",
    "recursion": """
def down_plain(x):
    return down(x - 1)
async def down(x):
    return await down_plain(x) if x > 0 else 0
for _ in range(30): drive(down(3))
compiled(down, down_plain)
drive(down(3))
print(drive(down(200)), outcome(lambda: drive(down(10**6)))[:60])
def forever(x):
    return forever(x)
async def by_forever(): return await forever(1)
for _ in range(3): outcome(lambda: drive(by_forever()))
compiled(forever, by_forever)
print(outcome(lambda: drive(by_forever()))[:60])
""",
    "other_callables": """
class Called:
    async def __call__(self, x): return x, type(self).__name__
class Plain:
    def __call__(self, x): return leaf(x)
called, plain, part = Called(), Plain(), functools.partial(leaf, 5)
def by_called(x): return called(x)
def by_plain(x): return plain(x)
def by_part(x): return part(k=x)
def by_class(x): return Aw(x)
class Aw:
    def __init__(self, x): self.x = x
    def __await__(self):
        yield "y"
        return self.x
async def agen(x): yield x
def by_agen(x): return anext(agen(x))
async def run(x): return [await by_called(x), await by_plain(x), await by_part(x), await by_class(x), await by_agen(x), await called(x), await plain(x=x) if 0 else 1, await part(k=x), await Aw(x=x)]
for _ in range(30): drive(run(2))
compiled(run, by_called, by_plain, by_part, by_class, by_agen)
print(drive(run(2)), drive(run(2)))
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


COUNTS = """
gc.disable()        # the collector waits as an event
jit.reset_stats()
for way in WAYS:
    for _ in range(100): drive(way(2))
    for _ in range(50): drive(way(3, suspend))
for way in WAYS:
    (line, calls, finished, suspended, other), = record(way)["awaits"]
    print(way.__name__, calls, finished, suspended)
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_finished_at_once_is_counted(entries):
    """Each way: 150 awaits of a call, 100 finish at once, 50 suspend. No more, no fewer."""
    out = support.python(HEAD + COUNTS, entries=entries, **support.NO_EVENTS).splitlines()
    ways = [tuple(map(int, line.split()[1:])) for line in out]
    assert ways == [(150, 100, 50)] * 16, out


COUNTED = """
gc.disable()        # the collector waits as an event
made = []
codes = leaf.__code__, Service.inner.__code__
def make(x):
    made.append(sum(isinstance(o, types.CoroutineType) and o.cr_code in codes for o in gc.get_objects()))
    return done(x)
gc.collect()
for way in WAYS: drive(way(2, make))
print(len(made), sum(made))
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_no_coroutine_object_is_tracked_while_the_callee_runs(entries):
    """In CPython there is an object for the collector at each call; with awaited calls there is none."""
    assert support.python(HEAD + COUNTED, enable=False, mode="plain").strip() == "16 16"
    assert support.python(HEAD + COUNTED, entries=entries, **support.NO_EVENTS).strip() == "16 0"


MEMORY = """
def work(n):
    for way in WAYS:
        for i in range(n): drive(way(10**6)), drive(way(10**6, suspend)), outcome(drive, way(10**6, boom))
work(50)
gc.collect()
blocks = sys.getallocatedblocks()
work(1000)
gc.collect()
print(sys.getallocatedblocks() - blocks)
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_nothing_is_leaked(entries):
    """Some ten thousand calls of each kind: memory stays where it was."""
    assert int(support.python(HEAD + MEMORY, entries=entries)) < 200


WANTED = """
from kit import drive
async def cold(x):
    return x + 1
def cold_wrapper(x):
    return cold(x)
async def hot(n):
    s = 0
    for i in range(n): s += await cold_wrapper(i)
    return s
jit.compile(hot)
assert not jit.is_compiled(cold) and not jit.is_compiled(cold_wrapper)
for _ in range(20_000):     # the compiler has a budget: a share of the time that the program has run
    assert drive(hot(100))[1] == 5050
    if jit.is_compiled(cold) and jit.is_compiled(cold_wrapper): break
jit.reset_stats()
drive(hot(1000))
(line, calls, finished, suspended, other), = record(hot)["awaits"]
print(calls, finished > 500)        # an event that waits may decline some
"""


def test_cold_callees_are_compiled_when_they_are_awaited_often():
    """Short functions are hardly ever met by the sampler: their compiled awaiter asks for them."""
    assert support.python(WANTED).split() == ["1000", "True"]


IN_LINE = """
async def late(x):
    return x + 1
async def early(n, f):
    s = 0
    for i in range(n): s += await f(i)
    return s
jit.compile(early)
jit.compile(late)
before = jit.stats()["recompiled"]
drive(early(5000, late)), drive(early(50, late))
print(jit.stats()["recompiled"] - before, jit.is_compiled(early))
"""


def test_a_site_whose_callee_is_compiled_later_is_looked_at_again():
    """Compiled before its callee was ever met, the awaiter is compiled once more, and calls it in line."""
    assert support.python(HEAD + IN_LINE).split() == ["1", "True"]


NOT_PASSED = """
def later(x):
    f = leaf(x)
    return f
def direct(x):
    return leaf(x)
async def awaiter(way, n):
    s = 0
    for i in range(n): s += await way(i)
    return s
jit.compile(leaf), jit.compile(later), jit.compile(direct), jit.compile(awaiter)
for way in later, direct:
    before = jit.stats()["recompiled"]
    print(drive(awaiter(way, 100))[1], jit.stats()["recompiled"] - before, jit.is_compiled(way))
"""


def test_only_what_can_pass_an_awaited_call_on_is_compiled_for_it():
    """A plain function that is awaited is compiled anew if that changes what is made of it."""
    assert support.python(HEAD + NOT_PASSED).splitlines() == ["5050 0 True", "5050 1 True"]


def test_a_class_method_awaited_with_keywords_keeps_its_class():
    """The site finds bound methods of several classes: the object that comes out of one is lent to the call."""
    out = support.python("""
        import sys
        class A:
            @classmethod
            async def given(cls, f=0, *, limit=None):
                return cls, f, limit
        class B(A):
            pass
        which = [A, B]
        async def run(i):
            return await which[i % 2].given(limit=i)
        def drive(n):
            for i in range(n):
                try:
                    run(i).send(None)
                except StopIteration as end:
                    assert end.value == (which[i % 2], 0, i)
        drive(100)
        before = [sys.getrefcount(c) for c in which]
        drive(1000)
        assert jit.is_compiled(run)
        assert all(abs(sys.getrefcount(c) - n) < 10 for c, n in zip(which, before))
        print("kept")
    """, mode="first", CENDRE_WARMUP="5")
    assert out == "kept\n"
