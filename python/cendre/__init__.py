"""cendre: ordinary Python programs, faster, inside the CPython 3.14 that they already run on.

    cendre run app.py            run a program with cendre switched on
    CENDRE=1 python app.py       the same, for any process of an environment where cendre is installed

    import cendre
    cendre.enable()              switch it on in a running program

What cendre compiles behaves as it does without cendre; what it does not compile runs in CPython, untouched.
`cendre.jit` holds what one can ask of the compiler, `cendre.aio` what asyncio's tasks may do; `cendre.explain()` prints what it did in this process.

Invariant of this file: an unsupported Python, or one whose memory layout is not the expected one, is an ImportError
here, with a sentence that says what is supported. And nothing is imported that the start of a process with `CENDRE=1`
does not need: that start goes through this file and the native module only.
"""

try:
    from cendre import _cendre
except ImportError as _error:
    from cendre._supported import sentence as _sentence

    raise ImportError(_sentence(_error)) from None

__version__ = "0.1.0"
__all__ = ["aio", "disable", "enable", "explain", "get_include", "is_enabled", "jit"]


def enable(threshold=None):
    """Switches cendre on in this process; when it is on already, changes its settings.

    `threshold` is for how many milliseconds (a sample every two) a function must be seen running before it is compiled, beside
    the program; large ones need more. 1: one sample is enough for any; 0: every function made from now on is compiled when it is
    first called. Without it `CENDRE_THRESHOLD` counts, and else
    cendre's own choice. The other `CENDRE_*` variables count too (see the README). Nonsense raises ValueError.
    """
    from cendre._config import from_environ, split, threshold_from

    config, policy = split(from_environ())
    _cendre.tasks_take_parts(policy != "stock")
    if threshold is not None:
        config["threshold"] = threshold_from(threshold)
    _cendre.enable(config)


def disable():
    """Switches cendre off in this process: what is compiled goes back to the interpreter at its next entry."""
    _cendre.disable()


def is_enabled():
    """Whether cendre is switched on in this process."""
    return _cendre.is_enabled()


def explain(file=None):
    """Prints what cendre did in this process so far: what was compiled, what not and why, and each `await`."""
    import sys

    from cendre._report import collect, text

    out = sys.stdout if file is None else file
    isatty = getattr(out, "isatty", None)
    out.write(text([collect()], colour=bool(isatty and isatty())))


def get_include():
    """The folder of `cendre.h`, for extensions that understand awaited calls."""
    import os.path

    return os.path.join(os.path.dirname(__file__), "include")


def __getattr__(name):
    if name in ("aio", "jit"):
        from importlib import import_module

        return import_module(f"cendre.{name}")
    raise AttributeError(f"module 'cendre' has no attribute {name!r}")


_started = False


def _start():
    """What `cendre_autostart.pth` calls at the start of a process in which `CENDRE` is set to something but 0."""
    global _started
    if _started:  # In a virtual environment `site` reads `.pth` files twice.
        return
    _started = True
    from os import environ

    if environ["CENDRE"] in ("1", "run") and not any(name.startswith("CENDRE_") for name in environ):
        environ["CENDRE"] = "1"  # For its children; see _autostart.py.
        try:
            _cendre.enable({})
            return
        except Exception:
            pass  # The long way says it.
    from cendre._autostart import start

    start()
