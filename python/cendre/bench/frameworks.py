"""`cendre bench frameworks`: the same awaits and fan-outs driven by asyncio, anyio, Trio and a kernel of our own, plain and under cendre.

What a framework's own scheduler costs is in every figure. Each configuration of each framework is a process; rounds are interleaved, and a row is warm
before it is measured. A framework that is not installed is left out, and said so.
Invariant: this file measures; nothing fails by a number. Read docs/frameworks.md, "What it gains".
"""

import argparse
import collections
import importlib.util
import json
import statistics
import sys
import time
import types

from cendre.bench import runner
from cendre.bench.tasks import leaf, level

PLAIN, FULL, EXACT = "plain", "CENDRE=1", "CENDRE=1, tasks exact"
ENVIRONMENT = {PLAIN: {}, FULL: {"CENDRE": "1"}, EXACT: {"CENDRE": "1", "CENDRE_TASKS": "exact"}}
# framework -> (modules, configurations)
FRAMEWORKS = {
    "asyncio": ((), (PLAIN, FULL, EXACT)),
    "anyio on asyncio": (("anyio",), (PLAIN, FULL, EXACT)),
    "anyio on trio": (("anyio", "trio"), (PLAIN, FULL)),
    "trio": (("trio",), (PLAIN, FULL)),
    "by hand": ((), (PLAIN, FULL)),
}
# name -> (what, share that waits)
ROWS = {**{f"awaits 4 deep, {percent} % wait a turn": ("awaits", percent) for percent in (0, 10, 100)},
        **{f"100 children, {percent} % wait a turn": ("children", percent) for percent in (0, 10, 100)}}


class Kernel:
    """The smallest scheduler that runs several coroutines: what is yielded means nothing but a turn."""

    def __init__(self):
        self.ready = collections.deque()

    def run(self, coro):
        self.ready.append(coro)
        while self.ready:
            coro = self.ready.popleft()
            try:
                coro.send(None)
            except StopIteration as stop:
                value = stop.value
            else:
                self.ready.append(coro)
        return value

    async def fan_out(self, function, arguments):
        left = len(arguments)

        async def child(given):
            nonlocal left
            await function(*given)
            left -= 1
        self.ready.extend(child(given) for given in arguments)
        while left:
            await turn()


@types.coroutine
def turn():
    yield


def framework(name):
    """`run(function, *arguments)`, a turn of its loop, and a fan-out over a function and its arguments."""
    if name == "by hand":
        kernel = Kernel()
        return lambda function, *arguments: kernel.run(function(*arguments)), turn, kernel.fan_out
    if name == "asyncio":
        import asyncio

        async def grouped(function, arguments):
            async with asyncio.TaskGroup() as group:
                for given in arguments:
                    group.create_task(function(*given))
        runner = asyncio.Runner()
        return lambda function, *arguments: runner.run(function(*arguments)), lambda: asyncio.sleep(0), grouped
    if name == "trio":
        import trio

        async def nursed(function, arguments):
            async with trio.open_nursery() as nursery:
                for given in arguments:
                    nursery.start_soon(function, *given)
        return trio.run, trio.lowlevel.checkpoint, nursed
    import anyio
    import anyio.lowlevel

    async def held(function, arguments):
        async with anyio.create_task_group() as group:
            for given in arguments:
                group.start_soon(function, *given)
    backend = name.rpartition(" ")[2]
    return lambda function, *arguments: anyio.run(function, *arguments, backend=backend), anyio.lowlevel.checkpoint, held


def program(name, what, percent):
    """A function that runs the row for some seconds and returns nanoseconds of processor time for each operation."""
    run, wait, fan_out = framework(name)
    every = 100 // percent if percent else 0

    async def awaits():
        for i in range(1000):
            await level(3, every, i, wait)
        return 1000

    async def children():
        for _ in range(10):
            await fan_out(leaf, [(every, i, wait) for i in range(100)])
        return 1000

    async def measure(seconds):
        done, begin = 0, time.process_time()
        while time.process_time() - begin < seconds:
            done += await (awaits if what == "awaits" else children)()
        return (time.process_time() - begin) / done * 1e9
    return lambda seconds: run(measure, seconds)


def _worker(name):
    programs = {row: program(name, *how) for row, how in ROWS.items()}
    runner.serve(lambda row, seconds: programs[row](seconds))


def main(arguments):
    """The command; prints a table and writes JSON where asked."""
    parser = argparse.ArgumentParser(prog="cendre bench frameworks", description="awaits and fan-outs driven by other frameworks, plain and under cendre")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.1, help="processor time of a round")
    parser.add_argument("--warm-up", type=float, default=1.0, help="processor time of a row before it is measured")
    parser.add_argument("--only", action="append", choices=FRAMEWORKS, help="of these frameworks")
    parser.add_argument("--json", help="write the figures there")
    options = parser.parse_args(arguments)
    figures = {}
    for name in options.only or FRAMEWORKS:
        modules, configurations = FRAMEWORKS[name]
        if missing := [module for module in modules if importlib.util.find_spec(module) is None]:
            print(f"{name}: left out, since {' and '.join(missing)} is not installed")
            continue
        figures[name] = {}
        processes = {configuration: runner.Served("cendre.bench.frameworks", name, ENVIRONMENT[configuration]) for configuration in configurations}
        try:
            for row in ROWS:
                for process in processes.values():
                    process.ask(row, options.warm_up)
                times = [{c: process.ask(row, options.seconds) for c, process in processes.items()} for _ in range(options.rounds)]
                figures[name][row] = {c: {"ns": statistics.median(t[c] for t in times), "times": statistics.median(t[PLAIN] / t[c] for t in times)}
                                      for c in processes}
                print(f"{name}: {row}" + "".join(f"{f['ns']:10.0f} ns {f['times']:5.2f} x" for f in figures[name][row].values()), flush=True)
        finally:
            for process in processes.values():
                process.end()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        _worker(sys.argv[2])
    else:
        sys.exit(main(sys.argv[1:]))
