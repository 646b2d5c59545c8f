"""Known traps of tasks that start early, each under every policy: what happens is what plain asyncio makes of it.

`same` runs a coroutine function under plain asyncio and under a policy and compares what it noted. Cases of which the bound
counts are asserted too. Invariant: no case waits for real time longer than a few milliseconds.
"""

import asyncio
import contextvars
import gc
import logging
import sys
import threading
import weakref

import pytest
from cendre import aio

POLICIES = ("off", "exact", "family", "eager")
every = pytest.mark.parametrize("policy", POLICIES)


def noted(main, policy, debug=None, factory=None):
    """What `main(note)` noted, and how it ended."""
    notes = []

    def make():
        loop = asyncio.new_event_loop()
        if policy:
            aio.install(loop, policy=policy)
        elif factory:
            loop.set_task_factory(factory)
        loop.set_exception_handler(lambda loop, context: notes.append((context["message"].partition(" at 0x")[0],
                                                                        type(context.get("exception")).__name__)))
        return loop

    # What a task says when the collector finds it must not depend on when that runs.
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=make, debug=debug) as runner:
            try:
                notes.append(("value", runner.run(main(notes.append))))
            except BaseException as error:
                notes.append(("raised", type(error).__name__, str(error)))
        return notes.copy()
    finally:
        gc.enable()


def same(main, policy, family=None, **how):
    """Plain asyncio (with its eager factory, where that is the policy) notes the same; `family`: what that policy notes instead."""
    factory = asyncio.eager_task_factory if policy == "eager" else None
    want, got = noted(main, None, factory=factory, **how), noted(main, policy, **how)
    assert got == (family if family is not None and policy == "family" else want)
    return want


async def child(note, n):
    note(("child", n))
    return n


@every
def test_flat_fan_outs(policy):
    async def main(note):
        note(await asyncio.gather(*[child(note, i) for i in range(10)]))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(note, i)) for i in range(3)]
            note("still in the group")
        return [task.result() for task in tasks]

    aio.reset_stats()
    same(main, policy)
    stats = aio.stats()
    assert stats["steps"] >= (2 if policy == "eager" else 15)
    assert stats["resumed_in_place"] == (2 if policy in ("exact", "family") else 0)


@every
def test_exception_that_is_handled_is_not_the_childs(policy):
    async def look(note):
        note(repr(sys.exception()))
        try:
            raise KeyError(1)
        except KeyError as error:
            note(repr(error.__context__))

    async def main(note):
        try:
            raise ValueError("the parent's")
        except ValueError:
            await asyncio.gather(look(note), look(note))
            note(repr(sys.exception()))

    want = same(main, policy)
    assert want[0] == "None" or policy == "eager"


@every
def test_context_is_entered_once(policy):
    """A child that is given the context its parent runs in."""
    variable = contextvars.ContextVar("variable", default=0)

    async def inc(note):
        variable.set(variable.get() + 1)
        note(variable.get())
        await asyncio.sleep(0)
        note(variable.get())

    async def main(note):
        context = asyncio.current_task().get_context()
        if policy != "eager":   # Plain asyncio's eager factory breaks the thread's state here.
            await asyncio.gather(*[asyncio.create_task(inc(note), context=context) for _ in range(3)])
        await asyncio.gather(inc(note), inc(note))
        note(variable.get())
        return context is asyncio.current_task().get_context()

    same(main, policy)
    asyncio.run(asyncio.sleep(0))  # The thread's state is in order.


@every
def test_chain_of_nested_children(policy):
    """3 000 levels: with asyncio's eager factory a RecursionError."""
    async def deep(n):
        if n:
            await asyncio.gather(deep(n - 1))
        return n

    async def main(note):
        try:
            note(await deep(3000))
        except RecursionError:
            note("RecursionError")

    got = noted(main, policy)
    assert (got[0] == 3000) == (policy != "eager")


@every
def test_timer_next_to_endless_gathers(policy):
    """Gathers whose children end at once, one after the other: the timer comes. (Under asyncio's eager factory it does not.)"""
    async def main(note):
        loop = asyncio.get_running_loop()
        fired = []
        loop.call_later(0.001, fired.append, True)
        rounds = 0
        while not fired and rounds < 20_000:
            await asyncio.gather(child(lambda _: None, 1), child(lambda _: None, 2))
            rounds += 1
        return bool(fired)

    assert noted(main, policy)[-1] == ("value", policy != "eager")


@every
def test_other_threads_are_heard(policy):
    """`run_coroutine_threadsafe` and sockets get their turn next to endless gathers."""
    async def main(note):
        loop = asyncio.get_running_loop()
        done = []

        def foreign():
            done.append(asyncio.run_coroutine_threadsafe(child(lambda _: None, 7), loop).result(20))

        thread = threading.Thread(target=foreign)
        thread.start()
        while not done:
            await asyncio.gather(child(lambda _: None, 1))
            if policy == "eager":
                await asyncio.sleep(0)
        while thread.is_alive():
            await asyncio.sleep(0)
        return done

    assert noted(main, policy)[-1] == ("value", [7])


@every
@pytest.mark.parametrize("whom", ["self", "parent", "sibling", "child"])
def test_cancel_from_a_nested_child(policy, whom):
    async def canceller(note, tasks):
        note(tasks[whom]().cancel("why"))
        await asyncio.sleep(0)
        note("went on")

    async def sleeper(note):
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError as error:
            note(("cancelled", str(error)))
            raise

    async def main(note):
        parent = asyncio.current_task()
        sibling = asyncio.create_task(sleeper(note))
        tasks = {"self": asyncio.current_task, "parent": lambda: parent, "sibling": lambda: sibling,
                 "child": lambda: asyncio.create_task(sleeper(note))}
        try:
            note(repr(await asyncio.gather(canceller(note, tasks), return_exceptions=True)))
        except asyncio.CancelledError as error:
            note(("parent", str(error), parent.cancelling()))
            parent.uncancel()
        sibling.cancel("end")
        note(len(await asyncio.gather(sibling, return_exceptions=True)))

    same(main, policy)


@every
def test_stop_from_a_nested_child(policy):
    async def stopper(note):
        asyncio.get_running_loop().stop()
        note("stopped")
        await asyncio.sleep(0)
        note("after")

    async def main(note):
        await asyncio.gather(stopper(note), child(note, 1))
        note("parent goes on")

    # Nothing starts on top of the parent any more, so under `family` the sibling comes in its turn, after the stop: too late.
    stopped = ("raised", "RuntimeError", "Event loop stopped before Future completed.")
    assert same(main, policy, family=["stopped", stopped])[0] == "stopped"


@every
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_interrupt_in_a_nested_child(policy, kind):
    """It goes to the loop, and not through the parent."""
    async def interrupts(note):
        note("raises")
        raise kind("now")

    async def middle(note):
        try:
            await asyncio.gather(interrupts(note))
        except BaseException as error:
            note(("middle saw", type(error).__name__))
            raise

    async def main(note):
        await asyncio.gather(middle(note), child(note, 1))

    # Under `family` it comes before the sibling has started, which then is cancelled.
    family = ["raises", ("raised", kind.__name__, "now"), ("middle saw", "CancelledError")]
    if policy == "eager":
        # asyncio's traceback keeps the middle task alive, as a local of `gather`: it says later that nobody asked for its exception.
        want, got = ([what for what in how if "never retrieved" not in str(what)]
                     for how in (noted(main, None, factory=asyncio.eager_task_factory), noted(main, policy)))
        assert got == want
    else:
        want = same(main, policy, family=family)
    if policy != "eager":
        assert ("middle saw", kind.__name__) not in want


@every
def test_task_factories(policy):
    made = []

    class Own(asyncio.Task):
        pass

    def factory(loop, coro, **how):
        made.append(coro.__name__)
        return Own(coro, loop=loop, **how)

    async def main(note):
        asyncio.get_running_loop().set_task_factory(factory)
        note(await asyncio.gather(child(note, 1), child(note, 2)))
        task = asyncio.create_task(child(note, 3), name="mine")
        note((type(task).__name__, task.get_name(), await task))

    same(main, policy)
    assert made.count("child") == 6     # The runner makes some tasks of its own.


@every
def test_debug_mode(policy, caplog):
    async def slow(note):
        import time
        time.sleep(0.12)
        return note("slow")

    async def main(note):
        await asyncio.gather(slow(note), child(note, 1))
        return asyncio.get_running_loop().get_debug()

    with caplog.at_level(logging.WARNING, "asyncio"):
        want = same(main, policy, debug=True)
    assert want[-1] == ("value", True)
    warned = [r.getMessage() for r in caplog.records if "Executing" in r.getMessage()]
    assert len(warned) == 2


@every
def test_spinner_beside_a_fan_out(policy):
    async def spinner(note, stop):
        turns = 0
        while not stop:
            turns += 1
            await asyncio.sleep(0)
        note(turns)

    async def main(note):
        stop = []
        task = asyncio.create_task(spinner(note, stop))
        for _ in range(5):
            note(await asyncio.gather(child(note, 1), child(note, 2)))
        stop.append(True)
        await task

    if policy == "family":
        want, got = noted(main, None), noted(main, policy)
        assert got[:-2] == want[:-2] and got[-2] == 1 and want[-2] == 15    # The spinner's turns.
    else:
        same(main, policy)


@every
def test_a_finished_child_dies_as_early(policy):
    async def main(note):
        class Local:
            pass

        async def holds():
            local = Local()
            weakref.finalize(local, note, "local died")
            note("child")

        await asyncio.gather(holds(), child(note, 1))
        note("gathered")
        task = asyncio.create_task(holds())
        weakref.finalize(task, note, "task died")
        await asyncio.wait([task])
        del task
        note("waited")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        note("end")

    same(main, policy)


@every
def test_exception_nobody_retrieves(policy):
    async def fails():
        raise LookupError("lost")

    async def main(note):
        asyncio.create_task(fails())
        await asyncio.gather(child(note, 1), child(note, 2))
        note("gathered")
        await asyncio.sleep(0)
        gc.collect()
        note("end")

    want = same(main, policy)
    assert ("Task exception was never retrieved", "LookupError") in want


@every
def test_names_and_what_can_be_asked(policy):
    async def asks(note, base):
        task = asyncio.current_task()
        note((int(task.get_name()[5:]) - base, len(asyncio.all_tasks()), task.cancelling(), task.done(), type(task) is asyncio.Task))

    async def main(note):
        base = int(asyncio.current_task().get_name()[5:])
        await asyncio.gather(*[asks(note, base) for _ in range(4)])
        graph = asyncio.capture_call_graph()
        note(graph.future is asyncio.current_task())

    same(main, policy)


@every
def test_coroutine_driven_by_hand(policy):
    """What is yielded to `send` is asyncio's own, not a mark of ours."""
    import types

    @types.coroutine
    def drives(note, coro):
        while True:
            try:
                got = coro.send(None)
            except StopIteration as stop:
                return stop.value
            note(type(got).__name__)
            yield got

    async def inner(note):
        return await asyncio.gather(child(note, 1), child(note, 2))

    async def main(note):
        return await drives(note, inner(note))

    want = same(main, policy)
    assert "_GatheringFuture" in want or policy == "eager"


@every
def test_pending_tasks_at_the_end(policy):
    async def main(note):
        async def waits():
            try:
                await asyncio.Event().wait()
            finally:
                note("cancelled at the end")
        asyncio.create_task(waits())
        await asyncio.gather(child(note, 1))

    same(main, policy)


@every
def test_many_children(policy):
    async def main(note):
        note(sum(await asyncio.gather(*[child(lambda _: None, i) for i in range(20_000)])))

    same(main, policy)


@every
def test_tracing_sees_every_line(policy):
    async def inner(note):
        note("inner")
        return 5

    async def main(note):
        note(await asyncio.gather(inner(note), inner(note)))

    def traced(policy):
        events = []

        def trace(frame, event, argument):
            if frame.f_code.co_name in ("inner", "main"):
                events.append((frame.f_code.co_name, event, frame.f_lineno))
                return trace

        def run():
            sys.settrace(trace)
            try:
                noted(main, policy)
            finally:
                sys.settrace(None)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return events

    if policy != "eager":
        assert traced(policy) == traced(None) != []


def test_frames_of_a_child_look_as_from_the_loop():
    """Under `exact` the parent, which waits, is not the child's caller."""
    async def callers(note):
        frame, names = sys._getframe(), []
        while frame is not None:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        note("parent" in names)

    async def parent(note):
        await asyncio.gather(callers(note))

    assert noted(parent, "exact")[0] is False


def test_what_cannot_be_installed():
    class Other(asyncio.AbstractEventLoop):
        pass

    with pytest.raises(TypeError, match="queue where it cannot be reached"):
        aio.install(Other(), policy="exact")
    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(ValueError, match="takes one of off, exact, family, eager"):
            aio.install(loop, policy="best")
        with pytest.raises(ValueError, match="seconds"):
            aio.install(loop, budget=-1)
        assert aio.policy(loop) is None
        aio.install(loop)
        assert aio.policy(loop) == "exact"
        aio.install(loop, policy="eager")
        assert loop.get_task_factory() is asyncio.eager_task_factory
        aio.install(loop, policy="off")
        assert loop.get_task_factory() is None and aio.policy(loop) == "off"
        aio.uninstall(loop)
        assert aio.policy(loop) is None
    finally:
        loop.close()


def test_loops_in_several_threads():
    got = []

    def run(n):
        async def main():
            for _ in range(200):
                assert await asyncio.gather(child(lambda _: None, n), child(lambda _: None, 1)) == [n, 1]
            return aio.policy()
        got.append(aio.run(main()))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert got == ["exact"] * 4


def test_loops_are_freed():
    loop = aio.new_event_loop()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("budget", [0.0002, 0.001, 0.005])
@pytest.mark.parametrize("fans", [1, 3])
def test_promise_of_the_budget(budget, fans):
    """Under `family` each task ahead of a ticker holds it up for the budget and one step of a child at most, on a clock that children move."""
    import world

    each, loop, gaps, stop = 0.0003, world.Loop(), [], []
    aio.install(loop, policy="family", budget=budget)

    async def works():
        loop.now += each

    async def fans_out():
        while not stop:
            await asyncio.gather(*[works() for _ in range(3)])

    async def ticker():
        before = loop.now
        for _ in range(200):
            await asyncio.sleep(0)
            gaps.append(loop.now - before)
            before = loop.now
        stop.append(True)

    async def main():
        await asyncio.gather(*[fans_out() for _ in range(fans)], ticker())

    loop.run_until_complete(main())
    loop.close()
    # What stood ahead of the ticker at its last turn: each task that fans out, and the children that were left over.
    most = fans * (budget + each) + fans * 3 * each
    assert max(gaps) <= most + 1e-9
    assert max(gaps) >= fans * budget   # It is used.


def test_policy_for_a_part_of_a_task():
    async def spins(stop):
        while not stop:
            await asyncio.sleep(0)

    async def main():
        stop = []
        other = asyncio.create_task(spins(stop))
        await asyncio.sleep(0)
        counts = []
        for policy in (None, "family", "off", "exact"):
            before = aio.stats()["resumed_in_place"]
            if policy is None:
                await asyncio.gather(child(lambda _: None, 1))
            else:
                with aio.using(policy):
                    assert aio.policy() == policy
                    with aio.using("off"):
                        assert aio.policy() == "off"
                    async with asyncio.TaskGroup() as group:
                        group.create_task(child(lambda _: None, 2))
            counts.append(aio.stats()["resumed_in_place"] - before)
        assert aio.policy() == "exact"
        stop.append(True)
        await other
        return counts

    # Beside a task that is always ready only `family` runs them early.
    assert aio.run(main(), policy="exact") == [0, 1, 0, 0]
    with pytest.raises(ValueError, match="takes one of off, exact, family"):
        aio.using("eager")

    async def plain():
        with aio.using("off"):
            pass
    with pytest.raises(RuntimeError, match="needs a running task of a loop that is under a policy"):
        asyncio.run(plain())
