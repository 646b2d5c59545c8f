"""`loop._ready` looked at and changed from inside: programs that do are served as by asyncio.

Invariant: each program leaves the same notes without cendre.aio and under each policy, and those that do not look at the queue show by a
counter that a front was kept (`resumed_in_place` without it stays what it is, so the native machinery has run).
"""

import asyncio
import re
import threading

import pytest
from cendre import aio

POLICIES = ("off", "exact")
_VARIES = re.compile(r"0x[0-9a-f]+|Task-\d+")


def run(main, policy, held=False):
    """What `main(loop, notes, queue)` notes; `queue` is the deque, taken before the loop runs, or None."""
    loop = asyncio.new_event_loop()
    try:
        if policy:
            aio.install(loop, policy=policy)
        notes = []
        loop.run_until_complete(main(loop, notes, loop._ready if held else None))
        notes.append(len(loop._ready))
        return notes
    finally:
        loop.close()


def shown(queue):
    return [_VARIES.sub("", repr(handle)) for handle in queue]


async def child(notes, n):
    notes.append(n)
    return n


async def looks(loop, notes, _):
    tasks = [asyncio.create_task(child(notes, n)) for n in range(3)]
    loop.call_soon(notes.append, "soon")
    both = asyncio.gather(child(notes, 3), child(notes, 4))
    notes.append(shown(loop._ready))
    await both
    notes.append(shown(loop._ready))
    async with asyncio.TaskGroup() as group:
        group.create_task(child(notes, 5))
        notes.append(shown(loop._ready))
    await asyncio.gather(*tasks)


async def from_a_callback(loop, notes, _):
    both = asyncio.gather(child(notes, 1), child(notes, 2))
    both.add_done_callback(lambda _: notes.append(shown(loop._ready)))
    tasks = [asyncio.create_task(child(notes, 3))]
    tasks[0].add_done_callback(lambda _: notes.append(shown(loop._ready)))
    notes.append(await both)


async def reorders(loop, notes, _):
    tasks = [asyncio.create_task(child(notes, n)) for n in range(4)]
    loop._ready.rotate(1)
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(child(notes, 9)))
    tasks.append(asyncio.create_task(child(notes, 10)))
    loop._ready.appendleft(loop._ready.pop())
    await asyncio.gather(*tasks)


async def cancels_handles(loop, notes, _):
    tasks = [asyncio.create_task(child(notes, n)) for n in range(3)]
    loop._ready[1].cancel()
    await tasks[2]
    notes.append([task.done() for task in tasks])
    tasks[1]._log_destroy_pending = False
    tasks[1].get_coro().close()


async def holds_it(loop, notes, queue):
    tasks = [asyncio.create_task(child(notes, n)) for n in range(3)]
    notes.append(shown(queue))
    both = asyncio.gather(child(notes, 5), child(notes, 6))
    notes.append(shown(queue))
    await both
    notes.append(shown(queue))
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("main", [looks, from_a_callback, reorders, cancels_handles])
def test_a_look_by_attribute(main, policy):
    aio.reset_stats()
    want, got = run(main, None), run(main, policy)
    assert got == want
    assert aio.stats()["tasks_made"] > 0 and aio.stats()["faults"] == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_who_holds_the_deque_sees_it_whole(policy):
    assert run(holds_it, policy, held=True) == run(holds_it, None, held=True)


def test_by_the_dict_the_front_is_not_seen():
    """The one way around: documented, and what is missing there is there by attribute."""
    async def main(loop, notes, _):
        tasks = [asyncio.create_task(child(notes, n)) for n in range(3)]
        notes.append(len(vars(loop)["_ready"]))
        notes.append(len(loop._ready))
        notes.append(len(vars(loop)["_ready"]))
        await asyncio.gather(*tasks)

    assert run(main, "off")[:3] == [0, 3, 3]


class Asked(asyncio.SelectorEventLoop):
    """Notes what the deque holds when the selector is asked, and may do something then."""

    def __init__(self):
        super().__init__()
        self.held = []
        self.then = None
        select = self._selector.select

        def asked(timeout):
            self.held.append(len(vars(self)["_ready"]))
            if self.then:
                self.then, then = None, self.then
                then()
            return select(timeout)
        self._selector.select = asked


async def _many(notes, interrupted=None):
    loop = asyncio.get_running_loop()
    tasks = [asyncio.create_task(child(notes, n)) for n in range(3)]
    await asyncio.sleep(0)
    loop.call_soon(notes.append, "soon")
    tasks += [asyncio.create_task(child(notes, n)) for n in range(3, 6)]
    loop.then = interrupted
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("policy", aio.POLICIES)
def test_the_front_stays_while_the_loop_is_asked(policy):
    """With no budget, each iteration asks the selector; what is ready then needs no handle."""
    def run(policy):
        loop, notes = Asked(), []
        try:
            if policy:
                aio.install(loop, policy=policy, budget=0)
            loop.run_until_complete(_many(notes))
            return notes, loop.held, len(loop._ready)
        finally:
            loop.close()

    (want, filled, _), (got, held, left) = run("eager" if policy == "eager" else None), run(policy)
    assert got == want and left == 0
    assert max(held[1:]) == 0  # The first time it is the program's own first step that waits.
    if policy != "eager":
        assert max(filled[1:]) >= 3 and (policy == "family" or len(filled) == len(held))


@pytest.mark.parametrize("policy", ["off", "exact"])
@pytest.mark.parametrize("how", ["interrupt", "stop", "call_soon", "thread", "debug", "policy"])
def test_what_comes_while_the_loop_is_asked(policy, how):
    """Nothing is lost, and nothing changes its place."""
    def run(policy):
        loop, notes = Asked(), []

        def then():
            if how == "interrupt":
                raise KeyboardInterrupt
            if how == "stop":
                loop.stop()
            elif how == "call_soon":
                loop.call_soon(notes.append, "then")
            elif how == "thread":
                thread = threading.Thread(target=loop.call_soon_threadsafe, args=(notes.append, "then"))
                thread.start()
                thread.join()
            elif how == "debug":
                loop.set_debug(True)
            elif policy:
                aio.install(loop, policy="off", budget=0)
        try:
            if policy:
                aio.install(loop, policy=policy, budget=0)
            task = loop.create_task(_many(notes, then))
            if how == "interrupt":
                with pytest.raises(KeyboardInterrupt):
                    loop.run_until_complete(task)
            elif how == "stop":
                loop.run_forever()
            notes.append([type(handle).__name__ for handle in vars(loop)["_ready"]])
            loop.run_until_complete(task)
            return notes
        finally:
            loop.close()

    assert run(policy) == run(None)


def test_a_loop_that_is_not_running_keeps_nothing_in_front():
    """`_run_once` called by hand: the loop's queue is an ordinary one afterwards, so that it can die with it."""
    loop, notes = Asked(), []
    try:
        aio.install(loop, policy="off", budget=0)
        asyncio._set_running_loop(loop)
        try:
            task = loop.create_task(_many(notes))
            loop._run_once()
            assert len(vars(loop)["_ready"]) == 4
        finally:
            asyncio._set_running_loop(None)
        loop.run_until_complete(task)
    finally:
        loop.close()


@pytest.mark.parametrize("policy", aio.POLICIES)
def test_run_once_by_hand_is_one_iteration(policy):
    """As CPython's own test `test__run_once_schedule_handle` has it."""
    loop, notes = asyncio.new_event_loop(), []
    try:
        aio.install(loop, policy=policy)
        loop.call_soon(lambda: (notes.append(1), loop.call_soon(notes.append, 2)))
        loop._run_once()
        assert notes == [1] and len(loop._ready) == 1
        loop._run_once()
        assert notes == [1, 2]
    finally:
        loop.close()


def test_other_loops_have_it_too():
    """Also where it is set anew, deleted and missing."""
    run(looks, "off")
    loop = asyncio.new_event_loop()
    try:
        before = loop._ready
        loop._ready = before
        assert loop._ready is before is vars(loop)["_ready"]
        del loop._ready
        with pytest.raises(AttributeError, match="'_UnixSelectorEventLoop' object has no attribute '_ready'"):
            loop._ready  # noqa: B018
        with pytest.raises(AttributeError):
            del loop._ready
        loop._ready = before
        assert asyncio.Runner(loop_factory=lambda: loop).run(asyncio.sleep(0, 7)) == 7
    finally:
        loop.close()
