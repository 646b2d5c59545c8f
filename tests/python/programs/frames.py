"""Frames as callees, tracebacks and debuggers see them: f_locals read and written, f_lineno, f_lasti, f_back; printed tracebacks.
Held: every position with its columns, every local at every point, and that writes through f_locals reach the running code."""
import gc
import inspect
import sys
import traceback

from kit import ALL, deltas, outcome, sweep

MUST_COMPILE = ALL


def look(depth=1):
    """Frames from the caller out to this file's end."""
    f, out = sys._getframe(depth), []
    while f is not None and f.f_code.co_filename == __file__ and f.f_code.co_name != "<lambda>":
        position = list(f.f_code.co_positions())[f.f_lasti // 2]
        out.append((f.f_code.co_name, f.f_lineno, position, sorted((k, repr(v)[:60]) for k, v in f.f_locals.items() if not callable(v))))
        f = f.f_back
    return out


def poke(name, value, depth=1):
    """Writes a local of the caller."""
    f = sys._getframe(depth)
    f.f_locals[name] = value
    return value


def locals_at_calls(n):
    out = []
    a = n
    out.append(look()[0])
    b = a + 1
    for i in range(2):
        c = (i, b)
        out.append(
            look()[0]
        )
    del a
    out.append(look()[0])
    return out


def nested_calls(x):
    def inner(y):
        z = y * x
        return look(2), z
    return [inner(k) for k in range(2)]


def written_int(n):
    total = 0
    i = 0
    while i < n:
        total += i
        if i == 3:
            poke("i", 10)
        if i == 12:
            poke("total", 0.5)
        i += 1
    return total, i


def written_argument(x):
    poke("x", "changed", 1)
    return x


def written_float(x, n):
    for _ in range(n):
        x = x * 1.5
        if x > 5:
            poke("x", 1)
    return x


def written_object(d):
    poke("d", {"other": 1})
    d["k"] = 2
    return d


def written_cell():
    x = 1
    def inner():
        return x
    poke("x", 5)
    return x, inner()


def written_by_inner(n):
    def change():
        sys._getframe(1).f_locals["n"] = n + 100
    out = []
    for _ in range(3):
        change()
        out.append(n)
    return out


def bound_by_write(flag):
    if not flag:
        y = 1
    poke("y", "bound from outside")
    return y


def extra_local():
    f = sys._getframe()
    f.f_locals["extra"] = 5
    return "extra" in f.f_locals, "extra" in locals(), outcome(lambda: extra)  # noqa: F821


def frame_outlives(n):
    def make():
        x = [n]
        y = n * 2
        return sys._getframe()
    f = make()
    return f.f_locals["x"], f.f_locals["y"], f.f_lineno, f.f_back is None, outcome(f.clear), dict(f.f_locals)


def frame_of_exception(n):
    def fails(k):
        local = k * 2
        return 1 // (k - k), local
    try:
        fails(n)
    except ZeroDivisionError as e:
        tb = e.__traceback__
        out = []
        while tb:
            out.append((tb.tb_frame.f_code.co_name, tb.tb_lineno, tb.tb_lasti, {k: v for k, v in tb.tb_frame.f_locals.items() if isinstance(v, int)}))
            tb = tb.tb_next
        return out


def stack_text(n):
    if n:
        return stack_text(n - 1)
    return [(f.name, f.lineno, f.line) for f in traceback.extract_stack() if f.filename == __file__]


def inspect_stack():
    return [(i.function, i.lineno, i.index) for i in inspect.stack() if i.filename == __file__]


def caller_name():
    return sys._getframe(1).f_code.co_name


def asks_name():
    return caller_name(), (lambda: caller_name())(), [caller_name() for _ in range(1)], list(caller_name() for _ in range(1))


def sets_lineno_fails():
    try:
        sys._getframe().f_lineno = 3
    except ValueError as e:
        return str(e)


def frame_attributes():
    f = sys._getframe()
    return f.f_code is frame_attributes.__code__, f.f_globals is globals(), type(f.f_builtins).__name__, f.f_trace, f.f_trace_lines, f.f_trace_opcodes, f.f_generator


def locals_proxy(a, b):
    p = sys._getframe().f_locals
    c = 1
    before = list(p)
    p["a"] = 10
    c += a
    return before, a, c, len(p), sorted(p), p == dict(p), p | {"z": 1} and True, outcome(p.pop, "a"), p.get("nothing", 5), outcome(lambda: p["nothing"])


class Table:
    def __getitem__(self, k):
        raise KeyError(k)

    def __add__(self, o):
        raise TypeError("no addition here")

    def __lt__(self, o):
        raise ValueError("no order")

    def __iter__(self):
        raise OSError("no iteration")

    def __enter__(self):
        raise LookupError("no entering")

    def __exit__(self, *a):
        pass

    @property
    def prop(self):
        raise RuntimeError("no property")

    def __bool__(self):
        raise BufferError("no truth")

    def __call__(self, *a):
        raise ImportError("no call")

    def __setattr__(self, k, v):
        raise AttributeError("no setting")

    def __contains__(self, x):
        raise EOFError("no membership")


def raising_lines(which, t, d):
    """One failing construct a line; the columns tell which part failed."""
    x = 5
    if which == 0:
        return x + t["key"] * 2
    if which == 1:
        return (x +
                t + 1)
    if which == 2:
        return x if t < 3 else 4
    if which == 3:
        return [y for y in t]
    if which == 4:
        with t as q:
            return q
    if which == 5:
        return t.prop.more
    if which == 6:
        return not t
    if which == 7:
        return t(1, *[2], k=3)
    if which == 8:
        t.attr = x
    if which == 9:
        return x in t
    if which == 10:
        a, b, c = x, 2
        return a
    if which == 11:
        return d["missing"]["deeper"]
    if which == 12:
        return x.nothing.there(1)
    if which == 13:
        return undefined_name + 1  # noqa: F821
    if which == 14:
        x += "text"
    if which == 15:
        return f"{x:bad}" + f"{t.prop}"
    if which == 16:
        assert x == 6, "not six"
    if which == 17:
        raise ValueError("raised") from KeyError("cause")
    if which == 18:
        return {**d, **x}
    if which == 19:
        return max(x, key=1)
    if which == 20:
        del d["missing"]
    if which == 21:
        for i in (1, 2, x / 0):
            pass
    if which == 22:
        while t:
            pass
    if which == 23:
        return -t
    if which == 24:
        return x[0]
    if which == 25:
        import no_such_module_anywhere  # noqa: F401
    if which == 26:
        return d.get(
            "a",
            x
            / 0,
        )
    if which == 27:
        return (lambda: x / 0)()
    if which == 28:
        return [x / (i - 1) for i in range(3)]
    if which == 29:
        return sum(x / (i - 1) for i in range(3))
    if which == 30:
        x[1] = 2
    if which == 31:
        match t:
            case [1]:
                pass
            case {"k": 1}:
                pass
            case _ if t < 1:
                pass
    if which == 32:
        (x.y, d["a"]) = 1, 2
    if which == 33:
        print(x, file=x)
    return "nothing failed"


def recursion_error(n):
    return recursion_error(n + 1) + 1


def short_recursion(n):
    old = sys.getrecursionlimit()
    f, depth = sys._getframe(), 0
    while f:
        f, depth = f.f_back, depth + 1
    sys.setrecursionlimit(depth + 30)
    try:
        return recursion_error(n)
    finally:
        sys.setrecursionlimit(old)


def objects_seen_by_gc():
    class Marker:
        pass
    m = Marker()
    held = [m, m]
    gc.collect()
    return len([r for r in gc.get_referrers(m) if r is held]), sys.getrefcount(m)


def cases():
    yield "locals_at_calls", lambda: sweep(locals_at_calls, [(1,), (2.5,), (2**70,), (True,)])
    yield "nested_calls", lambda: sweep(nested_calls, [(3,), (1.5,), ("a",)])
    yield "written_int", lambda: sweep(written_int, [(20,), (5,), (20.0,)])
    for f in (written_argument, written_object):
        yield f.__name__, lambda f=f: sweep(f, [({},)])
    yield "written_float", lambda: sweep(written_float, [(1.5, 10), (1, 10), (2.0, 3)])
    yield "written_by_inner", lambda: sweep(written_by_inner, [(1,), (0.5,)])
    yield "bound_by_write", lambda: sweep(bound_by_write, [(False,), (True,)])
    for f in (written_cell, extra_local, inspect_stack, asks_name, sets_lineno_fails, frame_attributes, objects_seen_by_gc):
        yield f.__name__, f
    yield "frame_outlives", lambda: sweep(frame_outlives, [(1,), (2.5,), ("a",)])
    yield "frame_of_exception", lambda: sweep(frame_of_exception, [(1,), (7,)])
    yield "stack_text", lambda: sweep(stack_text, [(3,), (0,)])
    yield "locals_proxy", lambda: sweep(locals_proxy, [(1, 2), (1.5, None)])
    for which in range(34):
        yield f"raising_{which}", lambda which=which: raising_lines(which, Table(), {"a": 1})
    yield "raising_all", lambda: [outcome(raising_lines, w, t, {"a": 1}) for w in range(35) for t in (Table(), 5, "s", None, [1])
                                  if not (w == 22 and t) or isinstance(t, Table)]
    yield "recursion_text", lambda: short_recursion(0)
    def counts():
        o = object()
        def kept(x):
            return sys._getframe().f_locals["x"]
        return [deltas(lambda: kept(o), o, kept), deltas(lambda: written_argument(o), o), deltas(lambda: frame_outlives(o), o), deltas(lambda: raising_lines(11, o, {}), o, raising_lines), deltas(lambda: look(), look)]
    yield "reference_counts", counts
