"""Random programs under cendre do what they do under plain CPython: what has been found before, a short run, and that a fault is found at all.

To run one program of the corpus: python tests/smith/reduce.py --check tests/smith/corpus/NAME.py
"""
import sys
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import fuzz  # noqa: E402
import plans  # noqa: E402
import generator  # noqa: E402
from choices import Drawn  # noqa: E402
from pair import ENTRIES, Pair  # noqa: E402

CORPUS = sorted((HERE / "corpus").glob("*.py"))
FAST = {"CENDRE_CRANELIFT": "opt_level=none,regalloc_algorithm=single_pass"}


@pytest.mark.parametrize("entries", ENTRIES)
@pytest.mark.parametrize("path", CORPUS, ids=[p.stem for p in CORPUS])
def test_corpus(path, entries):
    """Programs in which cendre once differed."""
    source, plan, _, environment = fuzz.read(path)
    pair = Pair(entries, timeout=60.0, environment=environment)
    try:
        assert pair.difference(source, plan) == ""
    finally:
        pair.stop()


@pytest.mark.parametrize("entries", ENTRIES)
def test_short_run(entries, tmp_path):
    """The programs of a fixed seed, for half a minute at most."""
    found, state = fuzz.fuzz(seconds=30, count=400, seed=7_000_000, entries=entries, folder=tmp_path, out=sys.stderr)
    assert not found, found[0]
    assert state["programs"] >= 5 and state["leaves"], "hardly anything ran compiled"


def test_hypothesis_finds_nothing():
    """The same programs, of Hypothesis' choosing: a failure is shrunk at once."""
    pair = Pair("executor", environment=FAST)

    @hypothesis.settings(max_examples=40, deadline=None, derandomize=True, database=None,
                         suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(strategies.data())
    def same(data):
        choices = Drawn(data)
        source = generator.make(choices)
        difference = pair.difference(source, plans.make(choices))
        assert not difference, f"{difference}\n{source}"
    try:
        same()
    finally:
        pair.stop()


@pytest.mark.parametrize("fault", ["overflow", "comparison", "stale"])
def test_faults_are_found(fault, tmp_path):
    """A lowering that is wrong on purpose (see `crates/cendre-codegen/src/fault.rs`) is found within five minutes."""
    found, state = fuzz.fuzz(seconds=300, seed=1, folder=tmp_path, out=sys.stderr, environment={"CENDRE_FAULT": fault, **FAST}, stop_at_first=True)
    assert found, f"{state['programs']} programs, and nothing found"
