"""The public face of the package: `cendre.jit` and `cendre.explain()`, in processes of their own.

Invariant tested: each says what holds; a function that is said to be compiled is, and one that must not be is not.
"""

import os
import subprocess
import sys
import textwrap

HEAD = """
import io
import cendre
from cendre import jit

def work(n):
    total = 0
    for i in range(n):
        total += i
    return total

"""


def check(program, **variables):
    """Runs a program that asserts; it must end well and say nothing on stderr."""
    text = HEAD + textwrap.dedent(program) + "print('done')\n"
    done = subprocess.run([sys.executable, "-c", text], env={**os.environ, **variables}, capture_output=True, text=True,
                          timeout=60, check=False)
    assert (done.returncode, done.stdout[-5:], done.stderr) == (0, "done\n", "")
    return done.stdout


def test_compile_on_demand():
    check("""
        cendre.enable(threshold=10**9)  # The sampler finds nothing of its own.
        assert jit.is_compiled(work) is False
        before = jit.stats()["compiled"]
        assert jit.compile(work) is True
        assert jit.is_compiled(work) is True
        assert jit.is_compiled(work.__code__) is True
        assert jit.stats()["compiled"] == before + 1
        assert work(1000) == 499500
        (record,) = [f for f in jit.functions() if f["name"] == "work"]
        assert record["state"] == "compiled" and record["line"] == work.__code__.co_firstlineno, record
        assert set(record) >= {"name", "file", "line", "state", "reason", "leaves", "awaits"}
    """)


def test_never():
    check("""
        @jit.never
        def left(n):
            return work(n) + 1
        assert left.__name__ == "left"
        for _ in range(20):
            assert left(10) == 46
        assert not jit.is_compiled(left)
        assert jit.is_compiled(work)
    """, CENDRE="1", CENDRE_THRESHOLD="0")


def test_first_sight_and_disable():
    check("""
        for _ in range(5):
            assert work(10) == 45
        assert jit.is_compiled(work)
        cendre.disable()
        assert work(10) == 45
        assert cendre.is_enabled() is False
    """, CENDRE="1", CENDRE_THRESHOLD="0")


def test_the_sampler_finds_what_is_hot():
    check("""
        cendre.enable()
        for _ in range(2000):
            assert work(1000) == 499500
        assert jit.is_compiled(work)
    """)


def test_nothing_is_compiled_with_the_compiler_off():
    check("""
        assert cendre.is_enabled()
        for _ in range(50):
            assert work(100) == 4950
        assert not jit.is_compiled(work)
        assert jit.stats()["compiled"] == 0
    """, CENDRE="1", CENDRE_JIT="0", CENDRE_THRESHOLD="0")


def test_wrong_arguments():
    check("""
        cendre.enable()
        for function in jit.compile, jit.is_compiled, jit.never:
            for wrong in (3, None, "work"):
                try:
                    function(wrong)
                except (TypeError, ValueError) as error:
                    assert str(error)
                else:
                    raise AssertionError((function, wrong))
    """)


def test_explain_in_the_process():
    out = check("""
        cendre.enable()
        jit.compile(work)
        work(10)
        text = io.StringIO()
        cendre.explain(text)
        assert "work  <string>:6" in text.getvalue(), text.getvalue()
        cendre.explain()
        jit.reset_stats()
        assert jit.stats()["compiled"] == 0
        assert jit.is_compiled(work)
    """)
    assert out.startswith("cendre: -c (process ")
    assert "\x1b" not in out
