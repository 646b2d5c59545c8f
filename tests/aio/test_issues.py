"""Faults that CPython's tracker has of tasks that start early, each under every policy: what happens is what plain asyncio makes of it.

Invariant: no case waits for real time longer than some milliseconds.
"""

import asyncio
import contextvars
import threading
from asyncio import staggered

import pytest
from test_cases import child, every, same

LAZY = pytest.mark.parametrize("policy", ["off", "exact", "family"])


@every
@pytest.mark.parametrize("delay", [None, 0.001])
def test_races_that_end_before_they_are_all_on(policy, delay):
    """124309."""
    async def fails(note, n):
        note(("fails", n))
        raise ValueError(n)

    async def slow(note, n):
        note(("slow", n))
        await asyncio.sleep(0)
        return await child(note, n)

    async def main(note):
        for kinds in ((child, child), (fails, child), (slow, slow, child), (fails, fails)):
            runners = [lambda kind=kind, n=n: kind(note, n) for n, kind in enumerate(kinds)]
            value, index, errors = await staggered.staggered_race(runners, delay)
            note((value, index, [repr(error) for error in errors]))

    same(main, policy)


@every
def test_a_group_whose_child_fails_at_once(policy):
    """128588: the cancellation that ends the group does not leak out of it."""
    async def fails():
        raise ValueError("at once")

    async def main(note):
        for waits in range(3):
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fails())
                    for n in range(waits):
                        note(n)
                        await asyncio.sleep(0)
            except* ValueError as error:
                note(repr(error))
            note(asyncio.current_task().cancelling())
            await asyncio.sleep(0)

    same(main, policy)


@every
def test_a_child_that_starts_one_that_fails(policy):
    """128550: the child in between, which the group does not have yet if it starts at once, is not forgotten. (It is, with asyncio's eager factory: the
    timeout ends that.)"""
    async def fails():
        raise RuntimeError("third")

    async def between(note, group, stop):
        group.create_task(fails())
        try:
            await stop.wait()
        finally:
            note("between ends")

    async def main(note):
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.005, stop.set)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(between(note, group, stop))
        except* RuntimeError as error:
            note(repr(error))

    same(main, policy)


@every
def test_a_child_that_ends_its_group_before_it_waits(policy):
    """155418, likewise."""
    async def ends(note, group, stop):
        group._abort()
        try:
            await stop.wait()
        finally:
            note("ends")

    async def main(note):
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.005, stop.set)
        async with asyncio.TaskGroup() as group:
            group.create_task(ends(note, group, stop))

    same(main, policy)


@LAZY
def test_a_context_that_is_entered(policy):
    """157301. (With asyncio's eager factory the thread cannot be used after it.) A child starts in the context of the task that waits for it."""
    async def main(note):
        context = contextvars.copy_context()

        async def parent():
            for how in (asyncio.create_task, asyncio.get_running_loop().create_task):
                note(await how(child(note, 1), context=context))
            async with asyncio.TaskGroup() as group:
                group.create_task(child(note, 2), context=context)

        await asyncio.create_task(parent(), context=context)

    same(main, policy)


@every
def test_tasks_made_by_another_thread(policy):
    """155338: nobody steps a task in a thread that does not run its loop."""
    async def steps(note):
        note(("steps", threading.current_thread() is threading.main_thread(), asyncio.current_task() is not None))

    async def main(note):
        loop, made = asyncio.get_running_loop(), []

        def make():
            for how in (loop.create_task, lambda coro: asyncio.Task(coro, loop=loop), lambda coro: asyncio.Task(coro, loop=loop, eager_start=True),
                        lambda coro: asyncio.eager_task_factory(loop, coro), asyncio.gather, asyncio.create_task,
                        lambda coro: asyncio.ensure_future(coro, loop=loop)):
                coro = steps(note)
                try:
                    made.append(how(coro))
                    note(type(made[-1]).__name__)
                except RuntimeError as error:
                    note(str(error).partition(" <")[0].partition(" in thread")[0])
                    coro.close()

        # The loop's thread waits: the order of both is always the same.
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        await asyncio.wait(made)
        note([task.result() for task in made])

    want = same(main, policy)
    assert ("steps", False, True) not in want and ("steps", True, True) in want
