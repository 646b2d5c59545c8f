"""The main job of `make run`: both examples on plain CPython and under cendre, and what cendre did about them.

Each example runs twice, in processes of its own: once with every CENDRE_* variable taken out of the environment, once
through `cendre run`. The standard output of the two must be the same byte for byte; a difference is printed as a diff
and ends the job with status 1. What was compiled and how the awaited calls went comes from the child itself, by the
JSON file that CENDRE_EXPLAIN names.

Invariant: nothing here decides what a run prints, and times are printed, never judged.

    .venv/bin/python scripts/main_job.py [--quick]
"""
import argparse
import difflib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
TIMEOUT = 300  # seconds for one run; a hang is an error with a message, not a job that never ends

# program, what it is in a line, arguments of a full run, arguments of a quick one
JOBS = [
    ("summit.py", "an await chain that is served from a cache", ["4000000"], ["400000"]),
    ("graphql_service.py", "graphql-core, asynchronous resolvers, mostly cached", ["150"], ["20"]),
]


class JobFailed(Exception):
    """A run that did not give what it must; the text says what went wrong."""


def plain_environment():
    """The environment without anything that would switch cendre on."""
    return {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith("CENDRE")}


def cendre_command():
    """How `cendre run` is called with this very Python: the installed script, or the module."""
    script = Path(sys.executable).parent / "cendre"
    return [str(script)] if script.exists() else [sys.executable, "-m", "cendre"]


def run(title, command, environment):
    """Runs one command to its end and returns its standard output and the seconds that it took."""
    start = time.perf_counter()
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise JobFailed(f"{title}: not finished after {TIMEOUT} s") from None
    seconds = time.perf_counter() - start
    if done.returncode:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
        raise JobFailed(f"{title}: ended with {how}\n{done.stderr.decode(errors='replace').rstrip()}")
    return done.stdout, seconds


def compare(name, plain, native):
    """Raises with a diff unless both outputs are the same bytes."""
    if plain == native:
        return
    left = plain.decode(errors="backslashreplace").splitlines()
    right = native.decode(errors="backslashreplace").splitlines()
    diff = "\n".join(difflib.unified_diff(left, right, "plain CPython", "cendre", lineterm=""))
    raise JobFailed(f"{name}: the outputs differ\n{diff or f'{plain!r} and {native!r}'}")


def read_explain(path):
    """What the child wrote at its exit: (stats, functions, None), or (None, None, why there is nothing).

    The file holds one report a line, one a process; the example's own process is the one marked as owner.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None, None, "the run wrote no statistics (CENDRE_EXPLAIN was not honoured)"
    try:
        reports = [json.loads(line) for line in text.splitlines()]
        if not reports:
            return None, None, "the run wrote no statistics (the file of CENDRE_EXPLAIN is empty)"
        report = next((report for report in reports if report.get("owner")), reports[0])
        return report["stats"], report.get("functions", []), None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return None, None, f"the statistics of the run cannot be read: {type(error).__name__}: {error}"


def is_compiled(function):
    """Whether an entry of `functions` says that its code object has machine code."""
    return function.get("state") == "compiled"


def describe(stats, functions):
    """Lines that say what was compiled and how many awaited calls needed no coroutine object."""
    names = sorted({str(function.get("name")) for function in functions if is_compiled(function)})
    yield f"compiled        {stats.get('compiled', 'not reported')}" + (" functions" if "compiled" in stats else "")
    for start in range(0, min(len(names), 24), 4):
        yield "                  " + ", ".join(names[start : start + 4])
    if len(names) > 24:
        yield f"                  and {len(names) - 24} more"
    calls, finished = stats.get("awaited_calls"), stats.get("awaited_finished")
    if calls is None or finished is None:
        yield "awaited calls   not reported"
        return
    other = stats.get("awaited_other", 0)  # Answered with a Future, say: there was no coroutine to build.
    none_built = finished + other
    share = f" ({100 * none_built / calls:.1f} %)" if calls else ""
    yield f"awaited calls   {calls}"
    yield f"  no coroutine object built  {none_built}{share}" + (f", {other} of them for what is no coroutine" if other else "")
    suspended, declined = stats.get("awaited_suspended"), stats.get("awaited_declined", 0) - other
    if suspended is not None:
        yield f"  suspended, object built    {suspended}"
    if declined > 0:
        yield f"  object built all the same  {declined} (mostly before what they called was compiled)"


def do_job(name, title, arguments, folder):
    """Runs one example both ways, compares, and prints what there is to say."""
    script = str(EXAMPLES / name)
    print(f"== {name}: {title}", flush=True)
    plain_out, plain_seconds = run(f"{name} on plain CPython", [sys.executable, script, *arguments], plain_environment())
    print(f"plain CPython   {plain_seconds:.2f} s", flush=True)
    explain = folder / (name + ".json")
    environment = plain_environment() | {"CENDRE_EXPLAIN": str(explain)}
    command = [*cendre_command(), "run", script, *arguments]
    native_out, native_seconds = run(f"{name} under cendre", command, environment)
    print(f"under cendre    {native_seconds:.2f} s   ({plain_seconds / native_seconds:.2f} times as fast)")
    compare(name, plain_out, native_out)
    print(f"same output     yes, {len(plain_out)} bytes:")
    for line in plain_out.decode(errors="backslashreplace").splitlines():
        print(f"                  {line}")
    stats, functions, missing = read_explain(explain)
    for line in [missing] if missing else describe(stats, functions):
        print(line)
    print(flush=True)


def main(argv):
    """Runs all jobs; 0 when every output was the same, 1 else."""
    parser = argparse.ArgumentParser(prog="main_job.py", description="Runs the examples plain and under cendre.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="cendre-run-") as folder:
        for name, title, full, quick in JOBS:
            try:
                do_job(name, title, quick if options.quick else full, Path(folder))
            except JobFailed as error:
                print(f"main job failed: {error}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
