"""The runner of CPython's test suite (tests/cpython): that it survives what tests do to it, and that nothing escapes its comparison.

The suite itself is not run here: made-up modules are.
"""
import json
import sys
import textwrap
import time
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "cpython"
sys.path.insert(0, str(FOLDER))

import modes  # noqa: E402
import outcomes  # noqa: E402
import processes  # noqa: E402
import suite  # noqa: E402

LIMITS = processes.Limits(test_seconds=5, module_seconds=60, resources="subprocess")
try:
    import test.libregrtest  # noqa: F401
except ImportError:
    pytest.skip("this Python comes without CPython's test suite (package `test`)", allow_module_level=True)


@pytest.fixture
def made(tmp_path):
    """Runs a made-up module; keyword arguments are environment variables."""
    def run(source, limits=LIMITS, only=None, **env):
        (tmp_path / "test_made.py").write_text("import os, signal, time, unittest\n" + textwrap.dedent(source))
        return processes.run_module("test_made", dict(modes.environment("plain"), PYTHONPATH=str(tmp_path), **env), limits, only)
    return run


def shape(result):
    return {name.rpartition(".")[2]: row["outcome"] for name, row in result["tests"].items()}


KINDS = """
    class A(unittest.TestCase):
        def test_ok(self): pass
        def test_failed(self): self.assertEqual(1, 2)
        def test_error(self): 1 / 0
        @unittest.skip("not today")
        def test_skip(self): pass
        @unittest.expectedFailure
        def test_xfail(self): self.fail()
        @unittest.expectedFailure
        def test_xpass(self): pass
        def test_sub(self):
            for i in range(3):
                with self.subTest(i=i):
                    self.assertNotEqual(i, 1)
"""


def test_outcomes_of_all_kinds(made):
    result = made(KINDS)
    assert shape(result) == {"test_ok": "ok", "test_failed": "failed", "test_error": "error", "test_skip": "skipped", "test_xfail": "expected failure",
                             "test_xpass": "unexpected success", "test_sub": "failed"}
    rows = result["tests"]
    assert rows["test_made.A.test_skip"]["why"] == "not today"
    assert "(i=1)" in rows["test_made.A.test_sub"]["why"]
    assert not result["crashes"] and result["module"] == "ran" and result["compiled"] == [None]


def test_only_some(made):
    assert shape(made(KINDS, only=["test_made.A.test_ok", "test_made.A.test_error"])) == {"test_ok": "ok", "test_error": "error"}


def test_a_crash_costs_one_test_and_is_told(made):
    result = made("""
        class A(unittest.TestCase):
            def test_a(self): pass
            def test_b(self): os.kill(os.getpid(), signal.SIGSEGV)
            def test_c(self): pass
            def test_d(self): os._exit(3)
            def test_e(self): pass
    """)
    assert shape(result) == {"test_a": "ok", "test_b": "crashed", "test_c": "ok", "test_d": "crashed", "test_e": "ok"}
    first, second = result["crashes"]
    assert first["test"] == "test_made.A.test_b" and first["how"] == "killed by SIGSEGV"
    assert "in test_b" in first["trace"] and "Fatal Python error: Segmentation fault" in first["trace"]
    assert second["how"] == "status 3"


def test_a_hang_costs_one_test_and_is_told(made):
    result = made("""
        class A(unittest.TestCase):
            def test_a(self): pass
            def test_b(self): time.sleep(1000)
            def test_c(self): pass
    """)
    assert shape(result) == {"test_a": "ok", "test_b": "timeout", "test_c": "ok"}
    assert "in test_b" in result["crashes"][0]["trace"]


def test_children_do_not_survive(made, tmp_path):
    made(f"""
        class A(unittest.TestCase):
            def test_a(self):
                if os.fork() == 0:
                    open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
                    time.sleep(1000)
    """)
    stat = Path("/proc") / (tmp_path / "pid").read_text() / "stat"
    for _ in range(100):
        # Nobody may be there to reap it.
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("it is still there")


def test_memory_is_limited(made):
    result = made("""
        class A(unittest.TestCase):
            def test_a(self):
                with self.assertRaises(MemoryError):
                    bytearray(3 << 30)
    """, processes.Limits(5, 60, 2 << 30, ""))
    assert shape(result) == {"test_a": "ok"}


def test_modules_that_do_not_import(made):
    assert made("raise unittest.SkipTest('no such machine')")["module"] == "skipped"
    result = made("1 / 0")
    assert result["module"] == "error" and "ZeroDivisionError" in result["why"] and result["crashes"][0]["test"] == "import"
    result = made("os.kill(os.getpid(), signal.SIGSEGV)")
    assert result["module"] == "crashed"


def test_a_crash_at_exit_is_seen(made):
    result = made("""
        import atexit
        atexit.register(os.kill, os.getpid(), signal.SIGSEGV)
        class A(unittest.TestCase):
            def test_a(self): pass
    """)
    assert shape(result) == {"test_a": "ok"} and result["crashes"][0]["test"] == "at exit"
    assert list(outcomes.suspects(run({"test_made.A.test_a": "ok"}), dict(result, compiled=[{}]))) == ["(at exit)"]


def test_cendre_is_on_where_the_mode_says_so(made):
    env = {k: v for k, v in modes.environment("warm", "executor").items() if k.startswith("CENDRE")}
    result = made("""
        def f(x):
            return x + 1
        class A(unittest.TestCase):
            def test_a(self):
                import cendre
                for i in range(30):
                    f(i)
                self.assertTrue(cendre.jit.is_compiled(f))
    """, processes.Limits(120, 120), **env)
    assert shape(result) == {"test_a": "ok"}, result
    assert result["compiled"][0]["compiled"] > 0


def run(tests, **more):
    """An outcome as the runner keeps it."""
    rows = {name: {"outcome": outcome, "why": ""} for name, outcome in tests.items()}
    return {"tests": rows, "module": "ran", "why": "", "crashes": [], "compiled": [{}], **more}


def test_comparison():
    plain = run({"a": "ok", "b": "failed", "c": "skipped", "d": "ok", "e": "ok", "f": "ok", "g": "ok", "h": "ok"})
    again = {"d": {"mode": "ok", "plain": "ok"}, "h": {"mode": "failed", "plain": "failed"}}
    got = run({"a": "ok", "b": "failed", "c": "skipped", "d": "failed", "e": "failed", "f": "skipped", "h": "failed", "new": "error"}, again=again)
    c = outcomes.compare(plain, got, {"e": "cannot be"}, set())
    assert (c.passed, c.skipped_by_test, c.fails_plain) == (1, 1, 2)
    assert (list(c.flaky), list(c.by_design), sorted(c.differs)) == (["d"], ["e"], ["f", "g", "new"])


def test_comparison_wants_cendre_on():
    assert list(outcomes.compare(run({"a": "ok"}), run({"a": "ok"}, compiled=[None]), {}, set()).differs) == ["(cendre)"]


def test_rule_of_specialisation_tests():
    source = """
        import dis
        def helper(f):
            return list(dis.get_instructions(f, adaptive=True))
        class A:
            def check(self, f):
                return helper(f)
            def test_direct(self):
                dis.dis(len, adaptive=True)
            def test_through_two(self):
                self.check(len)
            def test_other(self):
                dis.dis(len, adaptive=False)
            def test_names_a_test(self):
                self.test_direct
        class B(A):
            pass
    """
    assert outcomes.rule(textwrap.dedent(source), "m") == {f"m.{c}.{t}" for c in "AB" for t in ("test_direct", "test_through_two")}


@pytest.mark.parametrize("text", ['[[skip]]\ntest = "test.test_x"\nreason = "a whole module"', '[[skip]]\ntest = "test.test_x.A.test_y"\nreason = " "',
                                  "".join(f'[[skip]]\ntest = "test.test_x.A.test_{n}"\nreason = "too many"\n' for n in range(26))])
def test_skips_that_break_their_own_rules(tmp_path, text):
    path = tmp_path / "skips.toml"
    path.write_text(text)
    with pytest.raises(ValueError):
        outcomes.skips(path)


def test_skips_of_the_project():
    assert all(reason for reason in outcomes.skips().values())


def test_outcomes_are_kept_as_a_whole(tmp_path):
    store = suite.Store(tmp_path, keep=False)
    store.put(("warm", "executor"), "test.test_x", "build 1", run({"a": "ok"}))
    assert store.get(("warm", "executor"), "test.test_x", "build 1")["tests"]["a"]["outcome"] == "ok"
    assert store.get(("warm", "executor"), "test.test_x", "build 2") is None
    store.path(("warm", "executor"), "test.test_x").write_text(json.dumps({"cut": "off"})[:-3])
    assert store.get(("warm", "executor"), "test.test_x", "build 1") is None
