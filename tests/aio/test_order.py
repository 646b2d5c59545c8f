"""The order of everything under a policy, compared with stock asyncio's: random programs, and the checks left out one by one.

The programs and what is recorded of them: programs.py, world.py. Long runs: compare.py. Invariant: a test that passes has seen
children run early; and each check of the exact rule is one without which these tests fail.
"""

import collections
import random
import re
import subprocess
import sys

import compare
import programs
import pytest
import world
from cendre import aio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

POLICIES = ("off", "exact", "family", "eager")
# Programs are cut short anywhere.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")


@pytest.mark.parametrize("first", range(0, 1000, 250))
@pytest.mark.parametrize("policy", (*POLICIES, "parts"))
def test_fixed_seeds(policy, first):
    """Programs by number, the same each time."""
    aio.reset_stats()
    for seed in range(first, first + 250):
        program = programs.program(random.Random(seed))
        assert compare.difference(program, policy) is None, f"compare.py --policy {policy} --seed {seed}"
    stats = aio.stats()
    assert stats["steps"] > 500
    assert (stats["children_early"] > 100 and stats["resumed_in_place"] > 20) == (policy in ("exact", "family"))
    assert stats["faults"] == 0


@pytest.mark.parametrize("policy", ["exact", "family"])
@settings(max_examples=150, derandomize=True, deadline=None, database=None,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(choose=st.randoms(use_true_random=False))
def test_programs_that_hypothesis_makes(policy, choose):
    program = programs.program(choose)
    assert compare.difference(program, policy) is None


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("policy", ["exact", "family"])
def test_nested_a_little(policy, depth):
    """Where the limit of nesting is reached, tasks suspend for real in the middle of things."""
    for seed in range(150):
        program = programs.program(random.Random(seed), 20)
        assert compare.difference(program, policy, depth=depth) is None, f"--policy {policy} --depth {depth} --seed {seed} --size 20"


@pytest.mark.parametrize("budget", [0.0, 1e-5])
def test_small_budget(budget):
    """No virtual iteration, or one now and then."""
    for seed in range(100):
        program = programs.program(random.Random(seed), 20)
        assert compare.difference(program, "exact", budget=budget) is None


@pytest.mark.parametrize("budget, used", [(0.0, 30), (0.001, 3), (0.002, 3)])
def test_budget_of_an_outer_step(budget, used):
    """By the clock of the program's loop, which only moves where the program says so: where the budget ends is part of the rule."""
    aio.reset_stats()
    for seed in range(600):
        program = programs.program(random.Random(seed), 20)
        assert compare.difference(program, "family", budget=budget) is None, f"--policy family --budget {budget} --seed {seed} --size 20"
    assert aio.stats()["budget_used"] >= used


@pytest.mark.parametrize("seed", [658100495717, 46484344980, 138702156160])
def test_what_an_interrupt_keeps_alive(seed):
    """Frames of the loop that states the rule keep no tasks: these programs notice when tasks die."""
    program = programs.program(random.Random(seed), 14)
    assert compare.difference(program, "family") is None
    trace = world.execute(program, lambda loop: aio.install(loop, policy="family", budget=1.0))
    assert any("unhandled" in entry for entry in trace)


def test_what_an_interrupt_that_is_raised_again_keeps_alive():
    """The second task that gets it is kept by the frame of the loop that the first time has left in its traceback: nobody reports it."""
    program = programs.program(random.Random(190541742387), 14)
    assert compare.difference(program, "family") is None
    trace = world.execute(program, lambda loop: aio.install(loop, policy="family", budget=1.0))
    assert sum("out of the loop" in entry for entry in trace) > 2 and not any("unhandled" in entry for entry in trace)


_NUMBERS = re.compile(r"Task\+\d+|\bctx\d+|\be\d+\b")


def each_task(trace):
    """What happened in each task, whichever it was and whenever."""
    tasks = collections.defaultdict(list)
    for name, _, *what in trace:
        tasks[name].append(_NUMBERS.sub("N", repr(what)))
    tasks.pop(None)
    return sorted(tasks.values())


def test_family_in_each_task_as_in_asyncio():
    aio.reset_stats()
    for seed in range(400):
        program = programs.program(random.Random(seed), 24, programs.APART)
        want, got = world.execute(program), world.execute(program, lambda loop: aio.install(loop, policy="family"))
        assert each_task(want) == each_task(got), seed
    stats = aio.stats()
    assert stats["children_early"] > 400 and stats["resumed_in_place"] > 100


@pytest.mark.parametrize("policy", ["exact", "family"])
def test_compiled_frames_in_between(policy):
    """In a process of its own, since what is compiled when is left to chance there."""
    command = [sys.executable, "-X", "faulthandler", "-W", "ignore", compare.__file__, "--policy", policy, "--from", "500000", "--count",
               "1500", "--compiled"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    compiled, programs_run = done.stdout.split("\n")[:2]
    assert int(compiled.split()[0]) > 40 and " 0 differ" in programs_run


LOG = (("log", 0),)
# check that is left out -> its bit in `state::check`, and a program whose order is then another one
NEEDED = {
    "timers that are due": (1, (("call_later", 0.0), ("shield", (("gather", (), True),)))),
    "the parent's context is left": (2, (("shared_context", (("shield", LOG),)),)),
    "frames are stopped at SEND": (4, (("driven", (("wait_new", (LOG,), "FIRST_EXCEPTION"),)),)),
    "loop.stop()": (8, (("gather", ((("stop", 0),),), False),)),
    "KeyboardInterrupt": (16, (("as_completed", ((("interrupt", "KeyboardInterrupt"),),), False),)),
    "exc_info": (32, (("finally", (("raise", "Base"),), (("shield", (("notify", 3),)),)),)),
    "a failed future": (64, (("cancel", 7), ("handling", (("gather", ((("as_completed", (), True),),), True),)))),
    "the head of the queue": (128, (("shared_context", (("shield", LOG),)),)),
}


@pytest.mark.parametrize("check", list(NEEDED))
def test_every_check_is_needed(check):
    """Without it the order differs, and with it it does not: the comparison would notice."""
    bit, program = NEEDED[check]
    assert compare.difference(program, "exact") is None
    assert compare.difference(program, "exact", skipped=bit) is not None


# What is left out under `family`, by its bit.
FAMILY = {"context": 2, "frames": 4, "stop": 8, "interrupt": 16, "exc_info": 32, "failed future": 64, "budget": 256}
BITS = [*(("exact", check, bit, 1.0) for check, (bit, _) in NEEDED.items()), *(("family", check, bit, 0.002) for check, bit in FAMILY.items())]


@pytest.mark.parametrize("policy, check, bit, budget", BITS)
def test_the_generator_finds_a_missing_check(policy, check, bit, budget):
    """With the check left out, some of the first random programs differ."""
    differ = (seed for seed in range(2500)
              if compare.difference(programs.program(random.Random(seed)), policy, budget=budget, skipped=bit) is not None)
    assert next(differ, None) is not None
