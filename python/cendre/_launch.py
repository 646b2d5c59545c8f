"""Turns `cendre run ...` into the Python command that does it.

`cendre run app.py` *is* `python app.py` with `CENDRE=1` in its environment: the process replaces itself, so that
`sys.argv`, `__main__`, tracebacks, exit status, signals and messages are Python's own, and children inherit the
switch. What does not work: running the program inside this process. It costs less start-up (5 ms), and then shows
frames of ours in tracebacks, has our modules in `sys.modules`, and needs its own reading of `-m`, `-c` and scripts.

Invariant: everything wrong with the command or with a `CENDRE_*` variable is said here, before anything runs, with
exit status 2; whatever is wrong with the program is said by Python.
"""

import os
import sys

from cendre import _config

START_FILE = "cendre_autostart.pth"


class UsageError(Exception):
    """A command line that cannot be followed; the message says why."""


# Our option -> (variable, the value it sets; None: the option takes one).
OPTIONS = {
    "--threshold": ("CENDRE_THRESHOLD", None),
    "--entries": ("CENDRE_ENTRIES", None),
    "--code-limit": ("CENDRE_CODE_LIMIT", None),
    "--tasks": ("CENDRE_TASKS", None),
    "--perf": ("CENDRE_PERF", "1"),
    "--no-awaits": ("CENDRE_AWAITS", "0"),
    "--no-jit": ("CENDRE_JIT", "0"),
}


def parse(arguments, verb="run"):
    """Splits `[our options] [Python's options] target [arguments]` into variables to set and arguments for Python."""
    variables, python = {}, []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            raise UsageError(f"cendre {verb}: `--` is not needed: everything behind the program is the program's")
        if argument == "--check-hash-based-pycs":
            python += [argument, *rest[:1]]
            del rest[:1]
        elif argument.startswith("--"):
            name, has_value, value = argument.partition("=")
            if name not in OPTIONS:
                raise UsageError(f"cendre {verb}: unknown option {name} (see `cendre {verb} --help`)")
            variable, fixed = OPTIONS[name]
            if fixed is not None:
                if has_value:
                    raise UsageError(f"cendre {verb}: {name} takes no value")
                value = fixed
            elif not has_value:
                if not rest:
                    raise UsageError(f"cendre {verb}: {name} needs a value")
                value = rest.pop(0)
            if not value:
                raise UsageError(f"cendre {verb}: {name} needs a value")
            variables[variable] = value
        elif argument.startswith("-") and argument != "-":
            python.append(argument)
            if _python_option(argument, rest, python, verb):
                return variables, python + rest
        else:
            return variables, [*python, argument, *rest]
    if any(argument.startswith("-") and "V" in argument for argument in python):
        return variables, python
    raise UsageError(f"cendre {verb}: what to run is missing: a script, `-m module` or `-c code`")


def _python_option(argument, rest, python, verb):
    """Takes the value of a group of Python's one-letter options; returns whether it names the program (-c, -m)."""
    for at, letter in enumerate(argument[1:], 2):
        if letter == "S":
            raise UsageError(f"cendre {verb}: with -S Python does not read site-packages, where cendre is switched on")
        if letter in "cmWX":
            if len(argument) == at:  # The value is the next argument.
                python += rest[:1]
                del rest[:1]
            return letter in "cm"
    return False


def inherited_options():
    """Python's options that this process itself was started with: `python -X dev -m cendre run app.py`."""
    head = sys.orig_argv[1:len(sys.orig_argv) - (len(sys.argv) - 1)]
    if head and head[-1].startswith("-") and head[-1].endswith("mcendre"):  # -mcendre
        last = head.pop()[:-len("mcendre")]
    elif len(head) > 1 and head[-1] == "cendre" and head[-2].startswith("-") and head[-2].endswith("m"):  # -m cendre
        last = head[-2][:-1]
        del head[-2:]
    else:  # The `cendre` script.
        last = "-"
        del head[-1:]
    return head + ([last] if last != "-" else [])


def command(arguments, verb="run"):
    """The arguments of the Python to start, and its environment. UsageError when something of ours is wrong."""
    variables, python = parse(arguments, verb)
    environ = dict(os.environ, **variables, CENDRE="run")
    try:
        _config.from_environ(environ)
    except ValueError as error:
        raise UsageError(f"cendre {verb}: {error}") from None
    if not sys.executable:
        raise UsageError(f"cendre {verb}: Python does not know its own path (sys.executable is empty)")
    if not any(os.path.exists(os.path.join(folder, START_FILE)) for folder in sys.path):
        raise UsageError(f"cendre {verb}: {START_FILE} is not in this Python's site-packages, so the program would "
                         "run without cendre; install cendre with pip")
    return [sys.executable, *inherited_options(), *python], environ


def run(arguments):
    """`cendre run`: becomes the program. Does not return."""
    argv, environ = command(arguments)
    os.execve(argv[0], argv, environ)


def explain(arguments):
    """`cendre explain`: runs the program, then prints what cendre did. Returns the program's exit status."""
    import shutil
    import signal
    import subprocess
    import tempfile

    from cendre import _report

    argv, environ = command(arguments, "explain")
    folder = tempfile.mkdtemp(prefix="cendre-")
    try:
        path = os.path.join(folder, "reports")
        environ["CENDRE_EXPLAIN"] = path
        environ.pop("_CENDRE_EXPLAIN_OWNER", None)
        # The terminal sends an interrupt to both; it is the program's, and we still want to show what it did.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        ours = signal.SIG_IGN if before == signal.SIG_IGN else signal.SIG_DFL
        child = subprocess.Popen(argv, env=environ, preexec_fn=lambda: signal.signal(signal.SIGINT, ours))
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        status = child.wait()
        try:
            reports = _report.read(path)
        except FileNotFoundError:
            reports = []
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if reports and (status == 0 or any(report["functions"] for report in reports)):
        sys.stdout.write("\n" + _report.text(reports, colour=sys.stdout.isatty()))
        sys.stdout.flush()
    elif not reports:
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        print(f"cendre explain: the program left no report (it ended {how})", file=sys.stderr)
    if status < 0:
        # As the program ended: a shell tells `killed by SIGINT` from `exit 130`.
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status
