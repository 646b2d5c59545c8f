"""The runner of the frameworks' suites (tests/frameworks): what it makes of pytest's outcomes, and that it survives a test that dies.

The suites themselves are not run here: a made-up one is, by the project's own pytest. `make test-frameworks` runs them.
"""
import sys
import textwrap
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "cpython"))

import modes  # noqa: E402
import processes  # noqa: E402

WORKER = """
    import importlib.util, sys
    from pathlib import Path
    folder = Path({frameworks!r})
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("worker", folder / "worker.py")
    worker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(worker)

    class Made(worker.suites.Suite):
        name = "made"
        config = "pytest.ini"
        parts = {{"one": ["test_*.py"]}}
        def source(self):
            return Path({source!r})

    worker.suites.SUITES["made"] = Made()
    worker.main()
"""


@pytest.fixture
def run(tmp_path):
    """Runs made-up files; the answer is what the runner makes of them."""
    def run(files, env=None, only=None):
        (tmp_path / "worker.py").write_text(textwrap.dedent(WORKER).format(frameworks=str(TESTS / "frameworks"), source=str(tmp_path)))
        (tmp_path / "pytest.ini").write_text("[pytest]\nxfail_strict = true\n")
        for name, text in files.items():
            (tmp_path / name).write_text("import os, signal, pytest\n" + textwrap.dedent(text))
        limits = processes.Limits(60, 120, resources="", worker=(sys.executable, "-X", "faulthandler", str(tmp_path / "worker.py")))
        return processes.run_module("made.one", env or modes.environment("plain"), limits, only)
    return run


KINDS = {"test_a.py": """
    import unittest
    @pytest.fixture
    def breaks():
        raise RuntimeError
    @pytest.fixture
    def breaks_later():
        yield
        raise RuntimeError
    def test_ok(): pass
    def test_failed(): assert 1 == 2
    def test_set_up(breaks): pass
    def test_tear_down(breaks_later): pass
    def test_skip(): pytest.skip("not today")
    @pytest.mark.xfail
    def test_xfail(): assert False
    @pytest.mark.xfail
    def test_xpass(): pass
    @pytest.mark.parametrize("n", [1, 2])
    def test_many(n): assert n == 1
    class TestCase(unittest.TestCase):
        def test_dies(self): os.kill(os.getpid(), signal.SIGSEGV)
        def test_lives(self): pass
""", "test_b.py": "1 / 0", "test_c.py": "pytest.skip('no such machine', allow_module_level=True)"}


def shape(result):
    return {name.removeprefix("made/"): row["outcome"] for name, row in result["tests"].items()}


def test_outcomes_of_all_kinds(run):
    """A file that does not import ends nothing but itself."""
    result = run(KINDS)
    assert shape(result) == {
        "test_a.py::test_ok": "ok", "test_a.py::test_failed": "failed", "test_a.py::test_set_up": "error", "test_a.py::test_tear_down": "error",
        "test_a.py::test_skip": "skipped", "test_a.py::test_xfail": "expected failure", "test_a.py::test_xpass": "unexpected success",
        "test_a.py::test_many[1]": "ok", "test_a.py::test_many[2]": "failed", "test_a.py::TestCase::test_dies": "crashed",
        "test_a.py::TestCase::test_lives": "ok", "test_b.py": "error", "test_c.py": "skipped"}
    assert "ZeroDivisionError" in result["tests"]["made/test_b.py"]["why"]
    crash, = result["crashes"]
    assert crash["how"] == "killed by SIGSEGV" and "in test_dies" in crash["trace"]


def test_only_some(run):
    assert shape(run(KINDS, only=["made/test_a.py::test_many[2]"])).keys() >= {"test_a.py::test_many[2]"}
    assert "test_a.py::test_ok" not in shape(run(KINDS, only=["made/test_a.py::test_many[2]"]))


def test_cendre_is_on_where_the_mode_says_so(run):
    result = run({"test_a.py": """
        def f(x):
            return x + 1
        def test_a():
            import cendre
            for i in range(30):
                f(i)
            assert cendre.jit.is_compiled(f)
    """}, modes.environment("warm", "executor", "exact"))
    assert shape(result) == {"test_a.py::test_a": "ok"}, result
    assert result["compiled"][0]["compiled"] > 0
