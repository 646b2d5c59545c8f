"""Every way in to compiled code, and the evidence that it was taken: executors or monitoring, vectorcall, resumed generators.

Each test asks for more than the right result: it looks at the bytecode (ENTER_EXECUTOR) or at cendre's counts.
"""
import os
import subprocess
import sys

import pytest

import support

ENTER_EXECUTOR = 255

OSR = """
import opcode, time
def hot(stop):
    i = s = 0
    while not stop(i):
        k = 0
        while k < 1000:
            s += k
            k += 1
        i += 1
    return i, s
def state():
    code = hot.__code__._co_code_adaptive
    return {enter} in code[::2], jit.stats()["monitoring_entries"]
deadline = time.monotonic() + 20
rounds = 0
def stop(i):
    global rounds
    if rounds:
        rounds += 1
        return rounds > 50
    if jit.is_compiled(hot):
        rounds = 1
    assert time.monotonic() < deadline, "never compiled while it ran"
    return False
i, s = hot(stop)
assert s == i * 499500, (i, s)
print(*state())
""".replace("{enter}", str(ENTER_EXECUTOR))


def test_loop_is_entered_in_the_middle_by_executor():
    """One call, no compile asked for: sampling finds it, its loop gets an executor, the sum is right."""
    executor, _ = support.python(OSR, entries="executor").split()
    assert executor == "True"


def test_loop_is_entered_in_the_middle_by_monitoring():
    """The same where the build's executors are not to be used: no ENTER_EXECUTOR, entries by sys.monitoring instead."""
    executor, events = support.python(OSR, entries="vectorcall").split()
    assert executor == "False" and int(events) > 0


COMPILED_INSIDE = """
import sys
def work(n, f):
    total = 0
    for i in range(n):
        total += f(i)
    return total
def whole(n, f):
    i = total = 0
    while i < n:
        total += f(i)
        i += 1
    return total
async def co(n, f):
    total = 0
    for i in range(n):
        total += f(i)
        await kit.Ready()
    return total
def gen(n, f):
    for i in range(n):
        yield f(i)
def nested(n, f):
    return [[f(i) + j for j in range(3)] for i in range(n)]
seen = []
for function, run in ((work, work), (whole, whole), (co, lambda n, f: kit.drive(co(n, f))[1]), (gen, lambda n, f: sum(gen(n, f))), (nested, nested)):
    def f(i):
        if i == 30:
            compiled(function)
        frame = sys._getframe(1)
        if i in (29, 31, 60):
            seen.append((frame.f_code.co_name, frame.f_lineno, frame.f_locals["i"], frame.f_locals.get("total")))
        return i if i < 50 else i + 0.5
    print(function.__name__, run(100, f), run(3, f))
print(seen)
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_compiled_by_a_callee_in_the_middle(entries):
    """A callee compiles its caller while it runs; types change after that."""
    support.same(COMPILED_INSIDE, entries=entries)


RAISES_INSIDE = """
import traceback
class Ends:
    def __init__(self, n): self.n = n
    def __del__(self): print("end", self.n)
def behind(f, key):
    kept = Ends(1)
    found = [f(i) for i in range(5)]
    return {}[
        key]
def within(f, key):
    kept = Ends(2)
    return [{0: f(i) * 2, 2: 1, 4: 2}[
        key if i > 3 else 0] for i in range(5)]
def nested(f, key):
    kept = Ends(3)
    found = {f(i): {f(j) for j in range(2)} for i in range(5)}
    return found[
        key]
def caught(f, key):
    kept = Ends(4)
    try:
        found = [f(i) for i in range(5)]
        found[0] = {}[key]
    except KeyError as error:
        return repr(error)
def done(f, key):
    return [f(i) for i in range(5)], key
for function in (behind, within, nested, caught, done):
    def f(i):
        if i == 2: compiled(function)
        return i
    for _ in range(3):
        try:
            print(function.__name__, function(f, "absent"))
        except KeyError as error:
            print(traceback.format_exc())
            inner = error.__traceback__.tb_next
            print(inner.tb_lineno, inner.tb_lasti, inner.tb_frame.f_lineno, inner.tb_next, list(inner.tb_frame.f_locals))
            error = inner = None
print("over")
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_raising_after_an_entry_within_a_comprehension(entries):
    """The only RERAISE of such a function is the comprehension's, which takes no offset, and the only handler too."""
    support.same(RAISES_INSIDE, entries=entries)


RAISES_WATCHED = """
monitoring = sys.monitoring
events = monitoring.events
monitoring.use_tool_id(2, "test")
log = []
for name in ("RAISE", "EXCEPTION_HANDLED", "PY_UNWIND", "PY_RETURN"):
    def callback(code, at, what, name=name): log.append((name, code.co_name, type(what).__name__))
    monitoring.register_callback(2, getattr(events, name), callback)
def loop(f):
    out = []
    for i in range(8):
        try:
            out.append(f(i))
        except KeyError as e:
            out.append(e.args)
    return out
def bare(f):
    out = []
    for i in range(8):
        out.append(f(i))
    return out
def comprehension(f):
    out = [f(i) for i in range(8)]
    return out
def deep(f):
    out = []
    for i in range(8):
        try:
            with memoryview(b""):
                out.append(f(i))
        finally:
            out.append("finally")
    return out
for function in (loop, bare, comprehension, deep):
    def f(i):
        if i == 2: compiled(function)
        if i == 5:
            monitoring.set_events(2, events.RAISE | events.EXCEPTION_HANDLED | events.PY_UNWIND | events.PY_RETURN)
            raise KeyError(i)
        return i
    for _ in range(2):
        try:
            print(function.__name__, function(f))
        except KeyError as error:
            tb = error.__traceback__
            while tb:
                print(tb.tb_lineno, tb.tb_frame.f_lineno)
                tb = tb.tb_next
        monitoring.set_events(2, 0)
        print(*log, sep="\\n")
        log.clear()
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_a_callee_that_brings_a_tool_and_raises(entries):
    """The handler stands in the frame that was entered in the middle of its loop."""
    support.same(RAISES_WATCHED, entries=entries)


WAYS = """
import functools, operator, threading, weakref
def add(a, b=5):
    return a + b
class C:
    def __init__(self, v): self.v = v
    def method(self, x): return self.v + x
    @property
    def prop(self): return self.v * 2
    @classmethod
    def cls(cls, x): return cls(x).v
    @staticmethod
    def static(x): return x + 1
    def __add__(self, o): return C(self.v + o.v)
    def __getitem__(self, k): return self.v + k
    def __setitem__(self, k, v): self.v = v + k
    def __contains__(self, x): return x == self.v
    def __len__(self): return self.v
    def __bool__(self): return self.v > 0
    def __lt__(self, o): return self.v < o.v
    def __eq__(self, o): return self.v == o.v
    def __hash__(self): return hash(self.v)
    def __call__(self, x): return self.v * x
    def __iter__(self): return iter([self.v])
    def __enter__(self): return self.v
    def __exit__(self, *a): return True
    def __repr__(self): return f"C({self.v})"
    def __getattr__(self, name): return name + str(self.v)
    def __del__(self): log.append(self.v)
    def __index__(self): return self.v
    def __format__(self, spec): return spec + str(self.v)
log = []
def all_ways(v):
    c, d = C(v), C(v + 1)
    with c as e:
        c[1] = e
    out = [add(v), add(1, b=v), add(*(v, 2)), c.method(v), c.prop, C.cls(v), C.static(v), (c + d).v, c[v], v in c, len(c), not c, c < d, c == d, {c: 1}[C(c.v)], c(3), list(c), repr(c), c.thing, [10, 20, 30, 40, 50, 60, 70][c],
           f"{c:x}", list(map(add, [v, 2])), sorted([3, v], key=lambda k: add(k)), functools.reduce(add, [v, 2, 3]), functools.partial(add, v)(1), operator.methodcaller("method", v)(c), min([c, d]).v, max(v, 2, key=C.static)]
    t = threading.Thread(target=lambda: out.append(add(v)))
    t.start(), t.join()
    del c, d, e
    out.append(log[:])
    log.clear()
    return out
for v in range(1, 5):
    first = all_ways(v)
print(first)
functions = [add, all_ways, *(getattr(f, "__func__", getattr(f, "fget", f)) for f in vars(C).values() if callable(f) or isinstance(f, (property, classmethod, staticmethod)))]
functions = [f for f in functions if hasattr(f, "__code__")]
assert len(functions) > 20, len(functions)
compiled(*functions)
for v in (1, 2, 3, 4, True):
    print(kit.outcome(all_ways, v))
print(kit.outcome(all_ways, 2.5)[:200])
new = C(3)
class D(C):
    def method(self, x): return "D", super().method(x)
print(D(1).method(2), kit.outcome(new.method, "x"))
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
@pytest.mark.parametrize("mode", ["warm", "first"])
def test_every_kind_of_caller(mode, entries):
    """Operators, properties, __init__, keys of sorted, __del__, threads: all reach the same compiled bodies."""
    support.same(WAYS, mode=mode, entries=entries)


RESUMED = """
import asyncio, inspect, itertools
def numbers(n):
    i = 0
    while i < n:
        got = yield i
        i += 1 if got is None else got
    return "end"
def by_loop(n):
    out = []
    for x in numbers(n):
        out.append(x)
    return out
def by_delegation(n):
    r = yield from numbers(n)
    yield r
async def aio(n):
    total = 0
    for i in range(n):
        total += await asyncio.sleep(0, i)
    return total
old = numbers(10)               # started while everything was interpreted
next(old), next(old)
for _ in range(10):
    by_loop(4), list(by_delegation(3)), sum(numbers(3))
asyncio.run(aio(5))
compiled(numbers, by_loop, by_delegation, aio)
print(next(old), old.send(3), list(old))
g = numbers(20)
print(next(g), g.send(2), g.gi_frame.f_locals, g.gi_frame.f_lineno, inspect.getgeneratorstate(g), kit.outcome(g.throw, KeyError("k")), kit.outcome(next, g))
print(by_loop(6), list(by_delegation(3)), sum(numbers(5)), [*numbers(3)], max(numbers(4)), dict(zip("ab", numbers(5))), list(itertools.islice(numbers(100), 3, 6)), 3 in numbers(5), list(numbers(2.5)))
print(asyncio.run(aio(50)))
def alternate():
    # one generator resumed in turn by every way in
    g = numbers(100)
    out = []
    for k, x in enumerate(g):
        out += [x, next(g), g.send(2), g.__next__()]
        if k > 3: break
    out.append(next(g))
    g.close()
    return out
for _ in range(3): print(alternate())
compiled(alternate)
for _ in range(3): print(alternate())
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_generators_by_every_way_of_resuming(entries):
    support.same(RESUMED, entries=entries)


PATCHED = """
import dis, io, marshal, sys, types, weakref, gc
def f(a, b):
    t = 0
    for i in range(a):
        t += i * b
    return t
for _ in range(20): f(10, 2)
text = io.StringIO(); dis.dis(f, file=text)
raw, dump, refs = f.__code__.co_code, marshal.dumps(f.__code__), sys.getrefcount(f.__code__)
compiled(f)
again = io.StringIO(); dis.dis(f, file=again)
assert again.getvalue() == text.getvalue() and f.__code__.co_code == raw and marshal.dumps(f.__code__) == dump
dis.dis(f, file=io.StringIO(), adaptive=True)
assert list(dis.get_instructions(f, adaptive=True))
g = types.FunctionType(f.__code__.replace(), globals())
print(f(10, 2), g(10, 2), g.__code__ == f.__code__, hash(g.__code__) == hash(f.__code__))
code = weakref.ref(g.__code__)
compiled(g)
print(g(3, 4.5))
del g
gc.collect()
print(code() is None)
def churn(n):
    for i in range(n):
        space = {}
        exec(f"def made(a):\\n    for k in range(3): a += k\\n    return a + {i}", space)
        for _ in range(4): space["made"](1)
        compiled(space["made"])
        assert space["made"](1) == 4 + i
        kept = weakref.ref(space["made"].__code__)
        space.clear()
        assert kept() is None
churn(200)
print("freed")
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_code_objects_look_as_before_and_are_freed(entries):
    """dis, marshal, replace and hashes do not see what was installed; compiled code dies with its code object."""
    support.same(PATCHED, entries=entries)


NEVER = """
def f(x):
    return x + 1
assert jit.never(f) is f
for _ in range(100): f(1)
try:
    answer = jit.compile(f)
except ValueError as e:
    answer = "refused"
assert answer in (False, "refused") and not jit.is_compiled(f)
def g(x):
    return x + 1
assert not jit.is_compiled(g)
assert jit.compile(g) and jit.is_compiled(g) and jit.is_compiled(g.__code__)
before = jit.stats()["compiled"]
assert jit.compile(g) and jit.stats()["compiled"] == before
cendre.disable()
assert not cendre.is_enabled() and g(1) == 2 and g(5) == 6
cendre.enable()
assert cendre.is_enabled() and g(2) == 3
for wrong in (5, None, len, int, "f"):
    try:
        jit.compile(wrong)
    except TypeError:
        pass
    except ValueError:
        assert wrong in (len, int)
    else:
        raise AssertionError(wrong)
print("ok")
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_compile_never_and_disable(entries):
    assert support.python(NEVER, entries=entries).strip() == "ok"


LOOPS_OF_C = """
def numbers(stop):
    for i in range(6):
        if i == stop and jit: cendre.disable()
        yield i
def unpacked(stop): return [*numbers(stop)]
def called(stop): return max(*numbers(stop))
for again in range(3):
    for take in (list, unpacked, called, tuple, set, sum, enumerate, lambda n: [*map(str, n)]):
        if jit: cendre.enable()
        compiled(numbers)
        if take in (unpacked, called):
            compiled(take)
            print([take(stop) for stop in (9, 2, 3)])
        else:
            print([list(got) if hasattr(got := take(numbers(stop)), "__next__") else got for stop in (9, 2, 3)])
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_switched_off_while_c_code_loops_over_a_generator(entries):
    """`list(generator)` fetches `tp_iternext` once: ours goes on forwarding after it is out of the slot."""
    support.same(LOOPS_OF_C, entries=entries)


FIRST = """
def seen_once(x):
    return x * 2 + 1
def outer():
    def inner(y):
        return y + 1
    return inner
import textwrap
r = seen_once(20), outer()(1), textwrap.dedent("  a")
for _ in range(2):
    r = seen_once(20), outer()(1), textwrap.dedent("  a")
assert r == (41, 2, "a")
print(jit.is_compiled(seen_once), jit.is_compiled(outer), jit.is_compiled(outer()), jit.is_compiled(textwrap.dedent), jit.stats()["compiled"] >= 4)
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_threshold_0_compiles_at_first_sight(entries):
    out = support.python(FIRST, mode="first", entries=entries).split()
    assert out[:3] == ["True"] * 3 and out[4] == "True", out


SLEEPS = """
import time
time.sleep(0.2)
a = jit.stats()["sampler_wakes"]
time.sleep(1)
b = jit.stats()["sampler_wakes"]
print(b - a)
"""


def test_the_sampler_sleeps_when_no_python_code_runs():
    assert int(support.python(SLEEPS)) <= 10


WHO_WINS = """
import sys, _testinternalcapi
assert sys._jit.is_available() and sys._jit.is_enabled()
def hot(n):
    t = 0
    for i in range(n): t += i * 2
    return t
def theirs(n):
    t = 0
    for i in range(n): t += i * 3
    return t
async def co(n): return await leaf(n)
async def leaf(n): return n + 1
def executors(f):
    found = []
    for k in range(0, len(f.__code__.co_code), 2):
        try:
            e = _testinternalcapi.get_executor(f.__code__, k) if hasattr(_testinternalcapi, "get_executor") else None
        except (ValueError, RuntimeError):
            continue
        if e: found.append(type(e).__name__)
    return found
jit.never(theirs)
for _ in range(200): theirs(100)
compiled(hot, co, leaf)
before = jit.stats()["frames_pushed"]
assert hot(1000) == 999000 and hot(1000) == 999000 and kit.drive(co(1))[1] == 2
stats = jit.stats()
assert stats["frames_pushed"] >= before + 2, "not entered"
assert stats["entries"] == "vectorcall" and "JIT is on" in stats["entries_reason"], stats
assert "executor" not in executors(hot) + executors(theirs)
print("ours none, theirs", theirs(100))
"""


def test_cpythons_own_jit_keeps_its_executors():
    """PYTHON_JIT=1: executors are CPython's, whose traces could not enter ours; compiled functions are entered by the other ways.

    Nothing is compiled by itself: were the module's own loop, on a busy machine, its calls would push frames in machine code, which nothing counts.
    """
    assert support.python(WHO_WINS, entries=None, PYTHON_JIT="1", CENDRE_THRESHOLD="1000000").strip() == "ours none, theirs 14850"


def test_executors_are_refused_while_cpythons_own_jit_is_on():
    out = support.python("print(jit.stats()['entries'])", entries="executor", PYTHON_JIT="1")
    assert out.strip() == "vectorcall"


FROM_THE_START = """
import sys, cendre
jit = cendre.jit
def hot(n):
    return n + 1
before = jit.stats()["entries"]
jit.compile(hot)
pushed = jit.stats()["frames_pushed"]
hot(1)
print(sys._jit.is_enabled(), before, jit.stats()["entries"], jit.stats()["frames_pushed"] - pushed)
"""


@pytest.mark.parametrize("options, jit, outcome", [
    ([], "1", "True vectorcall vectorcall 1"),
    ([], "0", "False executor executor 0"),
    (["-E"], "1", "False executor executor 0"),  # The switch is not read then.
], ids=["on", "off", "ignored"])
def test_cpythons_own_jit_is_foreseen_at_the_start(options, jit, outcome):
    """Python switches its JIT on behind `site`, where CENDRE=1 has enabled us already."""
    out = subprocess.run([sys.executable, *options, "-c", FROM_THE_START], capture_output=True, text=True, check=True,
                         env={**os.environ, "CENDRE": "1", "CENDRE_THRESHOLD": "1000000", "PYTHON_JIT": jit}, timeout=60)
    assert out.stdout.strip() == outcome


@pytest.mark.parametrize("mode", ["warm", "first"])
@pytest.mark.parametrize("entries", support.ENTRIES)
def test_any_number_of_entries(entries, mode):
    """A body with few entries compares their numbers, one with many has a table: each is found."""
    support.same("""
        def make(n):
            space = {}
            exec("def f(x):\\n" + "".join(f"    x += (yield x * {k}) or {k}\\n" for k in range(n)) + "    return x", space)
            return space["f"]
        def run(f, values):
            g, out = f(3), []
            try:
                out.append(next(g))
                for v in values: out.append(g.send(v))
            except StopIteration as stop: out.append(stop.value)
            return out
        for n in range(1, 12):
            f = make(n)
            for i in range(40): run(f, range(20))
            if jit: jit.compile(f)
            print(n, run(f, range(20)), run(f, [None] * 20))
        """, mode=mode, entries=entries)
