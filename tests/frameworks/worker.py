"""Runs a part of a framework's own suite in this process and writes what becomes of each test, a JSON line at a time.

    python worker.py trio.core OUT [--only FILE | --without FILE] [-u RESOURCE,...]

Invariants: as tests/cpython/worker.py, whose lines these are: cendre is on or off by the environment alone, and a test's `{"start": id}` is on
disk before the test begins. No plugin of pytest is loaded but those that the suite asks for.
"""

import faulthandler
import gc
import importlib.util
import os
import random
import signal
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.remove(str(HERE))
_spec = importlib.util.spec_from_file_location("cpython_worker", HERE.parent / "cpython" / "worker.py")
base = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(base)

_spec = importlib.util.spec_from_file_location("frameworks_suites", HERE / "suites.py")
suites = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(suites)


class Record:
    """A plugin of pytest that writes an outcome for each test; of set-up, call and tear-down the worst counts."""

    def __init__(self, lines, suite, only, without):
        self.lines, self.suite, self.only, self.without = lines, suite, only, without

    def pytest_sessionstart(self):
        # faulthandler has them; trio's tests want to put back what was there.
        for number in (signal.SIGILL, signal.SIGFPE):
            signal.signal(number, signal.SIG_DFL)

    def pytest_collection_modifyitems(self, config, items):
        def wanted(item):
            name = self.suite.id(item.nodeid)
            return name not in self.without and (self.only is None or name in self.only)
        gone = [item for item in items if not wanted(item)]
        items[:] = [item for item in items if wanted(item)]
        config.hook.pytest_deselected(items=gone)
        self.suite.prepare(items)

    def pytest_collection_finish(self):
        # Many tests end with a collection; it need not go through all of pytest each time.
        gc.collect()
        gc.freeze()

    def pytest_collectreport(self, report):
        # A file that skips itself, or does not import, counts as one test.
        if report.outcome != "passed":
            outcome = "skipped" if report.skipped else "error"
            self.lines.write(id=self.suite.id(report.nodeid), outcome=outcome, why=str(report.longrepr)[-3000:])

    def pytest_runtest_logstart(self, nodeid):
        self.worst, self.why = "ok", ""
        self.lines.write(start=self.suite.id(nodeid))

    def pytest_runtest_logreport(self, report):
        outcome, why = "ok", ""
        if report.failed:
            outcome = "failed" if report.when == "call" else "error"
            # What `xfail(strict)` makes of a test that passes.
            outcome = "unexpected success" if str(report.longrepr).startswith("[XPASS") else outcome
            why = f"{report.when}: {report.longrepr}"[-6000:]
        elif report.skipped:
            outcome = "expected failure" if hasattr(report, "wasxfail") else "skipped"
            why = report.wasxfail if hasattr(report, "wasxfail") else str(report.longrepr)
        if base.WORST_LAST.index(outcome) > base.WORST_LAST.index(self.worst):
            self.worst, self.why = outcome, why

    def pytest_runtest_logfinish(self, nodeid):
        self.lines.write(id=self.suite.id(nodeid), outcome=self.worst, why=self.why)


def main():
    """Command line."""
    options = base.arguments()
    lines = base.Lines(options.out)
    faulthandler.enable(all_threads=True)
    random.seed(0)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    suite, paths = suites.find(options.module)
    record = Record(lines, suite, options.only, options.without)
    status = pytest.main([*suite.arguments(), *map(str, paths)], plugins=[record])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        lines.write(module="error", why=f"pytest ended with {status!r}")
    gc.collect()
    lines.write(end=True, compiled=base.compiled())


if __name__ == "__main__":
    main()
