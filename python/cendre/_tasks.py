"""A policy for every event loop of the process (`CENDRE_TASKS`, `cendre run --tasks=...`), without importing asyncio.

Invariant: a program pays one look at each module it imports, until the modules that loops come from have come; a
loop that cannot be taken over runs as ever, and why is said once on stderr.
"""

import sys

# uvloop's is made of nothing of asyncio's, so that it would not be noticed; it is tried, and refused by `aio.install` with the reason.
_LOOPS = {"asyncio.base_events": "BaseEventLoop", "uvloop": "Loop"}


def at_import(policy):
    """Loops made from now on are under `policy`."""
    waits = dict(_LOOPS)
    for name in _LOOPS:
        if name in sys.modules:
            _patch(sys.modules[name], waits.pop(name), policy)
    if waits:
        sys.meta_path.insert(0, _Finder(policy, waits))


class _Finder:
    """Waits until the modules of loops have been imported, then goes."""

    def __init__(self, policy, waits):
        self.policy = policy
        self.waits = waits

    def find_spec(self, name, path=None, target=None):
        if name not in self.waits:
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            # Not before: a module may be asked for only to know whether it is there, or fail and be tried again.
            cls = self.waits.pop(name, None)
            if not self.waits and self in sys.meta_path:
                sys.meta_path.remove(self)
            if cls is not None:
                _patch(module, cls, self.policy)

        spec.loader.exec_module = exec_module
        return spec


def _patch(module, name, policy):
    cls = getattr(module, name, None)
    if cls is None:
        return
    stock = cls.__init__

    def __init__(self):
        stock(self)
        try:
            from cendre import aio

            aio.install(self, policy=policy)
        except Exception as error:
            _say(error)

    __init__.__qualname__ = stock.__qualname__
    cls.__init__ = __init__


_said = False


def _say(error):
    global _said
    if not _said and sys.stderr is not None:
        _said = True
        sys.stderr.write(f"cendre: {error} (the loop runs as ever)\n")
