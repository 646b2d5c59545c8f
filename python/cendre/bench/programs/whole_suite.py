"""Any benchmark of pyperformance: its file is run unchanged, with a `pyperf.Runner` that collects what would be timed.

`collect(name)` gives {name of a timing: call}, each call being one loop of it. A name is that of a metadata file: several benchmarks may
share a script and differ in the options that it gets. Results are not looked at: pyperformance's files give none. Read
`docs/benchmarks.md`, "The whole suite".
"""
import argparse
import asyncio
import runpy
import sys
import tomllib
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
        self.args = self.argparser.parse_args(sys.argv[1:] if args is None else args)
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


def benchmarks():
    """{name: (script, the options it gets)} of all benchmarks of the installed pyperformance."""
    found = {}
    for script in sorted(folder().glob("bm_*/run_benchmark.py")):
        for file in sorted(script.parent.glob("*.toml")):
            settings = tomllib.loads(file.read_text()).get("tool", {}).get("pyperformance", {})
            name = (script.parent if file.name == "pyproject.toml" else file.with_suffix("")).name
            found[name.removeprefix("bm_")] = script, settings.get("extra_opts", [])
    return found


def names():
    """The names of all benchmarks of the installed pyperformance."""
    return sorted(benchmarks())


def collect(name):
    """{timing: call} of one benchmark."""
    known = benchmarks()
    if name not in known:
        raise Missing(f"this pyperformance has no benchmark {name}")
    import pyperf

    path, extra = known[name]
    pyperf.Runner = Collector
    sys.argv = [str(path), *extra]
    sys.path.insert(0, str(path.parent))
    try:
        runpy.run_path(str(path), run_name="__main__")
    except (ImportError, SystemExit) as error:
        raise Missing(f"{type(error).__name__}: {error}") from None
    calls = {k: call for collector in Collector.made for k, call in collector.calls.items()}
    if not calls:
        raise Missing("nothing to time")
    return calls
