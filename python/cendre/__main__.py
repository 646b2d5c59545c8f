"""The `cendre` command: `cendre run`, `cendre explain`, `cendre bench`; `python -m cendre` is the same.

Invariant: this file only reads the first argument and hands on; `cendre run` must reach the program quickly, so that
nothing is imported which it does not need. How a program is started: _launch.py.
"""

import sys

HELP = """\
usage: cendre run [options] app.py [arguments]
       cendre run [options] -m module [arguments]
       cendre run [options] -c code [arguments]
       cendre explain [options] app.py [arguments]
       cendre bench [rows] [options]

Runs ordinary Python programs faster, inside the CPython that is installed.

commands:
  run        run a program with cendre switched on; child processes inherit it
  explain    the same, then print what was compiled, what not and why, and each `await`
  bench      measure cendre against plain CPython (`cendre bench --help`)

options of run and explain, before the program; Python's own (-X, -W, -O, -u ...) are passed on:
  --threshold N      samples in which a function must be seen before it is compiled; 0: compile at first sight
  --entries HOW      ways into compiled code: auto, executor or vectorcall
  --code-limit SIZE  bytes of machine code at most, as 64M
  --tasks POLICY     asyncio's tasks natively, by a policy: off, exact, family or eager; stock: nothing of
                     asyncio natively; see docs/tasks.md
  --perf             write a map of the machine code for `perf report`
  --no-awaits        compile, but make awaited calls as CPython does
  --no-jit           switch cendre on, but compile nothing

examples:
  cendre run app.py --port 8000
  cendre run -m pytest tests
  cendre run --threshold 0 -c 'print(sum(range(10)))'
  cendre explain app.py
  CENDRE=1 python app.py         the same as `cendre run app.py`

  -h, --help     this text
  --version      the version of cendre and of Python
"""


def main(argv=None):
    """Runs the command; returns the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    verb = arguments[0] if arguments else None
    if verb in ("-h", "--help", "help"):
        sys.stdout.write(HELP)
        return 0
    if verb in ("--version", "-V"):
        import cendre

        print(f"cendre {cendre.__version__} (CPython {sys.version.split()[0]})")
        return 0
    if verb == "bench":
        from cendre.bench.__main__ import main as bench

        return bench(arguments[1:])
    if verb in ("run", "explain"):
        if arguments[1:2] in (["-h"], ["--help"]):
            sys.stdout.write(HELP)
            return 0
        from cendre import _launch

        try:
            return getattr(_launch, verb)(arguments[1:])
        except _launch.UsageError as error:
            print(error, file=sys.stderr)
            return 2
    problem = f"unknown command {verb}" if verb else "what to do is missing"
    print(f"cendre: {problem} (run, explain or bench; see `cendre --help`)", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
