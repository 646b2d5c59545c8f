"""The process in which one row's program is run and timed: a script, started by path, never imported as a module.

It is started by path so that plain CPython stays plain: importing it as `cendre.bench.worker` would import cendre. The
program runs in rounds of the same number of operations until its time is over; each round's start (seconds after
the first) and length are written as JSON to the file that `--out` names. What compiling costs is inside the rounds.
With `--turns IN,OUT` the process runs in slices, in turn with the processes it is compared with: after a slice it writes a byte
to OUT and waits for one from IN. The clock stands still while it waits.

Invariant: every round's result is compared with the expected one, after the last round, so that comparing is not in the
timing; a wrong result is an error of the row and no time is reported.
"""
import argparse
import contextlib
import gc
import importlib.util
import json
import os
import sys
import time
import traceback
from pathlib import Path

PROGRAMS = Path(__file__).resolve().parent / "programs"
SLICE = 0.05                # seconds of a turn


class Clock:
    """Seconds of this process's own turns."""

    def __init__(self, source=time.perf_counter, turns=None):
        self.source = source
        self.turns = turns          # (file descriptor to wait at, one to tell), None: alone
        self.waited = 0.0
        self.end = 0.0

    def __call__(self):
        return self.source() - self.waited

    def take_turn(self):
        """Between two rounds: once the slice is over, lets the others run."""
        if self.turns is None or self() < self.end:
            return
        begun = self.source()
        os.write(self.turns[1], b".")
        os.read(self.turns[0], 1)
        self.waited += self.source() - begun
        self.end = self() + SLICE


clock = Clock()


def load_program(name):
    """A program file as a module of its own name, without any package around it."""
    path = PROGRAMS / name / "__init__.py" if (PROGRAMS / name).is_dir() else PROGRAMS / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"bench_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Pieces:
    """Work for a function that is called once: gives the piece's size again until the time is over, and notes when."""

    def __init__(self, size, seconds, minimum):
        self.size = size
        self.seconds = seconds
        self.minimum = minimum
        self.stamps = []

    def __iter__(self):
        return self

    def __next__(self):
        clock.take_turn()
        now = clock()
        self.stamps.append(now)
        if now - self.stamps[0] >= self.seconds and len(self.stamps) > self.minimum:
            raise StopIteration
        return self.size

    def rounds(self):
        """(start, length) of each piece."""
        first = self.stamps[0]
        return [(a - first, b - a) for a, b in zip(self.stamps, self.stamps[1:])]


def time_pieces(function, size, expected, seconds, minimum):
    """Times a function that is called once and takes its work from an iterator."""
    pieces = Pieces(size, seconds, minimum)
    result = function(pieces)
    rounds = pieces.rounds()
    check(result, expected(len(rounds)), "the whole call")
    return rounds


def time_rounds(function, n, expected, seconds, minimum):
    """Times calls of a function with the same argument until the time is over."""
    rounds, results = [], []
    clock.take_turn()
    first = clock()
    while True:
        clock.take_turn()
        start = clock()
        results.append(function(n))
        end = clock()
        rounds.append((start - first, end - start))
        if end - first >= seconds and len(rounds) >= minimum:
            break
    right = expected(n)
    for number, result in enumerate(results):
        check(result, right, f"round {number}")
    return rounds


def check(result, expected, where):
    """Raises unless a result is the expected one, type included (True is not 1 here)."""
    if result != expected or type(result) is not type(expected):
        raise AssertionError(f"{where} gave {result!r:.300}, expected {expected!r:.300}")


def switched_on():
    """Whether cendre runs in this process; switches it on by import where no .pth did. (on, sentence if not)."""
    try:
        import cendre

        if not cendre.is_enabled():
            cendre.enable()
        if not cendre.is_enabled():
            return False, "cendre.enable() did not switch it on"
        return True, None
    except Exception as error:  # whatever it is, it is the answer to "why not"
        return False, f"{type(error).__name__}: {error}"


def native_stats():
    """Counters of the native module, those that are numbers."""
    import cendre.jit

    return {name: value for name, value in cendre.jit.stats().items() if isinstance(value, (int, float))}


def time_case(function, warm):
    """Seconds of processor time of one operation of a case of `programs/micro`: the least of many short rounds, after warming up."""
    n = 2000
    start = clock()
    while clock() - start < warm:
        function(n)
    cpu = time.thread_time
    best = float("inf")
    for _ in range(30):
        before = cpu()
        function(n)
        best = min(best, cpu() - before)
    return best / n


def measure_micro(options):
    """{case: seconds an operation} for `cendre bench micro`."""
    cases = load_program("micro").load()
    names = [name for name in cases if name in options.row or not options.row]
    times, results = {}, {}
    for name in names:
        times[name] = time_case(cases[name], options.seconds)
        results[name] = repr(cases[name](100))
    return {"times": times, "results": results}


def peak_memory():
    """The peak resident size of this process in KiB, 0 where the kernel does not say."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return 0


def measure_suite(options):
    """Rounds of every timing of a benchmark of pyperformance; the timings share the time evenly."""
    module = load_program("whole_suite")
    [name] = options.row
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
        try:
            calls = module.collect(name)
        except module.Missing as error:
            return {"unavailable": str(error)}
        gc.collect()
        rows = {}
        for timing, call in calls.items():
            rounds = time_rounds(lambda n, call=call: [call()].clear(), 1, lambda n: None, options.seconds, options.minimum)
            rows[timing] = {"operations": 1, "rounds": rounds}
    return {"rows": rows, "peak": peak_memory()}


def measure(options):
    """Runs what the options ask for; what goes into the file."""
    answer = {}
    native = os.environ.get("CENDRE") == "1"
    if native:
        on, why = switched_on()
        if not on:
            return {"unavailable": why}
    elif "cendre._cendre" in sys.modules:
        raise AssertionError("cendre's native module is loaded in the plain process")
    if options.program is None:
        return {"available": True}
    if options.program == "micro":
        return measure_micro(options) | ({"stats": native_stats()} if native else {})
    if options.program == "whole_suite":
        return measure_suite(options) | ({"stats": native_stats()} if native else {})
    module = load_program(options.program)
    rows = {}
    for row in options.row:
        try:
            function, n, operations, expected, *rest = module.workload(row)
        except getattr(module, "Missing", ()) as error:
            return {"unavailable": str(error)}
        gc.collect()
        timing = time_pieces if options.pieces else time_rounds
        rounds = timing(function, n, expected, options.seconds, options.minimum)
        if rest and rest[0] is not None:
            rest[0]()
        rows[row] = {"operations": operations, "rounds": rounds}
    answer["rows"] = rows
    if native:
        answer["stats"] = native_stats()
    return answer


def main(argv):
    """Measures and writes the file; an exception in the program is written there too."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--program")
    parser.add_argument("--row", action="append", default=[])
    parser.add_argument("--pieces", action="store_true")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--minimum", type=int, default=3)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--out", required=True)
    parser.add_argument("--turns", metavar="IN,OUT")
    options = parser.parse_args(argv)
    clock.source = time.process_time if options.clock == "cpu" else time.perf_counter
    if options.turns:
        clock.turns = tuple(map(int, options.turns.split(",")))
        for descriptor in clock.turns:
            os.set_inheritable(descriptor, False)
    try:
        answer = measure(options)
    except Exception:
        answer = {"error": traceback.format_exc()}
    with open(options.out, "w") as file:
        json.dump(answer, file)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
