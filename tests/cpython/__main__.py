"""CPython's own test suite under cendre: `make test-cpython`, or `python tests/cpython [options] [test_module ...]`.

Runs the modules of the `test` package that this Python comes with, plain and in the modes of `modes.py`, compares test by test and writes
a report. What is done is kept under .cache/cpython. Read `suite.py`, which does it; this is the command line.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import modes  # noqa: E402
import outcomes  # noqa: E402
import processes  # noqa: E402
import suite  # noqa: E402

SUBJECT = suite.Subject("CPython's own test suite", processes.CPYTHON, by_design=outcomes.skips(), apart=outcomes.specialisation_tests, apart_title="specialisation")


def all_modules():
    """Names of all modules of the suite, as its own runner lists them."""
    found = subprocess.run([sys.executable, "-m", "test", "--list-tests"], env=modes.environment("plain"), capture_output=True, text=True, check=True)
    return [name if name.startswith("test.") else f"test.{name}" for name in found.stdout.split()]


def main():
    """Command line."""
    parser = argparse.ArgumentParser(prog="tests/cpython", description="CPython's own test suite under cendre, compared with plain CPython test by test.")
    parser.add_argument("modules", nargs="*", metavar="test_module", help="modules (default: all)")
    parser.add_argument("--modes", default=",".join(modes.MODES), help=f"of {', '.join(modes.MODES)} (default: all of them)")
    parser.add_argument("--entries", default=",".join(modes.ENTRIES), help="executor (executors on), vectorcall (off) (default: both)")
    parser.add_argument("--tasks", help="policies for asyncio's tasks, each of which is run instead of none: of off, exact, family, eager")
    suite.add_options(parser, suite.ROOT / ".cache" / "cpython")
    parser.add_argument("-u", dest="resources", default="cpu,subprocess", help="resources that tests may use, as for python -m test (default: %(default)s)")
    options = parser.parse_args()
    chosen, entries = options.modes.split(","), options.entries.split(",")
    for what, given, known in (("mode", chosen, modes.MODES), ("kind of entries", entries, modes.ENTRIES)):
        for name in given:
            if name not in known:
                parser.error(f"no {what} {name!r}; there are {', '.join(known)}")
    suite.check_options(parser, options)
    try:
        present = all_modules()
    except subprocess.CalledProcessError:
        parser.exit(3, "tests/cpython: this Python comes without its test suite (package `test`); a distribution may have it in a package of its own\n")
    if options.modules:
        wanted = [name if name.startswith("test.") else f"test.{name}" for name in options.modules]
        modules = [m for w in wanted for m in present if m == w or m.startswith(f"{w}.")]
        for w in wanted:
            if not any(m == w or m.startswith(f"{w}.") for m in modules):
                parser.error(f"the suite has no module {w}")
    else:
        modules = present
    configs = [(mode, e, *tasks) for mode in chosen for e in entries for tasks in ([(t,) for t in options.tasks.split(",")] if options.tasks else [()])]
    modules = list(dict.fromkeys(modules))
    sys.exit(suite.run(SUBJECT, options, modules, configs))


if __name__ == "__main__":
    main()
