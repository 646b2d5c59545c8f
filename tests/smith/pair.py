"""A pair of workers, one plain and one with cendre, and the differences between what they record.

Invariant: a difference is a text that begins with its kind ("crash", "hang", "log", "late", "blocks"); no difference is an empty text. A worker that died
is started again by the next question.
"""
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from prelude import LIMIT

HERE = Path(__file__).resolve().parent
ENTRIES = ("executor", "vectorcall")


class Died(Exception):
    """A worker ended, or had to be ended."""


class Worker:
    """A child that answers requests."""

    def __init__(self, kind, environment=None, python=sys.executable):
        self.kind, self.more, self.python, self.process = kind, environment or {}, python, None
        self.served = 0

    def start(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("CENDRE") and k not in ("PYTHON_JIT", "PYTHONDEVMODE")}
        env.update(PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1", **self.more)
        r, w = os.pipe()
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen([self.python, str(HERE / "worker.py"), str(w), self.kind], env=env, stdin=subprocess.PIPE,
                                        stdout=self.stderr, stderr=self.stderr, pass_fds=(w,))
        os.close(w)
        self.answers, self.buffer, self.served = r, b"", 0

    def ask(self, request, timeout):
        if self.process is None:
            self.start()
        self.served += 1
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            raise Died(self.death()) from None
        end = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0:
                os.kill(self.process.pid, signal.SIGABRT)       # for faulthandler's traceback
                time.sleep(0.3)
                raise Died("hang: " + self.death())
            if not select.select([self.answers], [], [], left)[0]:
                continue
            data = os.read(self.answers, 1 << 20)
            if not data:
                raise Died("crash: " + self.death())
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def death(self):
        """Ends the process, if it lives; how it ended."""
        process, self.process = self.process, None
        process.kill() if process.poll() is None and not select.select([self.answers], [], [], 0)[0] else None
        try:
            status = process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        os.close(self.answers)
        process.stdin.close()
        self.stderr.seek(0)
        text = self.stderr.read().decode(errors="replace")[-3000:]
        self.stderr.close()
        return (signal.Signals(-status).name if status < 0 else f"status {status}") + "\n" + text

    def stop(self):
        if self.process is not None:
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            os.close(self.answers)
            self.stderr.close()
            self.process = None


class Pair:
    """A plain worker and one with cendre."""

    def __init__(self, entries, timeout=20.0, environment=None):
        self.plain, self.cendre, self.timeout = Worker("plain"), Worker(entries, environment), timeout
        self.entries = entries

    def difference(self, source, plan):
        """What differs, as text; None where the program is of no use."""
        request = {"source": source, "plan": plan}
        try:
            want = self.plain.ask(request, self.timeout / 2)
        except Died:
            return None
        if "useless" in want:
            return None
        text = str(want["runs"])
        if "RECURSION" in text or "MEMORY" in text or "Exceeds the limit" in text:
            return None
        try:
            got = self.cendre.ask(request, self.timeout)
        except Died as death:
            return str(death)
        return compare(want, got, plan, self.entries)

    def stop(self):
        self.plain.stop()
        self.cendre.stop()


def compare(want, got, plan, entries):
    """The first difference, as text; "" if there is none."""
    if "useless" in got:
        return f"log: useless under cendre: {got['useless']}"
    by_collector = plan["gc"]
    for number, (w, g) in enumerate(zip(want["runs"], got["runs"])):
        # When finalisers run depends on the collector; and an interpreted caller of a wrapped function keeps the tuple of `f(*args)`.
        # Our own tool of sys.monitoring changes when CPython thinks that a generator is on a new line.
        away = ("del ", "event LINE") if entries == "vectorcall" else ("del ",) if by_collector else ()
        if away:
            full = max(len(w), len(g)) >= LIMIT
            w, g = [x for x in w if not x.startswith(away)], [x for x in g if not x.startswith(away)]
            if full:        # where each was cut depends on what is left away; the last line is the output
                n = min(len(w), len(g)) - 1
                w, g = [*w[:n], w[-1]], [*g[:n], g[-1]]
        if w != g:
            at = next((i for i, (a, b) in enumerate(zip(w, g)) if a != b), min(len(w), len(g)))
            return "\n".join([f"log: run {number}, line {at}", *(f"         {x[:300]}" for x in w[max(0, at - 3):at]),
                              *(f" CPython {x[:600]}" for x in w[at:at + 4]), *(f" cendre  {x[:600]}" for x in g[at:at + 4])])
    if want["late"] != got["late"] and not by_collector:
        return f"late: {want['late']} {got['late']}"
    if want["growth"] and plan["blocks"]:
        # Something that is made once is no leak; what grows in every run is.
        w, g = sorted(want["growth"])[-2], sorted(got["growth"])[1]
        if g > max(w, 0):
            return f"blocks: a run leaves {got['growth']} blocks, under CPython {want['growth']}"
    return ""


def signature(text):
    """What two findings of the same cause have in common, more or less."""
    if text.startswith(("crash", "hang")):
        return text.split("\n")[0]
    if text.startswith("blocks"):
        return "blocks"
    lines = [line for line in text.split("\n") if line.startswith(" ")]
    return re.sub(r"[0-9]+|'[^']*'", "#", " ".join(line[:60] for line in lines if line.startswith((" CPython", " cendre")))[:150])
