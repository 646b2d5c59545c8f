"""Which Pythons cendre runs in, as far as Python itself can tell; the native module checks the memory layout as well.

Invariant: this file runs under any Python 3 and imports nothing but `sys`, so that an unsupported one gets a sentence
and neither a missing shared library nor a crash.
"""

import sys

SUPPORTED = "cendre supports CPython 3.14 from 3.14.5 on (the ordinary build with the GIL) on Linux, x86-64"


def refusal():
    """A sentence that says what is supported and what was found; None when this Python is supported."""
    name = sys.implementation.name
    version = ".".join(map(str, sys.version_info[:3]))
    found = None
    if name != "cpython":
        found = "%s %s" % (name, version)
    elif sys.version_info[:2] != (3, 14) or sys.version_info < (3, 14, 5):
        found = "CPython %s" % version
    elif "t" in sys.abiflags:
        found = "a free-threaded build of CPython %s" % version
    elif hasattr(sys, "gettotalrefcount"):
        found = "a debug build of CPython %s" % version
    elif sys.platform != "linux" or sys.maxsize < 2**32:
        found = "CPython %s on %s" % (version, sys.platform)
    return found and "%s; this is %s" % (SUPPORTED, found)
