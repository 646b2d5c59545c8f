"""What every script of the set-up shares: where things lie, lines of progress, stamps.

Invariant: a step whose inputs did not change is never done twice. What a step depends on goes into one hash, which is
kept as a *stamp* under `.cache/stamps`, written only after the step has succeeded. The checkout's own path is part of
every hash, since virtual environments and the private Python hold absolute paths.

These scripts run under the machine's own `python3` (3.9 or newer, standard library only), before there is a 3.14.
Read next: setup.py (the steps), find_python.py, debian_python.py.
"""

import contextlib
import fcntl
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
STAMPS = CACHE / "stamps"
LOGS = CACHE / "logs"
VENV = ROOT / ".venv"
PRIVATE_PYTHON = ROOT / ".python"

_start = time.monotonic()


class SetupError(Exception):
    """A step that cannot be done; the message says what to do about it."""


def say(step, text):
    """One line of progress: seconds since the start, the step, what happened."""
    print(f"[{time.monotonic() - _start:6.1f} s] {step:<7} {text}", flush=True)


def digest(*parts, files=()):
    """A hash of strings and of the names and contents of files."""
    total = hashlib.sha256(str(ROOT).encode())
    for part in parts:
        total.update(b"\0part\0" + str(part).encode())
    for path in sorted(files):
        total.update(b"\0file\0" + str(path).encode() + b"\0" + Path(path).read_bytes())
    return total.hexdigest()


def is_done(step, key):
    """Whether `step` has succeeded with exactly these inputs."""
    try:
        return (STAMPS / step).read_text() == key
    except FileNotFoundError:
        return False


def mark_done(step, key):
    """Notes that `step` has succeeded with these inputs."""
    STAMPS.mkdir(parents=True, exist_ok=True)
    (STAMPS / step).write_text(key)


def forget(step):
    """A step that is begun is not done: an interrupted run starts it again."""
    (STAMPS / step).unlink(missing_ok=True)


@contextlib.contextmanager
def building():
    """Held by whoever lets maturin run in this tree: it moves the library through `target/maturin`, where two at once lose it."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(step, command, env=None, cwd=ROOT):
    """Runs a command with its output in `.cache/logs/STEP.log`; on failure shows the end of that log."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{step}.log"
    with log.open("ab") as out:
        begin = out.tell()
        out.write(("$ " + " ".join(map(str, command)) + "\n").encode())
        out.flush()
        done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              env=env, cwd=cwd, check=False)
    if done.returncode != 0:
        tail = log.read_bytes()[begin:].decode(errors="replace").splitlines()[-40:]
        shown = "\n".join("    " + line for line in tail)
        raise SetupError(f"`{' '.join(map(str, command))}` failed (exit {done.returncode}):\n{shown}\n"
                         f"the whole log: {os.path.relpath(log, ROOT)}")


def main(body):
    """Runs a script's body; a `SetupError` becomes a message and exit status 1."""
    try:
        return body() or 0
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130
