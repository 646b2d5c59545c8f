"""The native module. Private: `cendre` and `cendre.jit` are the public face."""

from collections.abc import Callable
from types import CodeType
from typing import Any, Literal, NotRequired, TypedDict

class Config(TypedDict, total=False):
    """Only what somebody set; see cendre/_config.py. The native module has the defaults."""

    threshold: int
    warmup: int | tuple[int, int]
    seed: int
    mix: int
    force_leaves: int
    entries: Literal["auto", "executor", "vectorcall"]
    code_limit: int
    perf: bool
    awaits: bool
    jit: bool

class FunctionRecord(TypedDict):
    """What became of one code object."""

    name: str
    file: str
    line: int
    state: Literal["cold", "compiled", "refused", "never"]
    reason: str | None  # Why it was refused.
    calls: NotRequired[int]
    samples: NotRequired[int]
    compiles: NotRequired[int]  # More than one when guards that failed too often became generic.
    raises: NotRequired[int]  # Times that the compiled body ended with an exception.
    leaves: list[tuple[int, str, int]]  # Line, reason, count.
    awaits: list[tuple[int, int, int, int, int]]  # Line, calls, finished at once, suspended, answered with what is no coroutine.

def enable(config: Config, /) -> None:
    """Switches cendre on with these settings, or changes them."""

def disable() -> None: ...
def is_enabled() -> bool: ...
def compile(function: Callable[..., Any] | CodeType, /) -> bool:
    """ValueError with the reason when the function cannot be compiled."""

def is_compiled(function: Callable[..., Any] | CodeType, /) -> bool: ...
def never[F: Callable[..., Any]](function: F, /) -> F: ...
def stats() -> dict[str, Any]:
    """Counters by name; some of them dicts by reason."""

def functions() -> list[FunctionRecord]: ...
def reset_stats() -> None: ...
