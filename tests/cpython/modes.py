"""The modes in which test suites are run, and the environment of each.

Invariant: `plain` runs without cendre and is what all others are compared with; the rest differs from it by `CENDRE*` variables only,
which the children of tests inherit.
"""

import os

SEED = 1
MODES = {
    # Compiled at first sight, before anything was observed: the generic paths.
    "all": {},
    # After a drawn number of calls or rounds of a loop, with what the interpreter has observed: the guards.
    "warm": {"CENDRE_WARMUP": "2-20"},
    # The same, and one guard in about forty fails although nothing is wrong: the ways out.
    "stress": {"CENDRE_WARMUP": "2-20", "CENDRE_FORCE_LEAVES": "40"},
    # Half of the code objects stay interpreted: the borders.
    "mixed": {"CENDRE_WARMUP": "2-20", "CENDRE_MIX": "50"},
}
# Halves the time that the compiler takes, which is most of a run: machine code is made of the same IR, with less care for registers.
FAST = "regalloc_algorithm=single_pass,opt_level=none"
ENTRIES = ("executor", "vectorcall")
FOREIGN = ("PYTHON_JIT", "PYTHONDEVMODE", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHONOPTIMIZE", "PYTHONHASHSEED")


def environment(mode, entries=None, tasks=None, seed=SEED, fast=False):
    """The environment of a test process. Beside `MODES`: `plain`, and `default`, where nothing but CENDRE=1 is set. `tasks`: a policy for asyncio's tasks."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("CENDRE") and k not in FOREIGN}
    # As the test suite's own runner does; results must not depend on colours or on how hashes fall.
    env.update(PYTHONHASHSEED="0", NO_COLOR="1", TERM="dumb", LANG="C.UTF-8", LC_ALL="C.UTF-8")
    if mode == "default":
        env.update(CENDRE="1")
    elif mode != "plain":
        env.update(CENDRE="1", CENDRE_THRESHOLD="0", CENDRE_ENTRIES=entries, CENDRE_SEED=str(seed), **MODES[mode])
        if fast:
            env.update(CENDRE_CRANELIFT=FAST)
    if tasks:
        env.update(CENDRE_TASKS=tasks)
    return env
