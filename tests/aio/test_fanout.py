"""`gather`, `TaskGroup` and `create_task` made natively: what they make is what asyncio's Python code would have made.

Invariant: each test has seen that native code ran, by `aio.stats()`, or that it did not where it must not.
"""

import asyncio
import contextlib
import contextvars
import re
import sys
import threading

import pytest
from cendre import _cendre, aio
from test_cases import child, noted, same

NATIVE = pytest.mark.parametrize("policy", ["off", "exact", "eager"])


def made():
    """How many tasks and gathers were made natively since the last `aio.reset_stats()`."""
    stats = aio.stats()
    return stats["tasks_made"], stats["gathers_made"]


async def nothing():
    pass


def looks(future):
    """What can be seen of a future or task, addresses and numbers apart."""
    text = re.sub(r"0x[0-9a-f]+|Task-\d+", "...", repr(future))
    words = _cendre.tasks_peek(future)
    callbacks = future._callbacks or []
    return (text, [(word == 0, word & 0xffff_ffff_ffff_ffff if place in (13, 14) else 0) for place, word in enumerate(words[2:], 2)],
            [(type(callback), callback.__qualname__, getattr(callback, "__defaults__", None) is not None,
              [type(cell.cell_contents) for cell in getattr(callback, "__closure__", None) or ()], type(context))
             for callback, context in callbacks],
            [hasattr(future, name) for name in ("_children", "_cancel_requested")], len(future._asyncio_awaited_by or ()))


@NATIVE
def test_what_is_made_looks_as_ever(policy):
    """Word by word, before a step, and after."""
    async def main(note):
        spawned = asyncio.create_task(nothing())
        note(looks(spawned))
        note(looks(asyncio.get_running_loop().create_task(nothing())))
        outer = asyncio.gather(nothing(), asyncio.sleep(0, 1), spawned, return_exceptions=True)
        note(looks(outer))
        for task in outer._children:
            note(looks(task))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(nothing())
            note(looks(task))
            note((task in group._tasks, task in asyncio.all_tasks(), len(asyncio.all_tasks())))
        note(looks(task))
        note(await outer)
        note(looks(outer))
        for task in outer._children:
            note(looks(task))

    aio.reset_stats()
    assert same(main, policy)[-1] == ("value", None)
    assert made() == (5, 1)


@NATIVE
def test_names_are_numbered_as_ever(policy):
    async def main(note):
        first = int(asyncio.current_task().get_name()[5:])
        tasks = [asyncio.create_task(nothing()), *asyncio.gather(nothing(), nothing())._children]
        named = asyncio.create_task(nothing(), name="mine")
        tasks += [named, asyncio.create_task(nothing())]
        await asyncio.wait(tasks)
        return [t.get_name() if t is named else int(t.get_name()[5:]) - first for t in tasks]

    aio.reset_stats()
    assert same(main, policy) == [("value", [1, 2, 3, "mine", 4])]
    assert made() == (4, 1)


@NATIVE
@pytest.mark.parametrize("kind", ["same twice", "done", "foreign", "awaitable", "nothing", "mistake"])
def test_arguments_that_asyncio_deals_with(policy, kind):
    """The same coroutine twice, futures that are done or no coroutines: asyncio's own code, with the same outcome."""
    class Awaitable:
        def __await__(self):
            yield
            return "awaited"

    class Mine(asyncio.Future):
        pass

    async def main(note):
        coro, loop = child(note, 1), asyncio.get_running_loop()
        done, mine = loop.create_future(), Mine(loop=loop)
        done.set_result("done")
        loop.call_soon(mine.set_result, "mine")
        given = {"same twice": (coro, coro), "done": (done, coro), "foreign": (mine, coro), "awaitable": (Awaitable(), coro),
                 "nothing": (), "mistake": (coro, 3)}[kind]
        try:
            return await asyncio.gather(*given)
        finally:
            coro.close()

    aio.reset_stats()
    same(main, policy)
    assert made()[1] == (policy == "eager" and kind == "done")  # A child may be done at once there, so such futures are nothing special.


@NATIVE
def test_many_children_and_the_same_twice_among_them(policy):
    async def main(note):
        coros = [child(note, i) for i in range(200)]
        coros.insert(150, coros[3])
        return await asyncio.gather(*coros)

    (*_, (how, values)) = same(main, policy)
    assert how == "value" and values[150] == 3 and len(values) == 201


@NATIVE
def test_many_children_are_made_natively_and_are_as_they_were(policy):
    async def main(note):
        loop = asyncio.get_running_loop()
        coros = [child(note, i) for i in range(100)]
        futures = [loop.create_future() for _ in range(3)]
        outer = asyncio.gather(*coros, *futures)
        note({coro.cr_suspended or coro.cr_running for coro in coros})
        for future in futures:
            future.set_result(None)
        note(len(await outer))
        for what in (coros, futures):
            with pytest.raises(RuntimeError) if what is coros else contextlib.nullcontext():
                await asyncio.gather(*[child(note, i) for i in range(20)], *what[:1])

    aio.reset_stats()
    same(main, policy)
    assert made()[1] == (3 if policy == "eager" else 2)


@NATIVE
def test_what_the_program_has_replaced_is_used(policy, monkeypatch):
    async def main(note):
        loop = asyncio.get_running_loop()

        def factory(loop, coro, **how):
            note("factory")
            return asyncio.Task(coro, loop=loop, **how)

        class Mine(asyncio.Task):
            pass

        loop.set_task_factory(factory)
        await asyncio.gather(child(note, 1), child(note, 2))
        async with asyncio.TaskGroup() as group:
            group.create_task(child(note, 3))
        await asyncio.create_task(child(note, 4))
        loop.set_task_factory(None)
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.tasks, "Task", Mine)
            note(type(loop.create_task(child(note, 5))).__name__)
            patch.setattr(asyncio.tasks, "ensure_future", lambda coro, loop: note("ensured") or loop.create_task(coro))
            patch.setattr(asyncio.tasks, "Task", asyncio.Task)
            await asyncio.gather(child(note, 6))
        loop.set_debug(True)
        note(asyncio.create_task(child(note, 7))._source_traceback is None)
        loop.set_debug(False)

    aio.reset_stats()
    notes = same(main, policy)
    assert notes.count("factory") == 4 and "Mine" in notes and "ensured" in notes
    assert made()[0] == 1       # The one that `ensure_future` above makes.


@NATIVE
def test_loops_with_a_create_task_of_their_own(policy):
    class Loop(asyncio.SelectorEventLoop):
        made = 0

        def create_task(self, coro, **how):
            Loop.made += 1
            return super().create_task(coro, **how)

    def make():
        loop = Loop()
        aio.install(loop, policy=policy)
        return loop

    async def main():
        return await asyncio.gather(nothing(), nothing())

    aio.reset_stats()
    with asyncio.Runner(loop_factory=make) as runner:
        assert runner.run(main()) == [None, None]
    assert Loop.made >= 3 and made() == (0, 0)


@NATIVE
@pytest.mark.parametrize("fails", ["ValueError", "CancelledError"])
@pytest.mark.parametrize("returns", [False, True])
def test_failures(policy, fails, returns):
    async def bad(note):
        note("bad")
        raise {"ValueError": ValueError, "CancelledError": asyncio.CancelledError}[fails]("x")

    async def main(note):
        try:
            note([str(x) for x in await asyncio.gather(child(note, 1), bad(note), child(note, 2), return_exceptions=returns)])
        except (ValueError, asyncio.CancelledError) as error:
            note(repr(error))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(c) for c in (child(note, 3), bad(note), child(note, 4))]
        except* ValueError as error:
            note(repr(error))
        return [t.cancelled() for t in tasks]

    aio.reset_stats()
    same(main, policy)
    assert made()[0] >= 3


@NATIVE
def test_what_is_put_between_keeps_its_place(policy):
    """Callbacks and tasks that come between children and their done callbacks."""
    async def busy(note, n):
        note(n)
        asyncio.get_running_loop().call_soon(note, ("callback", n))
        if n % 3 == 0:
            asyncio.get_running_loop().call_soon_threadsafe(note, ("threadsafe", n))
        if n % 2:
            asyncio.create_task(child(note, -n))
        if n == 4:
            await asyncio.sleep(0)
            note("slept")
        return n

    async def main(note):
        spawned = asyncio.create_task(child(note, "spawned"))
        spawned.add_done_callback(lambda task: note("spawned is done"))
        note(await asyncio.gather(*[busy(note, i) for i in range(7)]))
        await asyncio.sleep(0)
        asyncio.create_task(child(note, "first"))
        asyncio.get_running_loop().call_soon(note, "then")
        asyncio.create_task(child(note, "last"))
        await asyncio.sleep(0)
        async with asyncio.TaskGroup() as group:
            for i in range(5):
                group.create_task(busy(note, i))
            asyncio.get_running_loop().call_soon(note, "between")
            group.create_task(busy(note, 5))

    aio.reset_stats()
    same(main, policy)
    assert made()[0] > 15


@NATIVE
def test_children_that_join_a_group_while_it_ends(policy):
    async def more(group, note, n):
        note(n)
        if n:
            group.create_task(more(group, note, n - 1))

    async def main(note):
        async with asyncio.TaskGroup() as group:
            group.create_task(more(group, note, 5))
        try:
            group.create_task(late := nothing())
        except RuntimeError as error:
            note(str(error)[-12:])
        late.close()

    aio.reset_stats()
    same(main, policy)
    assert made()[0] == 6


CALLERS = []


class Ordered(dict):
    """An ordered set."""

    def add(self, task):
        self[task] = None
        CALLERS.append(sys._getframe(1).f_code.co_name)

    def discard(self, task):
        self.pop(task, None)


class OrderedWithLength(Ordered):
    def __len__(self):
        return super().__len__()


class OrderedWithTruth(Ordered):
    def __bool__(self):
        return self.keys() != set()


@NATIVE
@pytest.mark.parametrize("kind", [Ordered, OrderedWithLength, OrderedWithTruth])
def test_a_group_that_keeps_its_tasks_in_another_set(policy, kind):
    """Random programs have such groups. Native as long as asking whether there are tasks runs no code."""
    async def more(group, note, n):
        note(n)
        if n:
            group.create_task(more(group, note, n - 1))
        await asyncio.sleep(0)

    async def main(note):
        async with asyncio.TaskGroup() as group:
            group._tasks = kind()
            group.create_task(more(group, note, 5))
        note(len(group._tasks))

    same(main, policy)
    CALLERS.clear()
    aio.run(main(lambda what: None), policy=policy)
    # While the group is not ending nobody asks; under `eager` all are made then.
    native = kind is Ordered or policy == "eager"
    assert sorted(CALLERS) == (["main"] + ["more"] * 5 if native else ["create_task"] * 5 + ["main"])


@NATIVE
def test_contexts_are_copies(policy):
    var = contextvars.ContextVar("var")

    async def sets(note, n):
        note(var.get())
        var.set(n)
        await asyncio.sleep(0)
        note(var.get())

    async def main(note):
        var.set("parent")
        outer = asyncio.gather(*[sets(note, i) for i in range(3)])
        var.set("changed")
        task = asyncio.create_task(sets(note, "task"))
        await asyncio.gather(outer, task)
        return var.get()

    aio.reset_stats()
    assert same(main, policy)[-1] == ("value", "changed")
    assert made() == (4, 2)


@pytest.mark.parametrize("policy", ["off", "exact"])
def test_stopping_and_leaving_with_children_in_the_queue(policy):
    """What was not run is in the queue when the loop ends, and runs when it goes on."""
    async def interrupts(note):
        note("interrupts")
        raise KeyboardInterrupt

    async def main(note):
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.stop)
        for i in range(3):
            asyncio.create_task(child(note, i))
        await asyncio.sleep(0)
        note("again")
        outer = asyncio.gather(child(note, 3), interrupts(note), child(note, 4))
        await outer

    def run(policy):
        notes = []
        loop = asyncio.new_event_loop()
        if policy:
            aio.install(loop, policy=policy)
        task = loop.create_task(main(notes.append))
        for _ in range(4):
            try:
                loop.run_forever() if not task.done() else None
            except KeyboardInterrupt:
                notes.append("out")
                loop.call_soon(loop.stop)
            notes.append(len(loop._ready))
        notes.append(task.done())
        for left in asyncio.all_tasks(loop):
            left.cancel()
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        return notes

    aio.reset_stats()
    assert run(policy) == run(None)
    assert made()[0] >= 3


@NATIVE
def test_two_loops_in_two_threads(policy):
    results = []

    async def main():
        total = 0
        for _ in range(200):
            total += sum(await asyncio.gather(*[asyncio.sleep(0, i) for i in range(3)], *[pair(i) for i in range(3)]))
        return total

    async def pair(n):
        return sum(await asyncio.gather(asyncio.sleep(0, n), asyncio.sleep(0, n)))

    threads = [threading.Thread(target=lambda: results.append(aio.run(main(), policy=policy))) for _ in range(3)]
    aio.reset_stats()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [200 * 9] * 3
    assert made()[0] > 3000


@pytest.mark.parametrize("what", ["factory", "own factory", "ensure_future", "done", "failed", "cancelled", "debug", "group", "names", "all_tasks", "variable"])
def test_eager_children_that_change_what_comes_after(what, monkeypatch):
    """A child of a gather or group that starts at once may change what the next ones meet."""
    variable = contextvars.ContextVar("variable", default=0)

    class Own(asyncio.Task):
        pass

    async def changes(note, future):
        loop = asyncio.get_running_loop()
        variable.set(variable.get() + 1)
        if what == "factory":
            loop.set_task_factory(None)
        elif what == "own factory":
            loop.set_task_factory(lambda loop, coro, **how: Own(coro, loop=loop, **how))
        elif what == "ensure_future":
            stock = asyncio.ensure_future
            monkeypatch.setattr(asyncio.tasks, "ensure_future", lambda arg, loop=None: (note("own"), stock(arg, loop=loop))[1])
        elif what == "done":
            future.set_result("set")
        elif what == "failed":
            future.set_exception(ValueError("set"))
        elif what == "cancelled":
            future.cancel()
        elif what == "debug":
            loop.set_debug(True)
        elif what == "names":
            note(sorted(int(task.get_name()[5:]) for task in asyncio.all_tasks())[-1] - int(asyncio.current_task().get_name()[5:]))
        elif what == "all_tasks":
            note((asyncio.current_task() in asyncio.all_tasks(), asyncio.current_task().get_coro() is not None))
        note((variable.get(), asyncio.current_task().done()))
        return "changed"

    async def late(note, n):
        note(("late", n, variable.get()))
        await asyncio.sleep(0)
        note(("later", n))
        return n

    async def main(note):
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if what not in ("done", "failed", "cancelled"):
            loop.call_later(0.001, future.set_result, None)
        children = [child(note, 0), changes(note, future), child(note, 1), future, late(note, 2), child(note, 3)]
        try:
            if what == "group":
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(c) for c in children if c is not future]
                    note([(task.done(), task.get_coro() is None, task in asyncio.all_tasks()) for task in tasks])
                await future
            else:
                outer = asyncio.gather(*children)
                note([(type(task).__name__, task.done(), getattr(task, "_log_destroy_pending", None)) for task in outer._children])
                note(await outer)
        except ValueError as error:
            note(repr(error))
        finally:
            loop.set_debug(False)
            monkeypatch.undo()
        note(variable.get())

    aio.reset_stats()
    same(main, "eager")
    assert made()[0] >= 2


@NATIVE
def test_a_tool_sees_asyncios_own_code(policy):
    """Under a profiler nothing is made natively: it sees `gather` and the rest run."""
    import sys

    async def main(note):
        seen = set()
        sys.setprofile(lambda frame, event, arg: seen.add(frame.f_code.co_qualname) if event == "call" else None)
        try:
            await asyncio.gather(nothing())
            async with asyncio.TaskGroup() as group:
                group.create_task(nothing())
        finally:
            sys.setprofile(None)
        return sorted(name for name in seen if name in ("gather", "TaskGroup.create_task", "gather.<locals>._done_callback",
                                                         "TaskGroup._on_task_done", "BaseEventLoop.create_task"))

    aio.reset_stats()
    assert len(same(main, policy)[-1][1]) == 5
    assert made() == (0, 0)


def test_without_a_policy_nothing_is_native():
    aio.reset_stats()

    async def main(note):
        await asyncio.gather(nothing(), nothing())

    noted(main, None)
    assert made() == (0, 0)
