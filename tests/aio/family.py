"""The rule of `family` as a loop in Python: asyncio's own, with something added behind each step of a task.

Tasks and futures are asyncio's, and nothing of cendre is in force: what runs out of turn is taken out of the queue by hand and run at the level of the
loop. So this says in which order things happen, and knows nothing of how they can happen on top of each other.
Invariant: the rule is `Loop.family` and what it calls; `Handle` tells who is who.
"""

import asyncio
import inspect
import types
from asyncio import events
from weakref import WeakKeyDictionary, ref

import world
from cendre.aio import _probe

INTERNAL = _probe._callbacks()


class Handle(events.Handle):
    """A handle that knows what it is, and tells its loop when it has run."""

    __slots__ = ()

    def steps(self):
        """The task that this steps or wakes up, or None."""
        names = type(self._callback).__name__, getattr(self._callback, "__name__", None)
        return self._callback.__self__ if "TaskStepMethWrapper" in names or "task_wakeup" in names else None

    def starts(self):
        """Whether this is the first step of a task."""
        coro = self.steps().get_coro() if self._args == () and self.steps() else None
        return type(coro) is types.CoroutineType and inspect.getcoroutinestate(coro) == "CORO_CREATED"

    def is_asyncios(self):
        """Whether this is a callback of asyncio's own."""
        return getattr(getattr(self._callback, "__func__", self._callback), "__code__", None) in INTERNAL and len(self._args) <= 1

    def _run(self):
        loop, task, thrown = self._loop, self.steps(), None
        loop.last = self
        if loop.depth == 0:
            loop.since, loop.seen = None, False
            loop.children.clear()
        if task is not None and (task._must_cancel or any(failed(future) for future in self._args)):
            thrown = getattr(task.get_coro(), "cr_await", None)
        events.Handle._run(self)
        # An exception was thrown in, and the task is still in the call that it came to.
        if thrown is not None and getattr(task.get_coro(), "cr_await", None) is thrown:
            return
        while task is not None and loop.family(task):
            pass


def failed(future):
    """Whether a future that is done holds no value."""
    return future.cancelled() or future._exception is not None


def taken(things):
    """One after the other; none is held longer than it takes, since it is seen when a task dies."""
    while things:
        yield things.pop(0)


class Loop(world.Loop):
    """The rule of `family`."""

    def __init__(self, budget=1.0, depth=64):
        super().__init__()
        self.budget, self.deepest, self.depth, self.since = budget, depth, 0, None
        self.children, self.put, self.seen = WeakKeyDictionary(), [], False
        self.last = None    # What was taken last.
        self.nothing = events.Handle(print, (), self)
        self.nothing.cancel()

    def waiting(self):
        return sum(handle is not self.nothing for handle in self._ready)

    def _run_once(self):
        try:
            super()._run_once()
        except BaseException as error:
            # By the traceback an interrupt keeps what was taken last, and nothing else that only frames of a loop in Python hold. An interrupt that is
            # raised again has the frames of this function from before in its traceback: they keep what was taken last then.
            last = self.last  # noqa: F841
            traceback = error.__traceback__.tb_next
            while traceback:
                code = traceback.tb_frame.f_code
                if code.co_filename in (__file__, events.__file__, asyncio.base_events.__file__) and code is not Loop._run_once.__code__:
                    traceback.tb_frame.clear()
                traceback = traceback.tb_next
            raise
        finally:
            self.last = None

    def _call_soon(self, callback, args, context):
        handle = Handle(callback, args, self, context)
        self._ready.append(handle)
        if self.depth:
            self.put.append(ref(handle))
        if handle.starts() and not self.seen and (parent := asyncio.current_task(self)):
            self.children.setdefault(parent, []).append(handle)
        return handle

    def call_soon_threadsafe(self, *args, **how):
        """asyncio's own puts the handle into `_ready` by itself: who sees that sees all of it, up to the end of the outer step."""
        self.seen = True
        self.children.clear()
        return super().call_soon_threadsafe(*args, **how)

    def family(self, task):
        """The rule, for a task that has just made a step: whether it made another one."""
        awaited, children, calls = task._fut_waiter, self.children.pop(task, ()), []
        if awaited is None or not children or self.depth >= self.deepest or task in self.by_hand:
            return False
        for child in taken(children):
            if self.may_go_on(child):
                calls += [ref(h) for h in self.run_now(child) if h._args == (child.steps(),) and not h.steps()]
        child = None  # The task that it has held may die now: the next thing that is taken is another one.
        for call in taken(calls):
            if self.may_go_on(call()):
                calls += [ref(h) for h in self.run_now(call()) if h.is_asyncios()]
        call = None
        if awaited.done() and not failed(awaited) and not task._must_cancel:
            for wakeup in [h for h in self._ready if h._args == (awaited,) and h.steps() is task]:
                if self.may_go_on(wakeup):
                    self.take(wakeup)
                    self.last = wakeup
                    events.Handle._run(wakeup)
                    return True
        return False

    def may_go_on(self, handle):
        """Whether this may still run out of turn: it is in the queue, and this outer step has something left of its budget."""
        now = self.time()
        self.since = now if self.since is None else self.since
        rest = not self.seen and not self._stopping and now - self.since < self.budget
        return rest and handle in self._ready and not handle._cancelled

    def take(self, handle):
        """The queue keeps its place, with nothing in it."""
        self._ready[self._ready.index(handle)] = self.nothing

    def run_now(self, handle):
        """What this has put into the queue."""
        self.take(handle)
        before, self.put, self.depth = self.put, [], self.depth + 1
        try:
            handle._run()
            return [h() for h in self.put if h()]
        finally:
            self.put, self.depth = before, self.depth - 1
