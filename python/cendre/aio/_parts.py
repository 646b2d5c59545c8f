"""Loops without a policy: asyncio's own loop, whose parts are done natively. The sampler asks for it where a loop is seen running.

Invariant: called between two instructions of any program, so nothing here waits, warns, or leaves anything behind that a program would
meet: the loop's attributes and asyncio's classes stay as they are. What is unusual is left to asyncio. Read docs/internals/tasks.md.
"""

import gc

from cendre.aio import _loop, _probe


def take(loop):
    """Whether the parts of this loop, which runs in this thread, are native from now on."""
    if not _loop.is_ordinary(loop):
        return False
    # While `_probe` looks at tasks another loop is the running one: no finaliser of the program's is to see that.
    collects = gc.isenabled()
    gc.disable()
    try:
        _probe.bind()
    finally:
        if collects:
            gc.enable()
    return _loop.take_parts(loop)
