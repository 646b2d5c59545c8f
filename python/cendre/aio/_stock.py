"""Which of asyncio's functions are the ones that native code does the work of, told by their code.

A function that a program has patched, or that another release of CPython has changed, has another digest: then the native part that stands
for it is off, and its own Python code runs. Invariant: native code stands for no function whose digest is not in the table. `python -m cendre.aio._stock` prints the table's lines for
the Python that runs it; tests/aio/test_stock.py compares.
"""

import types
from _imp import source_hash
from asyncio import base_events, events, taskgroups, tasks

_MODULES = {"base_events": base_events, "events": events, "taskgroups": taskgroups, "tasks": tasks}
_HAS_DOCSTRING = 0x4000000
_SEED = 0xCE4D4E

# Module and qualified name -> digests: of CPython 3.14.10 without -O, with -O, with -OO, as far as these differ. Line numbers and docstrings are not in them.
KNOWN = {
    "base_events.BaseEventLoop._call_soon": (0x86cd2ebe9a795c5e,),
    "base_events.BaseEventLoop._check_callback": (0xdbb1db83c63f5f96,),
    "base_events.BaseEventLoop._check_closed": (0x3280a2aa39e2f816,),
    "base_events.BaseEventLoop._run_once": (0x6857d1ed7f37c9a3, 0xb505197161d5c3e1),
    "base_events.BaseEventLoop.call_soon": (0xa6f2dab2c99d879d, 0x1ab40fa3661bc50a),
    "base_events.BaseEventLoop.create_future": (0xec1721c2cee5063a, 0xb924c953ea66e57a),
    "base_events.BaseEventLoop.create_task": (0xdde2434642d75e5a, 0x32da5c24ed558850),
    "base_events.BaseEventLoop.get_debug": (0x36290491ea3e55ef,),
    "base_events.BaseEventLoop.is_running": (0x15c57a75cdf3e9a8, 0xde567a86cbc68e06),
    "base_events.BaseEventLoop.time": (0x420615e6f03c1e0e, 0x655c8215c507db1a),
    "events.Handle.__init__": (0xd14bccc760d41659,),
    "events.Handle._run": (0x582a906306e73ddb,),
    "taskgroups.TaskGroup.__aexit__": (0x2888b5ade4a3a686,),
    "taskgroups.TaskGroup.__init__": (0xf520a5afe228c7f2,),
    "taskgroups.TaskGroup._aexit": (0xa342eb7617f5fa2f, 0x2aabef03a91908b4),
    "taskgroups.TaskGroup._on_task_done": (0x327cb8d7c9b771b1,),
    "taskgroups.TaskGroup.create_task": (0xf7350654f948c68d, 0xb30527eb21e59cd2),
    "tasks._GatheringFuture.__init__": (0x18d33f10a7c0760b, 0xf8d4a17b9608ee2b),
    "tasks.create_task": (0x1142a8972f17a38b, 0x3d27b1bf00013c4d),
    "tasks.eager_task_factory": (0x8dedf3abeb229424,),
    "tasks.ensure_future": (0xd5f93353bacb44d3, 0x2ec9bbfe6a0a667c),
    "tasks.gather": (0xe4bb374403969d9f, 0xc5f45f89ef41f6d3),
}

# Native part -> the functions it does the work of. What belongs to one loop is asked for in `_loop`.
PARTS = {
    "gather": ("tasks.gather", "tasks.ensure_future", "tasks._GatheringFuture.__init__"),
    "create_task": ("tasks.create_task",),
    "eager_factory": ("tasks.eager_task_factory",),
    "group_create_task": ("taskgroups.TaskGroup.create_task", "taskgroups.TaskGroup._on_task_done"),
    "group_done": ("taskgroups.TaskGroup._on_task_done",),
    "group": ("taskgroups.TaskGroup.__init__",),
    "group_exit": ("taskgroups.TaskGroup.__aexit__", "taskgroups.TaskGroup._aexit"),
    "handle": ("events.Handle.__init__", "events.Handle._run"),
    "call_soon": tuple(f"base_events.BaseEventLoop.{name}" for name in ("call_soon", "_call_soon", "_check_closed", "_check_callback")),
    "loop_create_task": ("base_events.BaseEventLoop.create_task",),
    "asks": ("base_events.BaseEventLoop.get_debug", "base_events.BaseEventLoop.is_running"),
    "time": ("base_events.BaseEventLoop.time",),
    "create_future": ("base_events.BaseEventLoop.create_future",),
    "run_once": ("base_events.BaseEventLoop._run_once",),
}

_digests = {}   # id of a code object -> the object and its digest
unknown = {}    # name of a function that was not known when it was looked at -> the native part that is off for it


def _constant(value):
    if isinstance(value, types.CodeType):
        return _code(value)
    if isinstance(value, (tuple, frozenset)):
        each = [_constant(item) for item in value]
        return type(value).__name__, each if isinstance(value, tuple) else sorted(map(repr, each))
    return type(value).__name__, repr(value)


def _code(code):
    found = _digests.get(id(code))
    if found is None:
        constants = code.co_consts
        if code.co_flags & _HAS_DOCSTRING:
            constants = ("", *constants[1:])
        parts = (code.co_qualname, code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_code, code.co_exceptiontable,
                 code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars, [_constant(value) for value in constants])
        _digests[id(code)] = found = code, int.from_bytes(source_hash(_SEED, repr(parts).encode()))
    return found[1]


def digest(function):
    """A number for what a function does: its code, the code inside it, and its defaults."""
    return _code(function.__code__) ^ int.from_bytes(source_hash(_SEED, repr((function.__defaults__, function.__kwdefaults__)).encode()))


def found(name):
    """What stands where asyncio has this function now, and its module; None: nothing."""
    module, *path = name.split(".")
    value = module = _MODULES[module]
    for part in path:
        value = vars(value).get(part)
    return value, module


def is_stock(value, name):
    """Whether this is asyncio's function of that name, with code that is known."""
    module = _MODULES[name.partition(".")[0]]
    return type(value) is types.FunctionType and value.__globals__ is vars(module) and digest(value) in KNOWN[name]


def is_known(part, ours=None):
    """Whether asyncio's functions that a native part stands for are the known ones now, or `ours` (method -> function)."""
    strange = []
    for name in PARTS[part]:
        value, _ = found(name)
        if not (ours and value is ours.get(name.rpartition(".")[2])) and not is_stock(value, name):
            strange.append(name)
    for name in strange:
        unknown.setdefault(name, part)
    return not strange


if __name__ == "__main__":
    for known in sorted({name for names in PARTS.values() for name in names}):
        print(f'    "{known}": (0x{digest(found(known)[0]):016x},),')
