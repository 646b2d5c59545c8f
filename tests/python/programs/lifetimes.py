"""When objects die: __del__ and weakref callbacks, in order, from locals, temporaries, arguments, exceptions, loops and frames.
Held: the log of deaths interleaved with the steps of the code, and what a finaliser sees and can do."""
import gc
import sys
import types
import weakref

from kit import ALL, drive, outcome, sweep

MUST_COMPILE = ALL
LOG = []


class Dies:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        LOG.append(f"del {self.name}")

    def __add__(self, o):
        LOG.append(f"add {self.name}")
        return Dies(f"{self.name}+{getattr(o, 'name', o)}")

    __radd__ = __iadd__ = __add__

    def __eq__(self, o):
        LOG.append(f"eq {self.name}")
        return NotImplemented

    __hash__ = object.__hash__

    def __getitem__(self, k):
        LOG.append(f"get {self.name}")
        return Dies(f"{self.name}[{k}]")

    def method(self, *args):
        LOG.append(f"method {self.name}")
        return Dies(f"{self.name}()")

    def __iter__(self):
        LOG.append(f"iter {self.name}")
        return iter([Dies(f"{self.name}.0"), Dies(f"{self.name}.1")])

    def __enter__(self):
        return Dies(f"{self.name}.entered")

    def __exit__(self, *a):
        LOG.append(f"exit {self.name}")

    @property
    def attr(self):
        return Dies(f"{self.name}.attr")

    def __bool__(self):
        LOG.append(f"bool {self.name}")
        return True

    def __call__(self, x=None):
        LOG.append(f"call {self.name}")
        return x


def step(text):
    LOG.append(text)


def locals_order():
    a = Dies("a")
    b = Dies("b")
    c = Dies("c")
    step("body")
    b = None
    step("b rebound")
    return c


def rebinding(n):
    x = Dies("first")
    for i in range(n):
        x = Dies(i)
        step(f"made {i}")
    del x
    step("end")


def temporaries():
    Dies("dropped")
    step("after drop")
    Dies("a").attr
    step("after attr")
    Dies("b").method(Dies("arg"))
    step("after method")
    Dies("c") + Dies("d")
    step("after add")
    Dies("e")[0]
    step("after get")
    _ = Dies("f") == Dies("g")
    step("after eq")
    Dies("h") and Dies("i") or Dies("j")
    step("after and")
    [Dies("k"), Dies("l")]
    step("after list")
    (Dies("m"), Dies("n"))[1]
    step("after tuple")
    {Dies("o"): Dies("p")}
    step("after dict")
    f"{Dies('q').name}"
    step("after f-string")
    not Dies("r")
    step("after not")


def arguments(a, b, *rest, k=None):
    a = None
    step("a gone")
    b = Dies("new b")
    step("b gone")
    return k


def calls():
    arguments(Dies("1"), Dies("2"), Dies("3"), k=Dies("4"))
    step("after call")
    outcome(arguments, Dies("only"))
    step("after bad call")
    Dies("callee")(Dies("x"))
    step("after callable")


def several(a, b):
    c, d = Dies("c"), Dies("d")
    return a is b


async def awaited(a):
    c, d = Dies("c"), Dies("d")
    return c is d


async def awaits():
    result = await awaited(Dies("a"))
    step("awaited")
    return result


def yields(a):
    c, d = Dies("c"), Dies("d")
    yield c is d


def order_of_locals():
    """Locals end in the order in which the interpreter clears them."""
    several(Dies("a"), Dies("b"))
    step("called")
    drive(awaits())
    for x in yields(Dies("a")):
        step("yielded")
    step("end")


def unpacking():
    a, b = Dies("pair")
    step("unpacked")
    a, *b = Dies("star")
    step("star")
    a = b = None
    step("end")


def loop_over():
    for x in Dies("it"):
        step(f"body {x.name}")
    step("after loop")
    for x in [Dies("l0"), Dies("l1")]:
        step("break")
        break
    step("after break")
    x = None
    [y.name for y in Dies("comp")]
    step("after comprehension")


def exceptions():
    def fails(x):
        y = Dies("y")
        raise ValueError(x)
    try:
        fails(Dies("x"))
    except ValueError as e:
        step("handler")
        e = None
        step("e cleared")
    step("after")
    try:
        try:
            raise KeyError(Dies("key"))
        finally:
            step("finally")
    except KeyError:
        step("caught")
    step("end")


def with_blocks():
    with Dies("m") as x:
        step("body")
        x = None
        step("x gone")
    step("after")
    with Dies("n"):
        return step("returning")


def generators():
    def g(a):
        b = Dies("b")
        yield a
        a = None
        step("a gone")
        yield b
        step("ending")
    it = g(Dies("a"))
    next(it)
    step("first")
    next(it)
    step("second")
    next(it, None)
    step("exhausted")
    it = g(Dies("a2"))
    next(it)
    step("dropping")
    del it
    step("dropped")


def closures():
    x = Dies("x")
    def inner():
        return x
    y = inner()
    y = None
    step("y gone")
    x = Dies("x2")
    step("x rebound")
    del inner
    step("inner gone")


def resurrect():
    kept = []
    class Back:
        def __del__(self):
            kept.append(self)
            step("resurrected")
    b = Back()
    b = None
    step(f"kept {len(kept)}")
    kept.clear()
    step(f"kept {len(kept)}")


def weak_callbacks():
    class Target:
        pass
    t = Target()
    refs = [weakref.ref(t, lambda r, i=i: step(f"callback {i}")) for i in range(3)]
    f = weakref.finalize(t, step, "finalize")
    step("dropping")
    t = None
    step(f"{[r() for r in refs]} {f.alive}")


def finaliser_changes_locals(n):
    """A finaliser that runs in the middle of an expression writes the local it runs beside."""
    class Writer:
        def __init__(self, frame):
            self.frame = frame

        def __del__(self):
            self.frame.f_locals["total"] = 100.5
    total = 0
    for i in range(n):
        w = Writer(sys._getframe()) if i == 3 else None
        total = total + i
        w = None
        total = total + 1
    return total


def finaliser_raises():
    class Bad:
        def __del__(self):
            raise ValueError("in del")
    Bad()
    step("after")
    x = Bad()
    x = 1
    return x


def finaliser_in_handler():
    class Looks:
        def __del__(self):
            step(f"sees {sys.exception()!r}")
    try:
        raise ValueError("handled")
    except ValueError:
        x = Looks()
        x = None
        step(repr(sys.exception()))
    x = Looks()


def containers():
    l = [Dies("l0"), Dies("l1")]
    l[0] = Dies("l0'")
    step("stored")
    del l[1]
    step("deleted")
    d = {"k": Dies("k")}
    d["k"] = Dies("k'")
    step("dict stored")
    l += [Dies("more")]
    l[:] = []
    step("sliced")
    class Box:
        pass
    b = Box()
    b.x = Dies("x")
    b.x = Dies("x'")
    step("attr stored")
    del b.x
    step("attr deleted")
    b.x = Dies("with box")
    b = None
    step("box gone")


def augmented():
    a = Dies("a")
    a += Dies("b")
    step("added")
    a = 1 + a
    step("radd")


def cycles():
    gc.collect()
    class Node:
        def __init__(self, name):
            self.name, self.me = name, self
        def __del__(self):
            step(f"cycle {self.name}")
    Node("a")
    step("dropped")
    gc.collect()
    step("collected")


def recursion_frees(n):
    x = Dies(n)
    if n:
        recursion_frees(n - 1)
        step(f"back in {n}")


def tail(x):
    return tail_callee(x)


def tail_callee(x):
    x = None
    step("callee dropped it")
    return x


def passes_temporary():
    tail(Dies("temporary"))
    step("after")


@types.coroutine
def pause():
    yield


async def rebinds(n, a, b=None):
    a = n
    step("a rebound")
    b = None
    step("b rebound")
    return a


async def deletes(n, a):
    del a
    step("deleted")
    return n


async def keeps(n, a):
    step("runs")
    return n


async def in_cell(n, a):
    def look():
        return a
    a = n
    step("cell rebound")
    return look()


async def takes_rest(n, *rest):
    rest = n
    step("rest rebound")
    return rest


async def raises(n, a):
    step("raising")
    raise ValueError(n)


async def suspends(n, a):
    await pause()
    step("resumed")
    a = n
    step("rebound")
    return a


class Awaited:
    async def method(self, n, a):
        a = n
        step("rebound in method")
        return a


def plain_wrapper(n, a):
    a = None
    step("dropped by the wrapper")
    return keeps(n, Dies("the wrapper's"))


async def awaits_temporaries():
    out = []
    for n in range(4):
        kept = Dies(f"kept {n}")
        for f in (rebinds, deletes, keeps, in_cell, takes_rest, suspends, Awaited().method, plain_wrapper):
            out.append(await f(n, Dies(f"{f.__name__} {n}")))
            step("awaited")
        out.append(await rebinds(n, kept, Dies(f"b {n}")))
        out.append(await rebinds(Dies(f"n {n}"), kept) is None)
        step("kept is still there")
        try:
            await raises(n, Dies(f"raises {n}"))
        except ValueError as e:
            out.append(e.args)
            step("caught")
        step("handled")
        try:
            await rebinds(n)
        except TypeError:
            step("no argument")
        try:
            await keeps(n, Dies("too many"), Dies("indeed"))
        except TypeError:
            step("too many")
        # Sites of their own, whose callee is known.
        out += [await rebinds(n, Dies("1")), await keeps(n, Dies("2")), await suspends(n, Dies("3"))]
    return [type(x).__name__ if isinstance(x, Dies) else x for x in out]


def awaited_temporaries():
    c = awaits_temporaries()
    while True:
        try:
            c.send(None)
        except StopIteration as stop:
            return stop.value


def match_subject():
    match Dies("subject"):
        case Dies(name="other"):
            pass
        case Dies(name=n):
            step(f"matched {n}")
    step("after match")
    match [Dies("s0"), Dies("s1")]:
        case [a, b]:
            a = None
            step("a gone")
    step("end")


def globals_die():
    global DYING
    DYING = Dies("global")
    step("stored")
    DYING = Dies("global 2")
    step("stored again")
    del DYING
    step("deleted")


def run(f, *args):
    LOG.clear()
    r = outcome(f, *args)
    LOG.append("returned")
    del f, args
    log = LOG[:]
    return r, log


def cases():
    for f in (temporaries, calls, order_of_locals, unpacking, loop_over, exceptions, with_blocks, generators, closures, resurrect, weak_callbacks, finaliser_raises, finaliser_in_handler, containers, augmented, cycles, passes_temporary, awaited_temporaries, match_subject, globals_die, locals_order):
        yield f.__name__, lambda f=f: [run(f) for _ in range(3)]
    yield "rebinding", lambda: [run(rebinding, n) for n in (0, 3)]
    yield "finaliser_changes_locals", lambda: sweep(finaliser_changes_locals, [(6,), (3,), (10,)])
    yield "recursion_frees", lambda: run(recursion_frees, 3)
