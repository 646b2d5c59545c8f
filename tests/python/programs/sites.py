"""One await, one send, one FOR_ITER that meets many callees and generators in turn: what compiled code remembers of the last one must not show.
Held: values, names and codes of what runs, frames' locals, exceptions handled outside, reference counts of callees and code objects."""
import gc
import sys

from kit import ALL, Yield, deltas, drive, outcome

MUST_COMPILE = ALL


async def call(f, *args):
    return await f(*args)


async def one(f, x):
    return await f(x)


async def two(f, x, y):
    return await f(x, y)


async def many(f, n):
    out = []
    for i in range(n):
        out.append(await f(i))
    return out


async def inc(x):
    return x + 1


async def dec(x):
    return x - 1


async def keeps(x):
    kept = [x]
    name = "local" + str(x)
    return name, kept


async def empties(x):
    if x:
        late = x
    del x
    return sorted(locals())


async def defaults(x, y=5):
    return x, y


async def names(x):
    g = sys._getframe().f_generator
    return g.__name__, g.__qualname__, x


async def holds(box):
    box.append(sys._getframe().f_generator)
    return "held"


async def frame(box):
    box.append(sys._getframe())
    return "framed"


async def handled(x):
    return repr(sys.exception()), x


async def fails(x):
    raise KeyError(x)


async def deep(n):
    return 0 if n == 0 else 1 + await deep(n - 1)


async def waits(x):
    await Yield(x)
    return x


def fresh(k):
    async def made(x):
        return k, x
    return made


def text(source, name):
    space = {}
    exec(source, space)
    return space[name]


def loop(it):
    total = 0
    for x in it:
        total = total * 3 + x
    return total


def numbers(n):
    for i in range(n):
        yield i


def evens(n):
    i = 0
    while i < n:
        yield i
        i += 2


def inner(n):
    yield from numbers(n)
    yield from evens(n)
    return n


def broken(n):
    yield n
    raise ValueError(n)


def swap():
    async def f(x):
        return "f", x
    async def g(x):
        f.__code__ = h.__code__
        return "g", x
    async def h(x):
        return "h", x
    out = [drive(one(f, i)) for i in range(4)]
    f.__code__ = g.__code__ if not g.__code__.co_freevars else h.__code__
    out += [drive(one(f, i)) for i in range(4)]
    return out


def own_code(x):
    """A function whose code object is replaced, and gone, while it runs."""
    f = text("async def f(x, other):\n    f.__code__ = other\n    y = [x]\n    return x, y\n", "f")
    other = text("async def g(x, other):\n    return 'other', x\n", "g").__code__
    return drive(two(f, x, other)), drive(two(f, x, other))


def short_lived():
    out = []
    for k in range(40):
        f = text(f"async def f{k}(x):\n    return {k}, x\n", f"f{k}")
        out.append([drive(one(f, i)) for i in range(3)])
        g = text(f"def g{k}(n):\n    yield {k}\n    yield n\n    yield n + {k}\n", f"g{k}")
        out.append([loop(g(i)) for i in range(3)])
        del f, g
        gc.collect()
    return out


def renamed():
    out = []
    for k in range(4):
        names.__name__ = f"name{k}"
        names.__qualname__ = f"a.b.name{k}"
        out += [drive(one(names, i)) for i in range(3)]
    names.__name__ = names.__qualname__ = "names"
    return out


def kept(f):
    box = []
    out = [drive(one(f, box)) for _ in range(6)]
    different = len({id(o) for o in box}) == len(box)
    shown = [(type(o).__name__, getattr(o, "f_locals", {}).keys() == {"box"}, getattr(o, "cr_frame", None)) for o in box]
    return out, different, shown


def while_handling():
    try:
        raise OSError("outer")
    except OSError:
        return drive(many(handled, 4)), outcome(drive, one(fails, 3))


def shared(n):
    """Two loops take turns with one generator, and each with another one."""
    a, b = numbers(n), evens(2 * n)
    out = []
    for x in a:
        out.append(x)
        for y in b:
            out.append(y)
            if y % 6 == 0:
                break
        if x == 3:
            out.append(next(a, None))
    return out


CLOSURES = [fresh(k) for k in range(5)]


def cases():
    yield "callees_in_turn", lambda: [drive(one(f, i)) for i in range(4) for f in (inc, dec, keeps, empties, defaults, *CLOSURES)]
    yield "many_of_each", lambda: [drive(many(f, 6)) for f in (inc, keeps, empties, handled, waits, dec, inc)]
    yield "numbers_of_arguments", lambda: [outcome(drive, call(defaults, *args)) for args in ((1,), (1, 2), (), (1, 2, 3), (4,))]
    yield "code_swapped", swap
    yield "own_code_replaced", lambda: [own_code(i) for i in range(6)]
    yield "short_lived", short_lived
    yield "renamed", renamed
    yield "kept_objects", lambda: kept(holds)
    yield "kept_frames", lambda: kept(frame)
    yield "while_handling", while_handling
    yield "recursion", lambda: [drive(one(deep, n)) for n in (0, 1, 5, 60, 5, 1)]
    yield "suspending", lambda: [drive(one(f, i)) for i in range(4) for f in (waits, inc, waits)]
    yield "loops", lambda: [loop(make(n)) for n in (0, 1, 5, 2) for make in (numbers, evens, inner, numbers)]
    yield "broken", lambda: [outcome(loop, broken(n)) for n in range(4)]
    yield "shared", lambda: [shared(n) for n in (0, 4, 9)]
    def running():
        def f():
            yield from (loop(g) for _ in range(2))
        g = f()
        return outcome(loop, g)
    yield "running_already", running
    def counts():
        o = object()
        return [deltas(lambda: drive(one(keeps, o)), o, keeps, keeps.__code__), deltas(lambda: drive(one(waits, o)), o, waits, waits.__code__),
                deltas(lambda: drive(one(holds, [])), holds, holds.__code__), deltas(lambda: loop(inner(4)), inner, inner.__code__, numbers.__code__),
                deltas(lambda: outcome(drive, one(fails, o)), o, fails, fails.__code__)]
    yield "reference_counts", counts
