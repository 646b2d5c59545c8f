"""Compares traces of random async programs under a policy with stock asyncio's.

    python tests/aio/compare.py --policy exact --seconds 600         as many as that takes, from a random place
    python tests/aio/compare.py --policy exact --from 1 --count 1000
    python tests/aio/compare.py --policy exact --seed 4711           one program, with both traces
    python tests/aio/compare.py --policy parts                        without a policy, what is native all the same

Invariant: a difference is shown with the smallest program that was found for it. Options `--skip N` leaves checks of the rule
out (bits of `state::check`), `--compiled` compiles the programs' coroutines first.
"""

import argparse
import asyncio
import gc
import inspect
import pprint
import random
import sys
import time

import family
import programs
import world
from cendre import _cendre, aio
from cendre.aio import _loop, _parts

_cendre.tasks_take_parts(False)      # What is compared with is asyncio, also where functions are compiled.

def difference(program, policy, budget=1.0, depth=aio.DEPTH, skipped=0):
    """None, or the place where the traces part and both traces.

    `eager` is compared with asyncio's own eager factory, `family` with its rule as a loop in Python. `parts` is no policy, but what is done
    natively without one.
    """
    def ours(loop):
        if policy == "parts":
            assert _parts.take(loop)
            return
        _loop.take_over(loop, policy, budget, depth, skipped)

    def stock(loop):
        if policy == "eager":
            loop.set_task_factory(asyncio.eager_task_factory)

    def reference():
        return family.Loop(budget, depth) if policy == "family" else world.Loop()

    want = world.execute(program, stock, reference)
    got = world.execute(program, ours)
    if policy == "eager":
        want, got = without_deaths(want), without_deaths(got)
    if want == got:
        return None
    place = next((i for i, (a, b) in enumerate(zip(want, got)) if a != b), min(len(want), len(got)))
    return place, want, got


def without_deaths(trace):
    """Leaves out when tasks die, where an interrupt went through the calls that make them: in asyncio its traceback keeps them alive, as locals of
    `gather` and others, and natively those frames are not in it."""
    if any(name in str(entry[-1]) for entry in trace if "raises" in entry for name in ("KeyboardInterrupt", "SystemExit")):
        return [entry for entry in trace if "unhandled" not in entry]
    return trace


def smaller(program):
    """Programs with something left out."""
    for i, operation in enumerate(program):
        if len(program) > 1:
            yield program[:i] + program[i + 1:]
        for j, argument in enumerate(operation):
            if _is_body(argument):
                yield program[:i] + argument + program[i + 1:]
                for less in smaller(argument):
                    yield program[:i] + (operation[:j] + (less,) + operation[j + 1:],) + program[i + 1:]
            elif isinstance(argument, tuple) and all(map(_is_body, argument)):
                for k, part in enumerate(argument):
                    rest = argument[:k] + argument[k + 1:]
                    yield program[:i] + (operation[:j] + (rest,) + operation[j + 1:],) + program[i + 1:]
                    for less in smaller(part):
                        changed = argument[:k] + (less,) + argument[k + 1:]
                        yield program[:i] + (operation[:j] + (changed,) + operation[j + 1:],) + program[i + 1:]


def _is_body(x):
    return isinstance(x, tuple) and x != () and all(isinstance(o, tuple) and o and isinstance(o[0], str) for o in x)


def shrink(program, differs):
    """The smallest program that still differs, as far as leaving things out goes."""
    again = True
    while again:
        again = False
        for candidate in smaller(program):
            if differs(candidate):
                program, again = candidate, True
                break
    return program


def report(program, differs, seed, found):
    """Prints a difference, made small."""
    print(f"seed {seed}:", flush=True)
    show(program, found)
    program = shrink(program, differs)
    found = differs(program)
    if not found:
        print("it does not differ every time")
        return
    show(program, found)


def show(program, found):
    """Prints a program and where its traces part."""
    place, stock, ours = found
    pprint.pprint(program)
    print(f"same up to {place}")
    for i in range(max(0, place - 6), place):
        print("   ", stock[i])
    for name, trace in (("stock", stock), ("ours", ours)):
        for entry in trace[place:place + 6]:
            print(f"  {name}:", entry)


def main():
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", default="exact")
    parser.add_argument("--from", dest="start", type=int)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--size", type=int, default=14)
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--budget", type=float, default=1.0)
    parser.add_argument("--depth", type=int, default=aio.DEPTH)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--keep-going", action="store_true")
    options = parser.parse_args()
    if options.compiled:
        print(f"{compile_world()} functions compiled")

    def differs(program):
        return difference(program, options.policy, options.budget, depth=options.depth, skipped=options.skip)
    if options.seed is not None:
        program = programs.program(random.Random(options.seed), options.size)
        found = differs(program)
        if found:
            report(program, differs, options.seed, found)
        return int(found is not None)
    start = options.start if options.start is not None else random.randrange(1 << 40)
    begin, n, wrong = time.monotonic(), 0, 0
    while (options.count is None or n < options.count) and (
            options.seconds is None or time.monotonic() - begin < options.seconds):
        seed = start + n
        program = programs.program(random.Random(seed), options.size)
        found = differs(program)
        if found:
            wrong += 1
            report(program, differs, seed, found)
            if not options.keep_going:
                break
        n += 1
        if n % 500 == 0:
            gc.collect()     # What a run leaves is frozen during the next: nobody else would ever look at it.
    counts = {k: v for k, v in aio.stats().items() if v}
    print(f"{n} programs from seed {start}, {wrong} differ; {counts}")
    return 1 if wrong else 0


def compile_world():
    """Compiles what programs are made of, asyncio's own coroutines too, so that compiled frames lie between. Returns how many functions that are."""
    import cendre

    done = 0
    places = [world.World, asyncio.tasks, asyncio.TaskGroup, asyncio.Timeout, asyncio.Queue, asyncio.Lock, asyncio.Event, asyncio.Semaphore]

    cendre.enable(threshold=1)
    for _ in range(3):
        for seed in range(40):
            world.execute(programs.program(random.Random(seed)))
    for place in places:
        for f in vars(place).values():
            if inspect.isfunction(f) and (place is world.World or inspect.iscoroutinefunction(f)):
                try:
                    done += cendre.jit.compile(f)
                except ValueError:
                    pass  # Some cannot be.
    return done


if __name__ == "__main__":
    sys.exit(main())
