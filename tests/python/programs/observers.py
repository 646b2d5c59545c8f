"""sys.settrace, sys.setprofile and sys.monitoring, switched on and off before, during and after the code that is watched.
Held: the exact events, in order, with lines, and the results of the watched code."""
import sys
import threading

from kit import ALL, Yield, drive, outcome

MUST_COMPILE = ALL
MAY_INTERPRET = dict.fromkeys(
    ["traced_thread", "profiled", "profiled.<locals>.hook", "profiled.<locals>.profiler", "monitored", "monitored.<locals>.set_events", "monitored.<locals>.hook", "monitored.<locals>.callback", "jump", "tracer_raises",
     "tracer_writes", "traced_from_start", "traced_in_the_middle", "traced_in_the_middle.<locals>.hook", "opcodes_traced", "tracer_for", "with_block.<locals>.M.__enter__", "with_block.<locals>.M.__exit__"],
    "instrumented by the tool that it switches on, and stays so until it runs again")
MON = sys.monitoring
E = MON.events


def add(a, b):
    c = a + b
    return c


def loop(n, hook):
    total = 0
    for i in range(n):
        hook(i)
        total = add(total, i)
        if total > 1000:
            break
    return total


def while_loop(n, hook):
    i = 0
    while i < n:
        if i == 3:
            hook(i)
        i += 1
    return i


def raises(x, hook):
    try:
        hook(x)
        return 1 // x
    except ZeroDivisionError:
        return "caught"
    finally:
        x = None


def raises_through(x, hook):
    hook(x)
    return add(x, "text")


def numbers(n, hook):
    for i in range(n):
        hook(i)
        yield i
    return "end"


def consume(n, hook):
    out = []
    for x in numbers(n, hook):
        out.append(x)
    return out


async def leaf(x, hook):
    hook(x)
    await Yield(x)
    return x + 1


async def chain(n, hook):
    total = 0
    for i in range(n):
        total += await leaf(i, hook)
    return total


def drive_chain(n, hook):
    return drive(chain(n, hook))


def recursive(n, hook):
    hook(n)
    return 1 if n == 0 else recursive(n - 1, hook) + n


def with_block(n, hook):
    class M:
        def __enter__(self):
            return self

        def __exit__(self, *a):
            return True
    with M():
        hook(n)
        raise KeyError(n)
    return "after"


def nothing(x):
    pass


WATCHED = [(loop, 5), (while_loop, 6), (raises, 0), (raises, 2), (raises_through, 1), (consume, 3), (drive_chain, 3), (recursive, 3), (with_block, 1)]


def tracer_for(log):
    def tracer(frame, event, arg):
        if frame.f_code.co_filename == __file__:
            log.append((frame.f_code.co_name, event, frame.f_lineno, repr(arg)[:40] if event != "exception" else arg[0].__name__))
        return tracer
    return tracer


def traced_from_start(f, n):
    log = []
    sys.settrace(tracer_for(log))
    try:
        r = outcome(f, n, nothing)
    finally:
        sys.settrace(None)
    return r, log, outcome(f, n, nothing)


def traced_in_the_middle(f, n, on, off):
    """On at call `on` of the hook, with f_trace set on the running frames; off at call `off`."""
    log, calls = [], [0]
    tracer = tracer_for(log)

    def hook(x):
        calls[0] += 1
        if calls[0] == on:
            sys.settrace(tracer)
            frame = sys._getframe(1)
            while frame is not None and frame.f_code.co_filename == __file__:
                frame.f_trace = tracer
                frame = frame.f_back
        if calls[0] == off:
            sys.settrace(None)
    try:
        r = outcome(f, n, hook)
    finally:
        sys.settrace(None)
    return r, log, outcome(f, n, nothing)


def profiled(f, n, on):
    log, calls = [], [0]

    def profiler(frame, event, arg):
        if frame.f_code.co_filename == __file__:
            log.append((frame.f_code.co_name, event, frame.f_lineno, getattr(arg, "__name__", repr(arg)[:40])))

    def hook(x):
        calls[0] += 1
        if calls[0] == on:
            sys.setprofile(profiler)
    if on == 0:
        sys.setprofile(profiler)
    try:
        r = outcome(f, n, hook)
    finally:
        sys.setprofile(None)
    return r, log


def opcodes_traced(f, n):
    log = []

    def tracer(frame, event, arg):
        if frame.f_code.co_filename == __file__:
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
            log.append((event, frame.f_lasti))
        return tracer
    sys.settrace(tracer)
    try:
        return outcome(f, n, nothing), log
    finally:
        sys.settrace(None)


def monitored(f, n, events, on, local=None, off=None):
    """Events of sys.monitoring, switched on at call `on` of the hook (0: before)."""
    log, calls, codes = [], [0], [f.__code__] if local is None else [g.__code__ for g in local]

    def set_events(which):
        if local is not None:
            for code in codes:
                MON.set_local_events(3, code, which)
        else:
            MON.set_events(3, which)

    def hook(x):
        calls[0] += 1
        if calls[0] == on:
            set_events(events)
        if calls[0] == off:
            set_events(0)

    def callback(name):
        def cb(code, *args):
            if code.co_filename == __file__ and code.co_name not in ("hook", "set_events", "cb"):
                log.append((name, code.co_name, *[a if isinstance(a, int) else getattr(a, "__name__", type(a).__name__) for a in args]))
        return cb
    MON.use_tool_id(3, "tests")
    try:
        for name in dir(E):
            event = getattr(E, name)
            if isinstance(event, int) and event and event & events:
                MON.register_callback(3, event, callback(name))
        if on == 0:
            set_events(events)
        r = outcome(f, n, hook)
    finally:
        MON.set_events(3, 0)
        for code in codes:
            MON.set_local_events(3, code, 0)
        MON.clear_tool_id(3)
        MON.free_tool_id(3)
    return r, log


def changes_line(n):
    """A tracer that jumps: f_lineno set from outside."""
    out = []
    for i in range(n):
        out.append(i)
        out.append("skipped")
        out.append("end")
    return out


def jump(n):
    first = changes_line.__code__.co_firstlineno
    jumps = [0]

    def tracer(frame, event, arg):
        if frame.f_code is changes_line.__code__:
            if event == "line" and frame.f_lineno == first + 5 and jumps[0] < 2:
                jumps[0] += 1
                frame.f_lineno = first + 6
            return tracer
    sys.settrace(tracer)
    try:
        r = changes_line(n)
    finally:
        sys.settrace(None)
    return r, jumps


def tracer_raises(f, n):
    seen = [0]

    def tracer(frame, event, arg):
        if frame.f_code.co_filename == __file__ and event == "line":
            seen[0] += 1
            if seen[0] == 4:
                raise OSError("tracer")
        return tracer
    sys.settrace(tracer)
    try:
        r = outcome(f, n, nothing)
    finally:
        left = sys.gettrace()
        sys.settrace(None)
    return r, left


def tracer_writes(n):
    """A tracer that changes a local through f_locals."""
    def tracer(frame, event, arg):
        if frame.f_code is while_loop.__code__ and event == "line" and frame.f_locals.get("i") == 2:
            frame.f_locals["i"] = 10.5
        return tracer
    sys.settrace(tracer)
    try:
        return while_loop(n, nothing)
    finally:
        sys.settrace(None)


def traced_thread(n):
    log = []
    threading.settrace(tracer_for(log))
    try:
        t = threading.Thread(target=loop, args=(n, nothing))
        t.start()
        t.join()
    finally:
        threading.settrace(None)
        sys.settrace(lambda *args: None)        # the thread died traced: only this takes its events away
        sys.settrace(None)
    return log


def cases():
    for k, (f, n) in enumerate(WATCHED):
        yield f"traced_{k}_{f.__name__}", lambda f=f, n=n: traced_from_start(f, n)
        yield f"traced_in_the_middle_{k}_{f.__name__}", lambda f=f, n=n: [traced_in_the_middle(f, n, on, off) for on, off in ((1, 0), (2, 0), (1, 3), (2, 3))]
        yield f"profiled_{k}_{f.__name__}", lambda f=f, n=n: [profiled(f, n, on) for on in (0, 1, 2)]
        yield f"opcodes_{k}_{f.__name__}", lambda f=f, n=n: opcodes_traced(f, n)
        starts = E.PY_START | E.PY_RETURN | E.PY_RESUME | E.PY_YIELD | E.PY_UNWIND | E.PY_THROW
        for name, events in (("starts", starts), ("lines", E.LINE), ("jumps", E.JUMP | E.BRANCH_LEFT | E.BRANCH_RIGHT), ("errors", E.RAISE | E.RERAISE | E.EXCEPTION_HANDLED | E.STOP_ITERATION), ("calls", E.CALL | E.C_RETURN | E.C_RAISE),
                             ("instructions", E.INSTRUCTION)):
            yield f"monitored_{name}_{k}_{f.__name__}", lambda f=f, n=n, events=events: [monitored(f, n, events, on, off=off) for on, off in ((0, None), (1, None), (2, 3))]
        local = [f, add, numbers, leaf, chain]
        for name, events in (("lines", E.LINE), ("starts", E.PY_START | E.PY_RETURN | E.PY_YIELD | E.PY_RESUME), ("jumps", E.JUMP)):
            yield f"local_{name}_{k}_{f.__name__}", lambda f=f, n=n, events=events, local=local: [monitored(f, n, events, on, local, off) for on, off in ((0, None), (1, None), (2, 3))]
    yield "jump", lambda: jump(4)
    yield "tracer_raises", lambda: [tracer_raises(f, n) for f, n in WATCHED]
    yield "tracer_writes", lambda: [tracer_writes(6), while_loop(6, nothing)]
    yield "traced_thread", lambda: traced_thread(3)
    # Code that was instrumented stays so until it runs again; this also sees that no tool is left.
    yield "untraced", lambda: [outcome(f, n, nothing) for f, n in WATCHED] + [add(1, 2), changes_line(3), sys.gettrace(), sys.getprofile(), outcome(lambda: MON.get_tool(3))]
