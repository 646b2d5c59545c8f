"""Rows about whole processes: what start-up takes, and how much memory, without cendre and with it.

Memory is the peak resident size that the kernel notes for the process's address space (VmHWM); the figure that wait4
gives would include the parent's, as it is handed on through exec.
Invariant: the variants run in turn, one of each, so that differences are taken between neighbours.
"""
import os
import subprocess
import sys
import time
from pathlib import Path

from .runner import RowFailed, ending, environment

PEAK = "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
SMALL = "def add(a, b):\n    return a + b\nfor i in range(100):\n    add(i, i)\n"
CHECK = "import sys, cendre; sys.exit(0 if cendre.is_enabled() else 3)"
COMPILE = "import cendre.jit\ncendre.jit.compile(add)\nassert cendre.jit.is_compiled(add) and add(2, 3) == 5\n"


def cendre_run():
    """The command of `cendre run` for this Python: the installed script, or the module where there is none."""
    script = Path(sys.executable).parent / "cendre"
    return [str(script), "run"] if script.exists() else [sys.executable, "-m", "cendre", "run"]


def variants(code):
    """(name, command, environment variables) of the ways to run `python -c code`."""
    return [
        ("plain", [sys.executable, "-c", code], {}),
        ("CENDRE=1", [sys.executable, "-c", code], {"CENDRE": "1"}),
        ("cendre run", [*cendre_run(), "-c", code], {}),
    ]


def call(name, command, variables):
    """Runs a command; its standard output and the milliseconds that it took."""
    start = time.perf_counter()
    done = subprocess.run(command, env=environment(variables, 0), capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
    milliseconds = (time.perf_counter() - start) * 1e3
    said = done.stderr.decode(errors="replace").strip()
    # With CENDRE=1 a switch-on that fails leaves a line on stderr and goes on: then this is not what is to be measured.
    if done.returncode or said:
        raise RowFailed(f"{name}: the process {ending(done.returncode)}\n{said}".rstrip())
    return done.stdout.decode(), milliseconds


def alternate(commands, repeat, progress, read):
    """{variant: [value of each run]}, one run of each in turn; the first turn warms the file cache and is dropped.

    A variant that fails is left out of the result; why is given in the second result."""
    values = {name: [] for name, _, _ in commands}
    failed = {}
    for turn in range(repeat + 1):
        progress(f"turn {turn} of {repeat}")
        for name, command, variables in commands:
            if name in failed:
                continue
            try:
                value = read(*call(name, command, variables))
            except (RowFailed, subprocess.TimeoutExpired) as error:
                failed[name] = str(error)
                values.pop(name)
                continue
            if turn:
                values[name].append(value)
    return values, failed


def without_cendre(progress):
    """{variant: why} of those that do not switch cendre on here: measuring them would measure plain Python again."""
    missing = {}
    for name, command, variables in variants(CHECK)[1:]:
        progress(f"looking whether {name} switches cendre on")
        try:
            call(name, command, variables)
        except (RowFailed, subprocess.TimeoutExpired):
            missing[name] = f"{name} does not switch cendre on here (is it installed in this environment, with its .pth?)"
    if "CENDRE=1" in missing:
        missing["first compile"] = missing["CENDRE=1"]
    return missing


def allowed(commands, missing):
    """The commands that measure what they are called."""
    return [command for command in commands if command[0] not in missing]


def startup(repeat, missing, progress):
    """Milliseconds of `python -c pass`, by variant."""
    commands = allowed(variants("pass"), missing)
    return alternate(commands, repeat, lambda text: progress(f"startup: {text}"), lambda out, ms: ms)


def memory(repeat, missing, progress):
    """Peak MiB by variant; "first compile" runs a small function and compiles it, "plain" does neither."""
    if not os.path.exists("/proc/self/status"):
        return {}, {"plain": "needs Linux's /proc/self/status"}
    commands = variants(PEAK)
    commands.append(("first compile", [sys.executable, "-c", SMALL + COMPILE + PEAK], {"CENDRE": "1"}))
    return alternate(allowed(commands, missing), repeat, lambda text: progress(f"memory: {text}"),
                     lambda out, ms: int(out) / 1024)
