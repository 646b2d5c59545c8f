"""What one can ask of cendre's compiler.

Invariant: these are the native module's own functions, with nothing added; whatever they say holds for this process.
"""

from cendre import _cendre as native

__all__ = ["compile", "functions", "is_compiled", "never", "reset_stats", "stats"]


def compile(function):
    """Compiles a function (or code object) now. Returns whether it is compiled; ValueError says why it cannot be."""
    return native.compile(function)


def is_compiled(function):
    """Whether the function's (or code object's) body is machine code at this moment."""
    return native.is_compiled(function)


def never(function):
    """Keeps a function interpreted for good. Returns the function, so that it can be used as a decorator."""
    return native.never(function)


def stats():
    """Counters of this process, by name."""
    return native.stats()


def functions():
    """One dict for each code object that cendre has seen: what became of it and why, its leaves and its awaits."""
    return native.functions()


def reset_stats():
    """Sets the counters to zero; what is compiled stays so."""
    native.reset_stats()
