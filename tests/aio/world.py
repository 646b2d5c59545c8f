"""Runs programs of `programs.py` on a loop with its own clock, and records everything that can be seen of the order.

The trace holds an entry for every operation, with the task that makes it, what exceptions look like where they arrive (type,
context, cause, places), callbacks, what the loop's exception handler gets, and how tasks end.
Invariant: nothing in a trace depends on addresses, real time, or anything but the program and the order of events.
"""

import asyncio
import builtins
import contextvars
import gc
import re
import selectors
import sys
import types

from programs import SLOTS

_NUMBER = re.compile(r"Task-(\d+)")
_ADDRESS = re.compile(r"0x[0-9a-f]+")
_CV = contextvars.ContextVar("_CV", default="unset")
_RANK = contextvars.ContextVar("_RANK", default=0)


class Base(BaseException):
    """An exception that is no Exception."""


def _class(kind):
    return {"CancelledError": asyncio.CancelledError, "Base": Base}.get(kind) or getattr(builtins, kind)


class _Ordered(dict):
    """What a group keeps its tasks in: stock's set would cancel them in the order of their addresses."""

    def add(self, task):
        self[task] = None

    def discard(self, task):
        self.pop(task, None)


class _Selector(selectors.BaseSelector):
    """Never waits: moves the loop's clock instead. Where nothing could ever happen, it stops the loop."""

    def __init__(self):
        self.loop = None
        self.keys = {}

    def register(self, fileobj, events, data=None):
        self.keys[fileobj] = key = selectors.SelectorKey(fileobj, fileobj if isinstance(fileobj, int) else fileobj.fileno(),
                                                         events, data)
        return key

    def unregister(self, fileobj):
        return self.keys.pop(fileobj)

    def get_key(self, fileobj):
        return self.keys[fileobj]

    def get_map(self):
        return self.keys

    def select(self, timeout=None):
        if timeout is None:
            self.loop.deadlock()
        elif timeout > 0:
            self.loop.now += timeout
        return []


class Loop(asyncio.SelectorEventLoop):
    """A loop with its own clock."""

    def __init__(self):
        self.now = 0.0
        selector = _Selector()
        super().__init__(selector)
        selector.loop = self
        self._clock_resolution = 1e-9
        self.deadlocked = False
        self.by_hand = []   # Tasks that drive a coroutine by hand.

    def time(self):
        return self.now

    def waiting(self):
        """How many handles are ready."""
        return len(self._ready)

    def deadlock(self):
        self.deadlocked = True
        self.stop()


class World:
    """One run of one program."""

    def __init__(self, loop):
        self.loop = loop
        self.trace = []
        self.tasks = {}     # number -> task, in order of making
        self.made = 0
        self.handles = []
        self.names = 0
        self.ticks = 0
        self.first = None
        loop.set_exception_handler(self.unhandled)

    # ---- what is recorded ----

    def clean(self, text):
        return _ADDRESS.sub("0x", _NUMBER.sub(lambda m: f"Task+{int(m[1]) - self.first}", text))

    def log(self, *what):
        task = self.current()
        self.trace.append((self.clean(task.get_name()) if task else None, round(self.loop.now, 3), *what))

    def current(self):
        try:
            return asyncio.current_task()
        except RuntimeError:
            return None

    def describe(self, error, depth=0):
        if error is None:
            return None
        places, tb = [], error.__traceback__
        while tb is not None:
            code = tb.tb_frame.f_code
            if code.co_filename == __file__:
                places.append(f"{code.co_name}:{tb.tb_lineno}")
            tb = tb.tb_next
        text = self.clean(f"{type(error).__name__}({error})")
        if isinstance(error, BaseExceptionGroup):
            text += str([self.describe(e, depth + 1) for e in error.exceptions])
        if depth > 3:
            return text
        return (text, tuple(places), self.describe(error.__cause__, depth + 1), self.describe(error.__context__, depth + 1),
                error.__suppress_context__)

    def unhandled(self, loop, context):
        subject = context.get("future") or context.get("task") or context.get("handle")
        name = subject.get_name() if isinstance(subject, asyncio.Task) else type(subject).__name__
        self.log("unhandled", self.clean(context["message"]), self.clean(name), self.describe(context.get("exception")))

    def outcome(self, future):
        if not future.done():
            return "pending"
        if future.cancelled():
            return "cancelled"
        error = future.exception()
        return self.describe(error) if error is not None else ("value", repr(future.result()))

    # ---- what programs use ----

    def prepare(self):
        self.futures = [self.loop.create_future() for _ in range(SLOTS)]
        self.events = [asyncio.Event() for _ in range(SLOTS)]
        self.locks = [asyncio.Lock() for _ in range(SLOTS)]
        self.semaphores = [asyncio.Semaphore(1) for _ in range(SLOTS)]
        self.queues = [asyncio.Queue(i) for i in range(SLOTS)]
        self.condition = asyncio.Condition()
        self.barrier = asyncio.Barrier(2)

    def delay(self, d):
        """No two timers are due at the same time: stock's order between them is not defined."""
        self.ticks += 1
        return d + self.ticks * 1e-5 if d else 0

    def future(self, n):
        n %= SLOTS
        if self.futures[n].done():
            self.futures[n] = self.loop.create_future()
        return self.futures[n]

    def task(self, n):
        tasks = list(self.tasks.values())
        return tasks[n % len(tasks)]

    def later(self, n):
        """A task that may be waited for: one made after the current one, so that nobody waits in a circle; or None."""
        tasks = [task for number, task in self.tasks.items() if number > _RANK.get()]
        return tasks[n % len(tasks)] if tasks else None

    def keep(self, task, number=None):
        if number is None:
            self.made += 1
            number = self.made
        self.tasks[number] = task
        return task

    def spawn(self, body, what, make=asyncio.create_task, **how):
        """Makes and keeps a task. Its number is there before it starts."""
        self.made += 1
        number = self.made

        async def ranked():
            _RANK.set(number)
            return await self.run(body, what)
        return self.keep(make(ranked(), **how), number)

    def error(self, kind):
        self.names += 1
        return _class(kind)(f"e{self.names}")

    async def run(self, body, name="run"):
        """Runs a body; its value says how far it came."""
        self.log("enter", name)
        value = None
        try:
            for place, operation in enumerate(body):
                self.log(place, operation[0])
                value = await getattr(self, "do_" + operation[0])(*operation[1:])
                if operation[0] == "return":
                    return value
                self.log(place, operation[0], "->", self.clean(repr(value)))
        except BaseException as error:
            self.log("raises", self.describe(error))
            raise
        finally:
            self.log("leave", name, self.describe(sys.exception()))
        return value

    # ---- leaves ----

    async def do_log(self, n=0):
        self.log("log", n)
        return n

    async def do_return(self, n):
        return n

    async def do_raise(self, kind):
        raise self.error(kind)

    async def do_interrupt(self, kind):
        raise {"KeyboardInterrupt": KeyboardInterrupt, "SystemExit": SystemExit}[kind](kind)

    async def do_stop(self, n):
        self.loop.stop()

    async def do_sleep(self, d):
        return await asyncio.sleep(self.delay(d), "slept")

    async def do_busy(self, d):
        """Takes time without waiting."""
        self.loop.now += d / 100

    async def do_sleep0(self, n):
        await asyncio.sleep(0)

    async def do_await_task(self, n):
        task = self.later(n)
        return task and await task

    async def do_fut_wait(self, n):
        return await self.future(n)

    async def do_fut_set(self, n):
        self.future(n).set_result(n)

    async def do_fut_raise(self, n):
        self.future(n).set_exception(self.error("ValueError"))

    async def do_fut_cancel(self, n):
        return self.future(n).cancel(f"m{n}")

    async def do_task_of_fut(self, n):
        future = self.future(n)

        async def waits():
            return await future
        self.keep(self.loop.create_task(waits()))

    async def do_call_soon_fut_set(self, n):
        future = self.future(n)
        self.loop.call_soon(lambda: future.done() or future.set_result("soon"))

    async def do_event_wait(self, n):
        return await self.events[n % SLOTS].wait()

    async def do_event_set(self, n):
        self.events[n % SLOTS].set()

    async def do_event_clear(self, n):
        self.events[n % SLOTS].clear()

    async def do_put(self, n):
        await self.queues[n % SLOTS].put(n)

    async def do_get(self, n):
        return await self.queues[n % SLOTS].get()

    async def do_acquire(self, n):
        return await self.locks[n % SLOTS].acquire()

    async def do_release(self, n):
        self.locks[n % SLOTS].release()

    async def do_notify(self, n):
        async with self.condition:
            self.condition.notify(n % 3)

    async def do_condition_wait(self, n):
        async with self.condition:
            return await self.condition.wait()

    async def do_barrier(self, n):
        return await self.barrier.wait()

    async def do_cancel(self, n):
        return self.task(n).cancel(f"c{n}")

    async def do_cancel_self(self, n):
        return asyncio.current_task().cancel(f"self{n}")

    async def do_uncancel(self, n):
        return asyncio.current_task().uncancel()

    async def do_wait(self, picks, mode, timeout):
        if timeout is not None:
            timeout = self.delay(timeout)
        tasks = {self.later(n) for n in picks}
        if None not in tasks:
            done, pending = await self.wait(tasks, return_when=mode, timeout=timeout)
            return len(done), len(pending)

    async def wait(self, tasks, **how):
        """Which exceptions `asyncio.wait` looks at (and marks as retrieved) depends on the order of a set: look at all."""
        try:
            return await asyncio.wait(tasks, **how)
        finally:
            for task in tasks:
                task.done() and not task.cancelled() and task.exception()

    async def do_gather_tasks(self, picks, mode, timeout):
        tasks = [self.later(n) for n in picks]
        if None not in tasks:
            return await asyncio.gather(*tasks, return_exceptions=mode == "ALL_COMPLETED")

    async def do_shield_task(self, n):
        task = self.later(n)
        return task and await asyncio.shield(task)

    async def do_call_soon(self, n):
        self.handles.append(self.loop.call_soon(self.log, "callback", n))

    async def do_call_later(self, d):
        self.handles.append(self.loop.call_later(self.delay(d), self.log, "timer", d))

    async def do_cancel_handle(self, n):
        if self.handles:
            self.handles[n % len(self.handles)].cancel()

    async def do_done_callback(self, n):
        task = self.task(n)
        task.add_done_callback(self.called_back)

    async def do_remove_callback(self, n):
        return self.task(n).remove_done_callback(self.called_back)

    def called_back(self, task):
        self.log("done callback", self.clean(task.get_name()), task.cancelled(), _CV.get())
        if len(self.trace) % 7 == 0:
            raise self.error("LookupError")

    async def do_set_context(self, n):
        _CV.set(n)

    async def do_get_context(self, n):
        return _CV.get()

    async def do_look(self, n):
        task = self.task(n)
        tasks = sorted(self.clean(t.get_name()) for t in asyncio.all_tasks())
        awaited_by = sorted(self.clean(t.get_name()) for t in task._asyncio_awaited_by or ())
        return (tasks, task.cancelling(), task.done(), task._fut_waiter is None, awaited_by, self.describe(sys.exception()),
                asyncio.current_task().cancelling(), _CV.get())

    async def do_set_name(self, n):
        self.names += 1
        asyncio.current_task().set_name(f"named {n}.{self.names}")

    async def do_drop(self, n):
        """Gives references up, so that tasks and futures die where they would."""
        if len(self.tasks) > 1:
            del self.tasks[list(self.tasks)[1 + n % (len(self.tasks) - 1)]]

    async def do_exception_of(self, n):
        return self.outcome(self.task(n))

    # ---- with bodies ----

    async def do_call(self, body):
        return await self.run(body, "call")

    async def do_spawn(self, body):
        self.spawn(body, "spawned")

    async def do_spawn_context(self, body):
        context = contextvars.Context()
        self.names += 1
        self.spawn(body, "spawned", context=context, name=f"ctx{self.names}")

    async def do_shared_context(self, body):
        context = contextvars.copy_context()
        tasks = [self.spawn(body, "shared", context=context) for _ in range(2)]
        return await asyncio.gather(*tasks)

    async def do_own_context(self, body):
        # asyncio's eager factory enters it a second time, which breaks the thread's state.
        context = contextvars.copy_context() if self.loop.get_task_factory() else asyncio.current_task().get_context()
        return await self.spawn(body, "own context", context=context)

    async def do_eager(self, body):
        self.spawn(body, "eager", asyncio.Task, loop=self.loop, eager_start=True)

    async def do_gather(self, bodies, return_exceptions):
        values = await asyncio.gather(*[self.run(b, "gathered") for b in bodies], return_exceptions=return_exceptions)
        return [self.describe(v) if isinstance(v, BaseException) else v for v in values]

    async def do_group(self, bodies, own):
        async with asyncio.TaskGroup() as group:
            group._tasks = _Ordered()
            for b in bodies:
                self.spawn(b, "grouped", group.create_task)
            await self.run(own, "group")

    async def do_lock(self, n, body):
        async with self.locks[n]:
            return await self.run(body, "lock")

    async def do_semaphore(self, n, body):
        async with self.semaphores[n]:
            return await self.run(body, "semaphore")

    async def do_shield(self, body):
        return await asyncio.shield(self.run(body, "shielded"))

    async def do_timeout(self, d, body):
        async with asyncio.timeout(self.delay(d)):
            return await self.run(body, "timeout")

    async def do_wait_for(self, d, body):
        return await asyncio.wait_for(self.run(body, "wait_for"), self.delay(d))

    async def do_as_completed(self, bodies, asynchronous):
        # Stock starts coroutines, and calls back for tasks that are done already, in the order of a set: so tasks, and only one
        # where they may be done.
        bodies = bodies[:1] if self.loop.get_task_factory() else bodies
        made = [self.spawn(b, "as_completed") for b in bodies]
        values = []
        if asynchronous:
            async for task in asyncio.as_completed(made):
                values.append(self.outcome(task))
        else:
            for awaitable in asyncio.as_completed(made):
                values.append(await awaitable)
        return values

    async def do_wait_new(self, bodies, mode):
        tasks = [self.spawn(b, "waited") for b in bodies]
        if tasks:
            done, pending = await self.wait(tasks, return_when=mode)
            return sorted(self.clean(t.get_name()) for t in done), len(pending)

    async def numbers(self, bodies):
        for number, b in enumerate(bodies):
            await self.run(b, "agen")
            yield number
        self.log("agen ends")

    async def do_agen(self, bodies, own, most):
        got = []
        async for number in self.numbers(bodies):
            got.append(number)
            await self.run(own, "of agen")
            if len(got) >= most:
                break
        return got

    async def do_anext(self, body):
        return await anext(self.numbers((body,)), "default")

    async def do_try(self, body, kind, handler):
        try:
            return await self.run(body, "try")
        except _class(kind) as error:
            self.log("caught", self.describe(error))
            return await self.run(handler, "handler")

    async def do_handling(self, body):
        """The body runs while an exception is being handled."""
        try:
            raise self.error("KeyError")
        except KeyError:
            return await self.run(body, "handling")

    async def do_finally(self, body, last):
        try:
            return await self.run(body, "try")
        finally:
            await self.run(last, "finally")

    async def do_context_manager(self, body, last):
        class Manager:
            async def __aenter__(inner):
                return inner

            async def __aexit__(inner, kind, error, tb):
                await self.run(last, "aexit")
                return kind is not None and issubclass(kind, LookupError)

        async with Manager():
            return await self.run(body, "with")

    async def do_for_each(self, n, body):
        for _ in range(n):
            await self.run(body, "each")

    async def do_driven(self, body):
        return await _Driven(self, self.run(body, "driven"), None)

    async def do_driven_context(self, body):
        return await _Driven(self, self.run(body, "driven"), contextvars.copy_context())

    async def do_throwing_generator(self, body):
        return await _through_generator(self.run(body, "generator"))


@types.coroutine
def _through_generator(coro):
    return (yield from coro.__await__())


class _Driven:
    """Drives a coroutine by hand, and looks at each thing that it yields."""

    def __init__(self, world, coro, context):
        self.world, self.coro, self.context = world, coro, context

    def __await__(self):
        send = self.coro.send if self.context is None else lambda value: self.context.run(self.coro.send, value)
        task = asyncio.current_task()
        self.world.loop.by_hand.append(task)
        try:
            while True:
                yielded = send(None)
                self.world.log("drives", type(yielded).__name__)
                try:
                    yield yielded
                except BaseException as error:
                    self.world.log("thrown", self.world.describe(error))
                    yielded = self.coro.throw(error)
                    yield yielded
        except StopIteration as stop:
            return stop.value
        finally:
            self.world.loop.by_hand.remove(task)


def execute(program, install=None, make_loop=Loop):
    """The trace of a program on a new loop; `install` puts a policy in force."""
    loop = make_loop()
    asyncio.set_event_loop(None)
    gc_was = gc.isenabled()
    gc.disable()
    gc.freeze()     # Later collections look at this run's objects only.
    world = World(loop)
    try:
        if install is not None:
            install(loop)

        async def numbered():
            return int(asyncio.current_task().get_name()[5:])

        world.first = loop.run_until_complete(numbered())

        async def main():
            world.prepare()
            _RANK.set(1)
            return await world.run(program, "main")

        task = world.keep(loop.create_task(main()))
        _drive(world, task)
        world.log("end", world.outcome(task), loop.deadlocked)
        for _ in range(4):
            left = sorted(asyncio.all_tasks(loop), key=lambda t: (len(world.clean(t.get_name())), world.clean(t.get_name())))
            if not left:
                break
            for t in left:
                t.cancel("end")
            loop.deadlocked = False
            _drive(world, loop.create_task(asyncio.wait(left)))
            world.log("left", [(world.clean(t.get_name()), world.outcome(t)) for t in left])
        # What was left in cycles says so now; in which order is the collector's business.
        del task, left
        world.tasks.clear()
        world.handles.clear()
        world.prepare()
        mark = len(world.trace)
        gc.collect()
        world.trace[mark:] = sorted(world.trace[mark:], key=repr)
        world.log("ready", loop.waiting(), sum(not handle._cancelled for handle in loop._scheduled))
    finally:
        loop.close()
        gc.unfreeze()
        if gc_was:
            gc.enable()
    return tuple(world.trace)


def _drive(world, task):
    """Runs the loop until the task is done, whatever comes out of it in between."""
    for _ in range(12):
        if task.done() or world.loop.deadlocked:
            break
        try:
            world.loop.run_until_complete(task)
        except BaseException as error:
            world.log("out of the loop", world.describe(error))
    if not task.done():
        task.cancel("given up")
        world.loop.deadlocked = False
        try:
            world.loop.run_until_complete(task)
        except BaseException as error:
            world.log("out of the loop", world.describe(error))
