"""The rows of `cendre bench`, the features that are switched on one at a time, and what each row ought to show.

A row is data: which program of `programs/` it runs, for how long, and its goals. Goals are the ones of the project's
issue; they are printed beside what was measured and never fail a run.
Read `docs/benchmarks.md` for how the table is read.
"""
import fnmatch
from dataclasses import dataclass


@dataclass(frozen=True)
class Feature:
    """What is switched on in a process: its name, a title for tables, and its environment variables."""

    name: str
    title: str
    environment: dict


PLAIN = Feature("plain", "plain CPython", {})
HOOKS = Feature("hooks", "hooks only", {"CENDRE": "1", "CENDRE_JIT": "0"})
COMPILE = Feature("compile", "compile", {"CENDRE": "1", "CENDRE_AWAITS": "0"})
FULL = Feature("full", "compile + awaits", {"CENDRE": "1"})
FEATURES = (PLAIN, HOOKS, COMPILE, FULL)


@dataclass(frozen=True)
class Goal:
    """One thing a row ought to show.

    kind "at least": the median of the ratio reaches the value. kind "not below": the upper bound of the ratio's interval
    does. kind "at most": the median of the value (a difference in ms or MiB, or a ratio of costs) stays within it.
    """

    kind: str
    value: float
    phase: str = "warm"
    feature: str = "full"

    def text(self):
        """The goal as the table prints it."""
        sign = {"at least": "≥", "not below": "not <", "at most": "≤"}[self.kind]
        return f"{sign} {self.value:g}" + (" cold" if self.phase == "cold" else "")

    def met(self, estimate):
        """Whether an estimate (see `estimate.Estimate`) shows it."""
        if self.kind == "at least":
            return estimate.median >= self.value
        if self.kind == "not below":
            return estimate.high >= self.value
        return estimate.median <= self.value


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    title: str
    kind: str = "program"  # program, derived, startup, memory, compile-time
    program: str = ""
    pieces: bool = False  # the function is called once and takes its work from an iterator
    suite: bool = False  # from pyperformance: long phases, few rounds
    parents: tuple = ()  # derived: (numerator, denominator)
    operation: str = "op"
    goals: tuple = ()


def at_least(value):
    return (Goal("at least", value),)


NOT_BELOW = (Goal("not below", 1.0),)
SUITE_GOALS = (Goal("not below", 1.0), Goal("not below", 0.95, "cold"))


def _program(program, name, title, operation, goals=NOT_BELOW, **more):
    return Row(name, title, program=program, operation=operation, goals=goals, **more)


def _suite(name, title, operation="run"):
    return Row(name, title, program="suite", suite=True, operation=operation, goals=SUITE_GOALS)


TREES = ("none", "eager", "io", "eager_io", "memoization", "eager_memoization", "cpu_io_mixed", "eager_cpu_io_mixed")

ROWS = (
    _program("awaits", "await-never", "await chain two deep, never suspends", "await", at_least(4.0)),
    _program("awaits", "await-pause-10", "the same, its leaf suspends every 10th time by a bare yield", "await", at_least(2.0)),
    _program("awaits", "await-pause-1", "the same, suspends every time by a bare yield", "await"),
    _program("awaits", "await-future-10", "the same, suspends every 10th time on a Future", "await", at_least(1.2)),
    _program("awaits", "await-future-1", "the same, suspends every time on a Future", "await"),
    _program("awaits", "await-method", "awaited methods, a service that reads a cache", "await"),
    _program("awaits", "async-with", "async with whose methods never wait", "await"),
    _program("awaits", "async-for", "async for over an async generator that never waits", "item"),
    _program("calls", "call-two-deep", "the chain as plain calls", "call"),
    Row("await-against-call", "cost of an await over the cost of the same plain call", kind="derived",
        parents=("await-never", "call-two-deep"), goals=(Goal("at most", 2.0),)),
    _program("calls", "fib", "recursive fib", "call", at_least(2.0)),
    _program("loops", "int-loop", "int loop in a function that is called once", "iteration", at_least(4.0), pieces=True),
    _program("loops", "float-loop", "float loop in a function that is called once", "iteration", at_least(4.0), pieces=True),
    _program("calls", "method-calls", "methods that change attributes", "call", at_least(2.0)),
    _program("loops", "generator-loop", "for loop over a generator", "item", at_least(2.0)),
    _program("data", "object-loop", "loop over a list of objects with attributes", "object", at_least(2.0)),
    _program("calls", "nested-calls", "small functions that call each other, three deep", "call"),
    _program("calls", "closures", "closures made anew all the time", "call"),
    _program("calls", "try-except", "try/except in a loop, every 16th time raises", "iteration"),
    _program("data", "dict", "counting words in a dict", "iteration"),
    _program("data", "list", "sieve in a list", "number"),
    _program("data", "str", "splitting a text a character at a time", "character"),
    Row("startup", "start-up of `python -c pass`", kind="startup",
        goals=(Goal("at most", 3.0, feature="CENDRE=1"), Goal("at most", 15.0, feature="cendre run"))),
    Row("memory", "peak memory of `python -c pass`, and after a first compile", kind="memory",
        goals=(Goal("at most", 4.0, feature="CENDRE=1"), Goal("at most", 4.0, feature="cendre run"),
               Goal("at most", 20.0, feature="first compile"))),
    Row("compile-time", "compile time for each bytecode instruction", kind="compile-time"),
    _suite("richards", "pyperformance richards"),
    _suite("deltablue", "pyperformance deltablue"),
    _suite("nbody", "pyperformance nbody", "step"),
    _suite("spectral_norm", "pyperformance spectral_norm"),
    *(_suite(f"async_tree-{variant}{suffix}", f"pyperformance async_tree {variant}{', task groups' if suffix else ''}", "leaf")
      for variant in TREES for suffix in ("", "_tg")),
)


class NoSuchRow(Exception):
    """A pattern of the command line that matches no row."""


def select(patterns):
    """The rows that match any of the patterns (all if there are none), with the parents of derived ones, in order."""
    if not patterns:
        return list(ROWS)
    wanted = set()
    for pattern in patterns:
        matching = [row for row in ROWS if fnmatch.fnmatchcase(row.name, pattern)]
        if not matching:
            raise NoSuchRow(pattern)
        for row in matching:
            wanted.update((row.name, *row.parents))
    return [row for row in ROWS if row.name in wanted]
