"""What all Python tests share.

Invariant: the tests' own process runs without cendre, and hands none of its settings to children by accident: a
test that wants cendre says so in the environment that it gives to a child.
"""

import os
import signal
import threading

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
