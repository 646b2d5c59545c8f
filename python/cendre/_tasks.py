"""A policy for every event loop of the process (`CENDRE_TASKS`, `cendre run --tasks=...`), without importing asyncio.

Invariant: a program that never imports asyncio pays one look at each module it imports, until asyncio comes or not; a
loop that cannot be taken over runs as asyncio's own, and why is said once on stderr.
"""

import sys

_MODULE = "asyncio.base_events"


def at_import(policy):
    """Loops made from now on are under `policy`."""
    if _MODULE in sys.modules:
        _patch(sys.modules[_MODULE], policy)
    else:
        sys.meta_path.insert(0, _Finder(policy))


class _Finder:
    """Waits for asyncio, then goes."""

    def __init__(self, policy):
        self.policy = policy

    def find_spec(self, name, path=None, target=None):
        if name != _MODULE:
            return None
        from importlib.machinery import PathFinder

        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                _patch(module, self.policy)

            spec.loader.exec_module = exec_module
        return spec


def _patch(base_events, policy):
    stock = base_events.BaseEventLoop.__init__

    def __init__(self):
        stock(self)
        try:
            from cendre import aio

            aio.install(self, policy=policy)
        except Exception as error:
            _say(error)

    __init__.__qualname__ = stock.__qualname__
    base_events.BaseEventLoop.__init__ = __init__


_said = False


def _say(error):
    global _said
    if not _said and sys.stderr is not None:
        _said = True
        sys.stderr.write(f"cendre: {error} (asyncio runs as ever)\n")
