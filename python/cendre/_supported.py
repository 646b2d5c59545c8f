"""Which Pythons cendre runs in, as far as Python itself can tell, for when the native module could not be imported.

The native module checks version and memory layout itself, once it can be loaded. Invariant: this file runs under any Python 3, so that an unsupported one gets a sentence and neither a missing shared
library nor a crash.
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


def sentence(error):
    """What to say when the native module could not be imported with this ImportError."""
    # "cannot import name" is what Python says when there is no file for this Python at all.
    if "cannot import name" not in str(error):
        return refusal() or str(error)
    return refusal() or "cendre's native module is not built for this Python; %s" % SUPPORTED


_said = False


def say(error):
    """One line on stderr for a process that asked for cendre and goes on without it; called by the `.pth`.

    Once: in a virtual environment `site` reads `.pth` files twice. And only in the main interpreter: the others run
    `site` too.
    """
    global _said
    if _said:
        return
    _said = True
    try:
        import _interpreters

        if _interpreters.get_current()[0] != _interpreters.get_main()[0]:
            return
    except ImportError:
        pass
    if sys.stderr is not None:
        sys.stderr.write("cendre: %s (this process runs without cendre)\n" % error)
