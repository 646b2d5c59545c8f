"""`cendre bench suite`: all of pyperformance's benchmarks that run here, plain and cendre in turn, each in processes of its own.

For each timing: the ratio of the first second (cold), of what comes after five (warm), and peak memory. Sorted by the warm ratio, the
slowest first, with geometric means. Read `docs/benchmarks.md`, "The whole suite".
"""
import argparse
import fnmatch
import json
import sys
from math import exp, log
from statistics import median

from . import runner
from .estimate import speedup, split
from .programs import whole_suite
from .registry import FULL, PLAIN


def rows_of(answer, cold_seconds, warm_after):
    """{timing: (cold rounds, warm rounds)} of a process, in seconds."""
    out = {}
    for name, timed in answer["rows"].items():
        out[name] = split(timed["rounds"], cold_seconds, warm_after)
    return out


def measure(name, options, progress):
    """[(timing, cold estimate, warm estimate, plain seconds, (plain MiB, cendre MiB), stats)] of a benchmark."""
    blocks, memory, stats = {}, {PLAIN.name: [], FULL.name: []}, {}
    seconds = options.after + options.warm
    for turn in range(options.repeat):
        progress(f"{name}: {turn + 1} of {options.repeat}")
        arguments = ["--program", "whole_suite", "--row", name, "--seconds", str(seconds), "--minimum", "2", "--clock", options.clock]
        sides = {}
        for feature, answer in runner.call_in_turns(arguments, (PLAIN, FULL), turn, 120 + 40 * seconds).items():
            if isinstance(answer, Exception):
                raise answer
            sides[feature] = rows_of(answer, options.cold, options.after)
            memory[feature].append(answer["peak"] / 1024)
            stats = answer.get("stats", stats)
        for timing, plain in sides[PLAIN.name].items():
            blocks.setdefault(timing, []).append((plain, sides[FULL.name][timing]))
    lines = []
    for timing, pairs in blocks.items():
        cold = speedup([p[0] for p, _ in pairs], [f[0] for _, f in pairs], "cold")
        warm = speedup([p[1] for p, _ in pairs], [f[1] for _, f in pairs], "warm")
        plain = median(median(p[1]) for p, _ in pairs)
        lines.append((timing, cold, warm, plain, tuple(median(memory[f.name]) for f in (PLAIN, FULL)), stats))
    return lines


def text_of(estimate):
    return f"{estimate.median:.2f} [{estimate.low:.2f} {estimate.high:.2f}]"


def mean(values):
    """The geometric mean."""
    return exp(sum(map(log, values)) / len(values))


def print_table(lines, missing, out=None):
    """The rows, the slowest first, the means, and what did not run."""
    out = out or sys.stdout
    lines = sorted(lines, key=lambda line: line[2].median)
    header = ("timing", "plain", "warm", "cold", "peak memory", "compiled", "below")
    table = [header]
    for timing, cold, warm, plain, (before, after), stats in lines:
        below = [phase for phase, e, least in (("warm", warm, 1.0), ("cold", cold, 0.95)) if e.high < least]
        table.append((timing, f"{plain * 1e3:.2f} ms", text_of(warm), text_of(cold), f"{before:.0f} -> {after:.0f} MiB",
                      str(stats.get("compiled", "")), " ".join(below)))
    widths = [max(len(line[i]) for line in table) for i in range(len(header))]
    for line in table:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip(), file=out)
    if lines:
        print(f"\n{len(lines)} timings; geometric mean warm {mean([line[2].median for line in lines]):.3f}, "
              f"cold {mean([line[1].median for line in lines]):.3f}, "
              f"memory {mean([line[4][1] / line[4][0] for line in lines]):.2f}", file=out)
    for name, why in missing.items():
        print(f"not measured: {name}: {why.splitlines()[-1] if why else why}", file=out)


def main(argv, progress):
    """Runs `cendre bench suite` with these arguments; the exit status."""
    parser = argparse.ArgumentParser(prog="cendre bench suite", description="All of pyperformance, plain and cendre in turn.")
    parser.add_argument("benchmarks", nargs="*", help="names, shell patterns allowed (default: all)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="processes of each kind (3)")
    parser.add_argument("--cold", type=float, default=1.0, metavar="S", help="seconds that count as the first (1)")
    parser.add_argument("--after", type=float, default=5.0, metavar="S", help="when warm begins (5)")
    parser.add_argument("--warm", type=float, default=5.0, metavar="S", help="how long it lasts (5)")
    parser.add_argument("--clock", choices=runner.CLOCKS, default="wall", help=runner.CLOCK_HELP)
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--list", action="store_true", help="list the benchmarks and end")
    options = parser.parse_intermixed_args(argv)
    try:
        known = whole_suite.names()
    except whole_suite.Missing as error:
        print(f"cendre bench suite: {error}", file=sys.stderr)
        return 1
    chosen = [n for n in known if not options.benchmarks or any(fnmatch.fnmatchcase(n, p) for p in options.benchmarks)]
    if options.list:
        print("\n".join(chosen))
        return 0
    if not chosen:
        parser.error("no benchmark has such a name; see cendre bench suite --list")
    lines, missing, failed = [], {}, False
    for number, name in enumerate(chosen, 1):
        try:
            lines += measure(name, options, progress)
        except runner.Unavailable as error:
            missing[name] = str(error)
        except runner.RowFailed as error:
            missing[name], failed = str(error), True
        except KeyboardInterrupt:
            break
        progress.done(f"[{number}/{len(chosen)}] {name}" + (" not measured" if name in missing else ""))
    print_table(lines, missing)
    if options.json:
        with open(options.json, "w") as file:
            json.dump([{"timing": t, "cold": c.as_json(), "warm": w.as_json(), "plain": p, "memory": m} for t, c, w, p, m, _ in lines],
                      file, indent=1)
    return 1 if failed else 0
