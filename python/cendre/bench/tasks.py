"""`cendre bench async`: what a child of a gather or a TaskGroup costs, plain and under each policy.

Every configuration is a process of its own; rounds are interleaved, so that all of them meet the same noise. Printed is the median of the
ratio to plain asyncio of the same round, and user CPU time per child. Fairness: `fairness.py`. Memory: what a task that waits adds.
Invariant: this file measures; nothing fails by a number. Read docs/benchmarks.md, "Tasks".
"""

import argparse
import asyncio
import json
import resource
import statistics
import sys

from cendre.bench import fairness, runner

# name -> (policy for cendre.aio, also with a budget in ms, or a factory of asyncio's; environment)
CONFIGURATIONS = {
    "plain": (None, {}),
    "plain, eager factory": ("factory", {}),
    "tasks off": ("off", {}),
    "tasks exact": ("exact", {}),
    "tasks family": ("family", {}),
    "tasks eager": ("eager", {}),
    "compile": (None, {"CENDRE": "1"}),
    "compile, tasks exact": ("exact", {"CENDRE": "1"}),
}

# Where only the delay of others is measured.
BUDGETS = {f"tasks family, {ms} ms": (f"family {ms}", {}) for ms in (0.1, 0.5, 1, 5)}


PERCENT = (0, 1, 10, 100)


async def child(n):
    return n


async def gather(n, rounds):
    for _ in range(rounds):
        await asyncio.gather(*[child(i) for i in range(n)])


async def group(n, rounds):
    for _ in range(rounds):
        async with asyncio.TaskGroup() as g:
            for i in range(n):
                g.create_task(child(i))


async def switch(n, rounds):
    async def task():
        for _ in range(rounds):
            await asyncio.sleep(0)
    await asyncio.gather(*[task() for _ in range(n)])


async def one_by_one(n):
    for i in range(n):
        await asyncio.create_task(child(i))


async def futures(n):
    """Two tasks that wait for each other's futures in turn."""
    loop = asyncio.get_running_loop()
    mine, its = [loop.create_future() for _ in range(n)], [loop.create_future() for _ in range(n)]

    async def other():
        for i in range(n):
            await mine[i]
            its[i].set_result(i)
    task = asyncio.create_task(other())
    for i in range(n):
        mine[i].set_result(i)
        await its[i]
    await task


async def queue(n, size):
    between = asyncio.Queue(size)

    async def producer():
        for i in range(n):
            await between.put(i)
        await between.put(None)
    task = asyncio.create_task(producer())
    while await between.get() is not None:
        pass
    await task


async def callbacks(n):
    """`call_soon`, each callback the next one."""
    done = asyncio.get_running_loop().create_future()

    def callback(left):
        if left:
            asyncio.get_running_loop().call_soon(callback, left - 1)
        else:
            done.set_result(None)
    callback(n)
    await done


async def beside(n, fan_out, children, rounds):
    """Fan-outs next to tasks that are always ready."""
    stop = []

    async def ready():
        while not stop:
            await asyncio.sleep(0)
    tasks = [asyncio.create_task(ready()) for _ in range(n)]
    await fan_out(children, rounds)
    stop.append(True)
    await asyncio.gather(*tasks)


async def tree(width, depth):
    async def node(level):
        if level:
            await asyncio.gather(*[node(level - 1) for _ in range(width)])
    await node(depth)


def turn():
    """A turn of asyncio's loop."""
    return asyncio.sleep(0)


async def leaf(every, i, wait=turn):
    if every and i % every == 0:
        await wait()
    return i


async def level(left, every, i, wait=turn):
    if left > 1:
        return await level(left - 1, every, i, wait)
    return await leaf(every, i, wait)


async def awaits(depth, percent, n):
    """Calls awaited so deep (and one more), of which so many wait for a turn of the loop at their end. No child is made."""
    every = 100 // percent if percent else 0
    for i in range(n):
        await level(depth, every, i)


async def partly(percent, rounds):
    """A gather of a hundred, of which so many wait for a turn of the loop."""
    every = 100 // percent if percent else 0
    for _ in range(rounds):
        await asyncio.gather(*[leaf(every, i) for i in range(100)])


# name -> (function, arguments, operations)
ROWS = {
    "gather of 10": (gather, (10, 400), 4000),
    "gather of 1 000": (gather, (1000, 4), 4000),
    "TaskGroup of 10": (group, (10, 400), 4000),
    "TaskGroup of 1 000": (group, (1000, 4), 4000),
    "tree of gathers, 6 x 4": (tree, (6, 4), 1554),
    "100 tasks that switch": (switch, (100, 40), 4000),
    "create_task and await": (one_by_one, (4000,), 4000),
    "two tasks, a future each": (futures, (2000,), 4000),
    "queue of one place": (queue, (2000, 1), 2000),
    "queue of 100 places": (queue, (4000, 100), 4000),
    "call_soon": (callbacks, (4000,), 4000),
    **{f"{name} of {n:,} beside 100 ready tasks".replace(",", " "): (beside, (100, fan_out, n, rounds), n * rounds)
       for name, fan_out in (("gather", gather), ("TaskGroup", group)) for n, rounds in ((10, 20), (1000, 2))},
    **{f"gather of 100, {percent} % wait": (partly, (percent, 40), 4000) for percent in PERCENT},
    **{f"awaits {depth} deep, {percent} % wait": (awaits, (depth - 1, percent, 4000), 4000) for depth in (2, 4, 11) for percent in PERCENT},
}


async def memory(n):
    """Bytes that a task adds which waits for a future."""
    future = asyncio.get_running_loop().create_future()

    async def waits():
        await future
    before = _resident()
    tasks = [asyncio.create_task(waits()) for _ in range(n)]
    await asyncio.sleep(0)
    each = (_resident() - before) / n
    future.set_result(None)
    await asyncio.gather(*tasks)
    return each


def _resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _worker(policy):
    """Answers what a process of this policy is asked: a row, how late tickers are, or the memory of a task."""
    def loop():
        new = asyncio.new_event_loop()
        if policy == "factory":
            new.set_task_factory(asyncio.eager_task_factory)
        elif policy:
            from cendre import aio

            name, _, budget = policy.partition(" ")
            aio.install(new, policy=name, budget=float(budget) / 1e3 if budget else None)
        return new

    def answer(what, *arguments):
        if what != "row":
            return loops.run({"fairness": fairness.measure, "memory": memory}[what](*arguments))
        function, given, operations = ROWS[arguments[0]]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        loops.run(function(*given))
        return (resource.getrusage(resource.RUSAGE_SELF).ru_utime - before) / operations * 1e9

    with asyncio.Runner(loop_factory=loop) as loops:
        runner.serve(answer)


def _process(name):
    policy, variables = (CONFIGURATIONS | BUDGETS)[name]
    return runner.Served("cendre.bench.tasks", policy or "", variables)


def _fairness(processes):
    """Prints and returns how late tickers are, by the number of children and the configuration."""
    figures = {}
    more = {name: _process(name) for name in BUDGETS}
    for children, parents in fairness.FANS.items():
        print(f"ms of processor time until a ticker's turn, beside {parents} tasks that gather {children} children: middle, 90 %, 99 %, largest")
        figures[children] = {}
        for name, process in (processes | more).items():
            figures[children][name] = f = process.ask("fairness", children, parents)
            print(f"    {name:24}" + "".join(f"{ms:9.2f}" for ms in f["ms"]) + f" ms {f['children_per_s']:12,.0f} children/s", flush=True)
    for process in more.values():
        process.end()
    return figures


def main(arguments):
    """The command; prints a table, writes JSON and an SVG of the fairness where asked."""
    parser = argparse.ArgumentParser(prog="cendre bench async", description="asyncio's tasks, plain and under each policy")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", action="append", default=[], help="rows whose names contain this, and no other measurement")
    parser.add_argument("--fairness", action="store_true", help="the delay of tickers, also with --only")
    parser.add_argument("--json", help="write the figures there")
    parser.add_argument("--svg", help="draw the delay of tickers there")
    options = parser.parse_args(arguments)
    processes = {name: _process(name) for name in CONFIGURATIONS}
    figures = {}
    try:
        for row in [row for row in ROWS if not options.only or any(part in row for part in options.only)]:
            times = {name: [] for name in processes}
            for n in range(options.rounds + 2):
                for name, process in processes.items():
                    spent = process.ask("row", row)
                    if n >= 2:
                        times[name].append(spent)
            plain = times["plain"]
            figures[row] = {name: {"ns": statistics.median(t), "times": statistics.median(p / max(x, 1) for p, x in zip(plain, t))}
                            for name, t in times.items()}
            print(row)
            for name, f in figures[row].items():
                print(f"    {name:24} {f['ns']:9.0f} ns {f['times']:6.2f} x")
        if options.fairness or not options.only:
            figures["fairness"] = _fairness(processes)
        figures["memory"] = {} if options.only else {name: p.ask("memory", 20_000) for name, p in processes.items()}
        print("memory of a task that waits")
        for name, each in figures["memory"].items():
            print(f"    {name:24} {each:9.0f} bytes")
    finally:
        for process in processes.values():
            process.end()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
    if options.svg and "fairness" in figures:
        with open(options.svg, "w", encoding="utf-8") as file:
            file.write(fairness.draw(figures["fairness"]))
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        _worker(sys.argv[2] or None)
    else:
        sys.exit(main(sys.argv[1:]))
