"""Measures rows and holds what came out: one `Result` a row, with estimates, goals and reasons for what is missing.

Invariant: a figure is there only if every process behind it gave right results; else the row says why it is missing.
"""
from dataclasses import dataclass, field
from statistics import median

from . import process, runner
from .estimate import cost_ratio, difference, speedup
from .registry import FEATURES, FULL, PLAIN


@dataclass
class Result:
    """What one row gave.

    `figures` maps (feature or variant, phase) to an Estimate: ratios to plain for programs, differences to plain for
    processes, a ratio of costs for derived rows. `plain` is the plain side's own value in `unit`, for the reader.
    """

    row: object
    unit: str = ""
    plain: float | None = None
    figures: dict = field(default_factory=dict)
    missing: dict = field(default_factory=dict)  # feature or variant -> why it has no figure
    failed: bool = False  # a crash, a hang or a wrong result
    samples: dict = field(default_factory=dict)  # what was measured, for the JSON
    stats: dict = field(default_factory=dict)  # sums of the native counters, by feature
    note: str = ""

    def verdicts(self):
        """(goal, True or False, or None where it was not measured) of each goal."""
        for goal in self.row.goals:
            estimate = self.figures.get((goal.feature, goal.phase))
            yield goal, None if estimate is None else goal.met(estimate)

    def as_json(self):
        """Plain data for `json.dump`."""
        return {
            "name": self.row.name,
            "title": self.row.title,
            "kind": self.row.kind,
            "operation": self.row.operation,
            "unit": self.unit,
            "plain": self.plain,
            "figures": {f"{who}/{phase}": estimate.as_json() for (who, phase), estimate in self.figures.items()},
            "goals": [
                {"kind": g.kind, "value": g.value, "phase": g.phase, "feature": g.feature, "met": met}
                for g, met in self.verdicts()
            ],
            "missing": self.missing,
            "failed": self.failed,
            "samples": self.samples,
            "stats": self.stats,
            "note": self.note,
        }


def measure_program(row, features, reasons, settings, progress):
    """A row that is a program: ratios of the plain time to each feature's, cold and warm."""
    result = Result(row, unit=f"ns/{row.operation}")
    result.missing = {f.name: reasons[f.name] for f in features if reasons[f.name]}
    usable = [f for f in features if not reasons[f.name]]
    try:
        data = runner.run_program(row, usable, settings, progress)
    except runner.Unavailable as error:
        result.missing = {f.name: str(error) for f in features}
        return result
    for name, mine in data.items():
        if mine["error"]:
            result.failed = True
            result.missing[name] = mine["error"]
            continue
        result.samples[name] = {"cold": mine["cold"], "warm": mine["warm"], "operations": mine["operations"]}
        if mine["stats"]:
            result.stats[name] = mine["stats"]
    plain = result.samples.get(PLAIN.name)
    if plain:
        result.plain = median(median(block) for block in plain["warm"]) * 1e9
        for name, mine in result.samples.items():
            if name != PLAIN.name:
                for phase in ("cold", "warm"):
                    result.figures[name, phase] = speedup(plain[phase], mine[phase], phase)
    full = result.stats.get(FULL.name)
    if full is not None:
        result.note = describe_stats(full, settings.repeat)
    return result


def describe_stats(stats, repeat):
    """What cendre says that it did, in a few words; counters are sums over the processes."""
    compiled = stats.get("compiled")
    if not compiled:
        return "nothing was compiled" if compiled == 0 else ""
    text = f"{compiled / repeat:.0f} compiled"
    if stats.get("awaited_calls"):
        share = 100 * stats.get("awaited_finished", 0) / stats["awaited_calls"]
        text += f", {share:.0f} % of awaited calls without an object"
    return text


def measure_derived(row, done, features, reasons):
    """A ratio of the costs of two rows, for each feature that measured both."""
    numerator, denominator = (done.get(name) for name in row.parents)
    result = Result(row, unit="ratio of costs")
    for feature in features:
        sides = [parent and parent.samples.get(feature.name) for parent in (numerator, denominator)]
        if not all(sides):
            result.missing[feature.name] = reasons[feature.name] or "a row that it is made of was not measured"
            continue
        estimate = cost_ratio(sides[0]["warm"], sides[1]["warm"])
        result.figures[feature.name, "warm"] = estimate
        if feature is PLAIN:
            result.plain = estimate.median
    return result


def measure_process(row, reasons, settings, progress):
    """Start-up or memory of whole processes: differences to plain."""
    take = process.startup if row.kind == "startup" else process.memory
    why = reasons.get(FULL.name, "not asked for")
    if why:
        missing = {goal.feature: why for goal in row.goals}
    else:
        missing = process.without_cendre(progress)
    values, failed = take(settings.starts, missing, progress)
    result = Result(row, unit="ms" if row.kind == "startup" else "MiB", samples=values)
    result.missing = {name: reason for name, reason in missing.items() if name in {g.feature for g in row.goals}} | failed
    result.failed = bool(failed)
    if "plain" in values:
        result.plain = median(values["plain"])
        for name, mine in values.items():
            if name != "plain":
                result.figures[name, "warm"] = difference(values["plain"], mine)
    return result


def measure_compile_time(row, reasons, progress):
    """Nanoseconds of compiling for each bytecode instruction that was compiled."""
    result = Result(row, unit="ns/instruction")
    why = reasons.get(FULL.name, "not asked for")
    if why:
        result.missing[FULL.name] = why
        return result
    try:
        stats = runner.run_compile_time(FULL, progress)
    except runner.Unavailable as error:
        result.missing[FULL.name] = str(error)
        return result
    except runner.RowFailed as error:
        result.missing[FULL.name], result.failed = str(error), True
        return result
    result.stats[FULL.name] = stats
    spent, instructions = stats.get("compile_ns"), stats.get("compiled_instructions")
    if spent is None or instructions is None:
        result.missing[FULL.name] = "stats() has no compile_ns and compiled_instructions"
    elif not instructions:
        result.missing[FULL.name] = "nothing was compiled"
    else:
        result.note = f"{spent / instructions / 1e3:.1f} µs/instruction, {stats.get('compiled', 0)} functions"
        if stats.get("first_compile_ns"):
            first = stats["first_compile_ns"] / runner.COMPILE_PROCESSES / 1e6
            result.note += f"; the first compile of a process {first:.1f} ms"
        result.samples["full"] = {"compile_ns": spent, "compiled_instructions": instructions}
    return result


def measure(row, features, reasons, settings, done, progress):
    """Measures any row; `done` holds the earlier results by name."""
    if row.kind == "program":
        return measure_program(row, features, reasons, settings, progress)
    if row.kind == "derived":
        return measure_derived(row, done, features, reasons)
    if row.kind == "compile-time":
        return measure_compile_time(row, reasons, progress)
    return measure_process(row, reasons, settings, progress)


def seconds_needed(rows, features, settings):
    """About how long measuring will take, for a first line."""
    total = 0.0
    for row in rows:
        if row.kind == "program":
            total += (settings.phases(row)[-1] + 0.3) * len(features) * settings.repeat
        elif row.kind != "derived":
            total += 0.1 * settings.starts
    return total


def all_features(names):
    """The features of these names, plain first; all if there are none."""
    known = {feature.name: feature for feature in FEATURES}
    return [PLAIN, *(known[name] for name in dict.fromkeys(names) if name != PLAIN.name)] if names else list(FEATURES)
