"""cendre.aio: asyncio's tasks stepped natively, and children that start early where nobody can tell.

    cendre run --tasks=exact app.py            every loop of the process
    cendre.aio.run(main(), policy="exact")     as asyncio.run
    cendre.aio.install(loop)                   an existing loop
    asyncio.Runner(loop_factory=cendre.aio.new_event_loop)

Policies: `off` keeps stock order and runs nothing early; `exact` lets the children of a task that waits run on top of it,
where asyncio would have run them next anyway, so that the order of every step and callback stays asyncio's; `family` lets them
run there whatever else is ready, within a budget; `eager` is `off` with `asyncio.eager_task_factory`. Nothing changes for a loop that was not installed.

Invariant: tasks, futures and loops stay asyncio's own objects. Read docs/tasks.md, then docs/internals/tasks.md.
"""

import asyncio

from cendre import _cendre
from cendre.aio import _loop, _stock

__all__ = ["install", "new_event_loop", "policy", "reset_stats", "run", "stats", "uninstall", "using"]

POLICIES = ("off", "exact", "family", "eager")
DEFAULT = "exact"
# In seconds. That of `family` is what others wait longer for each task ahead of them: see docs/tasks.md, "Fairness".
BUDGETS = {"off": 0.001, "exact": 0.001, "family": 0.00025, "eager": 0.001}
DEPTH = 64

_factory_before = {}


def install(loop, *, policy=DEFAULT, budget=None):
    """Puts a policy in force for a loop, which may be running; a second call changes it.

    `budget` bounds, in seconds, how long children may run early before the loop looks at its sockets again, and under `family` how
    long they may in one outer step (None: 1 ms, under `family` 0.25 ms). Loops that are not made of `asyncio.BaseEventLoop` are refused: their queue cannot be reached.
    """
    if policy not in POLICIES:
        raise ValueError(f"policy={policy!r}: takes one of {', '.join(POLICIES)}")
    if budget is None:
        budget = BUDGETS[policy]
    if isinstance(budget, bool) or not isinstance(budget, (int, float)) or not 0 <= budget <= 1:
        raise ValueError(f"budget={budget!r}: takes seconds, from 0 to 1")
    _loop.take_over(loop, policy, budget, DEPTH, 0)


def uninstall(loop):
    """Gives a loop back to asyncio. Not while it is running."""
    _loop.give_back(loop)


def policy(loop=None):
    """The policy in force for a loop (without one: the running task and its loop): its name, or None if it was not installed."""
    return _loop.policy_of(loop) if loop is not None else _loop.policy_here(asyncio.get_running_loop())


class using:
    """A policy for what the running task waits for inside a `with` block: one gather, one TaskGroup.

        with cendre.aio.using("family"):
            await asyncio.gather(...)

    Its children are under the loop's policy again. The loop must be under one; `eager` is for whole loops only.
    """

    def __init__(self, policy):
        if policy not in ("off", "exact", "family"):
            raise ValueError(f"policy={policy!r}: a part of a task takes one of off, exact, family")
        self._policy = policy
        self._before = None

    def __enter__(self):
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        if task is None or _loop.policy_of(loop) is None:
            raise RuntimeError("cendre.aio.using needs a running task of a loop that is under a policy (cendre.aio.install)")
        self._before = loop, task, _loop.override(loop, task, self._policy)

    def __exit__(self, *_):
        _loop.override(*self._before)


def new_event_loop():
    """A new event loop of asyncio's default kind under the policy `exact`; for `asyncio.Runner(loop_factory=...)`."""
    loop = _loop.stock_new_event_loop()
    try:
        install(loop)
    except BaseException:
        loop.close()
        raise
    return loop


def run(main, *, policy=DEFAULT, budget=None, debug=None, loop_factory=None):
    """As `asyncio.run`, under a policy."""
    def factory():
        loop = (loop_factory or _loop.stock_new_event_loop)()
        try:
            install(loop, policy=policy, budget=budget)
        except BaseException:
            loop.close()
            raise
        return loop

    with asyncio.Runner(debug=debug, loop_factory=factory) as runner:
        return runner.run(main)


def stats():
    """Counters of this process: steps, children that ran early, and why others were not. `functions_unknown`: so many of asyncio's functions have other code
    than the one that native code was written after (a patch, another release of Python), and run as they are.
    """
    return _cendre.tasks_stats() | {"functions_unknown": len(_stock.unknown)}


def reset_stats():
    """Sets the counters to zero."""
    _cendre.tasks_reset()
