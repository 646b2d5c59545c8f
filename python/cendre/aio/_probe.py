"""Finds what `_asyncio` is made of and makes sure that it is laid out as the native part believes, once a process.

`_asyncio` publishes nothing, so living objects are looked at: a task is made on a loop that only notes what it is told,
stepped once, and woken. Invariant: `bind` either ends well or raises ImportError before anything is hooked.
"""

import asyncio
import collections
import contextvars
import opcode
import types
from asyncio import base_events, events, exceptions, futures, taskgroups, tasks

from cendre import _cendre
from cendre.aio import _stock

_bound = False
_call_soon = base_events.BaseEventLoop.call_soon
_HEAD = ("_loop", None, None, None, "_exception", None, "_result", "_source_traceback", "_cancel_message", None,
         "_asyncio_awaited_by")


class _Notes:
    """A loop that only notes what it is told."""

    def __init__(self):
        self.calls = []

    def call_soon(self, *args, context=None):
        self.calls.append((args, context))

    def get_debug(self):
        return False

    def is_running(self):
        return True

    def call_exception_handler(self, context):
        pass


def _failed(handle, error):
    """What `Handle._run` does with an exception that its callback raised."""
    from asyncio import format_helpers

    callback = format_helpers._format_callback_source(handle._callback, handle._args, debug=handle._loop.get_debug())
    context = {"message": f"Exception in callback {callback}", "exception": error, "handle": handle}
    if handle._source_traceback:
        context["source_traceback"] = handle._source_traceback
    handle._loop.call_exception_handler(context)


class _Marker:
    """What a coroutine yields to its task's step when its suspension is booked already; nobody else ever gets it."""

    def __repr__(self):
        return "<cendre: suspended>"


def _callbacks():
    """The code objects of asyncio's own done callbacks, which may run early."""
    wanted = {
        tasks.gather: ("_done_callback",),
        tasks._wait: ("_on_completion",),
        tasks.shield: ("_inner_done_callback", "_outer_done_callback", "_clear_awaited_by_callback"),
    }
    found = [taskgroups.TaskGroup._on_task_done.__code__, tasks._AsCompletedIterator._handle_completion.__code__]
    for function, names in wanted.items():
        found += [c for c in function.__code__.co_consts if isinstance(c, types.CodeType) and c.co_name in names]
    return tuple(found)


def _transparent():
    """Types whose iterators hand on what a coroutine below them yields.

    Called without hooks of asynchronous generators: a loop would count ours among its own, and warn of it where it is shutting down.
    """
    async def numbers():
        yield 1

    async def nothing():
        pass

    agen, coro = numbers(), nothing()
    made = [agen.asend(None), agen.athrow(GeneratorExit), anext(agen, None)]
    kinds = [types.CoroutineType, types.GeneratorType, type(coro.__await__()), *map(type, made)]
    for awaitable in (*made, coro):
        awaitable.close()
    return tuple(kinds)


def _check(condition, what):
    if not condition:
        raise ImportError(f"cendre: tasks cannot be stepped natively here: in this Python {what} differs")


def _check_future(future, what):
    words = _cendre.tasks_peek(future)
    for place, name in enumerate(_HEAD, 2):
        if name is not None:
            value = getattr(future, name)
            if isinstance(value, (set, frozenset)):
                continue  # A getter that copies.
            _check(words[place] == (0 if value is None and words[place] == 0 else id(value)), f"{what}.{name}")
    state = {"PENDING": 0, "CANCELLED": 1, "FINISHED": 2}[future._state]
    bits = words[13] >> 48 & 0xff
    _check(words[13] & 0xffffffff == state, f"{what}._state")
    _check(words[13] >> 32 & 0xff == isinstance(future, asyncio.Task), f"{what}.is_task")
    _check(bits & 1 == future._log_traceback, f"{what}._log_traceback")
    _check(bits >> 1 & 1 == future._asyncio_future_blocking, f"{what}._asyncio_future_blocking")
    return words, bits


def _check_task(task, what):
    words, bits = _check_future(task, what)
    _check(bits >> 2 & 1 == task._must_cancel, f"{what}._must_cancel")
    _check(bits >> 3 & 1 == task._log_destroy_pending, f"{what}._log_destroy_pending")
    _check(words[14] & 0xffffffff == task.cancelling(), f"{what}.cancelling()")
    for place, value in ((15, task._fut_waiter), (16, task.get_coro()), (18, task.get_context())):
        _check(words[place] == (0 if value is None else id(value)), f"word {place} of {what}")


def _counter(notes):
    """Where `_asyncio` counts the names of tasks, as a word of its state; two tasks are made to find it."""
    import _asyncio

    async def nothing():
        pass

    seen = []
    for _ in range(2):
        task = asyncio.Task(nothing(), loop=notes)
        (step,), _ = notes.calls.pop()
        step()
        number = int(task.get_name().removeprefix("Task-"))
        seen.append({place for place, word in enumerate(_cendre.tasks_state(_asyncio)) if word == number})
    _check(len(seen[0] & seen[1]) == 1, "how tasks are counted")
    return {"module": _asyncio, "counter": (seen[0] & seen[1]).pop(), "made": 2}


def _fanout(notes):
    """The functions that are done natively, where they are asyncio's (else None), and what they use."""
    def known(part, function):
        return function if _stock.is_known(part) else None

    done = sample = None
    if _stock.is_known("gather"):
        done, = [c for c in tasks.gather.__code__.co_consts if isinstance(c, types.CodeType) and c.co_name == "_done_callback"]
    if _stock.is_known("group"):
        sample = taskgroups.TaskGroup()
        for name in vars(sample).copy():
            setattr(sample, name, object())
    return {
        "sample": sample, "gather": known("gather", tasks.gather), "gather_done": done, "create_task": known("create_task", tasks.create_task),
        "eager_factory": tasks.eager_task_factory, "eager_factory_known": known("eager_factory", tasks.eager_task_factory),
        "loop_create_task": known("loop_create_task", base_events.BaseEventLoop.create_task), "TaskGroup": taskgroups.TaskGroup,
        "group_create_task": known("group_create_task", taskgroups.TaskGroup.create_task),
        "group_done": known("group_done", vars(taskgroups.TaskGroup).get("_on_task_done")),
        "tasks_dict": tasks.__dict__, "futures_dict": futures.__dict__, "ensure_future": tasks.ensure_future, "deque": collections.deque, **_counter(notes),
    }


def _group_exit():
    """How a `TaskGroup` ends, and where its two coroutines stand while it waits: behind the one SEND of each."""
    if not _stock.is_known("group_exit") or not _stock.is_known("group"):
        return {"group_aexit": None, "group_inner": None}
    outer, inner = taskgroups.TaskGroup.__aexit__, taskgroups.TaskGroup._aexit
    waits = []
    for function in (outer, inner):
        opcodes = function.__code__.co_code[::2]
        at = opcodes.index(opcode.opmap["RESUME"], opcodes.index(opcode.opmap["SEND"]))
        alone = opcodes.count(opcode.opmap["SEND"]) == 1 and opcodes[at - 1] == opcode.opmap["YIELD_VALUE"]
        _check(alone, function.__qualname__)
        waits.append(at)
    calls = ["CALL", *opcode._specializations["CALL"]]
    return {
        "group_aexit": outer, "group_inner": inner, "aexit_waits": waits[0], "inner_waits": waits[1],
        "GET_AWAITABLE": opcode.opmap["GET_AWAITABLE"], "CALL": bytes((opcode.opmap | opcode._specialized_opmap)[name] for name in calls),
    }


def bind():
    """Tells the native module what asyncio is made of; ImportError if it is not what it believes."""
    global _bound
    if _bound:
        return
    _check(asyncio.Task.__module__ == "_asyncio" and asyncio.Future.__module__ == "_asyncio", "asyncio.Task")
    _check(_stock.is_known("handle"), "how handles are made and run")
    _check((asyncio.Future.__basicsize__, asyncio.Task.__basicsize__) == (112, 168), "the size of futures and tasks")
    notes = _Notes()
    loop_before = events._get_running_loop()
    task_before = tasks._swap_current_task(loop_before, None) if loop_before is not None else None
    events._set_running_loop(notes)
    try:
        found = _look(notes)
    finally:
        events._set_running_loop(loop_before)
        if loop_before is not None:
            tasks._swap_current_task(loop_before, task_before)
    _cendre.tasks_bind(found)
    _bound = True


def _look(notes):
    context = contextvars.copy_context()
    awaited = asyncio.Future(loop=notes)
    iterator = awaited.__await__()
    _check_future(awaited, "a new future")

    async def waits():
        return await awaited

    task = asyncio.Task(waits(), loop=notes, name="cendre", context=context)
    task._log_destroy_pending = True
    _check(len(notes.calls) == 1, "how a task starts")
    (step,), its_context = notes.calls.pop()
    _check(its_context is context and step.__self__ is task, "how a task starts")
    task.cancel("a message")
    _check_task(task, "a cancelled task that has not started")
    task.uncancel()
    _check_task(task, "a task that was uncancelled")
    step()
    _check(task._fut_waiter is awaited, "how a task waits")
    words, _ = _check_future(awaited, "a future that is awaited")
    _check(words[12] == id(task), "awaited_by")
    _check_task(task, "a task that waits")
    wakeup, its_context = awaited._callbacks[0]
    _check(its_context is context and words[3] == id(wakeup) and words[4] == id(context) and words[5] == 0, "callbacks")
    other = asyncio.Future(loop=notes)
    awaited.add_done_callback(print, context=context)
    words, _ = _check_future(awaited, "a future with two callbacks")
    _check(words[5] != 0, "callbacks")
    awaited.set_result(notes)
    _check_future(awaited, "a future with a result")
    _check(notes.calls[0][0] == (wakeup, awaited), "how a task wakes up")
    notes.calls.clear()
    wakeup(awaited)
    _check_task(task, "a finished task")
    other.set_exception(ValueError())
    _check_future(other, "a failed future")
    other.exception()
    cancelled = asyncio.Future(loop=notes)
    cancelled.cancel("another message")
    _check_future(cancelled, "a cancelled future")
    return {
        "Future": asyncio.Future, "Task": asyncio.Task, "GatheringFuture": tasks._GatheringFuture,
        "FutureIter": type(iterator), "set_result": vars(asyncio.Future)["set_result"], "StepWrapper": type(step), "Handle": events.Handle, "wakeup": wakeup,
        "CancelledError": exceptions.CancelledError, "InvalidStateError": exceptions.InvalidStateError,
        "call_soon": _call_soon, "call_soon_known": _call_soon if _stock.is_known("call_soon") else None, "events_dict": events.__dict__, "failed": _failed, "internal": _callbacks(), "marker": _Marker(), "transparent": _cendre.tasks_unhooked(_transparent),
        "SEND": opcode.opmap["SEND"], "SEND_GEN": opcode._specialized_opmap["SEND_GEN"], **_fanout(notes), **_group_exit(),
    }
