"""Policies for a whole process: `cendre run --tasks`, `CENDRE_TASKS`, `cendre explain`; asyncio's own tests under them.

Invariant: a run that says it was under a policy shows by its counters that it was.
"""

import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cpython"))

import modes  # noqa: E402
import outcomes  # noqa: E402
import processes  # noqa: E402

GATHER = """
import asyncio, cendre.aio
async def child(n):
    return n
async def main():
    for _ in range(100):    # On a busy machine the budget of some may be used up.
        got = await asyncio.gather(*[child(i) for i in range(3)])
    print(got, cendre.aio.policy())
asyncio.run(main())
print(min(1, cendre.aio.stats()["resumed_in_place"]))
print(cendre.aio.stats()["steps"] > 0)
"""


def run(*argv, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("CENDRE")} | more
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=100, stdin=subprocess.DEVNULL)


def cendre(*argv, **more):
    return run(sys.executable, "-m", "cendre", *argv, **more)


@pytest.mark.parametrize("policy, resumed", [("exact", 1), ("family", 1), ("eager", 0), ("off", 0)])
def test_run(policy, resumed):
    done = cendre("run", f"--tasks={policy}", "-c", GATHER)
    assert done.stderr == ""
    assert done.stdout.split("\n")[:3] == [f"[0, 1, 2] {policy}", str(resumed), "True"]


def test_without_a_policy():
    """Then nothing runs early, and with `stock` nothing is native."""
    assert cendre("run", "-c", GATHER).stdout.split("\n")[:2] == ["[0, 1, 2] None", "0"]
    assert cendre("run", "--tasks=stock", "-c", GATHER).stdout.split("\n") == ["[0, 1, 2] None", "0", "False", ""]


def test_children_of_the_process_inherit_it():
    done = run(sys.executable, "-c", GATHER, CENDRE="1", CENDRE_TASKS="exact")
    assert (done.stdout, done.stderr) == ("[0, 1, 2] exact\n1\nTrue\n", "")


def test_nothing_is_imported_for_it():
    code = "import sys; print([m for m in sys.modules if m.startswith(('asyncio', 'cendre.aio'))])"
    assert cendre("run", "--tasks", "exact", "-c", code).stdout == "[]\n"


def test_nonsense():
    done = cendre("run", "--tasks=best", "-c", "pass")
    assert done.returncode == 2 and "takes off, exact, family, eager or stock" in done.stderr


# As uvloop's: made of nothing but the abstract class, by a package that a program imports when it likes.
LOOP_OF_ITS_OWN = """
import asyncio
if not hasattr(asyncio, "tried"):
    asyncio.tried = True
    raise OSError
class Loop(asyncio.AbstractEventLoop):
    def __init__(self):
        self.within = asyncio.SelectorEventLoop()
def of_within(name):
    def method(self, *args, **kwargs):
        return getattr(self.within, name)(*args, **kwargs)
    return method
for name in ("run_until_complete", "create_task", "create_future", "call_soon", "call_later", "get_debug", "set_debug", "close", "is_running", "is_closed",
             "shutdown_asyncgens", "shutdown_default_executor", "call_exception_handler"):
    setattr(Loop, name, of_within(name))
def new_event_loop():
    return Loop()
"""
ON_UVLOOP = """
import importlib.util, sys
assert importlib.util.find_spec("uvloop")   # Programs ask like this before they import it.
try:
    import uvloop
except OSError:                             # The first attempt fails.
    import uvloop
import asyncio
async def child(n):
    await asyncio.sleep(0)
    return n
async def main():
    return await asyncio.gather(*[child(i) for i in range(3)])
for _ in range(2):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(runner.run(main()))
print([f for f in sys.meta_path if "cendre" in type(f).__module__])
"""
REFUSED = ("cendre: uvloop.Loop keeps its queue where it cannot be reached, so policy '{}' cannot work there: use asyncio's own loop, "
           "or asyncio.eager_task_factory (the loop runs as ever)\n")


@pytest.mark.parametrize("policy", ["off", "exact", "family", "eager"])
def test_loops_that_are_not_asyncios(policy, tmp_path):
    """Of a loop that cannot be reached it is said, once, why and what to use, and the program runs on."""
    (tmp_path / "uvloop.py").write_text(LOOP_OF_ITS_OWN)
    plain = run(sys.executable, "-c", ON_UVLOOP, PYTHONPATH=str(tmp_path))
    assert plain.stdout == "[0, 1, 2]\n[0, 1, 2]\n[]\n", plain.stderr
    done = cendre("run", f"--tasks={policy}", "-c", ON_UVLOOP, PYTHONPATH=str(tmp_path))
    assert (done.stdout, done.stderr) == (plain.stdout, REFUSED.format(policy))
    # What waits for it does not hide that it is missing.
    missing = "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]\ntry: import uvloop\nexcept ImportError as e: print(e)"
    assert cendre("run", f"--tasks={policy}", "-c", missing).stdout == "No module named 'uvloop'\n"


def test_explain():
    done = cendre("explain", "--tasks=exact", "-c", GATHER)
    assert "went on in place" in done.stdout and "children and" in done.stdout


SITES = """
import asyncio
async def child(n):
    return n
async def waits(n):
    await asyncio.sleep(0)
    return n
async def main():
    for _ in range(5):
        await asyncio.gather(child(1), child(2), child(3))
    async with asyncio.TaskGroup() as group:
        for i in range(4):
            group.create_task(waits(i))
    named = asyncio.create_task(child(5), name="named")
    other = asyncio.create_task(waits(6))
    await asyncio.gather(other)
    await named
    await asyncio.wait([asyncio.ensure_future(child(7)), asyncio.ensure_future(child(8))])
asyncio.run(main())
"""


def test_sites_of_fan_outs():
    """Calls, children and why tasks suspended, at the lines of the program."""
    done = cendre("explain", "--tasks=exact", "-c", SITES)
    said = done.stdout
    for words in (
        "<string>:10 in main: gather: 5 calls, 15 children, of which 15 ended in their first step",
        "the task waited after it 5 times, 5 of them without suspending",
        "<string>:13 in main: TaskGroup.create_task: 4 calls, 4 children, of which 0 ended in their first step",
        "<string>:14 in main: create_task: 1 call, ",
        "<string>:15 in main: create_task: 1 call, 1 child, of which 0 ended in its first step",
        "once left to asyncio's own code",
        "overtakes nobody (await what is independent",
        "<string>:18 in main: ensure_future, wait, as_completed or shield: 1 child, of which 1 ended in its first step",
    ):
        assert words in said, (words, said)
    assert " 0 calls" not in said, said


def test_sites_are_recorded_only_for_explain():
    code = SITES + "import cendre._cendre; print(cendre._cendre.tasks_sites())"
    assert cendre("run", "--tasks=exact", "-c", code).stdout == "[]\n"


QUICK = "queues waitfor locks".split()
MODULES = [*QUICK, *"futures tasks taskgroups timeouts runners eager_task_factory".split()]
HERE = importlib.util.find_spec("test") and importlib.util.find_spec("test.test_asyncio")
LIMITS = processes.Limits(test_seconds=200, module_seconds=900, resources="")
needs_suite = pytest.mark.skipif(not HERE, reason="this Python comes without CPython's test suite (package `test`)")


@functools.cache
def plainly(module):
    """What becomes of a module's tests without cendre."""
    return processes.run_module(f"test.test_asyncio.test_{module}", modes.environment("plain"), LIMITS)


def compare_module(module, policy, mode):
    """Same outcome for each test id as without cendre; returns how many passed."""
    plain = plainly(module)
    got = processes.run_module(f"test.test_asyncio.test_{module}", modes.environment(mode, "executor", fast=True) | {"CENDRE_TASKS": policy}, LIMITS)
    assert plain["tests"] and not plain["crashes"], plain
    compared = outcomes.compare(plain, got, outcomes.skips(), set())
    assert not compared.differs, "\n".join(f"{test}: {have['outcome']}: {have['why']}" for test, have in compared.differs.items())
    assert compared.passed > 0 and got["compiled"][0]["compiled"] > 0


@needs_suite
@pytest.mark.parametrize("module", QUICK)
def test_asyncios_own_tests(module):
    """Compiled after a few calls."""
    compare_module(module, "exact", "warm")


@needs_suite
@pytest.mark.long
@pytest.mark.parametrize("policy", ["off", "exact"])
@pytest.mark.parametrize("module", MODULES)
def test_asyncios_own_tests_compiled_at_first_sight(module, policy):
    compare_module(module, policy, "all")
