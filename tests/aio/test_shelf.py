"""Tasks whose memory was used before: they die in asyncio's order and are new in everything that can be seen.

Invariant: each case makes and loses tasks first, so that memory is there to be handed out again.
"""

import asyncio
import contextvars
import ctypes
import gc
import os
import subprocess
import sys
import tracemalloc
import weakref

import pytest
from cendre import _cendre, aio
from test_cases import every, same

VARIABLE = contextvars.ContextVar("VARIABLE")
LONGEST = 1024


class Dies:
    def __init__(self, note, what):
        self.note, self.what = note, what

    def __del__(self):
        self.note(self.what)


async def nothing():
    pass


async def fill(n=8):
    """Leaves the memory of some tasks behind."""
    await asyncio.gather(*[nothing() for _ in range(n)])
    for _ in range(3):
        await asyncio.sleep(0)


def run(main, policy="exact"):
    gc.disable()
    try:
        return aio.run(main(), policy=policy)
    finally:
        gc.enable()


async def kept(make):
    """By how many more tasks the memory is kept when `make()` has made a task, and the task is dead."""
    await fill()
    task = await make()
    for _ in range(3):
        await asyncio.sleep(0)
    assert task.done()
    before = _cendre.tasks_shelf()
    del task
    return _cendre.tasks_shelf() - before


@every
def test_what_a_task_holds_dies_in_the_same_order(policy):
    async def child(note):
        return Dies(note, "result")

    async def main(note):
        for _ in range(3):
            context, coro = contextvars.copy_context(), child(note)
            context.run(VARIABLE.set, Dies(note, "context"))
            watch = weakref.ref(coro, lambda _: note("coroutine"))
            task = context.run(asyncio.create_task, coro)
            del context, coro
            for _ in range(3):
                await asyncio.sleep(0)
            note("let go")
            del task
            for _ in range(3):
                await asyncio.sleep(0)
            note(watch() is None)

    notes = same(main, policy)
    # An eager task gives its coroutine up when its first step has ended it.
    want = ["coroutine", "result", "context"] if policy == "eager" else ["result", "coroutine", "context"]
    assert [n for n in notes if n in ("result", "coroutine", "context")][:3] == want


@every
def test_a_task_in_such_memory_is_new(policy):
    names = ("_state", "_result", "_exception", "_log_traceback", "_asyncio_future_blocking", "_must_cancel", "_log_destroy_pending",
             "_fut_waiter", "_callbacks", "_source_traceback", "_cancel_message", "_asyncio_awaited_by", "_cancelled_exc")

    async def used(note):
        """Has each field set that can be set, and ends with a value."""
        task = asyncio.current_task()
        task.add_done_callback(lambda _: None)
        task.add_done_callback(lambda _: None)
        task.cancel("a message")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            pass
        return Dies(note, "result")

    async def main(note):
        for _ in range(3):
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(used(note), name="named")
            await asyncio.gather(*[asyncio.create_task(used(note)) for _ in range(3)])
            await asyncio.sleep(0)
            tasks = [asyncio.create_task(asyncio.sleep(0)) for _ in range(20)]
            for task in tasks:
                note([getattr(task, name, None) for name in names])
                note((task.cancelling(), task.done(), task.cancelled(), task.get_name()[:5], len(task.get_stack())))
                note((sys.getrefcount(task), gc.is_tracked(task), gc.is_finalized(task), weakref.getweakrefcount(task)))
                note(hasattr(task, "attribute"))
                task.attribute = weakref.ref(task)
                note((task.attribute() is task, task in asyncio.all_tasks()))
            await asyncio.gather(*tasks)

    same(main, policy)


async def ended(coro=None):
    task = asyncio.create_task(coro or nothing())
    await asyncio.wait([task])
    return task


async def with_attribute():
    task = await ended()
    task.attribute = 1
    return task


async def with_dict():
    """So many attributes have no place in the object."""
    task = await ended()
    for n in range(100):
        setattr(task, f"attribute{n}", n)
    for n in range(100):
        delattr(task, f"attribute{n}")
    return task


WATCHES = []


async def with_weak_reference():
    task = await ended()
    WATCHES[:] = [weakref.ref(task, WATCHES.append)]
    return task


async def failed():
    task = await ended(asyncio.wait_for(None, "no number"))
    assert task.exception()
    return task


async def cancelled():
    task = asyncio.create_task(asyncio.sleep(1))
    task.cancel()
    await asyncio.wait([task])
    return task


async def of_a_subclass():
    class Task(asyncio.Task):
        pass

    task = Task(nothing())
    await asyncio.wait([task])
    return task


async def of_a_class_that_dies_as_task_does():
    """As a class of an extension may, which takes over `tp_dealloc`: no finaliser has run when it is called."""
    class Task(asyncio.Task):
        pass

    theirs, ours = ((ctypes.c_size_t * 7).from_address(id(kind)) for kind in (asyncio.Task, Task))
    ours[6] = theirs[6]
    task = Task(nothing())
    await asyncio.wait([task])
    return task


async def seen_by_the_collector():
    class Holds:
        def __del__(self):
            risen.append(self.task)
            del self.task

    async def child():
        return Holds()

    risen = []
    task = await ended(child())
    task.result().task = task
    del task
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()
    assert gc.is_finalized(risen[0])
    return risen.pop()


async def registered_again():
    task = await ended()
    asyncio.tasks._register_task(task)
    return task


@pytest.mark.parametrize("make", [with_attribute, with_dict, with_weak_reference, failed, cancelled, of_a_subclass,
                                  of_a_class_that_dies_as_task_does, seen_by_the_collector, registered_again])
def test_asyncio_frees_what_is_not_simple(make):
    async def main():
        assert await kept(ended) == 1
        assert await kept(make) == 0
        assert len(asyncio.all_tasks()) == 1
        await fill(50)

    run(main)
    if make is with_weak_reference:
        assert WATCHES[0]() is None and WATCHES[1] is WATCHES[0]


def test_memory_is_handed_out_again():
    async def main():
        await fill(20)
        there = _cendre.tasks_shelf()
        assert there >= 20
        places = {id(asyncio.create_task(nothing())) for _ in range(there)}
        assert len(places) == there and _cendre.tasks_shelf() == 0
        more = asyncio.create_task(nothing())
        assert id(more) not in places
        await more

    run(main)


def test_a_class_is_held_by_its_tasks_only():
    async def main():
        await fill(100)
        gc.collect()
        held = sys.getrefcount(asyncio.Task)
        await fill(100)
        assert _cendre.tasks_shelf() >= 100 and sys.getrefcount(asyncio.Task) == held
        tasks = [asyncio.create_task(nothing()) for _ in range(50)]
        assert sys.getrefcount(asyncio.Task) == held + 50
        await asyncio.gather(*tasks)

    run(main)


def test_so_many_are_kept_and_no_more():
    async def main():
        await fill(3 * LONGEST)
        assert _cendre.tasks_shelf() == LONGEST
        blocks = sys.getallocatedblocks()
        gc.collect()
        assert _cendre.tasks_shelf() == 0 and sys.getallocatedblocks() <= blocks - LONGEST

    run(main)


def test_collections_elsewhere():
    interpreters = pytest.importorskip("_interpreters")

    async def main():
        await fill(20)
        there = _cendre.tasks_shelf()
        other = interpreters.create("isolated")
        assert interpreters.exec(other, "import gc\ngc.collect()") is None
        interpreters.destroy(other)
        assert _cendre.tasks_shelf() == there >= 20

    run(main)


def test_tracemalloc_sees_each_task():
    async def main():
        await fill(20)
        tracemalloc.start()
        try:
            there = _cendre.tasks_shelf()
            tasks = [asyncio.create_task(nothing()) for _ in range(5)]
            assert all(map(tracemalloc.get_object_traceback, tasks))
            await asyncio.gather(*tasks)
            del tasks
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert _cendre.tasks_shelf() == there
        finally:
            tracemalloc.stop()
        assert await kept(ended) == 1

    run(main)


def in_process(code, *options, **env):
    done = subprocess.run([sys.executable, *options, "-c", code], env=os.environ | env, capture_output=True, text=True, timeout=100,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.split()


START = """
import asyncio, gc
from cendre import _cendre, aio
async def nothing(): pass
async def fill():
    await asyncio.gather(*[nothing() for _ in range(50)])
    await asyncio.sleep(0)
    return _cendre.tasks_shelf() >= 50
"""


def test_nothing_is_kept_when_no_loop_is_left():
    assert in_process(START + """
print(aio.run(fill(), policy="exact"))
gc.collect = None        # Not by this.
print(_cendre.tasks_shelf())
""") == ["True", "0"]


def test_the_last_loop_dies_with_a_task():
    """The task holds the last reference to its loop, whose end empties the shelf before the task's own memory is put there."""
    assert in_process(START + """
loop = aio.new_event_loop()
print(loop.run_until_complete(fill()))
async def ended():
    task = asyncio.create_task(nothing())
    await task
    return task
task = loop.run_until_complete(ended())
asyncio.set_event_loop(None)
loop.run_until_complete(asyncio.sleep(0))
loop.close()
del loop
print(_cendre.tasks_shelf() >= 50)
del task
print(_cendre.tasks_shelf())
""") == ["True", "True", "0"]


@pytest.mark.parametrize("options, env", [((), {"PYTHONMALLOC": "debug"}), (("-X", "tracemalloc"), {})])
def test_who_wants_to_see_each_block(options, env):
    assert in_process(START + "print(aio.run(fill(), policy='exact'), _cendre.tasks_shelf())", *options, **env) == ["False", "0"]


@pytest.mark.parametrize("slot", ["alloc", "free", "dealloc"])
def test_somebody_elses_functions(slot):
    """A function of `Task` is somebody else's before asyncio is looked at: it sees each task."""
    assert in_process("""
import asyncio, ctypes
kinds = {"alloc": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ssize_t), "free": (None, ctypes.c_void_p), "dealloc": (None, ctypes.c_void_p)}
known = {"alloc": "PyType_GenericAlloc", "free": "PyObject_GC_Del"}
slot = SLOT
kind = ctypes.PYFUNCTYPE(*kinds[slot])
words = (ctypes.c_size_t * 51).from_address(id(asyncio.Task))
place = 6
if slot in known:
    place, = [n for n, w in enumerate(words) if w == ctypes.cast(getattr(ctypes.pythonapi, known[slot]), ctypes.c_void_p).value]
theirs, calls = kind(words[place]), []
@kind
def ours(*args):
    calls.append(None)
    return theirs(*args)
before = words[place]
words[place] = ctypes.cast(ours, ctypes.c_void_p).value
""".replace("SLOT", repr(slot)) + START + """
print(aio.run(fill(), policy="exact"), _cendre.tasks_shelf(), len(calls) >= 50)
words[place] = before
""") == ["False", "0", "True"]


@every
def test_a_context_in_such_memory_is_new(policy):
    other = contextvars.ContextVar("other")

    async def sets(note, n):
        note((VARIABLE.get(None), other.get(None)))
        VARIABLE.set(n)
        other.set(Dies(note, f"value {n}"))
        note(len(contextvars.copy_context()))

    async def main(note):
        for n in range(3):
            VARIABLE.set(f"main {n}")
            tasks = [asyncio.create_task(sets(note, n)) for n in range(3)]
            refs = [weakref.ref(task.get_context()) for task in tasks]
            note([dict(task.get_context()) == dict(contextvars.copy_context()) for task in tasks])
            await asyncio.gather(*tasks)
            note([ref() is not None for ref in refs])
            note(sorted(task.get_context()[VARIABLE] for task in tasks))
            kept = tasks[1].get_context()
            del tasks
            await fill()
            note([ref() is kept for ref in refs])
            note((kept[VARIABLE], kept.run(VARIABLE.get), VARIABLE.get()))
            del kept
            note([ref() for ref in refs])
    same(main, policy)


def test_only_a_context_that_nobody_has_is_kept():
    async def main():
        async def left(how):
            gc.collect()
            await fill()
            task = asyncio.create_task(nothing())
            held = how(task)
            for _ in range(3):
                await asyncio.sleep(0)
            before = _cendre.tasks_contexts()
            del task
            assert _cendre.tasks_contexts() - before in (0, 1)
            return _cendre.tasks_contexts() - before, held
        ways = (lambda task: None, lambda task: task.get_context(), lambda task: weakref.ref(task.get_context()))
        return [(await left(how))[0] for how in ways]
    assert run(main) == [1, 0, 0]


def test_a_full_collection_and_the_end_of_the_last_loop_give_contexts_back():
    async def main():
        await fill(50)
        before = _cendre.tasks_contexts()
        gc.collect()
        await fill(5)
        return before, _cendre.tasks_contexts()
    before, after = run(main)
    assert before >= 50 and 0 < after < 50
    gc.collect()
    assert _cendre.tasks_contexts() == 0


def test_contexts_are_counted_by_the_collector_as_cpython_counts_them():
    """Not the 255 that lie on CPython's own list, as long as they lie there; so a task and a coroutine each, and a context each for the rest."""
    async def main():
        for n in (10, 300, 900, 600):
            await fill(n)
            before = gc.get_count()[0]
            tasks = [asyncio.create_task(nothing()) for _ in range(n)]
            made = gc.get_count()[0] - before
            await asyncio.gather(*tasks)
            del tasks
            yield n, made - 2 * n - max(0, n - 255)

    async def collects():
        return [entry async for entry in main()]
    found = run(collects)
    assert all(abs(more) < 5 for _, more in found), found
