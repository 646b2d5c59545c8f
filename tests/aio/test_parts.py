"""Loops without a policy: what is done natively cannot be told from asyncio, whatever a program looks at or replaces.

Random programs run by `compare.py --policy parts` (test_order.py). Invariant: each program here leaves the same notes with asyncio's own code,
and where nothing is unusual the counters show that native code made its tasks.
"""

import asyncio
import gc
import inspect
import os
import subprocess
import sys
import weakref

import pytest
from asyncio import base_events, events, taskgroups, tasks
from cendre import aio
from cendre.aio import _loop, _parts


def run(main, native, before=lambda loop: None):
    """What `main(loop, notes)` notes; `before` changes things once native code has taken the loop."""
    loop = asyncio.new_event_loop()
    notes = []

    async def start():
        if native:
            assert _parts.take(loop)
        undo = before(loop)
        if native:
            _parts.take(loop)   # As the sampler does once a class was changed.
        try:
            await main(loop, notes)
        finally:
            if undo is not None:
                undo()
    try:
        loop.run_until_complete(start())
        return notes
    finally:
        loop.close()


def stack():
    """The functions on the stack, up to the test's own."""
    names = []
    for frame in inspect.stack(context=0)[1:]:
        names.append((frame.function, frame.filename, frame.lineno))
        if frame.function == "run":
            break
    return names


async def child(notes, n, wait=False):
    if wait:
        await asyncio.sleep(0)
    notes.append((n, asyncio.current_task().get_coro().__name__, [name for name, _, _ in stack()]))
    return n


async def fans_out(loop, notes):
    notes.append(await asyncio.gather(child(notes, 1), child(notes, 2, True)))
    async with asyncio.TaskGroup() as group:
        group.create_task(child(notes, 3))
        group.create_task(child(notes, 4, True))
    task = asyncio.create_task(child(notes, 5))
    task.add_done_callback(lambda _: notes.append(stack()))
    await task
    future = loop.create_future()
    loop.call_soon(future.set_result, "soon", context=None)
    handle = loop.call_soon(notes.append, "never")
    handle.cancel()
    notes.append((await future, type(handle).__name__, len(loop._ready)))
    try:
        await asyncio.gather(child(notes, 6), failing())
    except ValueError as error:
        notes.append(repr(error))


async def failing():
    raise ValueError("as it should")


def test_frames_and_order():
    want = run(fans_out, False)
    aio.reset_stats()
    assert run(fans_out, True) == want
    stats = aio.stats()
    assert stats["tasks_made"] >= 7 and stats["gathers_made"] == 2 and stats["done_callbacks"] >= 4 and stats["futures_set"] >= 1


def test_nothing_is_left_in_the_loop():
    async def main(loop, notes):
        notes.append(sorted(vars(loop)))
        notes.append([name for name in vars(base_events.BaseEventLoop) if name in ("_ready", "call_soon", "_run_once")])
        notes.append(type(base_events.BaseEventLoop.call_soon).__name__)
    assert run(main, True) == run(main, False)


def replace(holder, name, value):
    had, old = name in vars(holder), getattr(holder, name)
    setattr(holder, name, value)
    return lambda: setattr(holder, name, old) if had else delattr(holder, name)


def count(calls, function):
    def counted(*args, **kwargs):
        calls.append(function.__name__)
        return function(*args, **kwargs)
    return counted


def handle_class(calls):
    class Handle(events.Handle):
        __slots__ = ()

        def __init__(self, *args):
            calls.append("Handle")
            super().__init__(*args)
    return Handle


def task_class(calls):
    class Task(asyncio.Task):
        def __init__(self, *args, **kwargs):
            calls.append("Task")
            super().__init__(*args, **kwargs)
    return Task


REPLACED = {
    "call_soon of the loop": lambda loop, calls: replace(loop, "call_soon", count(calls, loop.call_soon)),
    "call_soon of the class": lambda loop, calls: replace(base_events.BaseEventLoop, "call_soon", count(calls, base_events.BaseEventLoop.call_soon)),
    "_call_soon of the class": lambda loop, calls: replace(base_events.BaseEventLoop, "_call_soon", count(calls, base_events.BaseEventLoop._call_soon)),
    "create_task of the loop": lambda loop, calls: replace(loop, "create_task", count(calls, loop.create_task)),
    "create_task of the class": lambda loop, calls: replace(base_events.BaseEventLoop, "create_task", count(calls, base_events.BaseEventLoop.create_task)),
    "Handle": lambda loop, calls: replace(events, "Handle", handle_class(calls)),
    "Task": lambda loop, calls: replace(tasks, "Task", task_class(calls)),
    "ensure_future": lambda loop, calls: replace(tasks, "ensure_future", count(calls, tasks.ensure_future)),
    "_on_task_done": lambda loop, calls: replace(taskgroups.TaskGroup, "_on_task_done", count(calls, taskgroups.TaskGroup._on_task_done)),
    "debug": lambda loop, calls: loop.set_debug(True),
    "task factory": lambda loop, calls: loop.set_task_factory(count(calls, lambda loop, coro, **more: asyncio.Task(coro, loop=loop, **more))),
    "profile": lambda loop, calls: profile(calls),
}


def profile(calls):
    """What asyncio's functions do is heard of by a tool, too."""
    def hears(frame, event, _):
        if event == "call" and frame.f_code.co_filename in (base_events.__file__, tasks.__file__, taskgroups.__file__):
            calls.append(frame.f_code.co_qualname)
    sys.setprofile(hears)
    return lambda: sys.setprofile(None)


@pytest.mark.parametrize("what", REPLACED)
def test_replaced_while_it_runs(what):
    def with_calls(native):
        calls = []
        notes = run(fans_out, native, lambda loop: REPLACED[what](loop, calls))
        return notes, calls
    assert with_calls(True) == with_calls(False)


def test_a_loop_that_dies_is_forgotten():
    async def main(loop, notes):
        notes.append(weakref.ref(loop))
    before = len(_loop._without_policy)
    [loop] = run(main, True)
    gc.collect()
    assert loop() is None and len(_loop._without_policy) == before


def test_a_policy_from_then_on():
    async def main(loop, notes):
        await fans_out(loop, notes)
        notes.clear()
        aio.install(loop, policy="exact")
        await asyncio.sleep(0)
        for _ in range(3):
            notes.append(await asyncio.gather(quick(), quick()))
        notes.append(aio.policy())
    aio.reset_stats()
    assert run(main, True) == [[1, 1]] * 3 + ["exact"]
    assert aio.stats()["resumed_in_place"] >= 2


async def quick():
    return 1


def test_another_thread_and_another_loop():
    """What is put into a loop's queue from outside goes the way it always went."""
    async def main(loop, notes):
        other = asyncio.new_event_loop()
        ran = []
        handle = await loop.run_in_executor(None, other.call_soon, ran.append, 1)
        other.call_soon(other.stop)
        await loop.run_in_executor(None, other.run_forever)
        other.close()
        future = loop.create_future()
        await loop.run_in_executor(None, loop.call_soon_threadsafe, future.set_result, 2)
        notes.append((type(handle).__name__, ran, await future))
    assert run(main, True) == run(main, False)


def call(code, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("CENDRE")} | {"CENDRE": "1", "CENDRE_THRESHOLD": "1"} | more
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=100, stdin=subprocess.DEVNULL)


UNSEEN = """
import asyncio, sys
from cendre.aio import _parts
seen, audited = [], []
async def numbers():
    yield 1
async def main():
    sys.set_asyncgen_hooks(lambda g: seen.append("first"), lambda g: seen.append("last"))
    sys.addaudithook(lambda event, args: "asyncgen" in event and audited.append(event))
    hooks = sys.get_asyncgen_hooks()
    assert _parts.take(asyncio.get_running_loop())
    print(seen, audited, sys.get_asyncgen_hooks() == hooks)
    async for _ in numbers():
        print(seen)
asyncio.run(main())
"""


def test_the_layout_is_looked_at_unseen():
    """Also by the hooks of asynchronous generators: a loop that has shut its own down would warn of ours."""
    done = call(UNSEEN, CENDRE_THRESHOLD=str(2**32 - 1))
    assert (done.stdout.split("\n"), done.stderr) == (["[] [] True", "['first']", ""], "")


SEEN = """
import asyncio, cendre, cendre.aio
async def child(n):
    return n
async def main():
    n = 0
    while not until():
        assert await asyncio.gather(child(1), child(2)) == [1, 2]
until = lambda: {until}
asyncio.run(main())
print(cendre.aio.stats()["tasks_made"] > 0, cendre.aio.policy(asyncio.new_event_loop()))
"""


def test_the_sampler_finds_loops_that_run():
    done = call(SEEN.format(until='cendre.aio.stats()["tasks_made"] > 100'))
    assert (done.stdout, done.stderr) == ("True None\n", "")


def test_not_if_it_is_said_so():
    done = call(SEEN.format(until='cendre.jit.stats()["samples"] > 100'), CENDRE_TASKS="stock")
    assert (done.stdout, done.stderr) == ("False None\n", "")


REPLACED_BEFORE = """
import asyncio
from asyncio import base_events
called = 0
stock = base_events.BaseEventLoop.create_task
def create_task(self, coro, **more):
    global called
    called += 1
    return stock(self, coro, **more)
base_events.BaseEventLoop.create_task = create_task
async def child():
    return called
async def main():
    from cendre.aio import _parts, _stock
    _parts.take(asyncio.get_running_loop())
    print(_stock.unknown)
    before = called
    await asyncio.gather(child(), child())
    print(called - before)
asyncio.run(main())
"""


def test_replaced_before_anybody_looked():
    """Somebody's own function stays what is called."""
    done = call(REPLACED_BEFORE, CENDRE_TASKS="stock")
    assert done.stderr == ""
    assert done.stdout == "{'base_events.BaseEventLoop.create_task': 'loop_create_task'}\n2\n"


FACTORY = """
import asyncio, cendre.aio, cendre.jit, dis
async def child(n):
    return n
async def main():
    loop = asyncio.get_running_loop()
    async def fans_out(times):
        for _ in range(times):
            assert await asyncio.gather(child(1), child(2)) == [1, 2]
    def called():
        return next(i.opname for i in dis.get_instructions(fresh.__code__, adaptive=True) if i.opname.startswith("CALL"))
    def samples():
        return cendre.jit.stats()["samples"]
    for factory in (None, asyncio.eager_task_factory, None):
        loop.set_task_factory(factory)
        end = samples() + 50
        while samples() < end:
            await fans_out(10)
        scope = {"asyncio": asyncio}
        exec("def fresh(): return asyncio.gather()", scope)
        fresh = scope["fresh"]
        for _ in range(20):
            fresh()
        made = cendre.aio.stats()["tasks_made"]
        await fans_out(10)
        print(called().startswith("CALL_PY"), cendre.aio.stats()["tasks_made"] - made)
asyncio.run(main())
"""


def test_a_task_factory_costs_what_it_always_did():
    """Where tasks are made by Python code, calls of `gather` are specialised as ever; once the factory is gone they are native again."""
    done = call(FACTORY)
    assert (done.stdout, done.stderr) == ("False 20\nTrue 0\nFalse 20\n", "")


REST = """
import asyncio, cendre.jit
async def main():
    while cendre.jit.stats()["samples"] < 400:
        await asyncio.sleep(0)
asyncio.run(main())
states = {f["name"]: f["state"] for f in cendre.jit.functions()}
print(states["BaseEventLoop._run_once"])
cendre.jit.compile(asyncio.BaseEventLoop._run_once)
print(cendre.jit.is_compiled(asyncio.BaseEventLoop._run_once))
"""


def test_the_rest_of_the_loop_is_not_compiled_by_itself():
    done = call(REST, CENDRE_THRESHOLD="4")
    assert (done.stdout, done.stderr) == ("cold\nTrue\n", "")
