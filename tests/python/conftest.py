"""What all Python tests share.

Invariant: the tests' own process runs without cendre, and hands none of its settings to children by accident: a
test that wants cendre says so in the environment that it gives to a child.
"""

import os
import signal
import threading
import tomllib
from pathlib import Path

import pytest

# A shell that starts the tests in the background lets them ignore SIGINT, and children inherit that: programs that interrupt
# themselves would wait for ever, under plain CPython too.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    for name in [name for name in os.environ if name.startswith(("CENDRE", "_CENDRE", "PYTHON"))]:
        if name != "CENDRE_TEST_TIMEOUT":
            del os.environ[name]
    try:
        from cendre import _cendre  # noqa: F401
    except ImportError as error:
        pytest.exit(f"cendre is not built in this environment ({error}); run `make setup`", returncode=4)


def pytest_collection_modifyitems(items):
    """Differences that are known and not mended yet: each test id with its reason in known_differences.toml. They are run all the same."""
    known = tomllib.loads((Path(__file__).parent / "known_differences.toml").read_text(encoding="utf-8"))
    reasons = {row["test"]: row["reason"] for row in known.get("difference", [])}
    for item in items:
        reason = reasons.get(item.nodeid.rpartition("/")[2])
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=False))
