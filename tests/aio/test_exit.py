"""The end of a `TaskGroup`: natively where its children end while it waits, and asyncio's own coroutines wherever somebody can see them."""

import asyncio
import gc
import subprocess
import sys
import traceback
import types
import weakref

import pytest
from cendre import aio

POLICIES = ("exact", "family")


def run(main, policy="exact"):
    """What it returns, and how many groups ended natively and suspended natively."""
    aio.reset_stats()
    result = aio.run(main(), policy=policy, budget=1.0)
    stats = aio.stats()
    assert stats["faults"] == 0
    return result, stats["groups_ended"], stats["groups_suspended"]


async def child(n=0):
    return n


async def waits(turns=1):
    for _ in range(turns):
        await asyncio.sleep(0)
    return turns


def awaited(coroutine):
    """What is awaited below a coroutine that waits: names, lines, arguments and other locals."""
    found = []
    while asyncio.iscoroutine(coroutine):
        frame = coroutine.cr_frame
        local = {k: type(v).__name__ for k, v in frame.f_locals.items()}
        found.append((coroutine.__qualname__, frame.f_lineno, frame.f_lasti, coroutine.cr_running, coroutine.cr_suspended, local))
        coroutine = coroutine.cr_await
    return found, type(coroutine).__name__


@pytest.mark.parametrize("policy", POLICIES)
def test_a_group_whose_children_end_at_once_needs_no_coroutine(policy):
    async def main():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(i)) for i in range(5)]
        async with asyncio.TaskGroup() as empty:
            pass
        state = [(g._entered, g._exiting, g._aborting, g._tasks, g._errors, g._base_error, g._parent_task, g._on_completed_fut)
                 for g in (group, empty)]
        return [task.result() for task in tasks], state
    plain = asyncio.run(main())
    assert run(main, policy) == (plain, 2, 0)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_group_that_waits_is_seen_as_in_asyncio(policy):
    async def main():
        seen = []

        async def looks(task):
            await asyncio.sleep(0)
            frames = [(f.f_code.co_qualname, f.f_lineno) for f in task.get_stack()]
            graph = asyncio.capture_call_graph(task)
            seen.append((awaited(task.get_coro()), frames, [entry.frame.f_code.co_qualname for entry in graph.call_stack]))

        async with asyncio.TaskGroup() as group:
            group.create_task(looks(asyncio.current_task()))
            group.create_task(child())
        return seen
    assert run(main, policy) == (asyncio.run(main()), 0, 1)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_thrown_into_a_group_that_waits(policy):
    async def main():
        async def cancels(task):
            await waits(3)
            task.cancel("enough")

        async def group():
            async with asyncio.TaskGroup() as group:
                group.create_task(waits(50))
                group.create_task(cancels(asyncio.current_task()))
        try:
            await asyncio.create_task(group())
        except asyncio.CancelledError as error:
            return traceback.format_exception(error)
    plain = asyncio.run(main())
    ours, _, suspended = run(main, policy)
    assert suspended == 1

    def mine(lines):
        return [line for line in lines if "/cendre/" not in line and "base_events" not in line and "/runners.py" not in line]
    assert mine(ours) == mine(plain)


@pytest.mark.parametrize("policy", POLICIES)
def test_children_that_fail(policy):
    async def main():
        async def fails():
            raise ValueError("mine")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
                group.create_task(child())
                group.create_task(waits(5))
        except ExceptionGroup as errors:
            return traceback.format_exception(errors.exceptions[0]), asyncio.current_task().cancelling(), errors.__context__
    plain = asyncio.run(main())

    def mine(answer):
        return [line for line in answer[0] if "/cendre/" not in line], *answer[1:]
    assert mine(run(main, policy)[0]) == mine(plain)


@pytest.mark.parametrize("policy", POLICIES)
def test_children_that_make_children(policy):
    async def main():
        done = []

        async def more(group, n):
            done.append(n)
            if n:
                group.create_task(more(group, n - 1))

        class Last:
            def __init__(self, group):
                self.group = group

            def __call__(self, task):
                if not done.count("again"):
                    done.append("again")
                    self.group.create_task(more(self.group, 2))

        async with asyncio.TaskGroup() as group:
            group.create_task(more(group, 3)).add_done_callback(Last(group))
            group.create_task(more(group, 1))
        return done
    plain, ours = asyncio.run(main()), run(main, policy)[0]
    assert ours == plain if policy == "exact" else sorted(map(str, ours)) == sorted(map(str, plain))


def test_a_callback_that_makes_a_child_when_the_group_is_done():
    """The group's future holds a value, and there is a child again: it waits once more."""
    async def main():
        ran = []

        async def late():
            ran.append("late")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(child())
            task.add_done_callback(lambda _: asyncio.get_running_loop().call_soon(ran.append, "soon"))
            asyncio.get_running_loop().call_soon(lambda: group.create_task(late()))
        return ran
    assert run(main)[0] == asyncio.run(main())


def test_a_group_with_an_attribute_of_its_own_ends_as_asyncio_ends_it():
    async def main():
        async def mine(et, exc):
            told.append(et)
            return None
        told = []
        async with asyncio.TaskGroup() as group:
            group._aexit = mine
        return told, group._parent_task
    assert run(main) == (([None], None), 0, 0)


def test_a_group_that_somebody_has_looked_into_ends_as_asyncio_ends_it():
    async def main():
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            inside = vars(group)
        return inside["_exiting"], inside["_on_completed_fut"], inside["_errors"], vars(group) is inside
    assert run(main)[0] == (True, None, None, True)


def test_an_exit_that_is_called_by_hand_is_a_coroutine():
    async def main():
        group = asyncio.TaskGroup()
        await group.__aenter__()
        group.create_task(child())
        coroutine = group.__aexit__(None, None, None)
        assert isinstance(coroutine, types.CoroutineType) and coroutine.__qualname__ == "TaskGroup.__aexit__"
        await coroutine
        await asyncio.TaskGroup.__aexit__(await asyncio.TaskGroup().__aenter__(), None, None, None)
    assert run(main) == (None, 0, 0)


def test_a_group_dies_with_its_block():
    async def main():
        async def one():
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
                ref = weakref.ref(group)
            del group
            return ref() is None

        async def waiting():
            async with asyncio.TaskGroup() as group:
                group.create_task(waits(3))
                ref = weakref.ref(group)
            del group
            return ref() is None
        return await one(), await waiting()
    gc.disable()
    try:
        assert run(main)[0] == asyncio.run(main())
    finally:
        gc.enable()


def test_tools_that_come_while_a_group_waits():
    async def main():
        events = []

        def tool(frame, event, arg):
            if "taskgroups" in frame.f_code.co_filename:
                events.append((frame.f_code.co_name, event))
            return tool

        async def begins():
            sys.settrace(tool)
        async with asyncio.TaskGroup() as group:
            group.create_task(begins())
            group.create_task(child())
        sys.settrace(None)
        return [e for e in events if e[0] != "_on_task_done" and e[1] != "line"]
    assert run(main)[0] == asyncio.run(main())


def test_a_class_that_somebody_has_patched():
    program = """if True:
    import asyncio
    from cendre import aio
    async def child(): pass
    async def main():
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
    aio.run(main())
    assert aio.stats()["groups_ended"] == 1
    told = []
    before = asyncio.TaskGroup._aexit
    async def mine(self, et, exc):
        told.append(et)
        return await before(self, et, exc)
    asyncio.TaskGroup._aexit = mine
    aio.run(main())
    assert told == [None], told
    assert aio.stats()["groups_ended"] == 1
    """
    subprocess.run([sys.executable, "-c", program], check=True)
