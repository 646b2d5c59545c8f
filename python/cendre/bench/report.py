"""Prints results: a table for people (rich on a terminal that has it, plain text else) and JSON for programs.

Invariant: colours and rich's boxes only on a terminal; on a pipe the table is plain text, one row a line.
"""
import json
import os
import platform
import sys

from .registry import PLAIN

DASH = "-"


def ratio_text(estimate):
    """An estimate as "3.12 [3.05 3.20]"."""
    return f"{estimate.median:.2f} [{estimate.low:.2f} {estimate.high:.2f}]"


def difference_text(estimate):
    """A difference as "+1.2 [+1.1 +1.3]"."""
    return f"{estimate.median:+.1f} [{estimate.low:+.1f} {estimate.high:+.1f}]"


def plain_text(result):
    """The plain side's own value with its unit."""
    if result.plain is None:
        return DASH
    if result.unit.startswith("ns/"):
        scale, unit = next(((s, u) for s, u in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")) if result.plain >= s), (1, "ns"))
        return f"{result.plain / scale:.1f} {unit}/{result.row.operation}"
    if result.unit == "ratio of costs":
        return f"{result.plain:.2f}"
    return f"{result.plain:.1f} {result.unit}"


def cell(result, who, phase):
    """What stands under a feature."""
    estimate = result.figures.get((who, phase))
    if estimate is not None:
        return ratio_text(estimate)
    return "n/a" if who in result.missing else DASH


def goal_texts(result):
    """The goals and the verdicts as the two last columns."""
    goals = [goal.text() for goal, _ in result.verdicts()]
    words = {None: DASH, True: "met", False: "missed"}
    verdicts = [words[met] for _, met in result.verdicts()]
    if result.failed:
        verdicts = ["FAILED"]
    return ", ".join(goals) or DASH, ", ".join(verdicts) or DASH


def ratio_table(results, features):
    """Headers and lines of the rows whose figures are ratios."""
    others = [feature for feature in features if feature is not PLAIN]
    header = ["row", "plain", *(f.title for f in others), "first seconds, all on", "goal", "verdict"]
    lines = []
    for result in results:
        if result.row.kind not in ("program", "derived"):
            continue
        lines.append([result.row.name, plain_text(result), *(cell(result, f.name, "warm") for f in others),
                      cell(result, "full", "cold"), *goal_texts(result)])
    return header, lines


def process_table(results):
    """Headers and lines of the rows about whole processes, one line a variant."""
    header = ["row", "variant", "plain", "more than plain", "goal", "verdict"]
    lines = []
    words = {None: DASH, True: "met", False: "missed"}
    for result in results:
        if result.row.kind not in ("startup", "memory"):
            continue
        verdicts = {goal.feature: (goal, met) for goal, met in result.verdicts()}
        for variant, (goal, met) in verdicts.items():
            estimate = result.figures.get((variant, "warm"))
            failed = result.failed and variant in result.missing
            lines.append([result.row.name, variant, plain_text(result),
                          difference_text(estimate) + f" {result.unit}" if estimate else "n/a",
                          f"{goal.text()} {result.unit}", "FAILED" if failed else words[met]])
    return header, lines


def reasons(results):
    """Sentences on what is missing, each once, with the rows that it concerns."""
    found = {}
    for result in results:
        for who, why in result.missing.items():
            found.setdefault((who, why), []).append(result.row.name)
    for (who, why), names in found.items():
        where = f"{len(names)} rows" if len(names) > 4 else ", ".join(names)
        yield f"{who} ({where}): {why}"


def notes(results):
    """What cendre said about its own work, row by row."""
    for result in results:
        if result.note:
            yield f"{result.row.name}: {result.note}"


def print_plain(header, lines, out):
    """A table in plain text."""
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]
    for line in [header, ["-" * width for width in widths], *lines]:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip(), file=out)


def print_rich(header, lines, out):
    """The same table by rich."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    colours = {"met": "green", "missed": "yellow", "FAILED": "bold red"}
    table = Table()
    for name in header:
        table.add_column(name)
    for line in lines:
        verdict = line[-1]
        colour = next((c for word, c in colours.items() if word in verdict.split(", ")), None)
        if "missed" in verdict:
            colour = colours["missed"]
        table.add_row(*(escape(text) for text in line[:-1]), f"[{colour}]{verdict}[/]" if colour else verdict)
    Console(file=out).print(table)


def print_tables(results, features, out=None):
    """Prints all tables, then the notes and the reasons for what is missing."""
    out = out or sys.stdout
    draw = print_plain
    if out.isatty() and not os.environ.get("NO_COLOR"):
        try:
            import rich  # noqa: F401  (asked for here, used by print_rich)

            draw = print_rich
        except ImportError:
            pass
    for header, lines in (ratio_table(results, features), process_table(results)):
        if lines:
            draw(header, lines, out)
            print(file=out)
    print("Figures under a feature: times as fast as plain CPython, median and 95 % interval (above 1 is faster);", file=out)
    print("await-against-call: cost of an await over the cost of a call (below is better).", file=out)
    for title, texts in (("What cendre reports:", notes(results)), ("Not measured:", reasons(results))):
        texts = list(texts)
        if texts:
            print(f"\n{title}", file=out)
            for text in texts:
                print("  " + text.replace("\n", "\n    "), file=out)


def about():
    """The machine and the Python, as far as figures depend on them."""
    jit = getattr(sys, "_jit", None)
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "build": " ".join(platform.python_build()),
        "machine": platform.machine(),
        "system": platform.system(),
        "cpus": os.cpu_count(),
        "jit_built_in": bool(jit and jit.is_available()),
        "jit_switched_on": bool(jit and jit.is_enabled()),
    }


def write_json(path, results, settings):
    """Writes everything, samples included; by a new file and a rename, so a reader never sees half of it."""
    document = {
        "format": 1,
        "about": about(),
        "settings": {name: getattr(settings, name) for name in settings.__dataclass_fields__},
        "rows": [result.as_json() for result in results],
    }
    new = f"{path}.new"
    with open(new, "w") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
    os.replace(new, path)
