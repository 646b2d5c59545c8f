"""Any benchmark of pyperformance: its file is run unchanged, with a `pyperf.Runner` that collects what would be timed.

`collect(name)` gives {name of a timing: call}, each call being one loop of it. Results are not looked at: pyperformance's files
give none. Read `docs/benchmarks.md`, "The whole suite".
"""
import argparse
import asyncio
import runpy
import sys
from pathlib import Path


class Missing(Exception):
    """The benchmark cannot run here; the text says why."""


def folder():
    """The folder of pyperformance's benchmarks."""
    try:
        import pyperf  # noqa: F401
        import pyperformance
    except ImportError as error:
        raise Missing(f"needs pyperformance and pyperf in this environment ({error})") from None
    return Path(pyperformance.__file__).parent / "data-files" / "benchmarks"


class Collector:
    """Stands in for `pyperf.Runner`: notes what is to be timed instead of timing it."""

    def __init__(self, **_):
        self.metadata = {}
        self.argparser = argparse.ArgumentParser()
        self.args = None
        self.calls = {}
        Collector.made.append(self)

    made = []

    def parse_args(self, args=None):
        self.args = self.argparser.parse_args([] if args is None else args)
        return self.args

    def _parse(self):
        if self.args is None:
            self.parse_args()

    def bench_func(self, name, function, *arguments, **_):
        self._parse()
        self.calls[name] = lambda: function(*arguments)

    def bench_time_func(self, name, function, *arguments, **_):
        self._parse()
        self.calls[name] = lambda: function(1, *arguments)

    def bench_async_func(self, name, function, *arguments, loop_factory=None, **_):
        self._parse()

        def call():
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(function(*arguments))

        self.calls[name] = call

    def timeit(self, name, **_):
        raise Missing("times a statement")

    def bench_command(self, name, command):
        raise Missing("times other processes")


def names():
    """All benchmarks of the installed pyperformance."""
    return sorted(path.parent.name.removeprefix("bm_") for path in folder().glob("bm_*/run_benchmark.py"))


def collect(name):
    """{timing: call} of one benchmark."""
    import pyperf

    path = folder() / f"bm_{name}" / "run_benchmark.py"
    if not path.is_file():
        raise Missing(f"this pyperformance has no benchmark {name}")
    pyperf.Runner = Collector
    sys.argv = [str(path)]
    sys.path.insert(0, str(path.parent))
    try:
        runpy.run_path(str(path), run_name="__main__")
    except (ImportError, SystemExit) as error:
        raise Missing(f"{type(error).__name__}: {error}") from None
    calls = {k: call for collector in Collector.made for k, call in collector.calls.items()}
    if not calls:
        raise Missing("nothing to time")
    return calls
