"""Much of everything, and ends in the middle: many children, deep nesting, a policy that fails, threads, fork, loops and processes that end with tasks pending.

Each under every policy, against what plain asyncio gives. Invariant: nothing here waits for real time, and no task is lost.
"""

import asyncio
import os
import subprocess
import sys
import threading

import pytest
from cendre import aio
from test_cases import child, every, noted, same


@every
def test_100_000_children(policy):
    async def main(note):
        note(sum(await asyncio.gather(*[child(lambda _: None, i) for i in range(100_000)])))
        done = []
        async with asyncio.TaskGroup() as group:
            for i in range(20_000):
                group.create_task(child(done.append, i))
        note(len(done))

    aio.reset_stats()
    assert noted(main, policy)[:2] == [4999950000, 20_000]
    assert aio.stats()["steps"] >= (0 if policy == "eager" else 120_000)


@every
def test_10_000_levels(policy):
    """Each level waits for the next one; asyncio's eager factory ends in a RecursionError."""
    async def deep(n):
        if n:
            return await asyncio.create_task(deep(n - 1)) + 1
        return 0

    async def main(note):
        try:
            note(await deep(10_000))
        except RecursionError:
            note("RecursionError")

    assert noted(main, policy)[0] == ("RecursionError" if policy == "eager" else 10_000)


@pytest.mark.parametrize("policy", ["exact", "family"])
def test_a_policy_that_fails_is_asyncio(policy, monkeypatch):
    """The loop's clock raises while the policy asks it: told once, counted, and everything is run in asyncio's way."""
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: told.append(what.exc_value))

    class Loop(asyncio.SelectorEventLoop):
        broken = False

        def time(self):
            if self.broken:
                self.broken = False
                raise ArithmeticError("no clock")
            return super().time()

    async def main(note):
        loop = asyncio.get_running_loop()
        timer = loop.call_later(1000, print)
        await asyncio.gather(child(note, 1), child(note, 2))
        before = aio.stats()["resumed_in_place"]
        for _ in range(5):
            loop.broken = True
            note(await asyncio.gather(child(note, 3), child(note, 4)))
            assert not loop.broken
        timer.cancel()
        return aio.stats()["resumed_in_place"] - before

    aio.reset_stats()
    notes = []
    with asyncio.Runner(loop_factory=Loop) as runner:
        aio.install(runner.get_loop(), policy=policy)
        assert runner.run(main(notes.append)) == 0
    assert sorted(map(str, notes)) == sorted(map(str, [("child", 1), ("child", 2)] + [("child", 3), ("child", 4), [3, 4]] * 5))
    assert [str(error) for error in told] == ["no clock"]
    assert aio.stats()["faults"] >= 5


@every
def test_loops_in_threads_that_call_each_other(policy):
    got = []

    def run(n):
        async def main():
            loop = asyncio.get_running_loop()
            for _ in range(100):
                ours, theirs = loop.create_future(), threading.Thread(target=lambda: loop.call_soon_threadsafe(ours.set_result, n))
                theirs.start()
                assert await asyncio.gather(child(lambda _: None, n), ours) == [n, n]
                theirs.join()
        aio.run(main(), policy=policy)
        got.append(n)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [0, 1, 2]


FORK = """
import asyncio, os, sys, warnings, cendre.aio
warnings.simplefilter("ignore")
async def child(n):
    return n
async def forks():
    pid = os.fork()
    if not pid:
        # The loop is not running here any more, and a new one can be had.
        print(cendre.aio.run(asyncio.sleep(0, "in the child"), policy={policy!r}), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    return "parent"
async def main():
    print(await asyncio.gather(child(1), forks(), child(2)), flush=True)
cendre.aio.run(main(), policy={policy!r})
"""

CLOSED = """
import asyncio, sys, cendre.aio
async def waits(event):
    try:
        await event.wait()
    finally:
        print("ended", file=sys.stderr)
async def main():
    event = asyncio.Event()
    tasks = [asyncio.create_task(waits(event)) for _ in range(2)]
    await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
    tasks.append(asyncio.create_task(waits(event)))     # Has not started.
    asyncio.get_running_loop().stop()
    tasks.append(asyncio.create_task(waits(event)))
    return tasks
loop = asyncio.new_event_loop()
policy = {policy!r}
if policy:
    cendre.aio.install(loop, policy=policy)
tasks = loop.run_until_complete(main())
print(len(tasks), [task.done() for task in tasks], len(loop._ready), flush=True)
{end}
"""


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, stdin=subprocess.DEVNULL,
                          env={k: v for k, v in os.environ.items() if not k.startswith("CENDRE")})
    return done.returncode, done.stdout, [line for line in done.stderr.split("\n") if "0x" not in line and "File" not in line]


@every
def test_fork(policy):
    assert run(FORK.format(policy=policy))[:2] == (0, "in the child\n[1, 'parent', 2]\n")


@pytest.mark.parametrize("policy", ["off", "exact", "family"])
@pytest.mark.parametrize("end", ["loop.close()", "loop.close()\ndel tasks\nimport gc\ngc.collect()", "", "import os\nos._exit(3)"])
def test_ends_with_tasks_pending(policy, end):
    """A loop that is closed, and a process that ends, with tasks that wait and tasks that never started."""
    assert run(CLOSED.format(policy=policy, end=end)) == run(CLOSED.format(policy=None, end=end))


@every
def test_cancelled_before_it_starts(policy):
    async def main(note):
        async def never():
            note("started")
        task = asyncio.create_task(never())
        task.cancel("why")
        note(await asyncio.gather(task, child(note, 1), return_exceptions=True) != [])
        note(task.cancelled())

    if policy != "eager":
        assert "started" not in same(main, policy)
