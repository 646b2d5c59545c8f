"""`Future.set_result` under a policy: done natively while the loop's queue is being run, by `_asyncio` everywhere else.

Invariant: the same notes as without cendre.aio; and where the native code should have run, its counter says so.
"""

import asyncio
import threading

import pytest
from cendre import aio

POLICIES = ("off", "exact")


class Mine(asyncio.Future):
    """A subclass, which is asyncio's own affair."""


def run(main, policy, debug=False):
    loop = asyncio.new_event_loop()
    try:
        loop.set_debug(debug)
        if policy:
            aio.install(loop, policy=policy)
        notes = []
        loop.run_until_complete(main(loop, notes.append))
        return notes
    finally:
        loop.close()


def raised(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


async def misuse(loop, note):
    """Wrong arguments and states."""
    for future in (loop.create_future(), Mine(loop=loop)):
        note(raised(future.set_result))
        note(raised(future.set_result, 1, 2))
        note(raised(future.set_result, 1, result=2))
        note(raised(asyncio.Future.set_result, 5, 5))
        note(raised(future.set_result, None))
        note(raised(future.set_result, 2))
        note((future.done(), await future))
    future = loop.create_future()
    future.cancel()
    note(raised(future.set_result, 1))
    note(raised(asyncio.Future.__new__(asyncio.Future).set_result, 1))
    note(raised(asyncio.current_task().set_result, 1))


async def order(loop, note):
    """Callbacks of several futures, and of other kinds between them."""
    futures = [loop.create_future() for _ in range(4)]

    async def waits(n):
        note(("waits", n, await futures[n]))
        loop.call_soon(note, ("later", n))
        if n:
            futures[n - 1].set_result(n)
    tasks = [asyncio.create_task(waits(n)) for n in range(4)]
    for future in futures:
        future.add_done_callback(lambda done: note(("done", done.result())))
    await asyncio.sleep(0)
    loop.call_soon(note, "first")
    futures[3].set_result("start")
    loop.call_soon(note, "second")
    await asyncio.gather(*tasks)
    await asyncio.sleep(0)


async def turns(loop, note):
    """Two tasks that wake each other, next to a timer that must come and a cancellation."""
    mine, its = [[loop.create_future() for _ in range(50)] for _ in range(2)]

    async def other():
        for n in range(50):
            note(await mine[n])
            if n == 30:
                first.cancel()
            its[n].set_result(-n)

    async def one():
        for n in range(50):
            mine[n].set_result(n)
            note(await its[n])
    first, second = asyncio.create_task(one()), asyncio.create_task(other())
    note(await asyncio.wait([first], return_when="FIRST_COMPLETED") and first.cancelled())
    second.cancel()
    await asyncio.wait([second])
    note(second.cancelled())


async def synchronisation(loop, note):
    """What asyncio makes of futures: locks, events, queues, conditions."""
    lock, event, queue, condition = asyncio.Lock(), asyncio.Event(), asyncio.Queue(1), asyncio.Condition()

    async def worker(n):
        async with lock:
            note(("lock", n))
            await queue.put(n)
        await event.wait()
        note(("event", n))
        async with condition:
            condition.notify_all()

    async def reader():
        for _ in range(3):
            note(("got", await queue.get()))
        event.set()
        async with condition:
            await condition.wait()
            note("notified")
    await asyncio.gather(reader(), *map(worker, range(3)))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("main", [misuse, order, turns, synchronisation])
def test_as_asyncio_does_it(main, policy):
    want = run(main, None)
    aio.reset_stats()
    assert run(main, policy) == want
    assert aio.stats()["futures_set"] > 0 and aio.stats()["faults"] == 0


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("main", [misuse, order])
def test_debug_mode_is_asyncios_own(main, policy):
    want = run(main, None, debug=True)
    aio.reset_stats()
    assert run(main, policy, debug=True) == want
    assert aio.stats()["futures_set"] == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_from_another_thread(policy):
    """The wrong thread sets a result: as ever, nobody is woken before the loop looks."""
    async def main(loop, note):
        future = loop.create_future()
        thread = threading.Thread(target=future.set_result, args=(7,))
        thread.start()
        thread.join()
        note(future.result())
        note(await future)

    aio.reset_stats()
    assert run(main, policy) == [7, 7]
    assert aio.stats()["futures_set"] == 0
