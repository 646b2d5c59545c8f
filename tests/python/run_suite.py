"""Runs one module of CPython's own test suite in this process and writes {test id: outcome} as JSON.

    python tests/python/run_suite.py test.test_generators OUT [--cendre]

Invariant: with `--cendre`, cendre is on before the module is imported; nothing else differs from a run without.
"""
import json
import sys
import unittest


class Record(unittest.TextTestResult):
    """Keeps an outcome for each test id, subtests that fail included."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.outcomes = {}

    def startTest(self, test):
        print(f"[case {test.id()}]", file=sys.__stderr__, flush=True)
        self.outcomes[test.id()] = "ok"
        super().startTest(test)

    def _failed(self, test, kind, error):
        self.outcomes[test.id()] = f"{kind}: {error[0].__name__}: {str(error[1])[:600]}"

    def addError(self, test, error):
        self._failed(test, "error", error)
        super().addError(test, error)

    def addFailure(self, test, error):
        self._failed(test, "failure", error)
        super().addFailure(test, error)

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self._failed(subtest, "subtest", error)
        super().addSubTest(test, subtest, error)

    def addSkip(self, test, reason):
        self.outcomes[test.id()] = "skipped"
        super().addSkip(test, reason)


def main():
    """Command line."""
    name, out = sys.argv[1:3]
    if "--cendre" in sys.argv:
        import cendre
        cendre.enable()
    sys.argv[1:] = []
    suite = unittest.defaultTestLoader.loadTestsFromName(name)
    result = unittest.TextTestRunner(stream=sys.__stderr__, resultclass=Record, verbosity=0).run(suite)
    with open(out, "w", encoding="utf-8") as file:
        json.dump(result.outcomes, file)


if __name__ == "__main__":
    main()
