"""The suites: where their tests lie, in which parts they run, and how pytest runs them.

A part is what runs in one process, unless it crashes: with everything compiled, starting pytest takes longer than most files of tests.
Invariant: a suite runs with its own configuration (warnings are errors in all of them), without what is about its own project: coverage,
parallel runs, limits of time (the runner has its own). Standard library only: the worker imports this before anything else.
"""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".cache" / "frameworks"
SITE = FOLDER / "venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


class Suite:
    """One suite. `parts`: {name: patterns of files, from the root of the tests}; a file belongs to the first part that takes it."""

    name = ""
    config = "pyproject.toml"
    parts = {}
    options = ()

    def source(self):
        """Where its source distribution is unpacked."""
        return FOLDER / "suites" / self.name

    def root(self):
        """What the names of tests are relative to."""
        return self.source()

    def files(self):
        """{part: its files}."""
        found, taken = {}, set()
        for part, patterns in self.parts.items():
            paths = sorted({path for pattern in patterns for path in self.root().glob(pattern)} - taken)
            taken.update(paths)
            found[part] = paths
        return found

    def id(self, nodeid):
        """The name of a test in the report."""
        return f"{self.name}/{nodeid}"

    def arguments(self):
        """Those of pytest."""
        return ["-c", str(self.source() / self.config), "--rootdir", str(self.root()), "-o", "addopts=", "-p", "no:cacheprovider", "-q", "--tb=short",
                "--continue-on-collection-errors", *self.options]

    def prepare(self, items):
        """Called with the tests that were found."""


class Trio(Suite):
    """trio's; its tests are in the package. What needs linters and type checkers is left out by its own option."""

    name = "trio"
    parts = {"core": ["_core/_tests/test_*.py"], "a-h": ["_tests/test_[a-h]*.py"], "i-s": ["_tests/test_[i-r]*.py", "_tests/test_s[a-s]*.py"], "s-z": ["_tests/**/test_*.py"]}
    options = ("-p", "trio._tests.pytest_plugin", "--import-mode=importlib", "--skip-optional-imports")

    def root(self):
        return SITE / "trio"


SUITES = {suite.name: suite for suite in (Trio(),)}


def modules():
    """Names of all parts of all suites, as the runner takes them."""
    return [f"{name}.{part}" for name, suite in SUITES.items() for part in suite.parts]


def find(module):
    """(the suite, the files) of a part by name."""
    name, _, part = module.partition(".")
    return SUITES[name], SUITES[name].files()[part]
