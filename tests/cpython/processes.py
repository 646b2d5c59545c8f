"""Runs one module of the suite to its end, through as many processes as its crashes take.

Invariants: each process has a session of its own, limits of memory and time, and is gone with its children when this returns; a process
that dies or hangs costs the test that ran in it, not the module: the rest goes on in a new one. Read `worker.py`.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
# What runs a module: `(*worker, module, OUT, "-u", RESOURCES, options)`, see `worker.py`.
CPYTHON = (sys.executable, "-X", "faulthandler", str(HERE / "worker.py"))
# Processes for one module, at most: what crashes this often is not worth more time.
MOST_PROCESSES = 12
# Tests that get a second look, at most.
MOST_AGAIN = 60
POLL = 0.2


@dataclass(frozen=True)
class Limits:
    """Of one test process, and what it runs."""

    test_seconds: float = 300
    module_seconds: float = 1800
    memory: int = 8 << 30
    resources: str = "cpu,subprocess"
    worker: tuple = CPYTHON


class Died(Exception):
    """The process ended before its tests did."""


def lines(path):
    """The complete lines of a worker's output."""
    out = []
    for line in path.read_bytes().split(b"\n") if path.exists() else []:
        try:
            out.append(json.loads(line))
        except ValueError:  # empty, or cut off in the middle
            continue
    return out


def _limit(limits):
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _kill(process):
    """First in a way that makes faulthandler write where it is."""
    for sig, wait in ((signal.SIGABRT, 5), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, sig) if sig == signal.SIGKILL else process.send_signal(sig)
        except ProcessLookupError:
            pass
        try:
            process.wait(wait)
            if sig == signal.SIGKILL:
                return
        except subprocess.TimeoutExpired:
            pass


def run_process(module, env, limits, only=None, without=(), told=None):
    """(lines of the worker, how it ended, the end of its stderr). `told` is called with the id of each test that starts."""
    with tempfile.TemporaryDirectory(prefix="suite-", ignore_cleanup_errors=True) as folder:
        folder = Path(folder)
        out, errors = folder / "out.jsonl", folder / "stderr"
        (folder / "work").mkdir()
        argv = [*limits.worker, module, str(out), "-u", limits.resources]
        for option, ids in (("--only", only), ("--without", without)):
            if ids:
                (folder / option).write_text(json.dumps(sorted(ids)))
                argv += [option, str(folder / option)]
        env = dict(env, TMPDIR=str(folder / "work"))
        begun = time.monotonic()
        with open(errors, "wb") as stderr:
            process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, cwd=folder / "work",
                                       start_new_session=True, preexec_fn=lambda: _limit(limits))
        how, size, moved = None, 0, begun
        while how is None:
            try:
                process.wait(POLL)
                how = f"status {process.returncode}" if process.returncode >= 0 else f"killed by {_signal_name(-process.returncode)}"
                break
            except subprocess.TimeoutExpired:
                pass
            now = time.monotonic()
            new = out.stat().st_size if out.exists() else 0
            if new != size:
                size, moved = new, now
                if told:
                    told(next((line["start"] for line in reversed(lines(out)) if "start" in line), ""))
            if now - moved > limits.test_seconds or now - begun > limits.module_seconds:
                how = "timeout"
        _kill(process)
        text = errors.read_bytes()
        return lines(out), how, text[-12000:].decode("utf-8", "replace")


def _signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def run_module(module, env, limits, only=None, told=None):
    """What became of each test: {"tests": {id: {"outcome", "why"}}, "module": ..., "crashes": [...], "compiled": ..., "seconds": ...}."""
    result = {"tests": {}, "module": "ran", "why": "", "crashes": [], "compiled": [], "seconds": 0.0}
    begun = time.monotonic()
    for _ in range(MOST_PROCESSES):
        got, how, text = run_process(module, env, limits, only, set(result["tests"]), told)
        started = None
        for line in got:
            if "start" in line:
                started = line["start"]
            elif "id" in line:
                started = None if line["id"] == started else started
                result["tests"][line["id"]] = {"outcome": line["outcome"], "why": line["why"]}
            elif "module" in line:
                result.update(module=line["module"], why=line["why"])
        end = got[-1] if got and "end" in got[-1] else None
        if end:
            result["compiled"].append(end["compiled"])
        if end and how == "status 0":
            break
        outcome = "timeout" if how == "timeout" else "crashed"
        result["crashes"].append({"test": started or ("at exit" if end else "between tests" if result["tests"] else "import"), "how": how, "trace": text})
        if started is None:
            # Nothing to leave out next time: what it was doing is no test.
            if not end:
                result.update(module="error" if how.startswith("status") else outcome, why=f"{how}\n{text[-3000:]}")
            break
        result["tests"][started] = {"outcome": outcome, "why": f"{how}\n{text[-6000:]}"}
        if time.monotonic() - begun > limits.module_seconds:
            break
    result["seconds"] = round(time.monotonic() - begun, 1)
    return result


def second_look(module, doubtful, env, plain_env, limits, told=None):
    """{id: {"mode": outcome, "plain": outcome}} of these tests when they run alone; too many of them are no accident."""
    tests = [t for t in doubtful if not t.startswith("(")]
    if not tests or len(tests) > MOST_AGAIN:
        return {}
    runs = {"mode": run_module(module, env, limits, tests, told), "plain": run_module(module, plain_env, limits, tests, told)}
    return {t: {name: run["tests"].get(t, {"outcome": "missing"})["outcome"] for name, run in runs.items()} for t in tests}


class Progress:
    """What runs now, for the command to print."""

    def __init__(self):
        self.lock, self.now = threading.Lock(), {}

    def start(self, key):
        """Begins a piece of work; the answer notes the test that it has come to."""
        with self.lock:
            self.now[key] = [time.monotonic(), ""]

        def told(test):
            with self.lock:
                self.now[key][1] = test
        return told

    def end(self, key):
        """It is done."""
        with self.lock:
            del self.now[key]

    def text(self):
        """One line."""
        with self.lock:
            return "; ".join(f"{key} ({time.monotonic() - since:.0f} s{', ' + test if test else ''})" for key, (since, test) in self.now.items())
