"""`cendre bench micro`: one operation a row, compiled against interpreted, the slowest first.

It answers one question: which shape of bytecode is slower in compiled code than in CPython's specialising interpreter? Each case of
`programs/micro` runs in a process of all cases; plain and compiled processes take turns. The time is processor time of the thread, the
least of many short rounds: what an operation costs when nothing disturbs it, with compiling over.
Read `docs/benchmarks.md`.
"""
import argparse
import fnmatch
import json
import sys
from statistics import median

from . import runner
from .registry import FULL, PLAIN

WARM = {PLAIN.name: 0.03, FULL.name: 0.35}


def measure(cases, repeat, progress):
    """({case: [(plain, compiled) seconds an operation, a pair a turn]}, [cases whose results differ])."""
    times = {}
    wrong = set()
    rows = [part for name in cases for part in ("--row", name)]
    for turn in range(repeat):
        answers = {}
        for feature in (PLAIN, FULL):
            progress(f"micro: {feature.title}, {turn + 1} of {repeat}")
            arguments = ["--program", "micro", "--seconds", str(WARM[feature.name]), *rows]
            answers[feature.name] = runner.call_worker(arguments, feature, turn, 60 + 3 * len(cases))
        plain, full = answers[PLAIN.name], answers[FULL.name]
        for name, seconds in plain["times"].items():
            times.setdefault(name, []).append((seconds, full["times"][name]))
            if plain["results"][name] != full["results"][name]:
                wrong.add(name)
    return times, sorted(wrong)


def table(times):
    """Rows of (ratio, case, plain ns, compiled ns), the slowest first; least times of all turns."""
    rows = []
    for name, pairs in times.items():
        plain, full = min(p for p, _ in pairs), min(f for _, f in pairs)
        rows.append((plain / full, name, plain * 1e9, full * 1e9))
    return sorted(rows)


def main(argv, progress):
    """Runs `cendre bench micro` with these arguments; the exit status."""
    from .programs import micro

    parser = argparse.ArgumentParser(prog="cendre bench micro", description="Times single operations, compiled against interpreted.")
    parser.add_argument("cases", nargs="*", help="names of cases, shell patterns allowed (default: all)")
    parser.add_argument("--list", action="store_true", help="list the cases and end")
    parser.add_argument("--repeat", type=int, default=2, metavar="N", help="processes of each kind (default: 2)")
    parser.add_argument("--json", metavar="FILE", help="write the times as JSON")
    options = parser.parse_intermixed_args(argv)
    known = micro.load()
    names = [n for n in known if not options.cases or any(fnmatch.fnmatchcase(n, p) for p in options.cases)]
    if not names:
        parser.error("no case has such a name; see cendre bench micro --list")
    if options.list:
        print("\n".join(names))
        return 0
    try:
        times, wrong = measure(names, max(1, options.repeat), progress)
    except (runner.RowFailed, runner.Unavailable) as error:
        print(f"cendre bench micro: {error}", file=sys.stderr)
        return 1
    rows = table(times)
    width = max(len(name) for name in names)
    progress.done("")
    for ratio, name, plain, full in rows:
        print(f"{ratio:6.2f}  {name.ljust(width)}  plain {plain:8.1f} ns  compiled {full:8.1f} ns")
    slower = sum(ratio < 1 for ratio, *_ in rows)
    print(f"{len(rows)} cases, {slower} below 1.00, median {median(ratio for ratio, *_ in rows):.2f}")
    for name in wrong:
        print(f"{name}: the results differ")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({name: pairs for name, pairs in times.items()}, file, indent=1)
    return 1 if wrong else 0
