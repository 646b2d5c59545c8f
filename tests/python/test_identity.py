"""Which object a computed number is, with guards that fail for no reason: every frame state has its turn.

The shapes themselves are `programs/identity.py`, which `test_programs.py` runs in every mode; here each run leaves in other places.
"""
import re

import pytest

import support

PROGRAM = next(p for p in support.PROGRAMS if p.stem == "identity")


@pytest.mark.parametrize("entries", support.ENTRIES)
@pytest.mark.parametrize(("every", "seed"), [(40, 1), (7, 2), (2, 3)])
def test_left_anywhere(entries, every, seed):
    got = support.run(PROGRAM, "warm", entries, CENDRE_FORCE_LEAVES=str(every), CENDRE_SEED=str(seed))
    problems = support.compare(support.plain(PROGRAM), got)
    assert not problems, "\n\n".join(problems)
    assert int(re.search(r"'left_forced': (\d+)", got.end["stats"])[1]) > 100
