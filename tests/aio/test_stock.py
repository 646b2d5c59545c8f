"""Native code stands only for functions of asyncio whose code it knows: for others their own Python code runs."""

import asyncio
import json
import subprocess
import sys
import textwrap
import types

import pytest
from cendre.aio import _stock

FUNCTIONS = sorted({name for names in _stock.PARTS.values() for name in names})

# What a program may do to a function of asyncio: it does what it did, and says so.
TELLS = """
    import sys, types
    told = []
    def tells(function):
        def mine(*args, **more):
            told.append(function.__qualname__)
            return function(*args, **more)
        return mine
    def coded(function):
        "Other code for the same function."
        name = function.__qualname__
        inner = sys.modules["asyncio inner " + name] = types.FunctionType(function.__code__, function.__globals__, name, function.__defaults__)
        inner.__kwdefaults__ = function.__kwdefaults__
        star, call = ("async def", "return await") if function.__code__.co_flags & 0x80 else ("def", "return")
        scope = {}
        exec(f"{star} mine(*args, **more):\\n import sys\\n sys.modules['__main__'].told.append({name!r})\\n "
             f"{call} sys.modules['asyncio inner {name}'](*args, **more)", scope)
        function.__code__ = scope["mine"].__code__
        function.__kwdefaults__ = None
"""

PROGRAM = """
    import asyncio
    from asyncio import base_events, events, taskgroups, tasks
    {before}
    from cendre import aio
    async def child(n):
        return n
    async def main():
        assert await asyncio.gather(child(1), child(2)) == [1, 2]
        assert await asyncio.create_task(child(3)) == 3
        async with asyncio.TaskGroup() as group:
            made = group.create_task(child(4))
        return made.result()
    {once}
    {after}
    told.clear()
    assert aio.run(main(), policy={policy!r}) == 4
    print(sorted(set(told)), aio.stats()["faults"], sorted(aio._stock.unknown))
"""


def told(policy="exact", once=False, **where):
    once = f"aio.run(main(), policy={policy!r})" if once else ""
    program = textwrap.dedent(TELLS) + textwrap.dedent(PROGRAM).format(**{"before": "", "after": ""} | where, once=once, policy=policy)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names, faults, unknown = eval(f"[{done.stdout.replace('] ', '], ').replace(' [', ', [')}]")  # noqa: S307
    assert faults == 0
    return names, unknown


def test_this_release_is_known():
    """Another release of CPython that fails here: `python -m cendre.aio._stock`, and read what has changed in what it prints a new line for."""
    for name in FUNCTIONS:
        assert _stock.is_stock(_stock.found(name)[0], name) or name.endswith(("call_soon", "_run_once")), name


@pytest.mark.parametrize("option", [(), ("-O",), ("-OO",)])
def test_known_with_each_optimisation(option):
    program = "from cendre.aio import _stock, _probe; _probe.bind(); assert all(map(_stock.is_known, _stock.PARTS)); print(_stock.unknown)"
    assert subprocess.run([sys.executable, *option, "-c", program], capture_output=True, text=True, check=True).stdout == "{}\n"


def test_known_while_it_is_watched_and_compiled():
    program = """if True:
        import asyncio, sys, cendre
        cendre.enable(threshold=0)
        sys.monitoring.use_tool_id(1, "tool")
        sys.monitoring.set_events(1, sys.monitoring.events.LINE | sys.monitoring.events.PY_START)
        async def child(): pass
        async def main():
            for _ in range(300):
                await asyncio.gather(child(), child())
                async with asyncio.TaskGroup() as group:
                    group.create_task(child())
        asyncio.run(main())
        sys.monitoring.set_events(1, 0)
        asyncio.run(main())
        from cendre.aio import _stock
        assert all(map(_stock.is_known, _stock.PARTS)), _stock.unknown
    """
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_digest_tells_what_a_function_does():
    def one(a, *, b=None):
        "Doc."
        return [a, b, ("x", 1), lambda: a]

    def changed(**changes):
        return types.FunctionType(one.__code__.replace(**changes), globals(), "one", one.__defaults__, one.__closure__)
    same = changed(co_firstlineno=77, co_filename="elsewhere")
    same.__kwdefaults__ = one.__kwdefaults__
    assert _stock.digest(same) == _stock.digest(one)
    without = changed(co_consts=("Another.", *one.__code__.co_consts[1:]))
    without.__kwdefaults__ = one.__kwdefaults__
    assert _stock.digest(without) == _stock.digest(one)
    inner, = [c for c in one.__code__.co_consts if isinstance(c, types.CodeType)]
    for changes in ({"co_names": ("other",)}, {"co_varnames": ("c", "b")}, {"co_flags": one.__code__.co_flags | 0x20},
                    {"co_consts": tuple(inner.replace(co_code=inner.co_code[:-2] + b"\x1b\0") if c is inner else c for c in one.__code__.co_consts)}):
        other = changed(**changes)
        other.__kwdefaults__ = one.__kwdefaults__
        assert _stock.digest(other) != _stock.digest(one), changes
    assert _stock.digest(changed()) != _stock.digest(one)   # Without the default of `b`.


PATCHED = [
    "tasks.gather", "tasks.create_task", "tasks.ensure_future", "tasks._GatheringFuture.__init__", "taskgroups.TaskGroup.create_task",
    "taskgroups.TaskGroup._on_task_done", "taskgroups.TaskGroup.__aexit__", "taskgroups.TaskGroup._aexit",
    "base_events.BaseEventLoop.create_task", "base_events.BaseEventLoop.call_soon", "base_events.BaseEventLoop._call_soon",
    "base_events.BaseEventLoop.create_future",
]


@pytest.mark.parametrize("policy", ["off", "exact", "family"])
@pytest.mark.parametrize("name", PATCHED)
def test_a_function_whose_code_was_changed_runs(name, policy):
    how = f"{name} = tells({name})" if name.startswith("tasks._") else f"coded({name})"     # Code with a cell cannot be given.
    names, unknown = told(policy, before=how)
    assert name.partition(".")[2] in names and name in unknown


@pytest.mark.parametrize("name", ["tasks.gather", "tasks.create_task", *(name for name in PATCHED if name.startswith("taskgroups"))])
def test_code_that_is_changed_later_runs_too(name):
    names, _ = told(once=True, after=f"coded({name})")
    assert name.partition(".")[2] in names


@pytest.mark.parametrize("name", ["TaskGroup.create_task", "TaskGroup._on_task_done", "TaskGroup.__aexit__", "TaskGroup._aexit"])
def test_a_method_that_is_replaced_later_runs(name):
    names, _ = told(once=True, after=f"taskgroups.{name} = tells(taskgroups.{name})" if "exit" not in name else f"coded(taskgroups.{name})")
    assert name in names


def test_a_loop_whose_iteration_was_patched_is_refused():
    program = """if True:
        from asyncio import base_events
        base_events.BaseEventLoop._run_once.__code__ = base_events.BaseEventLoop._run_once.__code__.replace(co_names=(
            *base_events.BaseEventLoop._run_once.__code__.co_names, "more"))
        import asyncio
        from cendre import aio
        try:
            aio.run(asyncio.sleep(0))
        except TypeError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True)
    assert "_run_once is not the one that cendre knows" in done.stdout


def test_explain_says_so(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent("""
        import asyncio
        asyncio.TaskGroup.create_task.__code__ = asyncio.TaskGroup.create_task.__code__.replace(co_names=(*asyncio.TaskGroup.create_task.__code__.co_names, "x"))
        async def main():
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(0))
        asyncio.run(main())
    """))
    done = subprocess.run([sys.executable, "-m", "cendre", "explain", "--tasks=exact", program], capture_output=True, text=True, check=True)
    assert "asyncio.taskgroups.TaskGroup.create_task is not the function that cendre knows" in done.stdout + done.stderr
