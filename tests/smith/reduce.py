"""Makes findings small: python tests/smith/reduce.py FINDING.py [--out FILE] [--keep TEXT]

First the runs and moments of the plan, then the program's syntax tree (pysource-minimize), as long as the difference stays of the same kind.

Invariant: what is written was seen to differ, in workers of its own.
"""
import argparse
import json
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import fuzz  # noqa: E402
from pair import Pair  # noqa: E402


def kind_of(difference):
    return difference.split(":")[0] + (difference.split("\n")[0] if difference.startswith("crash") else "")


def reduce(source, plan, entries, seconds=120.0, say=lambda text: None, environment=None, keep=None):
    """(source, plan, difference), smaller."""
    from pysource_minimize import CouldNotMinimize, StopMinimization, minimize
    pair = Pair(entries, timeout=10.0, environment=environment)
    end = time.monotonic() + seconds
    best = pair.difference(source, plan)
    if not best:
        pair.stop()
        return source, plan, best
    kind, tries, smallest = kind_of(best), [0], [source]

    def same(text, changed=None):
        if time.monotonic() > end and changed is None:
            raise StopMinimization
        tries[0] += 1
        if tries[0] % 200 == 0:
            pair.stop()
        got = pair.difference(text, changed or plan)
        fine = bool(got) and kind_of(got) == kind and (keep is None or keep in got)
        if fine:
            smallest[0] = text
        return fine

    for key, value in (("moments", []), ("gc", False), ("blocks", False), ("how", "all"), ("at", 3), ("at", 0), ("warmup", 0)):
        if plan[key] != value and same(source, {**plan, key: value}):
            plan = {**plan, key: value}
    try:
        minimize(source, same)
    except CouldNotMinimize as error:
        say(str(error))
    source = smallest[0]
    say(f"{tries[0]} tries")
    best = pair.difference(source, plan)
    pair.stop()
    return source, plan, best


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("finding", nargs="+")
    parser.add_argument("--out")
    parser.add_argument("--keep", help="text that the difference must hold")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--check", action="store_true", help="only say whether it differs")
    args = parser.parse_args()
    for path in args.finding:
        source, plan, entries, environment = fuzz.read(path)
        if args.check:
            pair = Pair(entries, environment=environment)
            print(path, json.dumps(plan), pair.difference(source, plan) or "no difference")
            pair.stop()
            continue
        source, plan, difference = reduce(source, plan, entries, args.seconds, print, environment, args.keep)
        text = fuzz.text_of(source, plan, entries, difference or "no difference", None, environment)
        if args.out:
            Path(args.out).write_text(text)
        print(text)


if __name__ == "__main__":
    main()
