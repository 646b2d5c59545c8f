"""asyncio programs: tasks, gather, TaskGroup, cancellation, timeouts, queues, locks, contextvars, async generators and their finalisers.
Held: results, the order in which things happen, and exceptions; time plays no part (sleeps are only ever compared to longer ones)."""
import asyncio
import contextlib
import contextvars
import functools

from kit import ALL, describe, outcome

MUST_COMPILE = ALL
var = contextvars.ContextVar("var", default="default")


def later(value=None, error=None):
    """A future that is done one turn of the loop later."""
    loop = asyncio.get_running_loop()
    f = loop.create_future()
    if error:
        loop.call_soon(f.set_exception, error)
    else:
        loop.call_soon(f.set_result, value)
    return f


async def work(name, n, log):
    for i in range(n):
        log.append((name, i))
        await asyncio.sleep(0)
    return name * n


async def order(log):
    results = await asyncio.gather(work("a", 3, log), work("b", 2, log), work("c", 0, log))
    return results, log


async def futures(n):
    total = 0
    for i in range(n):
        total += await later(i)
    try:
        await later(error=KeyError("future"))
    except KeyError as e:
        return total, repr(e)


async def nested(n):
    if n == 0:
        await asyncio.sleep(0)
        return 1
    return 1 + await nested(n - 1)


async def cancelled(log):
    async def victim():
        try:
            await later_never()
        except asyncio.CancelledError as e:
            log.append(("cancelled", e.args, asyncio.current_task().cancelling()))
            raise
        finally:
            log.append("finally")
            await asyncio.sleep(0)
            log.append("finally after sleep")

    async def later_never():
        await asyncio.get_running_loop().create_future()
    t = asyncio.create_task(victim())
    await asyncio.sleep(0)
    log.append(len(t.get_stack()))
    t.cancel("why")
    try:
        await t
    except asyncio.CancelledError as e:
        log.append(e.args)
    return t.cancelled(), log


async def cancel_swallowed(log):
    async def stubborn():
        for _ in range(3):
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                log.append(asyncio.current_task().cancelling())
                asyncio.current_task().uncancel()
        return "survived"
    t = asyncio.create_task(stubborn())
    for _ in range(3):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        t.cancel()
    return await t, log


async def group(log):
    async def fails(n):
        await asyncio.sleep(0)
        raise ValueError(n)

    async def hangs():
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            log.append("hang cancelled")
            raise
    try:
        async with asyncio.TaskGroup() as tg:
            ok = tg.create_task(work("ok", 1, log))
            tg.create_task(fails(1))
            tg.create_task(fails(2))
            tg.create_task(hangs())
    except* ValueError as g:
        log.append(sorted(str(e) for e in g.exceptions))
    return ok.result(), log


async def group_ok(n):
    async with asyncio.TaskGroup() as tg:
        tasks = [tg.create_task(nested(i)) for i in range(n)]
    return [t.result() for t in tasks]


async def gather_errors(flag):
    async def bad(x):
        await asyncio.sleep(0)
        raise KeyError(x)
    r = await asyncio.gather(nested(2), bad(1), asyncio.sleep(0, "slept"), return_exceptions=flag)
    return [repr(x) for x in r]


async def timeouts():
    out = []
    try:
        async with asyncio.timeout(0.005):
            await asyncio.sleep(1000)
    except TimeoutError as e:
        out.append(repr(e.__cause__ or e))
    try:
        await asyncio.wait_for(asyncio.sleep(1000), 0.005)
    except TimeoutError as e:
        out.append(type(e).__name__)
    out.append(await asyncio.wait_for(nested(3), 100))
    async with asyncio.timeout(None):
        out.append(await asyncio.sleep(0, "in time"))
    return out


async def queue(log):
    q = asyncio.Queue(2)

    async def producer():
        for i in range(5):
            await q.put(i)
            log.append(("put", i))
        await q.put(None)

    async def consumer():
        while (x := await q.get()) is not None:
            log.append(("got", x))
            q.task_done()
        return "consumed"
    return (await asyncio.gather(producer(), consumer()))[1], log


async def locks(log):
    lock, event, sem = asyncio.Lock(), asyncio.Event(), asyncio.Semaphore(2)

    async def one(i):
        async with sem:
            async with lock:
                log.append(("in", i))
                await asyncio.sleep(0)
                log.append(("out", i))
        await event.wait()
        return i
    tasks = [asyncio.create_task(one(i)) for i in range(4)]
    await asyncio.sleep(0)
    event.set()
    return await asyncio.gather(*tasks), log


async def contexts(log):
    async def sets(x):
        log.append(var.get())
        var.set(x)
        await asyncio.sleep(0)
        log.append(var.get())
        return await reads()

    async def reads():
        return var.get()
    token = var.set("main")
    r = await asyncio.gather(sets("a"), sets("b"))
    log.append(var.get())
    log.append(await sets("inline"))
    var.reset(token)
    ctx = contextvars.copy_context()
    ctx.run(var.set, "in context")
    t = asyncio.create_task(reads(), context=ctx)
    return r, var.get(), await t, log


async def async_generators(log):
    async def ticker(n):
        try:
            for i in range(n):
                await asyncio.sleep(0)
                yield i
        finally:
            await asyncio.sleep(0)
            log.append("closed")
    total = 0
    async for x in ticker(5):
        total += x
    async for x in ticker(5):
        break
    async with contextlib.aclosing(ticker(3)) as g:
        async for x in g:
            total += x
            break
    log.append([x async for x in ticker(3) if x])
    return total, log


async def stacks(log):
    @contextlib.asynccontextmanager
    async def managed(name):
        log.append(("enter", name))
        try:
            yield name
        except KeyError as e:
            log.append(("key", repr(e)))
        finally:
            await asyncio.sleep(0)
            log.append(("exit", name))
    async with contextlib.AsyncExitStack() as stack:
        a = await stack.enter_async_context(managed("a"))
        stack.push_async_callback(work, "cb", 1, log)
        b = await stack.enter_async_context(managed("b"))
        raise KeyError(a + b)
    return log


async def wrapped(log):
    def traced(f):
        @functools.wraps(f)
        def wrapper(*args, **kwargs):
            log.append(f.__name__)
            return f(*args, **kwargs)
        return wrapper

    def retrying(f):
        @functools.wraps(f)
        async def wrapper(*args):
            for i in range(3):
                try:
                    return await f(*args, i)
                except OSError as e:
                    log.append(str(e))
        return wrapper

    @traced
    @retrying
    async def flaky(x, attempt):
        await later()
        if attempt < 2:
            raise OSError(attempt)
        return x, attempt

    class Service:
        cache = {}

        @traced
        async def get(self, k):
            if k not in self.cache:
                self.cache[k] = await self.load(k)
            return self.cache[k]

        async def load(self, k):
            return await later(k * 2)

        @staticmethod
        async def static(x):
            return await asyncio.sleep(0, x)

        @classmethod
        async def make(cls):
            await later()
            return cls()
    s = await Service.make()
    return await flaky("x"), [await s.get(k) for k in (1, 2, 1)], await s.static(3), log


async def eager(log):
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    t = asyncio.create_task(work("e", 1, log))
    log.append("made")
    quick = asyncio.create_task(work("q", 0, log))
    return await t, quick.done(), log


async def unhandled():
    async def inner():
        await asyncio.sleep(0)
        raise ValueError("inner")
    try:
        await asyncio.create_task(inner())
    except ValueError as e:
        raise KeyError("outer") from e


async def callbacks(log):
    loop = asyncio.get_running_loop()
    t = asyncio.create_task(nested(2), name="named")
    t.add_done_callback(lambda t: log.append(("done", t.get_name(), t.result())))
    loop.call_soon(log.append, "soon")
    await t
    await asyncio.sleep(0)
    done, pending = await asyncio.wait([asyncio.create_task(nested(1)), asyncio.create_task(asyncio.sleep(1000))], return_when=asyncio.FIRST_COMPLETED)
    for p in pending:
        p.cancel()
    r = [await f for f in asyncio.as_completed([nested(1), nested(2)])]
    return len(done), len(pending), sorted(r), await asyncio.to_thread(lambda: "thread"), await asyncio.shield(nested(1)), log


def run(f, *args):
    return outcome(lambda: asyncio.run(f(*args)))


def cases():
    for f in (order, cancelled, cancel_swallowed, group, queue, locks, contexts, async_generators, stacks, wrapped, eager, callbacks):
        yield f.__name__, lambda f=f: run(f, [])
    yield "futures", lambda: run(futures, 10)
    yield "nested", lambda: [run(nested, n) for n in (0, 1, 30)]
    yield "group_ok", lambda: run(group_ok, 8)
    yield "gather_errors", lambda: [run(gather_errors, f) for f in (True, False)]
    yield "timeouts", lambda: run(timeouts)
    yield "unhandled", lambda: run(unhandled)
    yield "unhandled_traceback", lambda: asyncio.run(unhandled())
    def described():
        try:
            asyncio.run(unhandled())
        except KeyError as e:
            return len(describe(e)) > 0
    yield "described", described
