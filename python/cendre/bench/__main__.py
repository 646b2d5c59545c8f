"""The command line of `cendre bench`.

Exit status: 0 when everything that could be measured gave right results (however slow), 1 when a process crashed, hung or
gave a wrong result, 2 for options that are wrong. Read `docs/benchmarks.md`.
"""
import argparse
import sys
from dataclasses import replace

from . import coverage, micro, plot, report, results, runner, suite
from .registry import FEATURES, ROWS, NoSuchRow, select

EXAMPLES = """examples:
  cendre bench                          all rows (more than an hour)
  cendre bench 'await-*' fib --quick    some rows, with short phases
  cendre bench --json out.json --svg out.svg richards
  cendre bench async                    asyncio's tasks, plain and under each policy (minutes)
  cendre bench frameworks               awaits and fan-outs driven by anyio, Trio and by hand
  cendre bench service                  a web service, plain and under each policy (needs h2load)
  cendre bench --list                   the rows and what they do
  cendre bench coverage --every 10      what of the standard library can be compiled
  cendre bench micro                    single operations, the slowest first
  cendre bench suite                    all of pyperformance, the slowest first
"""


def positive(kind):
    """A converter for argparse: a number above zero."""
    def convert(text):
        value = kind(text)
        if not 0 < value < 1e6:
            raise ValueError(text)
        return value

    convert.__name__ = f"positive {kind.__name__}"
    return convert


def make_parser():
    """The options."""
    parser = argparse.ArgumentParser(
        prog="cendre bench", description="Measures programs on plain CPython and under cendre, one feature at a time.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help="names of rows, shell patterns allowed (default: all)")
    parser.add_argument("--list", action="store_true", help="list the rows and end")
    parser.add_argument("--json", metavar="FILE", help="write everything, samples included, as JSON")
    parser.add_argument("--svg", metavar="FILE", help="draw the ratios")
    parser.add_argument("--repeat", type=positive(int), metavar="N", help="processes of each feature and row (default: 5)")
    parser.add_argument("--quick", action="store_true", help="short phases, 2 processes: a look, not a result")
    parser.add_argument("--cold", type=positive(float), metavar="S", help="seconds that count as the first (1)")
    parser.add_argument("--warm", type=positive(float), metavar="S", help="how long the warm phase lasts (1.5; pyperformance 5, after the first 5)")
    parser.add_argument("--clock", choices=runner.CLOCKS, default="wall", help=runner.CLOCK_HELP)
    parser.add_argument("--feature", action="append", choices=[f.name for f in FEATURES if f.name != "plain"], default=[],
                        help="only these beside plain (can be given again)")
    return parser


def make_settings(options):
    """The settings that the options ask for."""
    settings = runner.QUICK if options.quick else runner.Settings()
    changes = {"clock": options.clock}
    if options.repeat:
        changes["repeat"] = options.repeat
    if options.cold:
        changes["cold"] = options.cold
    if options.warm:
        changes["warm"] = changes["suite_warm"] = options.warm
    return replace(settings, **changes)


class Progress:
    """One line on a terminal's stderr that says what runs now; nothing on a pipe but a line a row."""

    def __init__(self, out):
        self.out = out
        self.terminal = out.isatty()

    def __call__(self, text):
        if self.terminal:
            print(f"\r\x1b[K{text}", end="", file=self.out, flush=True)

    def done(self, text):
        print(("\r\x1b[K" if self.terminal else "") + text, file=self.out, flush=True)


def run_rows(rows, features, settings, options):
    """Measures rows one after the other; Ctrl-C ends early with what there is. (results, interrupted)."""
    progress = Progress(sys.stderr)
    done = {}
    try:
        progress("looking which features are there")
        reasons = runner.probe(features)
        minutes = results.seconds_needed(rows, [f for f in features if not reasons[f.name]], settings) / 60
        progress.done(f"{len(rows)} rows, about {minutes:.0f} min")
        for number, row in enumerate(rows, 1):
            done[row.name] = result = results.measure(row, features, reasons, settings, done, progress)
            progress.done(f"[{number}/{len(rows)}] {row.name}" + (" FAILED" if result.failed else ""))
            if options.json:
                report.write_json(options.json, list(done.values()), settings)
    except KeyboardInterrupt:
        progress.done("interrupted")
        return list(done.values()), True
    return list(done.values()), False


def main(argv):
    """Runs `cendre bench` with these arguments and returns the exit status."""
    if argv[:1] == ["async"]:
        from . import tasks

        return tasks.main(argv[1:])
    if argv[:1] == ["coverage"]:
        return coverage.main(argv[1:])
    if argv[:1] == ["micro"]:
        return micro.main(argv[1:], Progress(sys.stderr))
    if argv[:1] == ["frameworks"]:
        from . import frameworks

        return frameworks.main(argv[1:])
    if argv[:1] == ["service"]:
        from . import service

        return service.main(argv[1:], Progress(sys.stderr))
    if argv[:1] == ["suite"]:
        return suite.main(argv[1:], Progress(sys.stderr))
    parser = make_parser()
    options = parser.parse_intermixed_args(argv)
    if options.list:
        width = max(len(row.name) for row in ROWS)
        for row in ROWS:
            print(f"{row.name.ljust(width)}  {row.title}")
        return 0
    try:
        rows = select(options.rows)
    except NoSuchRow as error:
        parser.error(f"no row is called {str(error)!r}; see cendre bench --list")
    settings = make_settings(options)
    features = results.all_features(options.feature)
    try:
        measured, interrupted = run_rows(rows, features, settings, options)
        report.print_tables(measured, features)
        if options.svg:
            plot.write_svg(options.svg, measured, features)
    except OSError as error:
        print(f"cendre bench: {error}", file=sys.stderr)
        return 1
    if interrupted:
        return 130
    return 1 if any(result.failed for result in measured) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
