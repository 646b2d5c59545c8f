"""Nothing brings it down: recursion everywhere, interrupts, threads, forks, pools, finalisation, switching on and off.

Each snippet runs under plain CPython and with everything in it compiled; what they print must be equal. A crash, a hang or another
exit status is a failure. What is about memory is in `test_memory.py`, about code objects of strangers in `test_hostile.py`.
"""
import pytest

import support

SNIPPETS = {
    "recursion_in_special_methods": """
import threading, sys
class Del:
    def __init__(self, n): self.n = n
    def __del__(self):
        if self.n: Del(self.n - 1)
        else: deep(10**6)
class Node:
    def __init__(self, n): self.inner = Node(n - 1) if n else None
    def __repr__(self): return "N(%r)" % (self.inner,)
    def __eq__(self, other): return self.inner == other.inner
    def __lt__(self, other): return self.inner < other.inner
    def __hash__(self): return hash(self.inner)
    def __getattr__(self, name): return getattr(self, name + "x")
    def __iter__(self): yield from self.inner
    def __bool__(self): return bool(self)
    def __len__(self): return len(self)
    def __call__(self): return self()
    def __getitem__(self, k): return self[k]
    def __add__(self, o): return self + o
    def __contains__(self, o): return o in self
    def __enter__(self):
        with self: pass
    def __exit__(self, *a): pass
    def __format__(self, s): return f"{self}"
    @property
    def prop(self): return self.prop
    @classmethod
    def make(cls): return cls.make()
def deep(n): return deep(n - 1) if n else 0
def comprehension(n): return [comprehension(n - 1) for _ in (1,)][0]
def lam(n): return (lambda: lam(n + 1))()
def handler(n):
    try: return handler(n + 1)
    except RecursionError: return "caught"
    finally: n = 0
def key(n): return sorted([1, 2], key=lambda k: key(n + 1))
def generator(n): yield from generator(n + 1)
async def co(n): return await co(n + 1)
def keyword(**k): return keyword(**k)
def star(*a): return star(*a)
def metaclass(n):
    class M(type):
        def __call__(cls): return cls()
    class A(metaclass=M): pass
    return A()
def attempt(f):
    try:
        f()
    except Exception as e:
        return type(e).__name__
    return "returned"
things = [lambda: repr(a), lambda: a == b, lambda: a < b, lambda: hash(a), lambda: a.nothing, lambda: list(a), lambda: bool(a), lambda: len(a), lambda: a(), lambda: a[1], lambda: a + 1, lambda: 1 in a,
          lambda: a.__enter__(), lambda: f"{a}", lambda: a.prop, Node.make, lambda: deep(10**6), lambda: comprehension(1), lambda: lam(1), lambda: handler(1), lambda: key(1), lambda: list(generator(1)),
          lambda: kit.drive(co(1)), lambda: keyword(a=1), lambda: star(1, 2), lambda: metaclass(1)]
a, b = Node(3), Node(3)
sys.unraisablehook = lambda u: seen.append(type(u.exc_value).__name__)
seen = []
functions = [f for f in vars(Node).values() if hasattr(f, "__code__") and f.__name__ != "__init__"] + [Del.__del__, deep, comprehension, lam, handler, key, generator, co, keyword, star, metaclass]
compiled(*functions, Node.prop.fget, Node.__dict__["make"].__func__)
for round in range(3):
    print([attempt(t) for t in things])
    Del(3); print(seen)
def work():
    print("thread", [attempt(t) for t in things])
    Del(3); print(seen)
threading.stack_size(256 * 1024)
t = threading.Thread(target=work); t.start(); t.join()
sys.setrecursionlimit(20_000)
t = threading.Thread(target=lambda: print("deep thread", [attempt(t) for t in things if t is not things[20]])); t.start(); t.join()
""",
    "interrupts": """
import signal, threading, time, ctypes, os, itertools
class Stop(BaseException): pass
def loop_while(log):
    n = 0
    while True:
        n += 1
def loop_for(log):
    for i in itertools.count(): log[0] = i
def loop_nested(log):
    while True:
        for i in range(1000):
            for j in range(10): pass
def loop_call(log):
    while True: small(3)
def small(x): return x + 1
def loop_float(log):
    x = 1.0
    while x > 0.0: x *= 1.0000001 if x < 2.0 else 0.5
def loop_gen(log):
    for i in endless(): pass
def endless():
    while True: yield 1
async def nothing(): return 1
async def loop_await(log):
    while True: await nothing()
def loop_try(log):
    while True:
        try: small(1)
        except ValueError: pass
        finally: log[1] = 1
def loop_recursion(log):
    def down(n): return down(n - 1) if n else 0
    while True: down(50)
loops = [loop_while, loop_for, loop_nested, loop_call, loop_float, loop_gen, lambda log: kit.drive(loop_await(log)), loop_try, loop_recursion]
compiled(loop_while, loop_for, loop_nested, loop_call, small, loop_float, loop_gen, endless, nothing, loop_await, loop_try, loop_recursion)
me = threading.get_ident()
def by_signal(number, frame): raise Stop("signal")
signal.signal(signal.SIGUSR1, by_signal)
def async_exc():
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(me), ctypes.py_object(Stop))
def interrupt(): os.kill(os.getpid(), signal.SIGINT)
def usr1(): os.kill(os.getpid(), signal.SIGUSR1)
def later(way, begun):
    # Not before the main thread is behind start(), which on a busy machine takes longer than this.
    begun.wait()
    time.sleep(0.03)
    way()
for f in loops:
    for way in (interrupt, usr1, async_exc):
        begun = threading.Event()
        t = threading.Thread(target=later, args=(way, begun))
        t.start()
        try:
            begun.set()
            f([0, 0])
        except BaseException as e:
            tb = e.__traceback__
            names = set()
            while tb:
                names.add(tb.tb_frame.f_code.co_name); tb = tb.tb_next
            print(f.__name__, way.__name__, type(e).__name__, e.args, bool(names & {"loop_while", "loop_for", "loop_nested", "loop_call", "loop_float", "loop_gen", "loop_await", "loop_try", "loop_recursion"}))
        t.join()
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
ticks = []
signal.signal(signal.SIGALRM, lambda n, f: ticks.append(f.f_lineno))
def busy(stop):
    n = 0
    while len(ticks) < stop: n += 1
    return n > 0
compiled(busy)
print(busy(20))
signal.setitimer(signal.ITIMER_REAL, 0)
""",
    "switch_interval": """
import threading, sys, time
def spin(out, k, stop):
    n = 0
    while not stop: n += 1
    out[k] = n
compiled(spin)
for interval in (0.005, 0.0005, 0.00001):
    sys.setswitchinterval(interval)
    stop, out = [], {}
    threads = [threading.Thread(target=spin, args=(out, k, stop)) for k in range(4)]
    for t in threads: t.start()
    time.sleep(0.1)
    stop.append(1)
    for t in threads: t.join(20)
    print(sorted(out), all(n > 0 for n in out.values()), sys.getswitchinterval())
""",
    "32_threads": """
import threading, sys, random, gc, types
sys.setswitchinterval(0.0001)
SOURCE = '''
def work(n, x):
    t = x
    for i in range(n):
        t = t + x if i % 3 else t - step
    return t
async def co(n):
    return await leaf(n) + await leaf(n + 1)
async def leaf(n): return n
def gen(n):
    for i in range(n): yield i + step
class C:
    def __init__(self, v): self.v = v
    def m(self, k): return self.v + k + step
step = 1
'''
shared = {}
exec(SOURCE, shared)
results = {}
def body(k):
    r = random.Random(k)
    own = {}
    exec(SOURCE, own)
    total = []
    for turn in range(30):
        space = shared if turn % 3 else own
        if jit and turn % 4 == 0:
            for name in ("work", "co", "leaf", "gen"): jit.compile(space[name])
            jit.compile(space["C"].m)
        total.append((space["work"](50, 2), space["work"](20, 0.5), kit.drive(space["co"](turn))[1], sum(space["gen"](30)), space["C"](turn).m(2)))
        if turn % 7 == 3:
            own["step"] = 1
            own["C"].m = own["C"].__dict__["m"]
            own["leaf"].__code__ = own["leaf"].__code__.replace()
        if turn % 10 == 9:
            own.clear(); exec(SOURCE, own)
        if k == 0 and turn % 8 == 1: gc.collect()
    results[k] = hash(tuple(total))
threads = [threading.Thread(target=body, args=(k,)) for k in range(32)]
for t in threads: t.start()
for t in threads: t.join(100)
print(len(results), len(set(results.values())), results[0] == results[31])
""",
    "fork_inside": """
import os, sys, threading
def work(n):
    total = 0
    for i in range(n):
        if i == n // 2:
            sys.stdout.flush()
            pid = os.fork()
            total += 0 if pid else 1000
        total += i
    return pid, total
def finish(pid, total):
    if not pid:
        print("child", total, work_again(10)); sys.stdout.flush(); os._exit(7)
    print("parent", total, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
def work_again(n):
    return [sum(gen(k)) for k in range(n)]
def gen(n):
    for i in range(n): yield i
async def inner(n):
    return os.fork()
async def outer(n):
    sys.stdout.flush()
    return await inner(n), n
compiled(work, work_again, gen, inner, outer)
for n in (10, 1000): finish(*work(n))
finish(*kit.drive(outer(5))[1])
""",
    "pools": """
import concurrent.futures as cf, multiprocessing as mp, os
def square(n):
    t = 0
    for i in range(n): t += n
    return t
def fails(n): raise ValueError(n)
if __name__ == "__main__":
    compiled(square, fails)
    with cf.ThreadPoolExecutor(8) as pool:
        print(sum(pool.map(square, range(200))), kit.outcome(pool.submit(fails, 1).result)[:20])
    with mp.get_context("fork").Pool(2) as pool:
        print(pool.map(square, range(20)))
    with cf.ProcessPoolExecutor(2, mp_context=mp.get_context("fork")) as pool:
        print(list(pool.map(square, range(20))), type(pool.submit(fails, 1).exception()).__name__)
""",
    "interpreters": """
import concurrent.interpreters as ci
def work(n):
    t = 0
    for i in range(n): t += i
    return t
compiled(work)
i = ci.create()
i.exec("def f(n):\\n    t = 0\\n    for k in range(n): t += k\\n    return t\\nassert f(100000) == 4999950000\\nassert [x for x in (y for y in range(9))] == list(range(9))")
print(work(10), i.call(len, "abc"))
t = i.call_in_thread(len, "abc")
for k in range(200): work(1000)
t.join()
i.close()
print(work(10))
from concurrent.futures import InterpreterPoolExecutor
with InterpreterPoolExecutor(3) as pool:
    print(list(pool.map(abs, range(-9, 9))))
print(work(100))
""",
    "threads_alive_at_exit": """
import threading, time, atexit, sys
def forever():
    n = 0
    while True: n += 1
async def nothing(): return 1
async def forever_async():
    while True: await nothing()
def gen():
    while True: yield 1
def forever_gen():
    for x in gen(): pass
class Late:
    def __del__(self): work(3)
def work(n):
    t = 0
    for i in range(n): t += i
    return t
compiled(forever, nothing, forever_async, gen, forever_gen, Late.__del__, work)
for target in (forever, lambda: kit.drive(forever_async()), forever_gen):
    threading.Thread(target=target, daemon=True).start()
late = Late()
g = gen(); next(g)
atexit.register(lambda: print("atexit", work(10), next(g)))
ended = threading.Event()
threading.Thread(target=lambda: (ended.wait(), time.sleep(0.05), print("last", work(5)))).start()
time.sleep(0.05)
print("end")
ended.set()
""",
    "switch_on_and_off": """
import gc
def work(n, x):
    t = x
    for i in range(n): t += other(i)
    return t
def other(i): return i * 2
async def co(n): return await leaf(n)
async def leaf(n): return n + 1
def gen(n):
    for i in range(n): yield other(i)
def flip(n):
    out = []
    for i in range(n):
        if jit and i % 5 == 3: cendre.disable()
        if jit and i % 5 == 1: cendre.enable()
        out.append((work(10, 0), work(5, 0.5), kit.drive(co(i))[1], sum(gen(4))))
    return out
compiled(work, other, co, leaf, gen, flip)
for turn in range(10):
    g = gen(10); next(g)
    print(work(10, 0), kit.drive(co(3)), list(gen(3)))
    if jit: cendre.disable(); assert not jit.is_compiled(work)
    print(work(10, 0), kit.drive(co(3)), list(gen(3)), next(g), next(g))
    if jit: cendre.enable(); compiled(work, other, co, leaf, gen)
    print(work(10, 0), kit.drive(co(3)), list(gen(3)), list(g))
print(flip(30))
""",
    "os_exit_inside": """
import os, sys
def inner(n):
    for i in range(n):
        if i == 5:
            print("leaving"); sys.stdout.flush()
            os._exit(0)
compiled(inner)
inner(10)
""",
    "deleted_while_it_runs": """
import gc, sys, types, weakref
SOURCE = '''
class K:
    def __init__(self): self.x = 1
    def m(self, f):
        f()
        return self.x + helper(2)
def helper(x): return x + const
const = 3
def f(cb):
    k = K()
    total = 0
    for i in range(6):
        total += k.m(cb if i == 3 else none) + helper(i)
    return total
def none(): pass
def g(cb):
    yield 1
    cb()
    yield helper(1)
async def co(cb):
    cb()
    return await leaf() + helper(1)
async def leaf(): return const
'''
def fresh():
    m = types.ModuleType("victim"); sys.modules["victim"] = m
    exec(SOURCE, m.__dict__)
    for i in range(10): m.f(m.none), list(m.g(m.none)), kit.drive(m.co(m.none))
    compiled(m.f, m.helper, m.K.m, m.K.__init__, m.g, m.co, m.leaf, m.none)
    return m
def attack(kind):
    m = fresh()
    d = m.__dict__
    def cb():
        if kind == "names":
            for name in ("helper", "K", "leaf"): d.pop(name, None)
        elif kind == "module": 
            sys.modules.pop("victim", None); d.clear()
        elif kind == "class": 
            d["K"].m = lambda self, f: 40
        elif kind == "code": d["helper"].__code__ = (lambda x: x * 100).__code__
        elif kind == "const": d["const"] = "text"
        elif kind == "builtins": d["range"] = None
        gc.collect()
    fs = m.f, m.g, m.co
    if kind == "module":
        ref = weakref.ref(m)
        del m
    out = [kit.outcome(fs[0], cb), kit.outcome(lambda: list(fs[1](cb))), kit.outcome(lambda: kit.drive(fs[2](cb)))]
    return out
for kind in ("names", "module", "class", "code", "const", "builtins"):
    for line in attack(kind): print(kind, line[:150])
gc.collect()
""",
    "frame_clear_and_writes": """
import sys, inspect, warnings, traceback
def clears(n):
    held = [n]
    try:
        sys._getframe().clear()
    except RuntimeError as e:
        return str(e), held
def cleared_after(x):
    y = object()
    raise ValueError(x)
def catch():
    try: cleared_after(5)
    except ValueError as e:
        f = e.__traceback__.tb_next.tb_frame
        before = sorted(f.f_locals)
        f.clear()
        return before, sorted(f.f_locals)
def gen(n):
    held = [n]
    yield 1
    yield held
def gen_clear():
    g = gen(3); next(g)
    return kit.outcome(g.gi_frame.clear), kit.outcome(next, g), g.gi_frame is None
def writes(n):
    total = 0
    for i in range(n):
        poke(i)
        total += i
    return total, n
def poke(i):
    f = sys._getframe(1)
    if i == 2: f.f_locals["total"] = 100
    if i == 3: f.f_locals["i"] = 7.5
    if i == 4: f.f_locals["n"] = "changed"
def deletes(n):
    x = n
    eat()
    return x
def eat():
    f = sys._getframe(1)
    try: del f.f_locals["x"]
    except ValueError as e: f.f_locals["x"] = str(e)
def warns(): warnings.warn("here", stacklevel=2)
def warn_from(n):
    for i in range(n): warns()
def stack(n): return [(f.function, f.lineno) for f in inspect.stack()[:n]]
def deep_stack(n, k): return deep_stack(n - 1, k) if n else stack(k)
def jumper(n):
    out = []
    out.append("a")
    out.append("b")
    out.append("c")
    return out
compiled(clears, cleared_after, catch, gen, gen_clear, writes, poke, deletes, eat, warns, warn_from, stack, deep_stack, jumper)
for _ in range(3):
    print(clears(1), catch(), gen_clear(), writes(6), deletes(3), deep_stack(4, 6))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warn_from(2)
    print([(w.lineno, str(w.message)) for w in seen])
first = jumper.__code__.co_firstlineno
def tracer(frame, event, arg):
    if frame.f_code is jumper.__code__ and event == "line" and frame.f_lineno == first + 3 and len(frame.f_locals["out"]) < 3:
        frame.f_lineno = first + 2
    return tracer
sys.settrace(tracer)
print(jumper(1))
sys.settrace(None)
print(jumper(1))
""",
    "async_generators_at_every_state": """
import asyncio, gc
class Stop(Exception): pass
async def agen(n, log):
    try:
        for i in range(n):
            try:
                got = yield i
                log.append(("got", got))
            except Stop as e:
                log.append(("thrown", str(e)))
                yield "after throw"
            await kit.Yield("inner")
    finally:
        log.append("finally")
        await kit.Ready()
async def eager(n):
    for i in range(n): yield i
async def use(how, at, log):
    g = agen(4, log)
    out = []
    try:
        for k in range(at): out.append(await g.asend(k or None))
        if how == "aclose": out.append(await g.aclose())
        elif how == "athrow": out.append(await g.athrow(Stop("x")))
        elif how == "athrow_other": out.append(await g.athrow(KeyError("k")))
        elif how == "asend": out.append(await g.asend(1))
        elif how == "anext": out.append(await anext(g, "default"))
        elif how == "twice":
            a = g.asend(None)
            out.append(await a)
            out.append(await a)
        elif how == "for":
            async for x in g: out.append(x)
        elif how == "comprehension": out.append([x async for x in g if x != 2])
        elif how == "abandon": del g; gc.collect()
    except BaseException as e:
        out.append((type(e).__name__, str(e)))
    return out
async def eager_use(n): return [x async for x in eager(n)], {x: y async for x in eager(2) async for y in eager(n)}
compiled(agen, eager, use, eager_use)
for how in ("aclose", "athrow", "athrow_other", "asend", "anext", "twice", "for", "comprehension", "abandon"):
    for at in range(6):
        log = []
        print(how, at, kit.outcome(lambda: kit.drive(use(how, at, log))), log)
print(kit.drive(eager_use(3)))
print(asyncio.run(eager_use(4)))
""",
}


@pytest.mark.parametrize("entries", support.ENTRIES)
@pytest.mark.parametrize("name", SNIPPETS)
def test_same_under_cendre(name, entries):
    support.same(SNIPPETS[name], entries=entries)


# What is compiled again and again under threshold 0, or is about time, is left to the run above.
@pytest.mark.parametrize("name", [n for n in SNIPPETS if n not in ("32_threads", "pools", "interrupts")])
def test_same_at_first_sight(name):
    support.same(SNIPPETS[name], mode="first")
