"""What gets hot, and compiling beside the program: docs/internals/hotness.md.

Invariant: nothing here depends on how fast the machine is, beyond deadlines that are generous; what must not be compiled is checked by
code that can never get hot enough.
"""
import pytest
import support

BESIDE = """
import time
def hot(n):
    total = 0
    for i in range(n):
        total += i & 7
    return total
deadline = time.monotonic() + 30
while not jit.is_compiled(hot):
    assert hot(10000) == 35000
    assert time.monotonic() < deadline, "never compiled"
assert hot(8) == 28
s = jit.stats()
print(s["compile_background_ns"] > 0, s["compile_queue"] >= 0, s["compile_budget_ns"] >= 0, s["compile_foreground_ns"] > 0)
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_hot_code_is_compiled_beside_the_program(entries):
    """Nobody asks for it: the sampler finds it, the compiler's thread makes the code, a pending call installs it."""
    assert support.python(BESIDE, entries=entries).split() == ["True"] * 4


ON_DEMAND = """
def f(x):
    return x + 1
jit.compile(f)
assert jit.is_compiled(f) and f(1) == 2
s = jit.stats()
print(s["compile_background_ns"], s["compiled"] == 1)
"""


def test_compile_does_not_use_the_thread():
    """jit.compile has compiled when it comes back."""
    out = support.python(ON_DEMAND, CENDRE_THRESHOLD="1000000").split()
    assert out == ["0", "True"]


ONCE = """
import sys
body = "\\n".join(f"x{i} = [{i}] * 3; x{i}.sort()" for i in range(3000))
code = compile(body, "once", "exec")
for _ in range(60):
    exec(code, {})
from cendre import _cendre
once = [f for f in _cendre.functions() if f["file"] == "once"]
print(sum(f["state"] == "compiled" for f in once), jit.stats()["samples"] > 0)
"""


def test_bodies_without_a_loop_are_not_compiled():
    """The body of a module has been seen often, but has no loop."""
    assert support.python(ONCE).split() == ["0", "True"]


CHURN = """
import gc, os, threading, time
def make(n):
    space = {}
    exec(f"class K{n}:\\n    def __init__(self, v): self.v = v\\n    def get(self): return self.v + {n}\\n"
         f"def run(k):\\n    t = 0\\n    for i in range(400):\\n        t += K{n}(i).get()\\n    return t\\n", space)
    return space["run"]
def many(first):
    for n in range(first, first + 150):
        run = make(n)
        for _ in range(10):
            assert run(0) == sum(range(400)) + 400 * n, n
        del run
        if n % 10 == 0:
            gc.collect()
            pid = os.fork() if first == 0 and n % 50 == 0 else None
            if pid == 0:
                r = make(7)
                ok = all(r(0) == sum(range(400)) + 2800 for _ in range(300))
                os._exit(0 if ok else 1)
            if pid:
                assert os.waitpid(pid, 0)[1] == 0
threads = [threading.Thread(target=many, args=(1000 * t,)) for t in (1, 2)]
many(0)
for t in threads: t.start()
for t in threads: t.join()
for n in range(20):
    cendre.disable(); many(5000 + n) if n == 0 else make(n)(0); cendre.enable()
s = jit.stats()
print(s["compiled"] > 0, s["compile_background_ns"] > 0)
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_code_that_dies_while_it_waits(entries):
    """Functions, classes and code objects come and go while their code is compiled; forks and switching off in between."""
    out = support.python("import cendre\n" + CHURN, mode="sampled", entries=entries).split()
    assert out == ["True"] * 2


NEVER = """
import time
def f(n):
    t = 0
    for i in range(n): t += i
    return t
end = time.monotonic() + 0.05
while time.monotonic() < end and not jit.is_compiled(f): f(2000)
jit.never(f)
for _ in range(200): f(2000)
print(jit.is_compiled(f))
"""


def test_never_wins_over_a_job_under_way():
    assert support.python(NEVER, mode="sampled").strip() == "False"


OTHER_CLASS = """
import time
from cendre import _cendre
class Base:
    __slots__ = ("a", "b", "c", "d", "e")
class Sub(Base):
    __slots__ = ()
def put(o, v):
    o.a = v; o.b = v; o.c = v; o.d = v; o.e = v
    return o
def get(o):
    return [o.a, o.b] + [o.c] + [o.d, o.e]
def many(c, n):
    for k in range(n):
        assert get(put(c(), k)) == [k] * 5
deadline = time.monotonic() + 60
while not (jit.is_compiled(put) and jit.is_compiled(get)):
    many(Base, 1000)
    assert time.monotonic() < deadline, "never compiled"
for k in range(10):
    many(Sub, 2000)
    many(Base, 2000)
made = {f["name"]: (f["compiles"] <= 2, f["leaves"] != []) for f in _cendre.functions()}
print(made["put"], made["get"])
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_code_that_meets_another_class_is_compiled_again_once(entries):
    """What one attribute site has learned of an object holds for the others of the function: they do not fail one after the other, while the
    interpreter goes on specialising them for the class that it met last."""
    assert support.python(OTHER_CLASS, mode="sampled", entries=entries).split("\n")[0] == "(True, True) (True, True)"


STAYS_COLD = """
import asyncio, time
from cendre import _cendre

async def at_once():
    pass

def plain(n):
    return at_once()

def cold(n):
    return at_once()

def asked_for(n):
    return at_once()

async def caller(n):
    for i in range(n):
        await plain(i)
        await cold(i)
        await asked_for(i)

jit.compile(asked_for)
deadline = time.monotonic() + 60
if {given_up}:
    # Also what the sampler has had compiled before.
    while not jit.is_compiled(cold):
        asyncio.run(caller(2000))
        assert time.monotonic() < deadline, "never compiled"
_cendre.tasks_stay_cold(cold)
_cendre.tasks_stay_cold(asked_for)
assert not jit.is_compiled(cold) and jit.is_compiled(asked_for)
while not (jit.is_compiled(plain) and jit.is_compiled(caller)):
    asyncio.run(caller(2000))
    assert time.monotonic() < deadline, "never compiled"
asyncio.run(caller(20_000))
print(jit.is_compiled(cold), jit.is_compiled(asked_for))
jit.compile(cold)
print(jit.is_compiled(cold))
"""


@pytest.mark.parametrize("given_up", [False, True])
def test_what_gains_nothing_is_compiled_on_demand_only(given_up):
    """Neither samples nor awaited calls offer it to the compiler; what they have had compiled is given up, what was asked for is kept."""
    assert support.python(STAYS_COLD.format(given_up=given_up), CENDRE_THRESHOLD="1").split() == ["False", "True", "True"]


COLD_STEPS = """
import types

def numbers():
    while True:
        yield 1

def letters():
    while True:
        yield "a"

@types.coroutine
def waits():
    while True:
        yield 1

async def hands_on():
    await waits()

def steps(how, n):
    for _ in range(n):
        how()

def resumed():
    return jit.stats()["coroutines"]["resumed"]

def taken(g, how, code):
    "Steps taken natively of 500, of what is suspended; before it is compiled, and after."
    steps(how, 500)
    before = resumed()
    steps(how, 500)
    cold = resumed() - before
    jit.compile(code)
    before = resumed()
    steps(how, 500)
    return cold, resumed() - before > 400

g, h, l, c = numbers(), numbers(), letters(), hands_on()
print(taken(g, lambda: next(g), numbers), taken(h, lambda: h.send(None), numbers), taken(l, lambda: l.send(None), letters), taken(c, lambda: c.send(None), hands_on))
"""


def test_a_cold_generator_is_looked_at_again():
    """That its code is not compiled is believed for some steps, not for ever."""
    assert support.python(COLD_STEPS, CENDRE_THRESHOLD="1000000").strip() == "(0, True) (500, True) (0, True) (0, True)"


SHORT = """
import opcode, sys, time
ENTER = opcode._specialized_opmap.get("ENTER_EXECUTOR") or opcode.opmap["ENTER_EXECUTOR"]
def short(x):
    return x + 1
def long(n):
    x = 0
    for _ in range(n): x = short(x)
    return x
def entered(f): return ENTER in f.__code__._co_code_adaptive[::2]
def tool(kind):
    seen = []
    m = sys.monitoring
    def start(*_): seen.append("start")
    def trace(frame, event, arg):
        if frame.f_code is short.__code__: seen.append(event)
    m.use_tool_id(3, "t")
    m.register_callback(3, m.events.PY_START, start)
    if kind == "local": m.set_local_events(3, short.__code__, m.events.PY_START)
    if kind == "global": m.set_events(3, m.events.PY_START)
    if kind == "profile": sys.setprofile(trace)
    got = long(3)
    sys.setprofile(None)
    m.set_local_events(3, short.__code__, 0)
    m.set_events(3, 0)
    m.free_tool_id(3)
    # That of `long` counts too under global events.
    return got, seen
# The sampler's work, without waiting for it: short code is seen alone first, then in the loop.
deadline = time.monotonic() + 60
while jit and not (jit.is_compiled(short) and jit.is_compiled(long)):
    for _ in range(1000): short(1)
    long(20000)
    assert time.monotonic() < deadline, "never compiled"
executors = jit and jit.stats()["entries"] == "executor"
assert not executors or entered(long) and not entered(short), (entered(long), entered(short))
for _ in range(2):
    print(long(1000), [tool(kind) for kind in ("local", "global", "profile", "none")])
short(1)        # takes the tools' instructions out
if jit:
    jit.compile(short)
    assert not executors or entered(short)
print(short(5), long(10), tool("local"))
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_short_functions_are_called_by_machine_code_only_and_tools_see_them(entries):
    support.same(SHORT, entries=entries, CENDRE_THRESHOLD="2")


RECURSIVE = """
import opcode, time
ENTER = opcode._specialized_opmap.get("ENTER_EXECUTOR") or opcode.opmap["ENTER_EXECUTOR"]
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
deadline = time.monotonic() + 60
print(fib(15))
while jit and not jit.is_compiled(fib):
    fib(15)
    assert time.monotonic() < deadline, "never compiled"
print(fib(16), not jit or ENTER in fib.__code__._co_code_adaptive[::2])
"""


def test_a_short_function_that_calls_itself_is_entered():
    """Code that runs once may be all that calls it."""
    support.same(RECURSIVE, CENDRE_THRESHOLD="2")
