"""What the programs of the corpus are written with: outcomes as text, sweeps over argument types, small awaitables.

A program is run by `run_program.py` twice, in a plain process and in one with cendre, and everything that is recorded must be
equal. So nothing here may print an address, depend on time, or behave differently with cendre; the one hook
is `compile_hook`, which the runner sets and which a plain process leaves at None.

Two phases. In "warm" the bytecode specialises: `sweep` calls a function with its first arguments only. Then the runner compiles
everything (mode `warm`), and in "full" `sweep` goes through all arguments, so that guards meet types they were not made for.
"""
import gc
import re
import sys
import types

ALL = "every function of the program"
phase = "full"
compile_hook = None         # called with a function that has specialised; the runner's
copies = []                 # code objects made by `matrix`, for the report on specialised opcodes

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,16}")


def clean(text):
    """Text without addresses."""
    return _ADDRESS.sub("0x_", text)


def show(value):
    """Type and repr, down to the types of what containers hold: 1, True and 1.0 are different results."""
    if type(value) in (list, tuple, set, frozenset):
        items = [show(v) for v in value]
        if type(value) in (set, frozenset):
            items.sort()
        return f"{type(value).__name__}({', '.join(items)})"
    if type(value) is dict:
        return "dict(" + ", ".join(f"{show(k)}: {show(v)}" for k, v in value.items()) + ")"
    return f"{type(value).__name__} {clean(repr(value))}"


def places(tb):
    """Where a traceback has been: function, line and columns of each entry."""
    out = []
    while tb is not None:
        code = tb.tb_frame.f_code
        position = list(code.co_positions())[tb.tb_lasti // 2]
        if code.co_filename != __file__:
            out.append(f"{code.co_name}:{tb.tb_lineno}{position}")
        tb = tb.tb_next
    return " < ".join(out)


def describe(error, seen=None):
    """An exception as text: type, arguments, places, notes, group members, cause and context."""
    seen = seen or []
    if any(error is e for e in seen):
        return "(again)"
    seen = [*seen, error]
    text = f"{type(error).__name__}({clean(str(error))}) at {places(error.__traceback__)}"
    if getattr(error, "__notes__", None):
        text += f" notes {error.__notes__}"
    if isinstance(error, BaseExceptionGroup):
        text += " of [" + "; ".join(describe(e, seen) for e in error.exceptions) + "]"
    if error.__cause__ is not None:
        text += f" CAUSE {describe(error.__cause__, seen)}"
    if error.__context__ is not None:
        text += f" CONTEXT{'-' if error.__suppress_context__ else ''} {describe(error.__context__, seen)}"
    return text


def outcome(function, *args, **kwargs):
    """What a call did, as text."""
    try:
        value = function(*args, **kwargs)
    except BaseException as error:
        return describe(error)
    return show(value)


def sweep(function, arguments, times=8):
    """Outcomes of a function over argument tuples: in the warm phase the first tuple only, `times` times."""
    if phase == "warm":
        return [outcome(function, *arguments[0]) for _ in range(times)]
    return [outcome(function, *args) for args in arguments]


def again(function):
    """A copy of a function with a code object of its own: no inline cache has seen anything yet."""
    copy = types.FunctionType(function.__code__.replace(), function.__globals__, function.__name__, function.__defaults__,
                              function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copies.append(copy.__code__)
    return copy


def matrix(function, arguments, warm=None, make=None):
    """For each of `warm` (default: every argument tuple): a fresh copy specialises on it, is compiled, then gets all tuples.

    `make` is called for fresh argument tuples, for functions that change what they are given.
    """
    if phase == "warm":
        return []
    out = []
    count = len(arguments)
    for k in range(count) if warm is None else warm:
        copy = again(function)
        for _ in range(8):
            first = outcome(copy, *(make()[k] if make else arguments[k]))
        if compile_hook is not None:
            compile_hook(copy)
        out.append((k, first, [outcome(copy, *args) for args in (make() if make else arguments)]))
    return out


def deltas(function, *probes, times=60):
    """Growth of the reference counts of `probes` over many calls; 0 unless something leaks or is freed too often."""
    for _ in range(3):
        outcome(function)
    gc.collect()
    before = [sys.getrefcount(probes[i]) for i in range(len(probes))]
    for _ in range(times):
        outcome(function)
    gc.collect()
    return [sys.getrefcount(probes[i]) - before[i] for i in range(len(probes))]


class Yield:
    """Awaitable that yields `what` once and gives what was sent."""

    def __init__(self, what=None):
        self.what = what

    def __await__(self):
        return (yield self.what)


class Ready:
    """Awaitable that never suspends."""

    def __init__(self, value=None):
        self.value = value

    def __await__(self):
        return self.value
        yield


def drive(coroutine, send=None, limit=10**6):
    """Runs a coroutine or generator to its end: (what it yielded, result)."""
    yielded = []
    try:
        item = coroutine.send(None)
        while len(yielded) < limit:
            yielded.append(item)
            item = coroutine.send(send(item) if send else None)
    except StopIteration as stop:
        return yielded, stop.value
    return yielded, "limit"
