"""Runs random programs until told to stop: python tests/smith/fuzz.py [--seconds N] [--programs N] [--seed N] [--entries KIND]

Prints a line every so often, with programs a second and in total; findings go to `.cache/smith/findings`, one Python file each, with the plan and the
difference in front of it. How many programs have been run, and the coverage, are kept in `.cache/smith/state.json`, so that it goes on where
it stopped.

Invariant: it ends by itself only when the time or number asked for is up, and says so; whatever a worker does, it goes on.
"""
import argparse
import json
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import plans  # noqa: E402
import generator  # noqa: E402
from choices import Seeded  # noqa: E402
from pair import ENTRIES, Died, Pair, signature  # noqa: E402

FOLDER = HERE.parent.parent / ".cache" / "smith"
BATCH = 400             # programs that one worker runs before it is started again


def program(seed):
    """(source, plan) of a seed."""
    choices = Seeded(seed)
    source = generator.make(choices)
    return source, plans.make(choices)


def text_of(source, plan, entries, difference, seed=None, environment=None):
    """A finding as a file that can be run again."""
    head = json.dumps({"entries": entries, "plan": plan, "seed": seed, "environment": environment or {}})
    return f"# smith: {head}\n" + "".join(f"# {line[:400]}\n" for line in difference.split("\n")[:25]) + source


def read(path):
    """(source, plan, entries, environment) of a finding."""
    text = Path(path).read_text()
    first, _, rest = text.partition("\n")
    head = json.loads(first.removeprefix("# smith: "))
    lines = rest.split("\n")
    while lines and lines[0].startswith("#"):
        del lines[0]
    return "\n".join(lines), head["plan"], head["entries"], head.get("environment", {})


class State:
    """What is kept between runs of this command."""

    def __init__(self, folder):
        self.path = folder / "state.json"
        self.data = {"programs": 0, "useless": 0, "seconds": 0.0, "next": 1, "findings": {}, "leaves": {}, "refused": {}, "awaited": 0}
        if self.path.exists():
            self.data.update(json.loads(self.path.read_text()))

    def save(self):
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(self.data, indent=1))
        os.replace(temporary, self.path)

    def add_report(self, report):
        for name in ("leaves", "refused"):
            for reason, n in report["stats"].get(name, {}).items():
                self.data[name][reason] = self.data[name].get(reason, 0) + n


def fuzz(seconds=None, count=None, seed=None, entries=None, folder=FOLDER, out=sys.stdout, every=20.0, environment=None, stop_at_first=False):
    """The loop. Answers what it found, as texts, and the state."""
    findings = folder / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    state = State(folder)
    data = state.data
    if seed is not None:
        data["next"] = seed
    began, told, done, found = time.monotonic(), time.monotonic(), 0, []
    pair, batch, turn = None, BATCH, 0
    try:
        while (seconds is None or time.monotonic() - began < seconds) and (count is None or done < count):
            if batch >= BATCH:
                if pair is not None:
                    finish(pair, state)
                kind = entries or ENTRIES[turn % 3 == 2]
                turn += 1
                # Cranelift's fast settings give more programs for the time; every fourth worker takes those that users get.
                more = dict(environment or ({} if turn % 4 == 0 else {"CENDRE_CRANELIFT": "opt_level=none,regalloc_algorithm=single_pass"}))
                if turn % 2 and not environment:
                    more.update(CENDRE_FORCE_LEAVES="64", CENDRE_SEED=str(turn + data["next"]))
                pair, batch = Pair(kind, environment=more), 0
            number = data["next"]
            data["next"] += 1
            batch += 1
            done += 1
            source, plan = program(number)
            difference = pair.difference(source, plan)
            if difference is None:
                data["useless"] += 1
            else:
                data["programs"] += 1
            if difference:
                mark = signature(difference)
                known = data["findings"].get(mark, 0)
                data["findings"][mark] = known + 1
                if known < 4:
                    found.append(f"{number}: {difference}")
                    (findings / f"{number}.py").write_text(text_of(source, plan, pair.entries, difference, number, more))
                    print(f"FOUND {number}: {difference[:300]}", file=out, flush=True)
                if stop_at_first:
                    break
                if difference.startswith(("crash", "hang")):
                    batch = BATCH
            now = time.monotonic()
            if now - told > every:
                data["seconds"] += now - told
                told = now
                state.save()
                print(f"{time.strftime('%H:%M:%S')} {done} programs, {done / (now - began):.1f}/s, {data['programs']} in all, {data['useless']} of no use, "
                      f"{len(data['findings'])} kinds of findings, {len(data['leaves'])} reasons to leave", file=out, flush=True)
    finally:
        if pair is not None:
            finish(pair, state)
        state.save()
        print(f"ended after {done} programs in {time.monotonic() - began:.0f} s; {data['programs']} in all; {len(found)} findings written", file=out,
              flush=True)
    return found, data


def finish(pair, state):
    """The coverage of a worker, before it is stopped."""
    try:
        if pair.cendre.process is not None:
            state.add_report(pair.cendre.ask({"report": True}, 20))
    except Died:
        pass
    pair.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--programs", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--entries", choices=ENTRIES)
    args = parser.parse_args()
    fuzz(args.seconds, args.programs, args.seed, args.entries)


if __name__ == "__main__":
    main()
