"""Starts the processes of a row and gathers what they measured.

The processes of one block (plain, hooks, compile, full) run side by side but only one at a time, in slices of a twentieth of a second
that the parent hands round; those whose turn it is not are stopped. So all features meet the same machine, however it changes, also
in their first second. They share a hash seed, and blocks have different ones.
Invariant: a process of the plain feature has no CENDRE* variable in its environment.
"""
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .estimate import split

CLOCKS = ("wall", "cpu")
CLOCK_HELP = "wall: elapsed time; cpu: processor time of the process, for a machine that is busy with other things (wall)"
WORKER = Path(__file__).resolve().parent / "worker.py"
COMPILE_PROGRAMS = ("awaits", "calls", "data")  # what the row compile-time runs, a process each
COMPILE_PROCESSES = len(COMPILE_PROGRAMS)
# Left out of the children's environment: CPython's own JIT must not differ from what the user runs by accident, and
# switches of ours are set by the feature alone.
DROPPED = ("PYTHON_JIT", "PYTHONHASHSEED", "PYTHONDEVMODE", "PYTHONTRACEMALLOC", "PYTHONMALLOC", "PYTHONSTARTUP")


class RowFailed(Exception):
    """A process crashed, hung, or gave a wrong result: something to repair, unlike a feature that is not there."""


class Unavailable(Exception):
    """The row cannot be measured here; the text says what is missing."""


@dataclass(frozen=True)
class Settings:
    """How long and how often; from the command line."""

    repeat: int = 5
    cold: float = 1.0
    warm: float = 1.5
    # Of pyperformance the first second counts as cold and what comes after five as warm; what lies between is neither.
    suite_after: float = 5.0
    suite_warm: float = 5.0
    starts: int = 25
    clock: str = "wall"

    def phases(self, row):
        """Seconds of a row: how long it is cold, when it begins to be warm, when it ends."""
        if row.suite:
            after = max(self.cold, self.suite_after)
            return self.cold, after, after + self.suite_warm
        return self.cold, self.cold, self.cold + self.warm


QUICK = Settings(repeat=2, cold=0.4, warm=0.4, suite_after=1.5, suite_warm=1.5, starts=6)


def environment(feature_environment, seed):
    """The environment of a child."""
    kept = {k: v for k, v in os.environ.items() if not k.lstrip("_").startswith("CENDRE") and k not in DROPPED}
    return kept | {"PYTHONHASHSEED": str(seed)} | feature_environment


def ending(code):
    """How a process ended, in words."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"


class Worker:
    """A process that measures one row with one feature."""

    def __init__(self, arguments, feature, seed, turns=False):
        self.feature = feature
        self.report = tempfile.NamedTemporaryFile(prefix="cendre-bench-", suffix=".json")
        self.said = tempfile.TemporaryFile(prefix="cendre-bench-")
        command = [sys.executable, "-P", str(WORKER), *arguments, "--out", self.report.name]
        theirs = ()
        self.go, self.done = None, None
        if turns:
            wait, self.go = os.pipe()
            self.done, tell = os.pipe()
            theirs = (wait, tell)
            command += ["--turns", f"{wait},{tell}"]
        self.process = subprocess.Popen(command, env=environment(feature.environment, seed), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=self.said, pass_fds=theirs)
        for descriptor in theirs:
            os.close(descriptor)

    def turn_ended(self, deadline):
        """Waits for the end of the process's slice: whether it wants another."""
        left = max(0.0, deadline - time.monotonic())
        if not select.select([self.done], [], [], left)[0]:
            raise RowFailed(f"{self.feature.name}: not finished in time")
        if not os.read(self.done, 1):
            return False
        self.process.send_signal(signal.SIGSTOP)    # its other threads wait too
        return True

    def start_turn(self):
        """Lets the process run its next slice."""
        self.process.send_signal(signal.SIGCONT)
        with contextlib.suppress(BrokenPipeError):
            os.write(self.go, b".")

    def answer(self, timeout):
        """What the process wrote, once it has ended. Raises RowFailed and Unavailable."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise RowFailed(f"{self.feature.name}: not finished after {timeout:.0f} s") from None
        text = Path(self.report.name).read_text()
        if self.process.returncode or not text:
            self.said.seek(0)
            said = self.said.read().decode(errors="replace").strip()
            raise RowFailed(f"{self.feature.name}: the process {ending(self.process.returncode)}" + (f"\n{said}" if said else ""))
        answer = json.loads(text)
        if "unavailable" in answer:
            raise Unavailable(answer["unavailable"])
        if "error" in answer:
            raise RowFailed(f"{self.feature.name}: {answer['error']}")
        return answer

    def close(self):
        """Ends the process if it runs, and gives everything back."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for descriptor in (self.go, self.done):
            if descriptor is not None:
                os.close(descriptor)
        self.report.close()
        self.said.close()


def call_worker(arguments, feature, seed, timeout):
    """Runs one worker alone and returns what it wrote."""
    worker = Worker(arguments, feature, seed)
    try:
        return worker.answer(timeout)
    finally:
        worker.close()


def call_in_turns(arguments, features, seed, timeout):
    """Runs a worker of each feature, in turns: {feature name: what it wrote, or the RowFailed or Unavailable that it ended in}.

    `timeout` is in seconds, for each of them.
    """
    deadline = time.monotonic() + timeout * len(features)
    workers, answers = [], {}
    try:
        for feature in features:
            workers.append(Worker(arguments, feature, seed, turns=True))
        running = list(workers)
        first = True
        while running:
            for worker in list(running):
                try:
                    if not first:
                        worker.start_turn()
                    if worker.turn_ended(deadline):
                        continue
                    answers[worker.feature.name] = worker.answer(max(10.0, deadline - time.monotonic()))
                except (RowFailed, Unavailable) as error:
                    answers[worker.feature.name] = error
                running.remove(worker)
            first = False
    finally:
        for worker in workers:
            worker.close()
    return answers


class Served:
    """A process of one configuration that stays, and measures what it is asked: `python -m MODULE --worker ARGUMENT`, which calls `serve`."""

    def __init__(self, module, argument, variables):
        self.process = subprocess.Popen([sys.executable, "-m", module, "--worker", argument], env=environment(variables, 0),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *question):
        """The answer to a question; both are what JSON can say. RuntimeError if the process has ended."""
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a process of the benchmark ended")
        return json.loads(line)

    def end(self):
        """Ends it, when all that was asked is answered."""
        self.process.stdin.close()
        self.process.wait(30)


def serve(answer):
    """In such a process: answers questions with `answer(*question)` until there are no more."""
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), flush=True)


def probe(features):
    """Which features can be measured here: {feature name: None, or why not}. A crash on the way is such a reason too."""
    reasons = {}
    for feature in features:
        try:
            call_worker([], feature, 0, 60)
            reasons[feature.name] = None
        except (Unavailable, RowFailed) as error:
            reasons[feature.name] = str(error)
    return reasons


def merge_stats(total, stats):
    """Adds a process's counters to the row's."""
    for name, value in stats.items():
        total[name] = total.get(name, 0) + value


def run_program(row, features, settings, progress):
    """Measures a row: {feature: {"cold": blocks, "warm": blocks, "stats": sums, "error": text or None}}.

    A block is the list of times for each operation, in seconds, of one process. A feature that fails is dropped for the
    rest of the row; the others go on.
    """
    cold_seconds, warm_after, seconds = settings.phases(row)
    arguments = ["--program", row.program, "--row", row.name, "--seconds", str(seconds), "--clock", settings.clock]
    arguments += ["--minimum", "2" if row.suite else "5"]
    if row.pieces:
        arguments.append("--pieces")
    data = {feature.name: {"cold": [], "warm": [], "stats": {}, "error": None} for feature in features}
    for block in range(settings.repeat):
        wanted = [feature for feature in features if not data[feature.name]["error"]]
        progress(f"{row.name}: {block + 1} of {settings.repeat}")
        for name, answer in call_in_turns(arguments, wanted, block, 60 + 20 * seconds).items():
            mine = data[name]
            if isinstance(answer, Unavailable):
                raise answer
            if isinstance(answer, RowFailed):
                mine["error"] = str(answer)
                continue
            timed = answer["rows"][row.name]
            rounds = [(start, length / timed["operations"]) for start, length in timed["rounds"]]
            cold, warm = split(rounds, cold_seconds, warm_after)
            mine["cold"].append(cold)
            mine["warm"].append(warm)
            merge_stats(mine["stats"], answer.get("stats", {}))
            mine["operations"] = timed["operations"]
    return data


def run_compile_time(feature, progress):
    """Stats of processes that run many small programs, for what compiling them took; one process a program file."""
    from .registry import ROWS

    total = {}
    for program in COMPILE_PROGRAMS:
        progress(f"compile-time: {program}")
        arguments = ["--program", program, "--seconds", "0.5"]
        for row in ROWS:
            if row.program == program:
                arguments += ["--row", row.name]
        merge_stats(total, call_worker(arguments, feature, 0, 120).get("stats", {}))
    return total
