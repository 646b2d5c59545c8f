"""The `CENDRE_*` environment variables: what each takes, and the settings they make.

Invariant: this is the only place that reads them. What the native module gets is a plain dict that holds only what
somebody set, so that its own defaults count for the rest:

    threshold: int    warmup: int or (int, int)    entries: "auto" | "executor" | "vectorcall"    code_limit: int (bytes)
    perf: bool        awaits: bool                 jit: bool
    seed: int         mix: int (percent)           force_leaves: int

`tasks` is for the asyncio layer (`cendre.aio`), which is Python: `split` takes it out.

Nothing else is imported here: with `CENDRE=1` this runs at the start of every process.
"""

import os

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def _switch(text):
    if text not in ("0", "1"):
        raise ValueError
    return text == "1"


def _digits(text):
    # `int` alone would take "1_000", " 7" and digits of other scripts.
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ValueError
    return int(text)


def _range(text):
    least, dash, most = text.partition("-")
    least, most = _digits(least), _digits(most if dash else least)
    if least > most:
        raise ValueError
    return (least, most) if dash else least


def _percent(text):
    number = _digits(text)
    if number > 100:
        raise ValueError
    return number


def _guards(text):
    number = _digits(text)
    if number > 1 << 30:
        raise ValueError
    return number


def _entries(text):
    if text not in ("auto", "executor", "vectorcall"):
        raise ValueError
    return text


def _tasks(text):
    if text not in ("off", "exact", "family", "eager", "stock"):
        raise ValueError
    return text


def _size(text):
    unit = _UNITS.get(text[-1:].upper(), 1)
    size = _digits(text[:-1] if unit != 1 else text) * unit
    if not 0 < size < 1 << 63:
        raise ValueError
    return size


def _fault(text):
    if text not in ("overflow", "comparison", "stale"):
        raise ValueError


def _pairs(text):
    # Whether Cranelift has such a setting is looked at when cendre is switched on.
    if not all(name and value for name, _, value in (pair.partition("=") for pair in text.split(","))):
        raise ValueError


# Variable -> (name of the setting, reader, what it takes). No name: the crates read it themselves, here it is only looked at.
VARIABLES = {
    "CENDRE_THRESHOLD": ("threshold", _digits, "a number of milliseconds, 0 or more (0: compile everything at first sight)"),
    "CENDRE_WARMUP": ("warmup", _range, "a number of calls or rounds, or two with a dash between them, interpreted first with CENDRE_THRESHOLD=0 (for tests)"),
    "CENDRE_SEED": ("seed", _digits, "a number, 0 or more: of what CENDRE_WARMUP, CENDRE_MIX and CENDRE_FORCE_LEAVES draw (for tests)"),
    "CENDRE_MIX": ("mix", _percent, "the percentage of code objects that may be compiled, 0 to 100 (for tests)"),
    "CENDRE_FORCE_LEAVES": ("force_leaves", _guards, "a number: one guard in so many fails, 0: none (for tests)"),
    "CENDRE_ENTRIES": ("entries", _entries, "auto, executor or vectorcall"),
    "CENDRE_CODE_LIMIT": ("code_limit", _size, "a number of bytes above 0, also with K, M or G behind it"),
    "CENDRE_PERF": ("perf", _switch, "0 or 1"),
    "CENDRE_AWAITS": ("awaits", _switch, "0 or 1"),
    "CENDRE_JIT": ("jit", _switch, "0 or 1"),
    "CENDRE_TASKS": ("tasks", _tasks, "off, exact, family, eager or stock"),
    "CENDRE_CRANELIFT": (None, _pairs, "settings of Cranelift, name=value with commas between them (for measurements)"),
    "CENDRE_FAULT": (None, _fault, "overflow, comparison or stale: machine code that is wrong on purpose (for tests of the tests)"),
}


# Read elsewhere.
_OTHERS = {"CENDRE_EXPLAIN", "CENDRE_PYTHON"}


def from_environ(environ=None):
    """The settings that the environment makes; a ValueError names the variable and what it takes.

    An empty variable counts as one that is not set.
    """
    environ = os.environ if environ is None else environ
    config = {}
    for variable, (name, read, takes) in VARIABLES.items():
        text = environ.get(variable)
        if text:
            try:
                setting = read(text)
                if name:
                    config[name] = setting
            except ValueError:
                raise ValueError(f"{variable}={text}: takes {takes}") from None
    return config


def misspelt(environ=None):
    """A sentence for each variable of the environment that cendre does not have but whose name is nearly one of its own."""
    environ = os.environ if environ is None else environ
    for name in environ:
        if name.startswith("CENDRE_") and name not in VARIABLES and name not in _OTHERS and environ[name]:
            import difflib  # only here: it costs as much as all of cendre's start

            for near in difflib.get_close_matches(name, VARIABLES, 1, 0.85):
                yield f"{name} is not a variable of cendre and has no effect; did you mean {near}?"


def split(config):
    """The settings of the native module, and the policy for asyncio's tasks (None: asyncio's own code)."""
    config = dict(config)
    policy = config.pop("tasks", None)
    return config, policy


def is_on(environ=None):
    """Whether `CENDRE` asks for cendre in this process; a ValueError when it holds nonsense.

    The `cendre` command sets `run`: as 1, but `cendre run` answers for the settings. Nobody else need know of it.
    """
    text = (os.environ if environ is None else environ).get("CENDRE")
    if not text:
        return False
    if text == "run":
        return True
    try:
        return _switch(text)
    except ValueError:
        raise ValueError(f"CENDRE={text}: takes 0 or 1") from None


def explain_path(environ=None):
    """The file to which each process appends its report when it ends (`CENDRE_EXPLAIN`); None if not asked for."""
    return (os.environ if environ is None else environ).get("CENDRE_EXPLAIN") or None


def threshold_from(value):
    """The `threshold` argument of `cendre.enable`, checked."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"threshold must be an int, not {type(value).__name__}")
    if value < 0 or value >= 10**18:
        raise ValueError(f"threshold={value}: takes a number of milliseconds, 0 or more")
    return value
