"""The public protocol of awaited calls (include/cendre.h), as an extension in C sees it, in both roles.

The extension of tests/c_extension is built here with the C compiler and the headers of the Python that runs the tests. Where
there are none, all of this is skipped, with a warning that says so. Snippets marked `same` print the same without cendre; the
others assert that awaited calls were really made.
"""
import os
import shutil
import subprocess
import sys
import sysconfig
import warnings
from pathlib import Path

import pytest

import support

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "tests" / "c_extension" / "cendre_example.c"


def missing(what):
    warnings.warn(f"the public protocol is NOT tested: {what}", stacklevel=2)
    pytest.skip(what)


def headers():
    """Where Python.h is: as sysconfig says, or below the interpreter's real prefix."""
    beside = Path(os.path.realpath(sys.executable)).parents[1] / "include" / "python3.14"
    for folder in (Path(sysconfig.get_path("include")), beside):
        if (folder / "Python.h").exists():
            return folder
    return None


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The folder that holds the built extension."""
    include, compiler = headers(), shutil.which(os.environ.get("CC", "gcc"))
    if include is None:
        missing("the headers of CPython 3.14 are not installed")
    if compiler is None:
        missing("there is no C compiler")
    folder = tmp_path_factory.mktemp("c_extension")
    # Debian keeps pyconfig.h under include/<triplet>/python3.14, found from the directory above.
    argv = [compiler, "-O1", "-g", "-Wall", "-Werror", "-shared", "-fPIC", f"-I{include}", f"-I{include.parent}", f"-I{ROOT / 'include'}",
            str(SOURCE), "-o", str(folder / f"cendre_example{sysconfig.get_config_var('EXT_SUFFIX')}")]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def head(folder):
    return f"import sys; sys.path.insert(0, {str(folder)!r})\n" + HEAD


HEAD = """
import traceback, types, inspect
import cendre_example as ext
from kit import Yield, describe, drive, outcome, show

async def once(f, x):
    return await f(x)

async def twice(f, x):
    a = await f(x)
    try:
        b = await f(x + 1)
    except ValueError as error:
        b = repr(error)
    return a, b

class Holder:
    pass

async def by_attribute(h, x):
    return await h.f(x)

async def add(x, y=10, *rest, k=3):
    return x + y + sum(rest) + k

async def wait(make, x):
    got = await make(x)
    return x, got

async def fail(x):
    raise ValueError(x)

def suspend(x=0):
    return Yield(x)

async def nothing(x):
    return x

def call(f, *args):
    # A callee declines while an event waits, and cendre's own sampler makes one every millisecond.
    for _ in range(100):
        answer = ext.call_awaited(f, *args)
        if answer != ("declined",):
            break
    return answer
for _ in range(30):
    drive(once(nothing, 1)), drive(twice(nothing, 1)), drive(add(1)), drive(wait(nothing, 1))
    outcome(drive, fail(1))
compiled(once, twice, by_attribute, add, wait, fail, nothing)
"""

SAME = {
    "value": """
r = ext.Ready()
print(drive(once(r, 5)), drive(twice(r, 5)), drive(once(r, None)))
h = Holder()
h.f = r
print(drive(by_attribute(h, 6)))
""",
    "suspends": """
r = ext.Ready(suspend)
c = once(r, 5)
print(c.send(None), inspect.getcoroutinestate(c), type(c.cr_await).__name__)
print(outcome(c.send, "sent"))
print(show([drive(once(r, 1)), drive(twice(r, 2))]))
c = twice(r, 5)
c.send(None)
print(outcome(c.throw, KeyError("in")), inspect.getcoroutinestate(c))
c = once(r, 5)
c.send(None)
print(c.close(), inspect.getcoroutinestate(c))
""",
    "raises": """
r = ext.Ready(error=ValueError)
print(outcome(drive, once(r, 5)))
print(outcome(drive, twice(r, 5)))
""",
    "wrong_call": """
async def wrong(f):
    return await f()
async def wrong_too(f, x):
    return await f(x, x)
for _ in range(30):
    outcome(drive, wrong(nothing)), outcome(drive, wrong_too(nothing, 1))
compiled(wrong, wrong_too)
r = ext.Ready()
print(outcome(drive, wrong(r)))
print(outcome(drive, wrong_too(r, 1)))
""",
    "who_never_heard_of_it": """
p = ext.Plain()
print(drive(once(p, 5)), drive(twice(p, 5)), outcome(drive, once(len, 5)), outcome(drive, once(dict, 5)))
""",
    "wrapped": """
import functools
r = ext.Ready()
print(drive(once(functools.partial(r), 5)), drive(once(functools.partial(nothing), 5)), drive(once(types.MethodType(add, 5), 6)))
class C:
    def __init__(self):
        self.n = 1
    async def m(self, x):
        return self.n, x
m = C().m
for _ in range(30):
    drive(once(m, 1))
compiled(C.m)
print(drive(once(m, 5)), drive(by_attribute(types.SimpleNamespace(f=m), 6)))
""",
}


@pytest.mark.parametrize("entries", support.ENTRIES)
@pytest.mark.parametrize("name", SAME)
def test_same_results_as_without_cendre(example, name, entries):
    """Awaiting the extension's callables gives what it gives in a plain process."""
    support.same(head(example) + SAME[name], entries=entries)


def test_works_where_there_is_no_cendre(example):
    """The header has no other dependency than Python: without cendre its table is NULL and everything is an ordinary call."""
    source = f"""
import sys; sys.path.insert(0, {str(example)!r})
import cendre_example as ext
print(ext.has_cendre, ext.table)
async def once(f, x):
    return await f(x)
try:
    once(ext.Ready(), 5).send(None)
except StopIteration as stop:
    print(stop.value)
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", source], capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["False (0, 0)", "5"], done.stdout + done.stderr


def test_callee_is_told_that_it_is_awaited(example):
    """A compiled `await r(x)` makes awaited calls of a callable that declared itself, and ordinary ones of others."""
    out = support.python(head(example) + """
r = ext.Ready()
jit.reset_stats()
print([drive(once(r, i))[1] for i in range(5)], r.awaited, r.called, r.declined)
print([row[1:4] for row in record(once)["awaits"]])
r = ext.Ready(suspend)
print(drive(once(r, 1))[0], r.awaited, r.called)
print([row[1:4] for row in record(once)["awaits"]])
async def wrong(f):
    return await f()
for _ in range(30):
    outcome(drive, wrong(nothing))
compiled(wrong)
r = ext.Ready()
print(outcome(drive, wrong(r)).split(" at ")[0], r.awaited, r.called, r.declined)
""")
    assert out.split("\n")[:5] == [
        "[0, 1, 2, 3, 4] 5 0 0", "[(5, 5, 0)]", "[0] 1 0", "[(6, 5, 1)]", "TypeError(Ready takes one argument) 0 0 1"], out


def test_wrong_answer_is_an_error_not_a_crash(example):
    """A callee that says "suspended" and yields nothing gets a SystemError that names it."""
    out = support.python(head(example) + """
print(outcome(drive, once(ext.BadAnswer(), 1)))
""")
    assert out.startswith("SystemError(<cendre_example.BadAnswer object") and "wrong answer" in out, out


def test_caller_gets_values_coroutines_and_errors(example):
    """Foreign C code calls compiled coroutine functions with the flag and sees all four answers."""
    out = support.python(head(example) + """
assert ext.has_cendre and ext.table == (1, 32), ext.table
print(call(add, 1), call(add, 1, 2), call(add, 1, 2, 3, 4), call(nothing, None))
kind, yielded, c = call(wait, suspend, 7)
print(kind, yielded, type(c).__name__, c.cr_code is wait.__code__, inspect.getcoroutinestate(c), c.cr_frame.f_lineno == wait.__code__.co_firstlineno + 1)
print(outcome(c.send, "sent"), inspect.getcoroutinestate(c))
kind, yielded, c = call(wait, suspend, 8)
print(outcome(c.throw, KeyError(1)).split(" at ")[0])
print(outcome(call, fail, 9).split(" at ")[0])
print(call(add), call(add, 1, 2, 3, 4), call(len, ()), call(ext.Ready(), 3), call(ext.Plain(), 3))
async def cold(x):
    return x
print(call(cold, 1), call(drive, 1))
print(ext.ordinary(nothing, 1).__name__, drive(ext.ordinary(nothing, 1)))
""")
    assert out.split("\n") == [
        "('value', 14) ('value', 6) ('value', 13) ('value', None)",
        "suspended 7 coroutine True CORO_SUSPENDED True",
        out.split("\n")[2],
        "KeyError(1)",
        "ValueError(9)",
        "('declined',) ('value', 13) ('unknown',) ('value', 3) ('unknown',)",
        "('declined',) ('declined',)",
        "nothing ([], 1)",
        "",
    ], out
    assert out.split("\n")[2].startswith("StopIteration((7, 'sent'))") and out.split("\n")[2].endswith("CORO_CLOSED"), out


def test_start_takes_any_callable(example):
    """`start` awaits whatever it is given up to its first suspension, and refuses what cannot be awaited."""
    out = support.python(head(example) + """
start = ext.start
print(start(add, 1), start(ext.Ready(), 2), start(ext.Plain(), 3), start(suspend, 4)[:2])
async def cold(x):
    await Yield(x)
    return x
kind, yielded, c = start(cold, 5)
print(kind, yielded, outcome(c.send, None).split(" at ")[0])
kind, yielded, c = start(wait, suspend, 6)
print(kind, yielded, outcome(c.send, None).split(" at ")[0])
suspended = wait(suspend, 6)
suspended.send(None)
for f, *args in ((len, ()), (int,), (fail, 1), (add,), ((lambda: suspended),)):
    print(outcome(start, f, *args).split(" at ")[0])
""")
    assert out.split("\n")[:8] == [
        "('value', 14) ('value', 2) ('value', 3) ('suspended', 4)",
        "suspended 5 StopIteration(5)",
        "suspended 6 StopIteration((6, None))",
        *out.split("\n")[3:5],
        "ValueError(1)",
        "TypeError(add() missing 1 required positional argument: 'x')",
        "RuntimeError(coroutine is being awaited already)",
    ], out
    assert all(line.startswith("TypeError(") for line in out.split("\n")[3:5]), out


def test_references_are_balanced(example):
    """Thousands of awaited calls in both roles, with every answer, leave the counts of all objects as they were."""
    out = support.python(head(example) + """
import gc
class Thing:
    def __init__(self, x):
        self.x = x
r, s, e = ext.Ready(), ext.Ready(suspend), ext.Ready(error=ValueError)
def work(n):
    t = Thing(1)
    for i in range(n):
        drive(once(r, t)), drive(once(s, t)), outcome(drive, once(e, t)), call(nothing, t), call(r, t), call(nothing), call(r)
        call(wait, suspend, t)[2].close()
        outcome(call, fail, t)
        ext.start(suspend, t)
    return sys.getrefcount(t), sys.getrefcount(nothing.__code__), sys.getrefcount(wait.__code__), sys.getrefcount(r), sys.getrefcount(s)
work(50)
gc.collect()
before, blocks = work(1), sys.getallocatedblocks()
after = work(3000)
gc.collect()
print(before == after, sys.getallocatedblocks() - blocks < 300)
""")
    assert out.strip() == "True True", out
