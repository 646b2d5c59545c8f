"""Do the differential tests find what they are for? A stand-in for cendre that is wrong in a known way must be found out.

The stand-in is a Python package that claims to compile; it lies under a name of the child's own path, and the real one is not imported.
"""
import pytest

import support

PROGRAM = '''
from kit import ALL, sweep
MUST_COMPILE = ALL
def add(a, b):
    return a + b
def fails(x):
    return 1 // x
def never_called():
    return 1
def cases():
    yield "add", lambda: sweep(add, [(1, 2), ("a", "b")])
    yield "fails", lambda: sweep(fails, [(1,), (0,)])
    yield "prints", lambda: print("text")
'''

HONEST = '''
done = set()
def code_of(f): return getattr(f, "__code__", f)
def compile(f):
    done.add(code_of(f))
    return True
def is_compiled(f): return code_of(f) in done
def stats(): return {}
'''

WRONG = {
    # what the stand-in does -> what the report must say
    "wrong value": ("def compile(f):\n    done.add(f.__code__)\n    if f.__name__ == 'add': f.__code__ = (lambda a, b: a + b if a != 'a' else 'ba').__code__; done.add(f.__code__)\n", "case add"),
    "wrong message": ("def compile(f):\n    done.add(f.__code__)\n    if f.__name__ == 'fails': f.__code__ = (lambda x: 1 % x).__code__; done.add(f.__code__)\n", "case fails"),
    "refuses": ("def compile(f):\n    if f.__name__ == 'add': raise ValueError('too hard')\n    done.add(f.__code__)\n", "too hard"),
    "claims": ("def compile(f):\n    return True\n", "is_compiled() is False"),
    "leaks": ("import sys\nkept = []\ndef compile(f):\n    done.add(f.__code__)\n    code = f.__code__\n    if f.__name__ == 'fails':\n        import kit\n        old = kit.sweep\n        def leaky(*a, **k):\n            kept.extend([code] * 5)\n"
              "            return old(*a, **k)\n        f.__globals__['sweep'] = leaky\n", "reference count"),
    "crashes": ("import os, signal\ndef compile(f):\n    done.add(f.__code__)\n    if f.__name__ == 'fails':\n        def crash(x): __import__('os').kill(__import__('os').getpid(), 11)\n        f.__code__ = crash.__code__\n", "SIGSEGV in [case fails full 0]"),
    "hangs": ("def compile(f):\n    done.add(f.__code__)\n    if f.__name__ == 'fails':\n        def hang(x):\n            while True: pass\n        f.__code__ = hang.__code__\n", "timeout in [case fails full 0]"),
    "prints": ("def compile(f):\n    done.add(f.__code__)\n    if f.__name__ == 'add': f.__code__ = (lambda a, b: print('stray') or a + b).__code__; done.add(f.__code__)\n", "stray"),
}


@pytest.fixture
def place(tmp_path):
    """A program and an honest stand-in."""
    (tmp_path / "cendre").mkdir()
    (tmp_path / "cendre" / "__init__.py").write_text("def enable(): pass\n")
    (tmp_path / "cendre" / "jit.py").write_text(HONEST)
    (tmp_path / "small.py").write_text(PROGRAM)
    return tmp_path


def compared(place, mode, timeout=None):
    plain = support.run(place / "small.py", "plain", None)
    return support.compare(plain, support.run(place / "small.py", mode, "executor", PYTHONPATH=str(place), timeout=timeout))


def test_an_honest_one_is_equal(place):
    assert compared(place, "warm") == []


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_one_is_found(place, what):
    source, says = WRONG[what]
    (place / "cendre" / "jit.py").write_text(HONEST + source)
    problems = compared(place, "warm", timeout=6 if what == "hangs" else None)
    assert any(says in p for p in problems), problems


def test_nothing_compiled_at_first_sight_is_found(place):
    """In mode `first` the stand-in compiles nothing: the functions that ran are named, the one that did not is not."""
    problems = compared(place, "first")
    assert len(problems) == 1 and "'add'" in problems[0] and "'fails'" in problems[0] and "never_called" not in problems[0]


def test_a_program_that_names_what_is_not_there(place):
    (place / "small.py").write_text(PROGRAM.replace("MUST_COMPILE = ALL", "MUST_COMPILE = ['nobody']"))
    assert "nobody" in support.run(place / "small.py", "plain", None).stderr


def test_a_snippet_that_differs_is_found():
    with pytest.raises(AssertionError, match="CPython"):
        support.same_texts("a\nb\n", "a\nc\n")
    with pytest.raises(AssertionError, match="status 3, expected 0"):
        support.python("sys.exit(3)", enable=False, mode="plain")
    with pytest.raises(AssertionError, match="timeout"):
        support.python("while True: pass", enable=False, mode="plain", timeout=1)
