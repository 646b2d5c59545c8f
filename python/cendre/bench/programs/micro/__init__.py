"""One shape of bytecode a case: what `cendre bench micro` times to find shapes that are slower compiled than interpreted.

Each case is a function of `n` that does one thing `n` times in a loop; what it returns is compared between plain and compiled. A case
does little beside its subject, since a compiled loop is nearly free and would hide a slow operation.
Invariant: the result depends on `n` only, however often a case has run; the files import nothing of cendre, so that plain stays plain.
"""
import importlib.util
import sys
from pathlib import Path

FILES = ("things", "calls", "names", "control", "data")


def load():
    """{name: case} of all files, loaded by path under names of their own."""
    for name in FILES:
        full = f"bench_micro.{name}"
        if full not in sys.modules:
            spec = importlib.util.spec_from_file_location(full, Path(__file__).parent / f"{name}.py")
            module = importlib.util.module_from_spec(spec)
            sys.modules[full] = module
            spec.loader.exec_module(module)
    return sys.modules["bench_micro.things"].CASES
