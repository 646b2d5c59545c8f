"""Runs one module of CPython's own test suite in this process and writes what becomes of each test, a JSON line at a time.

    python worker.py test.test_generators OUT [--only FILE | --without FILE] [-u RESOURCE,...]

Invariants: cendre is on or off by the environment alone, before this file is read; a test's line `{"start": id}` is on disk before the
test begins, so that who watches knows where this process died or hangs; the process is set up as `python -m test` sets its own up.
Read `processes.py`, which starts this.
"""

import argparse
import faulthandler
import gc
import importlib
import json
import os
import random
import sys
import unittest
from pathlib import Path

WORST_LAST = ("ok", "expected failure", "skipped", "unexpected success", "failed", "error")


class Lines:
    """The file that the outcomes go to; children of a test that fork do not write to it."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self.pid = os.getpid()
        # A test may close all descriptors that it does not know; it will not look this high.
        high = os.dup2(self.fd, 900, inheritable=False)
        os.close(self.fd)
        self.fd = high

    def write(self, **line):
        """Appends one line at once."""
        if os.getpid() == self.pid:
            os.write(self.fd, json.dumps(line).encode() + b"\n")


class Record(unittest.TextTestResult):
    """Writes an outcome for each test id. A test whose subtests fail has failed; what it is called for is its first failure."""

    lines = None

    def startTest(self, test):
        self.lines.write(start=test.id())
        self.worst, self.why = "ok", ""
        super().startTest(test)

    def _note(self, outcome, why=""):
        if WORST_LAST.index(outcome) > WORST_LAST.index(self.worst):
            self.worst, self.why = outcome, why

    def _failed(self, outcome, test, error):
        # Errors of setUpClass and of imports come without a startTest.
        text = f"{error[0].__name__}: {str(error[1])[:1500]}"
        if isinstance(test, unittest.suite._ErrorHolder):
            self.lines.write(id=test.id(), outcome=outcome, why=text)
        else:
            self._note(outcome, text)

    def addError(self, test, error):
        self._failed("error", test, error)
        super().addError(test, error)

    def addFailure(self, test, error):
        self._failed("failed", test, error)
        super().addFailure(test, error)

    def addSubTest(self, test, subtest, error):
        if error is not None:
            kind = "failed" if issubclass(error[0], test.failureException) else "error"
            self._note(kind, f"{subtest.id()}: {error[0].__name__}: {str(error[1])[:1500]}")
        super().addSubTest(test, subtest, error)

    def addSkip(self, test, reason):
        if isinstance(test, unittest.suite._ErrorHolder):
            self.lines.write(id=test.id(), outcome="skipped", why=str(reason))
        else:
            self._note("skipped", str(reason))
        super().addSkip(test, reason)

    def addExpectedFailure(self, test, error):
        self._note("expected failure")
        super().addExpectedFailure(test, error)

    def addUnexpectedSuccess(self, test):
        self._note("unexpected success")
        super().addUnexpectedSuccess(test)

    def stopTest(self, test):
        super().stopTest(test)
        self.lines.write(id=test.id(), outcome=self.worst, why=self.why)


def chosen(suite, want):
    """The tests of a suite that `want` takes, in suites of the same shape: classes keep their fixtures."""
    out = type(suite)()
    for test in suite:
        if isinstance(test, unittest.BaseTestSuite):
            out.addTest(chosen(test, want))
        elif want(test.id()):
            out.addTest(test)
    return out


def set_up(resources):
    """As `python -m test` does, in a process of its own."""
    from test import support
    from test.libregrtest.setup import setup_process

    faulthandler.enable(all_threads=True)
    setup_process()
    support.verbose = 0
    support.use_resources = dict.fromkeys(resources)
    support.junit_xml_list = None
    random.seed(0)
    return support


def arguments():
    """The command line, which the suite itself does not see: what to run, a set or None (all); what not."""
    names = lambda file: set(json.loads(Path(file).read_text()))
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("out")
    parser.add_argument("--only", type=names)
    parser.add_argument("--without", type=names, default=set())
    parser.add_argument("-u", dest="resources", default="")
    options = parser.parse_args()
    sys.argv[1:] = []
    return options


def main():
    """Command line."""
    options = arguments()
    only, without = options.only, options.without
    Record.lines = lines = Lines(options.out)
    support = set_up([r for r in options.resources.split(",") if r])
    try:
        module = importlib.import_module(options.module)
        suite = unittest.TestLoader().loadTestsFromModule(module)
    except unittest.SkipTest as skip:
        lines.write(module="skipped", why=str(skip))
        suite = unittest.TestSuite()
    suite = chosen(suite, lambda name: name not in without and (only is None or name in only))
    unittest.TextTestRunner(stream=sys.__stderr__, resultclass=Record, verbosity=0).run(suite)
    gc.collect()
    support.reap_children()
    lines.write(end=True, compiled=compiled())


def compiled():
    """What the compiler has done here; None where cendre is off."""
    try:
        import cendre
    except ImportError:
        return None
    if not cendre.is_enabled():
        return None
    stats = cendre.jit.stats()
    return {name: stats[name] for name in ("compiled", "recompiled", "left", "left_forced", "refused")}


if __name__ == "__main__":
    main()
