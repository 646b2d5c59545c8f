"""Who looks from outside, or is switched on in the middle: samplers, faulthandler, remote debugging, asyncio's trees, and every kind of tool.

Tools in the program's own thread see exactly what they see under the interpreter. Samplers and signal handlers in C see a valid chain
of frames, each at its last observable point.
"""
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

import support

# Everything that a tool can be switched on in the middle of; `poke()` is where it happens.
VICTIMS = """
import signal, sys, threading, asyncio
def loop(n):
    total = 0
    for i in range(n):
        poke(i)
        total += i
        if total > 3:
            total -= 1
    return total
def small(x):
    return x + 1
def calls(n):
    out = []
    for i in range(n):
        poke(i)
        out.append(small(i))
        out.append(len(out))
    return out
def raises(n):
    out = []
    for i in range(n):
        try:
            poke(i)
            if i % 2:
                raise KeyError(i)
            out[99]
        except KeyError as e:
            out.append(str(e))
        except LookupError:
            out.append("lookup")
        finally:
            out.append(i)
    return out
class Ctx:
    def __enter__(self): return self
    def __exit__(self, *e): return True
def with_blocks(n):
    for i in range(n):
        with Ctx():
            poke(i)
            if i == 2: raise ValueError
    return "ok"
def gen(n):
    for i in range(n):
        poke(i)
        got = yield i
def consume(n):
    out = []
    for x in gen(n):
        out.append(x)
    return out, [y for y in gen(2)], sum(gen(2))
async def leaf(i):
    poke(i)
    return i
async def pauses(i):
    poke(i)
    await kit.Yield(i)
    poke(i)
    return i
async def awaits(n):
    out = []
    for i in range(n):
        out.append(await leaf(i))
        out.append(await pauses(i))
    return out
async def agen(n):
    for i in range(n):
        await leaf(i)
        yield i
async def awaits_agen(n):
    return [x async for x in agen(n)]
def drives(n):
    return kit.drive(awaits(n)), kit.drive(awaits_agen(n))
def nested(n):
    def inner(k):
        poke(k)
        return k and inner(k - 1)
    return inner(n), [inner(j) for j in range(2)]
def classes(n):
    class A:
        def __init__(self, v): poke(v); self.v = v
        @property
        def p(self): return self.v
    return [A(i).p for i in range(n)]
MINE = {loop, small, calls, raises, with_blocks, gen, consume, leaf, pauses, awaits, agen, awaits_agen, drives, nested, classes, Ctx.__enter__, Ctx.__exit__}
VICTIMS = [loop, calls, raises, with_blocks, consume, drives, nested, classes]
FILE = loop.__code__.co_filename
log = []
at = count = None
def poke(i):
    global count
    count += 1
    if count == at: how(True)
def note(*what):
    if len(log) < 4000: log.append(what)
def tracer(frame, event, arg):
    if frame.f_code.co_filename != FILE or frame.f_code.co_name in HIDDEN: return None
    note(event, frame.f_code.co_name, frame.f_lineno, kit.show(arg)[:30] if event in ("return", "exception") else None)
    return tracer
def profiler(frame, event, arg):
    if frame.f_code.co_filename != FILE or frame.f_code.co_name in HIDDEN: return
    note(event, frame.f_code.co_name, frame.f_lineno)
HIDDEN = {"poke", "how", "run", "<module>", "note", "settrace", "setprofile", "monitoring", "local", "remote", "by_signal", "by_thread", "attempt", "<lambda>", "callback", "in_thread", "attach"}
def attach(trace):
    # as a debugger does: frames that run already get the function, too
    f = sys._getframe(1)
    while f:
        f.f_trace = trace
        f = f.f_back
def settrace(on):
    sys.settrace(tracer if on else None)
    attach(tracer if on else None)
def setprofile(on): sys.setprofile(profiler if on else None)
E = sys.monitoring.events
ALL = [v for k, v in vars(E).items() if k not in ("NO_EVENTS", "INSTRUCTION") and isinstance(v, int)]
def callback(event):
    name = next(k for k, v in vars(E).items() if v == event)
    def callback(code, *args):
        if code.co_filename == FILE and code.co_name not in HIDDEN:
            note(name, code.co_name, *(a if isinstance(a, int) else type(a).__name__ for a in args))
    return callback
sys.monitoring.use_tool_id(2, "test")
for event in ALL:
    if event not in (E.BRANCH,): sys.monitoring.register_callback(2, event, callback(event))
EVENTS = sum(v for v in ALL if v != E.BRANCH)
LOCAL = E.LINE | E.PY_START | E.PY_RETURN | E.JUMP | E.CALL | E.PY_YIELD | E.PY_RESUME
def monitoring(on): sys.monitoring.set_events(2, EVENTS if on else 0)
def local(on):
    for f in MINE: sys.monitoring.set_local_events(2, f.__code__, LOCAL if on else 0)
def by_signal(on):
    if on: signal.raise_signal(signal.SIGUSR1)
    else: sys.settrace(None); attach(None)
signal.signal(signal.SIGUSR1, lambda n, f: (sys.settrace(tracer), attach(tracer)))
def in_thread(on): sys.monitoring.set_events(2, EVENTS if on else 0)
def by_thread(on):
    t = threading.Thread(target=in_thread, args=(on,)); t.start(); t.join()
"""

SWITCHED = """
for f in VICTIMS:
    count = at = -10**9
    for _ in range(8): f(4)
if jit:
    compiled(*MINE)
for how in HOWS:
    for f in VICTIMS:
        for at in (1, 2, 3, 5):
            count = 0
            log.clear()
            result = kit.outcome(f, 4)
            how(False)
            print(how.__name__, f.__name__, at, result, len(log), *log, sep="\\n  ")
            at = None
            assert f(4) is not None
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
@pytest.mark.parametrize("how", ["settrace", "setprofile", "monitoring", "local", "by_signal", "by_thread"])
def test_tools_switched_on_in_the_middle(how, entries):
    """From there on, the interpreter's sequence of events; the same results; and nothing once they are off."""
    support.same(VICTIMS + SWITCHED.replace("HOWS", f"({how},)"), entries=entries)


OPCODES = """
def numbers(n):
    for i in range(n):
        yield i
def traced(n):
    log = []
    def tracer(frame, event, arg):
        if frame.f_code is numbers.__code__:
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            log.append((event, frame.f_lasti))
        return tracer
    sys.settrace(tracer)
    try:
        return list(numbers(n)), log
    finally:
        sys.settrace(None)
for _ in range(3): list(numbers(3))
print(traced(2))
compiled(numbers)
print(traced(2))
print(list(numbers(2)))
print(traced(2))
print(traced(2))
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_opcodes_traced_before_and_after_compiling(entries):
    """A second listener makes CPython forget who listens to which instruction; our events of generators are one (`vectorcall`)."""
    support.same(OPCODES, entries=entries)


GIVEN_UP = """
import sys
monitoring = sys.monitoring
lines = []
def hears():
    jit and jit.never(f)
    monitoring.set_local_events(4, f.__code__, monitoring.events.LINE)
def f(n):
    total = 0
    for i in range(n):
        total += i
        if i == 3:
            hook()
        total += 1
    return total
monitoring.use_tool_id(4, "lines")
monitoring.register_callback(4, monitoring.events.LINE, lambda code, line: lines.append(line - code.co_firstlineno))
hook = lambda: None
for _ in range(30): f(8)
compiled(f)
hook = hears
print(f(8), lines)
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_local_events_of_code_that_was_given_up_while_it_runs(entries):
    """It has no machine code any more, but what it had is still on the stack."""
    support.same(GIVEN_UP, entries=entries)


BREAKPOINT = """
import bdb, sys
def debugged(n):
    total = 0
    for i in range(n):
        total += i
        during(i)
        total += 1
    return total
class Debugger(bdb.Bdb):
    def user_line(self, frame):
        if frame.f_code is debugged.__code__:
            seen.append((frame.f_lineno, dict(frame.f_locals)))
            if frame.f_locals["total"] == 10: frame.f_locals["total"] = 1000
        self.set_continue()
seen = []
def nothing(i): pass
def breaks(i):
    if i == 2:
        debugger.set_break(debugged.__code__.co_filename, debugged.__code__.co_firstlineno + 3)
        debugger.set_trace(sys._getframe(1))
    elif i == 5:
        debugger.clear_all_breaks()
        debugger.set_continue()
during = nothing
for _ in range(10): debugged(5)
compiled(debugged)
for backend in ("settrace", "monitoring"):
    debugger = Debugger(backend=backend)
    during = breaks
    print(backend, debugged(9), seen)
    debugger.stop_trace()
    sys.settrace(None)
    seen.clear()
    during = nothing
    print(debugged(9), seen)
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_breakpoint_set_while_the_function_runs(entries):
    """A debugger sets a breakpoint from a callee, by sys.settrace and by local events of sys.monitoring: hit in the same activation."""
    support.same(BREAKPOINT, entries=entries)


INSIDE = {
    "call_graphs": """
import asyncio, io, re
async def leaf(e): await e.wait()
async def mid(e): await leaf(e)
async def group(e):
    async with asyncio.TaskGroup() as tg:
        tg.create_task(mid(e), name="a"); tg.create_task(mid(e), name="b")
async def looks():
    return graph(asyncio.current_task()), [f.f_code.co_name for f in asyncio.current_task().get_stack()]
async def between(): return await looks()
def graph(t): return re.sub("id=0x[0-9a-f]+", "id", asyncio.format_call_graph(t))
async def main():
    e = asyncio.Event()
    t = asyncio.create_task(group(e), name="group")
    await asyncio.sleep(0.01)
    print(graph(t))
    for u in sorted(asyncio.all_tasks(), key=lambda t: t.get_name()):
        if u.get_name() in "ab": print(graph(u))
    print(await between())
    e.set()
    await t
compiled(leaf, mid, group, looks, between, main)
for _ in range(3): asyncio.run(main())
""",
    "tracemalloc": """
import tracemalloc
def makes(n):
    out = []
    for i in range(n):
        out.append(bytearray(1000))
        out.append([i] * 50)
        out.append({"a": i})
        out.append(Thing(i))
    return out
class Thing:
    def __init__(self, x): self.x = [x] * 30
async def amakes(n):
    return await aleaf(n)
async def aleaf(n): return [bytearray(500) for _ in range(n)]
def gmakes(n):
    for i in range(n): yield bytearray(700)
for _ in range(5): makes(3), kit.drive(amakes(3)), list(gmakes(3))
compiled(makes, Thing.__init__, amakes, aleaf, gmakes)
tracemalloc.start(5)
kept = makes(10), kit.drive(amakes(10))[1], list(gmakes(10))
file = makes.__code__.co_filename
for o in (kept[0][0], kept[0][1], kept[0][2], kept[0][3].x, kept[1][0], kept[2][0]):
    t = tracemalloc.get_object_traceback(o)
    print([(f.lineno) for f in t or () if f.filename == file])
tracemalloc.stop()
""",
    "remote_exec": """
import os, sys, tempfile, threading
script = os.path.join(tempfile.mkdtemp(), "remote.py")
with open(script, "w") as f:
    f.write("import sys\\nf = sys._getframe(1)\\nwhile f and f.f_code.co_name != 'spins': f = f.f_back\\nf.f_locals['stop'] = True\\nprint('remote', f.f_code.co_name, f.f_locals['n'] > 0)\\n")
def spins(start):
    stop = False
    n = 0
    while not stop:
        n += 1
        if n == 1000: start()
    return n >= 1000
compiled(spins)
try:
    print(spins(lambda: sys.remote_exec(os.getpid(), script)))
except (RuntimeError, PermissionError, OSError) as e:
    print("not possible here", type(e).__name__)
""",
    "faulthandler_from_a_signal": """
import faulthandler, os, signal, sys, tempfile, threading, time
file = tempfile.TemporaryFile("w+")
faulthandler.register(signal.SIGUSR1, file, all_threads=True)
faulthandler.register(signal.SIGUSR2, file, all_threads=False)
def innermost(stop):
    n = 0
    while not stop: n += 1
    return n > 0
def recursive(k, stop):
    return recursive(k - 1, stop) if k else innermost(stop)
async def aleaf(stop): return innermost(stop)
async def amid(stop): return await aleaf(stop)
def gen(stop):
    yield innermost(stop)
compiled(innermost, recursive, aleaf, amid, gen)
for f in (lambda stop: recursive(20, stop), lambda stop: kit.drive(amid(stop))[1], lambda stop: next(gen(stop))):
    stop = []
    t = threading.Thread(target=f, args=(stop,))
    t.start()
    for _ in range(200):
        os.kill(os.getpid(), signal.SIGUSR1)
        signal.pthread_kill(t.ident, signal.SIGUSR2)
        time.sleep(0.0003)
    stop.append(1)
    t.join()
file.seek(0)
text = file.read()
print(text.count(" in innermost") > 300, text.count(" in recursive") > 2000, " in amid" in text, " in aleaf" in text, " in gen" in text, "<invalid" in text, "???" in text)
""",
    "remote_exec_off_and_gc_callbacks": """
import gc
def makes(n):
    out = None
    for i in range(n):
        out = [out, i]
        # More than the free list of lists holds: what comes from there does not count for the collector.
        if i % 500 == 0: out = None
    return out
seen = []
def callback(phase, info):
    import sys
    f = sys._getframe(1)
    seen.append((phase, f.f_code.co_name, f.f_lineno >= f.f_code.co_firstlineno))
compiled(makes)
gc.callbacks.append(callback)
gc.set_threshold(20)
makes(2000)
gc.callbacks.clear()
print(set(seen), len(seen) > 2)
""",
}


@pytest.mark.parametrize("entries", support.ENTRIES)
@pytest.mark.parametrize("name", INSIDE)
def test_same_under_cendre(name, entries):
    support.same(INSIDE[name], entries=entries)


SPIN = """
import asyncio, sys
import cendre, cendre.jit
def inner(n):
    total = 0
    for i in range(n):
        total += i
    return total
def outer(n):
    while True:
        inner(n)
async def waits(e):
    await e.wait()
async def group(e):
    async with asyncio.TaskGroup() as tg:
        tg.create_task(waits(e), name="first")
async def main():
    asyncio.create_task(group(asyncio.Event()), name="group")
    await asyncio.sleep(100)
cendre.enable()
for f in (inner, outer, waits, group, main): cendre.jit.compile(f)
print("ready", flush=True)
asyncio.run(main()) if sys.argv[1:] else outer(10_000)
"""


def look_at(tmp_path, command, *arguments):
    """What a command with `PID` in it prints about a running compiled program."""
    script = tmp_path / "spin.py"
    script.write_text(SPIN)
    with subprocess.Popen([sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True, env=support.environment()) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.3)
            command = [str(process.pid) if part == "PID" else part for part in command]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        finally:
            process.kill()
    if done.returncode and re.search("permission|not permitted|ptrace|process_vm_readv", done.stderr + done.stdout, re.I):
        pytest.skip(f"other processes may not be looked at here: {done.stderr.strip()[-100:]}")
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_py_spy_dumps_a_compiled_program(tmp_path):
    """An external sampler reads the frames of compiled functions out of process."""
    spy = Path(sysconfig.get_path("scripts")) / "py-spy"
    assert spy.exists() or shutil.which("py-spy"), "py-spy is in requirements-dev.txt"
    for _ in range(5):
        out = look_at(tmp_path, [str(spy), "dump", "--pid", "PID"])
        assert re.search(r"inner \(.*spin\.py:\d+\)\s+outer \(.*spin\.py:\d+\)\s+<module>", out) or "outer (" in out, out


def test_pstree_of_a_compiled_program(tmp_path):
    out = look_at(tmp_path, [sys.executable, "-m", "asyncio", "pstree", "PID"], "async")
    assert re.search(r"\(T\) group[\s\S]*group [\s\S]*\(T\) first[\s\S]*waits ", out), out


EVALUATOR = """
import _testinternalcapi
def leaf(x, *, k=1):
    return x + k
async def coroutine(x):
    return leaf(x)
async def awaits(x):
    return await coroutine(x)
def generator(n):
    yield leaf(n)
class C:
    def __init__(self, x): self.x = x
    def __add__(self, other): return self.x + other
    @property
    def p(self): return self.x
def work(n):
    out = [leaf(i) for i in range(n)] + [leaf(i, k=i) for i in range(n)] + [leaf(*[n])]
    for x in generator(n):
        out.append(x)
    return out, C(n) + 1, C(n).p, kit.drive(awaits(n))
def switch(seen):
    if seen is None: _testinternalcapi.set_eval_frame_default()
    else: _testinternalcapi.set_eval_frame_record(seen)
def above(n, seen, flip):
    a = work(n)
    flip(seen)
    b = work(n)
    flip(None)
    return a, b, work(n)
def loop(n, seen):
    total = 0
    for i in range(n):
        if i == 3: _testinternalcapi.set_eval_frame_record(seen)
        total += leaf(i)
        if i == 6: _testinternalcapi.set_eval_frame_default()
    return total
for _ in range(4):
    above(2, [], lambda seen: None), loop(2, None)
FUNCTIONS
for flip in (switch, lambda seen: switch(seen), lambda seen: _testinternalcapi.set_eval_frame_record(seen) if seen is not None else _testinternalcapi.set_eval_frame_default()):
    for _ in range(3):
        seen = []
        results = above(3, seen, flip)
        print(results[0] == results[1] == results[2], seen)
for _ in range(3):
    seen = []
    print(loop(9, seen), seen)
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_a_frame_evaluator_sees_all_frames(entries):
    """PEP 523: from where it is set on, compiled code neither runs nor calls unseen; afterwards it does again."""
    names = "leaf, coroutine, awaits, generator, C.__init__, C.__add__, C.p.fget, work, above, loop"
    want = support.python_plain(EVALUATOR.replace("FUNCTIONS", ""))
    got = support.python(EVALUATOR.replace("FUNCTIONS", f"compiled({names})"), entries=entries, **support.NO_EVENTS)
    support.same_texts(want, got)
