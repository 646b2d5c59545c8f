"""What random programs are written with: the log that is compared, objects that tell when they die, looks at the caller's frame, awaitables,
and the runner.

Invariant: whatever gets into the log is a function of the program alone: no addresses, no times, no reference counts. The names in `NAMES` are
put into the globals of each program. Nothing here does anything else with cendre than without, `turn` apart: there the worker
compiles, invalidates or switches on tools (see worker.py).
"""
import gc
import re
import sys
import types

LOG = []
LIMIT = 4000                    # lines; what comes later is not recorded (programs are made to be short)
ON_TURN = [None]                # the worker's: called with the number of the turn
TURNS = [0]
HERE = __file__

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,16}")


def show(value, depth=2):
    """A value as text, with its type and the types inside."""
    kind = type(value)
    if kind is int:
        return repr(value) if value.bit_length() < 200 else f"int {hash(value)}"
    if kind is bool or kind is float or value is None:
        return repr(value)
    if kind is str:
        if "0x" in value:
            value = _ADDRESS.sub("0x_", value)
        return repr(value) if len(value) < 120 else f"str {len(value)} {value[:30]!r}"
    if depth == 0:
        return kind.__name__
    if kind is list or kind is tuple:
        inner = ", ".join([show(v, depth - 1) for v in value[:12]])
        return f"{'[' if kind is list else '('}{inner}{'' if len(value) < 13 else f' and {len(value) - 12}'}]"
    if kind is set or kind is frozenset:
        return kind.__name__ + str(sorted([show(v, depth - 1) for v in value])[:12])
    if kind is dict:
        return "{" + ", ".join([f"{show(k, depth - 1)}: {show(v, depth - 1)}" for k, v in list(value.items())[:12]]) + "}"
    if isinstance(value, Base):
        return f"{kind.__name__}<{', '.join([f'{n}={show(v, depth - 1)}' for n, v in fields(value)])}>"
    if isinstance(value, BaseException):
        return kind.__name__ + show(value.args, depth - 1)
    if isinstance(value, types.FunctionType):
        return f"function {value.__qualname__}"
    if isinstance(value, N):
        return f"N({value.n!r})"
    if isinstance(value, slice):
        return _ADDRESS.sub("0x_", repr(value))
    return kind.__name__


def same(*values):
    """Which of the values are one object: for each the first place where it stands."""
    return [[v is w for w in values].index(True) for v in values]


def fields(value):
    """Attributes of a program's object, in the order of the dict, then the slots."""
    found = list(object.__getattribute__(value, "__dict__").items()) if hasattr(type(value), "__dict__") and _has_dict(value) else []
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            try:
                found.append((name, kind.__dict__[name].__get__(value)))
            except (AttributeError, KeyError):
                found.append((name, "unset"))
    return found


def _has_dict(value):
    try:
        object.__getattribute__(value, "__dict__")
    except AttributeError:
        return False
    return True


def log(*values):
    """Records values."""
    if ON_TURN[0] is not None:
        turn()
    if len(LOG) < LIMIT:
        LOG.append(" ".join([show(v) for v in values]))


def note(text):
    if len(LOG) < LIMIT:
        LOG.append(text)


class N:
    """Says when it dies."""

    __slots__ = ("n", "__weakref__")

    def __init__(self, n):
        self.n = n

    def __del__(self):
        note(f"del {self.n}")

    def __repr__(self):
        return f"<N {self.n}>"

    def __hash__(self):
        return 5            # addresses would make the order of sets different


class Base:
    """What the classes of programs derive from."""

    __slots__ = ()

    def __repr__(self):
        return f"<{type(self).__name__}>"

    def __hash__(self):
        return 7


class Meta(type):
    """A metaclass that does nothing."""


class Dies(Base):
    """The same, and says when an instance dies."""

    __slots__ = ()

    def __del__(self):
        note(f"del a {type(self).__name__}")


class Error(Exception):
    """The programs' own."""


class Manager:
    """Context manager that tells, and may swallow."""

    def __init__(self, name, swallow=False, enter=None):
        self.name, self.swallow, self.enter = name, swallow, enter

    def __enter__(self):
        note(f"enter {self.name}")
        if self.enter is not None:
            raise self.enter
        return self.name

    def __exit__(self, kind, error, tb):
        note(f"exit {self.name} {kind and kind.__name__} {places(tb)}")
        return self.swallow

    async def __aenter__(self):
        note(f"aenter {self.name}")
        return await Step(self.name)

    async def __aexit__(self, kind, error, tb):
        note(f"aexit {self.name} {kind and kind.__name__}")
        await Ready(0)
        return self.swallow


class Step:
    """Awaitable that suspends once."""

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


class Items:
    """Asynchronous iterator that suspends before every second item."""

    def __init__(self, items):
        self.items = iter(list(items)[:6])
        self.n = 0

    def __aiter__(self):
        return self

    async def __anext__(self):
        self.n += 1
        for item in self.items:
            if self.n & 1:
                await Step(item)
            return item
        raise StopAsyncIteration


_positions = {}


def position(code, lasti):
    """Line and columns of an instruction."""
    table = _positions.get(code)
    if table is None:
        table = list(code.co_positions())
        if len(_positions) > 2000:
            _positions.clear()
        _positions[code] = table
    return table[lasti // 2] if 0 <= lasti // 2 < len(table) else None


def places(tb):
    """Where a traceback has been."""
    out = []
    while tb is not None and len(out) < 12:
        code = tb.tb_frame.f_code
        if code.co_filename != HERE:
            place = position(code, tb.tb_lasti)
            out.append(f"{code.co_name}:{tb.tb_lineno}:{place and place[1:]}")
        tb = tb.tb_next
    return "<".join(out)


def describe(error, depth=4):
    """An exception: type, arguments, places, notes, members, cause and context."""
    text = f"{type(error).__name__}({_ADDRESS.sub('0x_', str(error))[:200]}) at {places(error.__traceback__)}"
    if depth == 0:
        return text
    if getattr(error, "__notes__", None):
        text += f" notes {show(error.__notes__)}"
    if isinstance(error, BaseExceptionGroup):
        text += " of [" + "; ".join([describe(e, depth - 1) for e in error.exceptions]) + "]"
    if error.__cause__ is not None:
        text += f" CAUSE {describe(error.__cause__, depth - 1)}"
    if error.__context__ is not None:
        text += f" CONTEXT{'-' if error.__suppress_context__ else ''} {describe(error.__context__, depth - 1)}"
    return text


def look(depth=1):
    """Records the caller's frame, and those above it: line, position, and all locals. Answers whether the log is of odd length, without what
    `pair.py` leaves out of the comparison."""
    if ON_TURN[0] is not None:
        turn()
    frame = sys._getframe(1)
    while frame is not None and depth > 0:
        code = frame.f_code
        if code.co_filename == "program" and code.co_name != "<module>":
            names = ", ".join([f"{n}={show(v, 1)}" for n, v in frame.f_locals.items()])
            note(f"look {code.co_name}:{frame.f_lineno} {names}")
        frame = frame.f_back
        depth -= 1
    return sum(not line.startswith(("del ", "event ")) for line in LOG) & 1


def poke(name, value, up=1):
    """Writes a local of the caller; answers what it was."""
    frame = sys._getframe(up)
    proxy = frame.f_locals
    old = proxy.get(name)
    if name in proxy:
        proxy[name] = value
    return old


def held(frames=[]):
    """Keeps the caller's frame until the next turn."""
    frames.append(sys._getframe(1))
    if len(frames) > 3:
        del frames[:]
    return len(frames)


def stack():
    """Names and lines of all frames of the program that run."""
    frame, out = sys._getframe(1), []
    while frame is not None:
        if frame.f_code.co_filename == "program":
            out.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    note("stack " + "<".join(out))


def turn():
    """A moment at which the worker may do something. Answers the number of the moment."""
    TURNS[0] += 1
    if ON_TURN[0] is not None:
        ON_TURN[0](TURNS[0])
    return TURNS[0]


def handled():
    """Records the exception that is being handled."""
    error = sys.exception()
    note(f"handled {error and type(error).__name__}")
    return error is not None


def boom(kind=0):
    """Raises."""
    raise (ValueError, KeyError, ZeroDivisionError, Error, IndexError)[kind % 5](kind)


def drive(thing, steps=12):
    """Runs a generator, coroutine or asynchronous generator: values that it yields are sent back, sometimes an exception."""
    if hasattr(thing, "__anext__"):
        for n in range(steps):
            note("anext")
            if drive(thing.asend(n) if n % 3 == 1 else thing.athrow(Error("athrow")) if n == 7 else thing.__anext__(), 6) == "stopped":
                return None
        drive(thing.aclose(), 3)
        return "cut"
    if not hasattr(thing, "send"):
        return thing
    sent = None
    try:
        for n in range(steps):
            if n == 5:
                item = thing.throw(Error("thrown"))
            else:
                item = thing.send(sent)
            log("yielded", item)
            sent = n if n & 1 else item
        thing.close()
        note("closed")
    except StopIteration as stop:
        return stop.value
    except StopAsyncIteration:
        note("stopped")
        return "stopped"
    return "cut"


def run(function, arguments):
    """One call from the outside, recorded."""
    name = getattr(function, "__name__", "?")
    try:
        value = function(*arguments())
        arguments = None
        if hasattr(value, "send") or hasattr(value, "__anext__"):
            value = drive(value)
        note(f"{name} = {show(value)}")
    except RecursionError:
        note("RECURSION")
    except MemoryError:
        note("MEMORY")
    except BaseException as error:
        note(f"{name} ! {describe(error)}")
    held.__defaults__[0].clear()


NAMES = {name: globals()[name] for name in (
    "log", "note", "N", "Base", "Meta", "Dies", "Error", "Manager", "Step", "Ready", "Items", "look", "poke", "held", "stack", "turn", "handled", "boom", "run",
    "drive", "show", "same")}
NAMES.update(gc=gc, nan=float("nan"), inf=float("inf"))
NAMES["types"] = types
