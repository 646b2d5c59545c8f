"""Makes the modules beside the tests importable, and keeps a test that hangs from hanging the rest."""

import faulthandler
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cendre import _cendre  # noqa: E402

_cendre.tasks_take_parts(False)     # Loops are compared with asyncio's own, also where tests switch cendre on.


@pytest.fixture(autouse=True)
def not_for_ever(request):
    faulthandler.dump_traceback_later(240 if not request.node.get_closest_marker("long") else 1800, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
