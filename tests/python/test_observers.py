"""Observers that arrive at any time: tracers, profilers, monitoring tools, debuggers, samplers from outside, fork.

Each snippet prints events; under cendre, with the watched functions compiled, it must print the same. The tests that follow
look for what only cendre could do wrong: stay detached after a tracer has gone, or hide frames from other threads.
"""
import pytest

import support

SNIPPETS = {
    "pdb": """
import io, pdb, sys
def callee(x):
    y = x * 2
    return y
def watched(n):
    total = 0
    for i in range(n):
        total += callee(i)
        if i == 2:
            debugger.set_trace()
        last = total
    return total
out = io.StringIO()
debugger = pdb.Pdb(stdin=io.StringIO("p i, total\\nn\\np last if 'last' in locals() else None\\ns\\nn\\nn\\ns\\nw\\np x\\nup\\np i\\n!i = 10.5\\np i\\nc\\n"), stdout=out, nosigint=True, readrc=False)
debugger.use_rawinput = False
compiled(callee, watched)
print(watched(5))
print(out.getvalue())
""",
    "coverage_by_monitoring": """
import sys
mon = sys.monitoring
lines = set()
def watched(n):
    if n > 2:
        a = 1
    else:
        a = 2
    for i in range(n):
        if i % 2:
            continue
        a += i
    return a
for _ in range(10): watched(5)
compiled(watched)
mon.use_tool_id(mon.COVERAGE_ID, "cov")
def line(code, number):
    if code is watched.__code__: lines.add(number)
    return mon.DISABLE
mon.register_callback(mon.COVERAGE_ID, mon.events.LINE, line)
mon.set_events(mon.COVERAGE_ID, mon.events.LINE)
print(watched(2), sorted(lines))
print(watched(4), sorted(lines))
mon.restart_events()
lines.clear()
print(watched(1), sorted(lines))
mon.set_events(mon.COVERAGE_ID, 0)
mon.free_tool_id(mon.COVERAGE_ID)
print(watched(6))
""",
    "cprofile": """
import cProfile, pstats, io
def leaf(x): return x + 1
def watched(n):
    return sum(leaf(i) for i in range(n)) + len([leaf(i) for i in range(n)])
for _ in range(10): watched(5)
compiled(leaf, watched)
p = cProfile.Profile()
p.enable()
watched(10)
p.disable()
print(sorted((f[2], calls[0], calls[1]) for f, calls in pstats.Stats(p).stats.items() if "snippet" in f[0]))
""",
    "tracer_from_another_thread": """
import sys, threading, time
events = []
flag = []
def watched():
    n = 0
    while not flag:
        n += 1
    return n > 0
compiled(watched)
def tracer(frame, event, arg):
    if frame.f_code is watched.__code__ and len(events) < 3:
        events.append(event)
    if len(events) >= 3:
        flag.append(1)
    return tracer
def arm():
    time.sleep(0.05)
    threading.settrace_all_threads(tracer)
    for frame in sys._current_frames().values():
        while frame:
            frame.f_trace = tracer
            frame = frame.f_back
t = threading.Thread(target=arm)
t.start()
print(watched())
sys.settrace(None)
threading.settrace_all_threads(None)
t.join()
print(len(events), set(events) <= {"line", "opcode", "call", "return"})
""",
    "frames_of_other_threads": """
import sys, threading, time, traceback
stop, ready = [], threading.Event()
def spinning(depth):
    if depth:
        return spinning(depth - 1)
    ready.set()
    i = 0
    while not stop:
        i += 1
    return i
compiled(spinning)
t = threading.Thread(target=spinning, args=(5,))
t.start()
ready.wait()
for _ in range(50):
    names = [f.name for f in traceback.extract_stack(sys._current_frames()[t.ident]) if f.name == "spinning"]
    assert len(names) == 6, names
    time.sleep(0.001)
frame = sys._current_frames()[t.ident]
seen = frame.f_locals.get("i", 0)
time.sleep(0.02)
print(names, frame.f_lineno > 0)
stop.append(1)
t.join()
""",
    "faulthandler": """
import faulthandler, sys, tempfile
def inner(f):
    faulthandler.dump_traceback(f)
    return 1
def outer(n, f):
    return inner(f) if n == 0 else outer(n - 1, f) + 1
with tempfile.TemporaryFile("w+") as f:
    compiled(outer, inner)
    outer(3, f)
    f.seek(0)
    print(*[line for line in f if "outer" in line or "inner" in line])
""",
    "weak_and_strong_views": """
import gc, inspect, sys
def watched(n):
    held = [n]
    views = []
    for i in range(n):
        views.append(sys._getframe())
        views[-1].f_locals["n"]
        held.append(i)
    return views
for _ in range(6): watched(3)
compiled(watched)
views = watched(4)
print(len(set(map(id, views))), views[0].f_locals["held"], views[0].f_lineno, inspect.getframeinfo(views[0]).function, views[0].f_back.f_code.co_name)
del views
gc.collect()
""",
    "audit_and_hooks": """
import sys
seen = []
def watched(x):
    sys.audit("cendre.test", x)
    return x
compiled(watched)
sys.addaudithook(lambda name, args: seen.append((name, args)) if name == "cendre.test" else None)
watched(1), watched("a")
print(seen)
def unraisable(x):
    class Bad:
        def __del__(self): raise ValueError(x)
    Bad()
    return x
sys.unraisablehook = lambda u: print("unraisable", u.exc_type.__name__, u.exc_value, u.object.__qualname__)
compiled(unraisable)
print(unraisable(3))
""",
    "breakpoint_hook": """
import sys
def hook(*args):
    f = sys._getframe(1)
    f.f_locals["x"] = f.f_locals["x"] + 0.5
    print("hook", f.f_lineno, dict(f.f_locals))
sys.breakpointhook = hook
def watched(x):
    breakpoint()
    y = x * 2
    breakpoint()
    return x + y
for v in (1, 2.5): print(watched(v))
compiled(watched)
for v in (1, 2.5, 2**62): print(watched(v))
""",
}


@pytest.mark.parametrize("entries", support.ENTRIES)
@pytest.mark.parametrize("name", SNIPPETS)
def test_same_under_cendre(name, entries):
    support.same(SNIPPETS[name], entries=entries)


@pytest.mark.parametrize("name", SNIPPETS)
def test_same_at_first_sight(name):
    support.same(SNIPPETS[name], mode="first")


NEW_LINE = """
import sys
tool, events = 3, []
E = sys.monitoring.events
sys.monitoring.use_tool_id(tool, "new line")
for number in (E.LINE, E.PY_RETURN, E.PY_YIELD):
    sys.monitoring.register_callback(tool, number, lambda code, at, *more, number=number: events.append((code.co_name, at - code.co_firstlineno if number == E.LINE else number)))
class Odd:
    def __setattr__(self, name, value): call()
    def __setitem__(self, at, value): call()
    def __delitem__(self, at): call()
ODD = Odd()
countdown = [0]
def arm(n): countdown[0] = n
def call(*args):
    countdown[0] -= 1
    if countdown[0] == 0: sys.monitoring.set_events(tool, E.LINE | E.PY_RETURN | E.PY_YIELD)
def pair(a, b): pass
def functions():
    def match_it(n):
        for i in range(n):
            match call():
                case int(): pass
    def arguments(n):
        for i in range(n):
            pair(call(i),
                 n)
    def builds(n):
        x = None
        while n:
            n -= 1
            x = [call(n), n,
                 x]
    def attribute(n):
        i = 0
        while i < n:
            ODD.a = i
            i += 1
    def unbound(n):
        while n:
            ODD.a = n
            n -= 1
        late = 1
    def closed_over(n):
        while n:
            ODD.a = n
            n -= 1
        return lambda: n
    def item(n):
        for i in range(n):
            ODD[i] = i
            i
    def removes(n):
        for i in range(n):
            del ODD[i]
            i
    def generator(n):
        for i in range(n):
            ODD.a = i
            yield i
    async def coroutine(n):
        for i in range(n):
            pair(call(i),
                 await kit.Yield(i))
    # A frame of the machine code's own leaves another way than one that the interpreter entered.
    def outer(f, n):
        f(n)
    return [v for v in locals().values()]
def interpreted(f, n):
    if f.__code__.co_flags & 0x80: kit.drive(f(n))
    elif f.__code__.co_flags & 0x20: list(f(n))
    else: f(n)
for k in range(len(functions()) - 1):
    for by in interpreted, None:
        for n in range(1, 4):
            # New ones: once a tool has come, they are entered again only when samples say so.
            *made, outer = functions()
            f = made[k]
            for _ in range(30): interpreted(f, 4); outer(f, 4)
            compiled(call, pair, outer, f)
            if WHICH(f) and (by or not f.__code__.co_flags & 0xa0):
                arm(n)
                (by or outer)(f, 4)
                sys.monitoring.set_events(tool, 0)
                print(f.__name__, by is None, n, [e for e in events if e[0] not in ("<module>", "interpreted", "drive")])
                events.clear()
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_a_line_that_begins_where_a_callee_has_switched_a_tool_on(entries):
    """The caller leaves behind the call, in the middle of a statement or at its end; the tool hears of the line that begins there."""
    # Where generators are entered by events the interpreter has no instruction before (docs/internals/runtime.md).
    which = "lambda f: True" if entries == "executor" else "lambda f: not f.__code__.co_flags & 0xa0"
    support.same(NEW_LINE.replace("WHICH", f"({which})"), entries=entries)


HANDLER = """
import sys
mon, E = sys.monitoring, sys.monitoring.events
mon.use_tool_id(3, "x")
out = []
mon.register_callback(3,E.LINE,lambda c,l: out.append((c.co_name,l-c.co_firstlineno)))
mon.register_callback(3,E.EXCEPTION_HANDLED,lambda c,o,e: out.append((c.co_name,"handled")))
n=0
def call():
    global n
    n -= 1
    if n==0: mon.set_events(3,E.LINE|E.EXCEPTION_HANDLED)
    if n<=0: raise KeyError(1)
class CM:
    def __enter__(self): return self
    def __exit__(self,*a): return True
cm=CM()
def make():
    def body(k):
        for i in range(k):
            with cm:
                call()
                i
            i
    def one_line(k):
        for i in range(k):
            with cm: call()
    def clause(k):
        for i in range(k):
            try:
                call()
                i
            except KeyError:
                i
            else:
                k
    def generator(k):
        for i in range(k):
            with cm:
                call()
                yield i
            i
    def generator_on_one_line(k):
        for i in range(k):
            with cm: call(); yield 1
    def outer(f): return f(3)
    return body, one_line, clause, generator, generator_on_one_line, outer
for k in range(5):
    for by in 0,1:
        fs = make()
        f, outer = fs[k], fs[-1]
        run=(lambda: list(f(3))) if k>2 else (lambda: f(3)) if by==0 else (lambda: outer(f))
        n=1000
        for _ in range(20): run()
        compiled(*fs, call)
        n = 2
        out.clear()
        run()
        mon.set_events(3, 0)
        print(f.__name__, by, [o for o in out if o[0] not in ("<lambda>","<module>","outer")])
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_a_line_that_begins_at_a_handler(entries):
    """The callee switches the tool on and raises: the instruction before the handler is the call."""
    support.same(HANDLER, entries=entries)


BACK = """
import sys
def hot(n):
    total = 0
    for i in range(n):
        total += i
    return total
def gen(n):
    for i in range(n):
        yield i
compiled(hot, gen)
def entered():
    # evidence that compiled code runs: ENTER_EXECUTOR in the bytecode, or, by vectorcall, frames that cendre pushed
    before = jit.stats()["frames_pushed"]
    hot(10)
    return 255 in hot.__code__._co_code_adaptive[::2] or jit.stats()["frames_pushed"] > before
# Machine code would push hot's frames itself, which nothing counts.
jit.never(entered)
assert entered(), "not entered at all"
events = []
def tracer(frame, event, arg):
    events.append(event)
    return tracer
sys.settrace(tracer)
hot(3), list(gen(2))
sys.settrace(None)
traced = len(events)
assert traced > 10, events
for _ in range(300):
    hot(10), list(gen(3))
import time
end = time.monotonic() + 10
while not entered() and time.monotonic() < end:
    hot(1000)
print(entered(), len(events) == traced, jit.is_compiled(hot))
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_compiled_code_is_entered_again_when_the_tracer_has_gone(entries):
    assert support.python(BACK, entries=entries).split() == ["True", "True", "True"]


FORK = """
import multiprocessing, os, sys, time, warnings
def work(n):
    s = 0
    for i in range(n):
        s += i
    return s
end = time.monotonic() + 0.3
while time.monotonic() < end: work(1000)
with warnings.catch_warnings():
    warnings.simplefilter("error")
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            end = time.monotonic() + 0.2
            while time.monotonic() < end: work(1000)
            os._exit(0 if work(1000) == 499500 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        work(100_000)
print("ok")
"""


def test_fork_warns_no_more_than_without_us():
    """Threads of ours are joined before a fork; parent and child go on."""
    assert support.python(FORK).strip() == "ok"
    assert support.python(FORK, enable=False, mode="plain").strip() == "ok"
