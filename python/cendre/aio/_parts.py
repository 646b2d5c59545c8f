"""Loops without a policy: asyncio's own loop, whose parts are done natively. The sampler asks for it where a loop is seen running.

Invariant: called between two instructions of any program, so nothing here waits, warns, or leaves anything behind that a program would
meet: the loop's attributes and asyncio's classes stay as they are. What is unusual is left to asyncio. Read docs/internals/tasks.md.
"""

import gc
import selectors
from asyncio import base_events, events, selector_events, tasks

from cendre import _cendre
from cendre.aio import _loop, _probe


# What is left of the loop once its parts are native: each call of these goes through C (`select`, `Context.run`) and does little beside it. Compiled
# they are no faster, and cost what compiling costs.
_REST = (base_events.BaseEventLoop.run_forever, base_events.BaseEventLoop._run_once, base_events.BaseEventLoop.time, events.Handle._run,
         selector_events.BaseSelectorEventLoop._process_events, selectors.DefaultSelector.select)
# How a loop that has a task factory makes its tasks: by Python functions that the interpreter calls without leaving its own loop. Each of them ends in C
# (`Task`), and compiled they take more room and are no faster.
_WITH_FACTORY = (tasks.gather, tasks._GatheringFuture.__init__, tasks.ensure_future, base_events.BaseEventLoop.create_task,
                 tasks.eager_task_factory)


def take(loop, patient=False):
    """Whether the parts of this loop, which runs in this thread, are native from now on. `patient`: what gains nothing is not compiled."""
    if not _loop.is_ordinary(loop):
        return False
    if patient:
        makes_tasks = _WITH_FACTORY if loop.__dict__.get("_task_factory") else ()
        for function in _REST + makes_tasks:
            _cendre.tasks_stay_cold(function)
    # While `_probe` looks at tasks another loop is the running one: no finaliser of the program's is to see that.
    collects = gc.isenabled()
    gc.disable()
    try:
        _probe.bind()
    finally:
        if collects:
            gc.enable()
    return _loop.take_parts(loop)
