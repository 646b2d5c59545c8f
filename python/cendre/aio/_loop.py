"""Taking loops over: which ones can be, and the one part of a loop that is replaced.

What is replaced are `BaseEventLoop._run_once` and `call_soon`, in the class, since a subclass may call them by `super()`, and `_ready`
gets a descriptor, so that a look at the queue is seen.
For a loop that was not installed, and in debug mode, it is the original that runs.
Invariant: an iteration is asyncio's: timers that were cancelled go, the selector is asked, timers that are due go to the queue,
and what is ready *then* is run, natively (`_cendre.tasks_run_ready`).
"""

import asyncio
import heapq
import weakref
from asyncio import base_events

from cendre import _cendre
from cendre.aio import _probe, _stock

STATE = "_cendre_tasks"
POLICY = "_cendre_policy"
_NATIVE = {"off": 0, "eager": 0, "exact": 1, "family": 2}
_NAMES = {-1: None, 0: "off", 1: "exact", 2: "family"}

# Asked for natively in the loop's own dict.
_ATTRIBUTES = ("_debug", "_stopping", "_task_factory", "_scheduled", "_clock_resolution", "_thread_id")

stock_new_event_loop = asyncio.new_event_loop
_stock_run_once = base_events.BaseEventLoop._run_once
_patched = []
_ours = {}
_without_policy = {}     # id of a loop -> what tells its end
_run_ready = _cendre.tasks_run_ready
_waiting = _cendre.tasks_waiting
_put = _cendre.tasks_put
_last_handle = _cendre.tasks_last_handle


def _run_once(self):
    """Run one full iteration of the event loop."""
    if STATE not in self.__dict__ or self._debug:
        return _stock_run_once(self)
    try:
        scheduled = self._scheduled
        cancelled = self._timer_cancelled_count
        if scheduled:
            if (len(scheduled) > base_events._MIN_SCHEDULED_TIMER_HANDLES
                    and cancelled / len(scheduled) > base_events._MIN_CANCELLED_TIMER_HANDLES_FRACTION):
                alive = []
                for handle in scheduled:
                    if handle._cancelled:
                        handle._scheduled = False
                    else:
                        alive.append(handle)
                heapq.heapify(alive)
                self._scheduled = scheduled = alive
                self._timer_cancelled_count = 0
            else:
                while scheduled and scheduled[0]._cancelled:
                    self._timer_cancelled_count -= 1
                    heapq.heappop(scheduled)._scheduled = False
            handle = None
        if _waiting(self) or self._stopping:
            timeout = 0
        elif scheduled:
            timeout = min(max(scheduled[0]._when - self.time(), 0), base_events.MAXIMUM_SELECT_TIMEOUT)
        else:
            timeout = None
        self._process_events(self._selector.select(timeout))
        end = self.time() + self._clock_resolution
        scheduled = self._scheduled
        while scheduled and scheduled[0]._when < end:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            _put(self, handle)
        handle = scheduled = None
    except BaseException:
        self._ready  # noqa: B018  The look puts everything there: nobody may come back for it.
        raise
    try:
        _run_ready(self)
    except BaseException:
        handle = _last_handle(self)  # In this frame, which the traceback keeps: nothing dies earlier than in stock.
        raise


def take_over(loop, policy, budget, depth, skipped):
    """Puts a policy in force for a loop; a sentence in a TypeError says why it cannot be."""
    refusal = _refusal(loop, policy)
    if refusal:
        raise TypeError(refusal)
    _probe.bind()
    if not _patched:
        if not _stock.is_known("run_once"):
            raise TypeError("BaseEventLoop._run_once is not the one that cendre knows: it was patched, or this is another release of Python")
        _patched.append(True)
        base_events.BaseEventLoop._run_once = _run_once
        if _stock.is_known("call_soon"):
            _ours["call_soon"] = base_events.BaseEventLoop.call_soon = _cendre.tasks_call_soon(base_events.BaseEventLoop)
        base_events.BaseEventLoop._ready = _cendre.tasks_ready(base_events.BaseEventLoop)
    cls = type(loop)
    plain = _plain(loop)
    plain |= (getattr(cls, "_ready", None) is base_events.BaseEventLoop._ready and cls.__getattribute__ is object.__getattribute__) << 2
    plain |= (cls.__getattribute__ is object.__getattribute__ and not any(hasattr(cls, name) for name in _ATTRIBUTES)) << 4
    capsule = _cendre.tasks_install(loop, _NATIVE[policy], plain, round(budget * 1e6), depth, skipped)
    if capsule is not None:
        loop.__dict__[STATE] = capsule
    _without_policy.pop(id(loop), None)
    before = loop.__dict__.get(POLICY)
    loop.__dict__[POLICY] = policy
    if policy == "eager":
        loop.set_task_factory(asyncio.eager_task_factory)
    elif before == "eager" and loop.get_task_factory() is asyncio.eager_task_factory:
        loop.set_task_factory(None)


def _plain(loop):
    """Which parts of a loop are `BaseEventLoop`'s own, and known, as bits."""
    cls = type(loop)

    def own(part):
        names = [name.rpartition(".")[2] for name in _stock.PARTS[part]]
        return (all(getattr(cls, name) is getattr(base_events.BaseEventLoop, name) and name not in loop.__dict__ for name in names)
                and _stock.is_known(part, _ours))
    return own("call_soon") | (own("loop_create_task") and own("asks")) << 1 | own("time") << 3 | own("create_future") << 5


def is_ordinary(loop):
    """Whether this is a loop made of `BaseEventLoop`, whose attributes are found as those of any object."""
    cls = type(loop)
    return (isinstance(loop, base_events.BaseEventLoop) and hasattr(loop, "__dict__") and hasattr(loop, "__weakref__")
            and cls.__getattribute__ is object.__getattribute__ and not hasattr(cls, "__getattr__"))


def take_parts(loop):
    """Without a policy: the parts of a running loop are done natively. Whether they are."""
    plain = _plain(loop) & 3 if _stock.is_known("asks") else 0
    # Also where it is nothing: what was so before may be so no more.
    if not _cendre.tasks_parts(loop, plain) or not plain & 1:
        return False
    key = id(loop)
    if key not in _without_policy:
        def dies(_, key=key):
            if _without_policy.pop(key, None) is not None:
                _cendre.tasks_forget(key)
        _without_policy[key] = weakref.ref(loop, dies)
    return True


def give_back(loop):
    """The loop is asyncio's own again."""
    if loop.is_running():
        raise RuntimeError("a loop cannot be given back while it is running")
    if loop.__dict__.pop(POLICY, None) == "eager" and loop.get_task_factory() is asyncio.eager_task_factory:
        loop.set_task_factory(None)
    loop.__dict__.pop(STATE, None)


def policy_of(loop):
    """The name of the policy in force, or None."""
    return getattr(loop, "__dict__", {}).get(POLICY)


def override(loop, task, policy):
    """Sets the policy for what one task waits for (None: the loop's); returns the one before."""
    return _NAMES[_cendre.tasks_override(loop, task, -1 if policy is None else _NATIVE[policy])]


def policy_here(loop):
    """The name of the policy in force for the running task, or None."""
    task = asyncio.current_task(loop)
    if task is None or STATE not in getattr(loop, "__dict__", {}):
        return policy_of(loop)
    own = override(loop, task, None)
    if own is not None:
        override(loop, task, own)
    return own or policy_of(loop)


def _refusal(loop, policy):
    if not isinstance(loop, base_events.BaseEventLoop):
        kind = f"{type(loop).__module__}.{type(loop).__qualname__}"
        return (f"{kind} keeps its queue where it cannot be reached, so policy {policy!r} cannot work there: use asyncio's "
                f"own loop, or asyncio.eager_task_factory")
    if not hasattr(loop, "__dict__"):
        return f"{type(loop).__qualname__} takes no attributes"
    return None

