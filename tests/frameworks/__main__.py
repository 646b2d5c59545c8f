"""The frameworks' own test suites under cendre: `make test-frameworks`, or `python tests/frameworks [options] [suite | part ...]`.

Runs the suites of trio, anyio and aiohttp, each part in processes of its own, plain and under cendre, compares test by test and writes
a report; before them, what the real uvloop answers to policies (`refusal.py`). What is done is kept under .cache/frameworks: a run goes on where one stopped. Read `suites.py`, and `tests/cpython/suite.py`, which does
it; this is the command line.
"""

import argparse
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "cpython")]

import environment  # noqa: E402
import modes  # noqa: E402
import project  # noqa: E402
import refusal  # noqa: E402
import suite  # noqa: E402
import suites  # noqa: E402

CONFIGS = {
    # As users run it: CENDRE=1 and nothing else. Few functions of a test run that long that they are compiled.
    "default": ("default",),
    "warm": ("warm", "executor"),
    "all": ("all", "executor"),
    "exact": ("warm", "executor", "exact"),
    "stress": ("stress", "executor"),
}


def read_apart(path=HERE / "apart.toml"):
    """{test id: reason}; a ValueError where an entry lacks its reason."""
    out = {}
    for row in tomllib.loads(path.read_text(encoding="utf-8")).get("apart", []):
        if set(row) != {"test", "reason"} or not row["reason"].strip():
            raise ValueError(f"{path.name}: an entry takes a test and a reason: {row}")
        out[row["test"]] = row["reason"]
    return out


def main():
    """Command line."""
    parser = argparse.ArgumentParser(prog="tests/frameworks", description="The suites of trio, anyio and aiohttp under cendre, compared with plain CPython test by test.")
    parser.add_argument("modules", nargs="*", metavar="part", help=f"suites ({', '.join(suites.SUITES)}) or parts of them, see --list (default: all)")
    parser.add_argument("--configs", default="default,warm", help=f"of {', '.join(CONFIGS)} (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="list the parts and end")
    folder = suite.ROOT / ".cache" / "frameworks"
    suite.add_options(parser, folder / "outcomes")
    options = parser.parse_args()
    options.resources = ""
    chosen = options.configs.split(",")
    for name in chosen:
        if name not in CONFIGS:
            parser.error(f"no configuration {name!r}; there are {', '.join(CONFIGS)}")
    suite.check_options(parser, options)
    environment.make()
    present = suites.modules()
    modules = [m for m in present if not options.modules or any(m == w or m.startswith(f"{w}.") for w in options.modules)]
    for w in options.modules:
        if not any(m == w or m.startswith(f"{w}.") for m in present):
            parser.error(f"there is no suite or part {w}; see --list")
    if options.list:
        print("\n".join(modules))
        return 0
    wrong = refusal.faults(environment.PYTHON)
    if wrong:
        print("\n".join(wrong))
        return 1
    print("policies for tasks on the real uvloop: refused with the reason, and the program runs on")
    apart = set(read_apart())
    worker = (str(environment.PYTHON), "-X", "faulthandler", str(HERE / "worker.py"))
    subject = suite.Subject("The frameworks' own test suites", worker, environment.key(), apart=lambda module: apart)
    return suite.run(subject, options, modules, [CONFIGS[name] for name in chosen])


if __name__ == "__main__":
    sys.exit(project.main(main))
