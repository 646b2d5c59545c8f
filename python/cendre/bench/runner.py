"""Starts the processes of a row, feature after feature and again, and gathers what they measured.

Order: plain, hooks, compile, full, plain, hooks, ... so that a slow drift of the machine meets all features alike. The
features of one block share a hash seed, and blocks have different ones.
Invariant: a process of the plain feature has no CENDRE* variable in its environment.
"""
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .estimate import split

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
    suite_cold: float = 5.0
    suite_warm: float = 5.0
    starts: int = 25

    def phases(self, row):
        """(cold, warm) seconds of a row."""
        return (self.suite_cold, self.suite_warm) if row.suite else (self.cold, self.warm)


QUICK = Settings(repeat=2, cold=0.4, warm=0.4, suite_cold=1.5, suite_warm=1.5, starts=6)


def environment(feature_environment, seed):
    """The environment of a child."""
    kept = {k: v for k, v in os.environ.items() if not k.lstrip("_").startswith("CENDRE") and k not in DROPPED}
    return kept | {"PYTHONHASHSEED": str(seed)} | feature_environment


def ending(code):
    """How a process ended, in words."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"


def call_worker(arguments, feature, seed, timeout):
    """Runs the worker once and returns what it wrote."""
    handle, path = tempfile.mkstemp(prefix="cendre-bench-", suffix=".json")
    os.close(handle)
    try:
        command = [sys.executable, "-P", str(WORKER), *arguments, "--out", path]
        try:
            done = subprocess.run(command, env=environment(feature.environment, seed), capture_output=True,
                                  timeout=timeout, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise RowFailed(f"{feature.name}: not finished after {timeout:.0f} s") from None
        text = Path(path).read_text()
        if done.returncode or not text:
            said = done.stderr.decode(errors="replace").strip()
            raise RowFailed(f"{feature.name}: the process {ending(done.returncode)}" + (f"\n{said}" if said else ""))
        answer = json.loads(text)
    finally:
        os.unlink(path)
    if "unavailable" in answer:
        raise Unavailable(answer["unavailable"])
    if "error" in answer:
        raise RowFailed(f"{feature.name}: {answer['error']}")
    return answer


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
    cold_seconds, warm_seconds = settings.phases(row)
    seconds = cold_seconds + warm_seconds
    arguments = ["--program", row.program, "--row", row.name, "--seconds", str(seconds)]
    arguments += ["--minimum", "2" if row.suite else "5"]
    if row.pieces:
        arguments.append("--pieces")
    data = {feature.name: {"cold": [], "warm": [], "stats": {}, "error": None} for feature in features}
    for block in range(settings.repeat):
        for feature in features:
            mine = data[feature.name]
            if mine["error"]:
                continue
            progress(f"{row.name}: {feature.title}, {block + 1} of {settings.repeat}")
            try:
                answer = call_worker(arguments, feature, block, 60 + 20 * seconds)
            except RowFailed as error:
                mine["error"] = str(error)
                continue
            timed = answer["rows"][row.name]
            cold, warm = split([(start, length / timed["operations"]) for start, length in timed["rounds"]], cold_seconds)
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
