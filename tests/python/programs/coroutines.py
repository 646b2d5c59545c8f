"""Coroutines driven by hand: await chains, throw, close, async with, async for, async generators, comprehensions.
Held: what each step yields, cr_await and states between steps, exceptions with their contexts, warnings for what was never awaited."""
import gc
import inspect
import sys
import types

from kit import ALL, Ready, Yield, deltas, describe, drive, outcome, sweep

MUST_COMPILE = ALL


async def leaf(make, x):
    if make is not None:
        await make(x)
    return x + 1


async def middle(make, x):
    return await leaf(make, x)


async def down(make, n, x):
    if n:
        return await down(make, n - 1, x)
    return await make(x)


async def total(make, n, k):
    s = 0
    for i in range(n):
        s += await middle(make if k and i % k == 0 else None, i)
    return s


async def guarded(make, x, sink):
    try:
        return await leaf(make, x)
    except (ValueError, TypeError) as e:
        return await sink(x), type(e).__name__
    else:
        return "else"


async def finalised(make, x, log):
    try:
        r = await leaf(make, x)
    finally:
        log.append((x, repr(sys.exception())))
    return r


async def awaits_in_all(make, log):
    try:
        await make("try")
        raise ValueError("v")
    except ValueError:
        await make("except")
        log.append(repr(sys.exception()))
    finally:
        await make("finally")
        log.append(repr(sys.exception()))
    return [await make(i) for i in range(2)], (await make("a"), await make("b")), {await make("k"): await make("v")}, f"{await make('f')}"


async def arguments(f, x):
    return f(await f(x), await f(x + 1), k=await f(x))


async def await_many(*items):
    return [await i for i in items]


async def await_anything(x):
    return await x


async def managed(manager, x, log):
    async with manager as m:
        log.append(m)
        await x
        return "returned"
    return "swallowed"


async def managed_two(a, b, log):
    async with a as x, b as y:
        log.append((x, y))
        raise KeyError("body")
    return "after"


async def loop(it, log):
    async for x in it:
        if x == 2:
            continue
        if x == 5:
            break
        log.append(x)
    else:
        return "else"
    return "broken"


async def agen(n, make, log):
    try:
        for i in range(n):
            await make(i)
            got = yield i
            if got is not None:
                log.append(("got", got))
    except ValueError as e:
        log.append(("value", describe(e)))
        yield "recovered"
    finally:
        log.append("finally")
        await make("closing")


async def agen_of_agen(n, make, log):
    async for x in agen(n, make, log):
        yield x * 10


async def comprehensions(make, n):
    return [x async for x in agen(n, make, [])], {x: await make(x) async for x in agen(n, make, []) if x}, {x async for x in agen_of_agen(n, make, [])}, [y for x in range(n) for y in [await make(x)]], \
        [x async for x in (i async for i in agen(n, make, []))]


async def drive_agen(make, log):
    g = agen(5, make, log)
    out = [await g.asend(None), await anext(g), await g.asend("sent"), await g.athrow(ValueError("thrown"))]
    try:
        await anext(g)
    except StopAsyncIteration as e:
        out.append(repr(e))
    out.append(await anext(g, "default"))
    h = agen(5, make, log)
    await anext(h)
    await h.aclose()
    out.append(await anext(h, "closed"))
    return out


async def unbound(flag):
    if flag:
        x = await Ready(1)
    return x


async def with_closure(n):
    k = 0
    async def up():
        nonlocal k
        k += await Ready(n)
        return k
    return await up() + await up(), k


async def raises_stop(x):
    raise StopIteration(x)


async def nested_try(make, log):
    for i in range(3):
        try:
            try:
                if await make(i):
                    raise KeyError(i)
            finally:
                log.append(await make(("inner", i)))
                if i == 1:
                    continue
        except KeyError as e:
            log.append((await make("handler"), repr(e.__context__), repr(sys.exception())))
    return "end"


class Manager:
    def __init__(self, log, make, swallow=False, enter=None, leave=None):
        self.log, self.make, self.swallow, self.enter, self.leave = log, make, swallow, enter, leave

    async def __aenter__(self):
        await self.make("enter")
        if self.enter:
            raise self.enter
        return "entered"

    async def __aexit__(self, kind, value, tb):
        self.log.append(("exit", kind and kind.__name__, repr(sys.exception())))
        await self.make("exit")
        if self.leave:
            raise self.leave
        return self.swallow


class SyncOnly:
    def __enter__(self):
        return 1

    def __exit__(self, *a):
        pass


class HalfAsync:
    async def __aenter__(self):
        return 1


class BadAenter:
    def __aenter__(self):
        return 5

    def __aexit__(self, *a):
        return 6


class AsyncIter:
    def __init__(self, items, make):
        self.items, self.make = list(items), make

    def __aiter__(self):
        return self

    async def __anext__(self):
        await self.make("next")
        if not self.items:
            raise StopAsyncIteration
        x = self.items.pop(0)
        if isinstance(x, Exception):
            raise x
        return x


class BadAiter:
    def __aiter__(self):
        return 5


class BadAnext:
    def __aiter__(self):
        return self

    def __anext__(self):
        return 5


class BadAwait:
    def __await__(self):
        return 5


class AwaitCoroutine:
    def __await__(self):
        return leaf(None, 1)


class AwaitIter:
    def __await__(self):
        return iter([1, 2])


@types.coroutine
def old_style(x):
    got = yield x
    return ("old", got)


def ready(x):
    return Ready(x)


def suspend(x):
    return Yield(x)


def alternate(x):
    return Yield(x) if hash(str(x)) % 2 else Ready(x)


def bad(x):
    raise ValueError(x)


async def sink(x):
    await Yield("sink")
    return "sunk", x, repr(sys.exception())


MAKES = [ready, suspend, alternate, bad, lambda x: 5, lambda x: old_style(x), lambda x: leaf(None, 1), lambda x: leaf(suspend, 2)]


def chain(c):
    """The chain of awaited objects, as seen from outside."""
    out = []
    while isinstance(c, types.CoroutineType) and len(out) < 20:
        f = c.cr_frame
        out.append((c.__qualname__, inspect.getcoroutinestate(c), c.cr_running, c.cr_suspended, f and f.f_lineno, f and sorted(f.f_locals), c.cr_origin))
        c = c.cr_await
    out.append(type(c).__name__)
    return out


def steps(c, actions):
    out = []
    for action, *args in actions:
        out.append((action, outcome(getattr(c, action), *[a() if isinstance(a, types.FunctionType) else a for a in args]), chain(c) if isinstance(c, types.CoroutineType) else None))
    return out


S = ("send", None)
SCRIPTS = {
    "sends": [S, S, S, S, S],
    "values": [S, ("send", 7), ("send", "x"), S],
    "early": [("send", 1), S, S],
    "throw": [S, ("throw", lambda: ValueError("thrown")), S, S],
    "throw_other": [S, ("throw", lambda: OSError("thrown")), S],
    "throw_early": [("throw", lambda: KeyError("early")), S],
    "throw_exit": [S, ("throw", GeneratorExit), S],
    "close": [S, ("close",), S, ("close",)],
    "close_early": [("close",), S],
}


def abandoned(log):
    async def waits(name):
        try:
            await Yield(name)
        finally:
            log.append(("closed", name))
    async def outer(name):
        await waits(name)
    c = outer("a")
    c.send(None)
    del c
    d = waits("b")
    d.send(None)
    box = [d]
    box.append(box)
    del d, box
    gc.collect()
    leaf(None, 1)
    outer("never")
    gc.collect()
    return log


def awaited_twice():
    c = middle(suspend, 1)
    a, b = await_anything(c), await_anything(c)
    out = [outcome(a.send, None), outcome(b.send, None), outcome(a.send, None), outcome(drive, await_anything(c)), outcome(c.send, None)]
    return out


def awaits_itself():
    async def me():
        return await c
    c = me()
    return outcome(c.send, None)


def flags():
    out = []
    for f in (leaf, agen, count := (lambda: (yield)), old_style):
        out.append((inspect.iscoroutinefunction(f), inspect.isasyncgenfunction(f), inspect.isgeneratorfunction(f)))
    c = leaf(None, 1)
    out.append((inspect.isawaitable(c), isinstance(c, types.CoroutineType), c.__name__, c.cr_code is leaf.__code__))
    c.close()
    return out


def origin():
    sys.set_coroutine_origin_tracking_depth(3)
    try:
        c = middle(suspend, 1)
        c.send(None)
        names = [[(line, name) for _, line, name in o.cr_origin][:1] for o in (c, c.cr_await)]
        return names, drive(c)
    finally:
        sys.set_coroutine_origin_tracking_depth(0)


def run(coroutine_function, *args):
    return outcome(lambda: drive(coroutine_function(*args)))


def logged(coroutine_function, *args):
    log = []
    return run(coroutine_function, *args, log), log


def cases():
    yield "total", lambda: [run(total, m, n, k) for m in MAKES for n in (0, 5, 20) for k in (0, 1, 3)]
    yield "leaf_values", lambda: sweep(lambda m, x: drive(middle(m, x)), [(None, 1), (None, 2.5), (None, "a"), (ready, 2**70), (suspend, True), (suspend, None)])
    yield "down", lambda: [run(down, m, n, x) for m in MAKES for n in (0, 1, 5) for x in (1, "x")]
    yield "guarded", lambda: [run(guarded, m, x, s) for m in MAKES for x in (1, "x") for s in (sink, bad, None, ready)]
    yield "finalised", lambda: [logged(finalised, m, x) for m in MAKES for x in (1, "x")]
    for f in (awaits_in_all, nested_try):
        yield f.__name__, lambda f=f: [logged(f, m) for m in MAKES]
    yield "drive_agen", lambda: [logged(drive_agen, m) for m in MAKES[:3]]
    def scripts(actions):
        log, out = [], []
        for make in (lambda: middle(suspend, 1), lambda: down(suspend, 4, 1), lambda: total(suspend, 3, 2), lambda: guarded(suspend, 1, sink), lambda: finalised(suspend, 1, log), lambda: awaits_in_all(suspend, log),
                     lambda: await_anything(AwaitIter()), lambda: await_anything(old_style(3)), lambda: managed(Manager(log, suspend), Yield("body"), log), lambda: loop(AsyncIter([1, 2, 3], suspend), log), lambda: raises_stop(1)):
            out.append(steps(make(), actions))
        return out, log
    for name, actions in SCRIPTS.items():
        yield f"script_{name}", lambda actions=actions: scripts(actions)
    yield "arguments", lambda: [run(arguments, f, x) for f in (lambda *a, **k: Ready(a), ready, suspend) for x in (1, 2.5)]
    yield "await_many", lambda: run(await_many, Ready(1), Yield(2), leaf(None, 3), AwaitIter(), old_style(4))
    yield "await_anything", lambda: [run(await_anything, x) for x in (5, None, BadAwait(), AwaitCoroutine(), AwaitIter(), [1], (i for i in range(2)), leaf, Ready(1))]
    def all_managed():
        out = []
        for make in (ready, suspend, bad):
            for body in (Ready(1), Yield(1), 5, leaf(bad, 1)):
                for swallow in (False, True):
                    log = []
                    out.append((run(managed, Manager(log, make, swallow), body, log), log))
        for m in (SyncOnly(), HalfAsync(), BadAenter(), 5, Manager([], ready, enter=OSError("enter")), Manager([], ready, leave=OSError("leave"))):
            out.append(logged(managed, m, leaf(bad, 2)))
        for sa in (False, True):
            for sb in (False, True):
                log = []
                out.append((run(managed_two, Manager(log, suspend, sa), Manager(log, ready, sb), log), log))
        return out
    yield "managed", all_managed
    yield "loop", lambda: [logged(loop, it) for m in (ready, suspend) for it in (AsyncIter([1, 2, 3], m), AsyncIter([1, 5, 6], m), AsyncIter([1, ValueError("it")], m), AsyncIter([], m), BadAiter(), BadAnext(), 5, [1], agen(7, m, []), agen_of_agen(3, m, []))]
    yield "comprehensions", lambda: [run(comprehensions, m, n) for m in MAKES[:4] for n in (0, 3)]
    yield "unbound", lambda: [run(unbound, f) for f in (True, False)]
    yield "with_closure", lambda: [run(with_closure, n) for n in (1, 2.5, "a")]
    yield "raises_stop", lambda: [run(await_anything, raises_stop(1)), run(middle, raises_stop, 1)]
    yield "abandoned", lambda: abandoned([])
    yield "awaited_twice", awaited_twice
    yield "awaits_itself", awaits_itself
    yield "flags", flags
    yield "origin", origin
    yield "traceback_now", lambda: drive(down(bad, 3, "now"))
    def later(x):
        async def inner():
            await Yield()
            raise ValueError("late")
        return inner()
    yield "traceback_late", lambda: drive(down(later, 3, "late"))
    yield "traceback_context", lambda: drive(guarded(bad, 1, bad))
    def counts():
        o = [1]
        async def keep(x):
            await Yield(x)
            return x
        async def pass_(x):
            return await keep(await Ready(x))
        def half():
            c = pass_(o)
            c.send(None)
            c.close()
        def drop():
            c = pass_(o)
            c.send(None)
        return [deltas(lambda: drive(pass_(o)), o, pass_, keep), deltas(half, o, pass_), deltas(drop, o, keep), deltas(lambda: drive(down(bad, 2, o)), o, down), deltas(lambda: drive(managed(Manager([], suspend), Ready(o), [])), o),
                deltas(lambda: drive(drive_agen(suspend, [o])), o), deltas(lambda: drive(finalised(suspend, o, [])), o)]
    yield "reference_counts", counts
