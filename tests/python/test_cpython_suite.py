"""Modules of CPython's own test suite: no test that passes without cendre may fail with it.

Where the interpreter comes without its test suite (many distributions put it into a package of its own), this is skipped.
To run a module alone: python tests/python/run_suite.py test.test_generators /dev/stdout --cendre, with CENDRE_THRESHOLD=0.
"""
import functools
import importlib.util
import json
import tempfile
from pathlib import Path

import pytest

import support

MODULES = """
    test_augassign test_binop test_bool test_call test_class test_compare test_context test_contextlib test_contextlib_async test_coroutines test_asyncgen test_descr test_dict test_dynamic
    test_except_star test_exception_group test_exceptions test_exception_variations test_extcall test_float test_frame test_fstring test_tstring test_generators test_generator_stop test_genexps
    test_grammar test_iter test_keywordonlyarg test_list test_listcomps test_named_expressions test_opcodes test_patma test_pep646_syntax test_positional_only_arg test_property
    test_raise test_range test_richcmp test_scope test_set test_setcomps test_slice test_super test_sys_setprofile test_sys_settrace test_traceback test_tuple test_type_params test_unpack_ex test_userdict
    test_weakref test_with test_yield_from
""".split()
TIMEOUT = 400


def found(name):
    try:
        return importlib.util.find_spec(f"test.{name}") is not None
    except ModuleNotFoundError:
        return False


PRESENT = [name for name in MODULES if found(name)]


def run(name, mode, **env):
    """(outcomes or None, how it ended)."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        argv = [support.sys.executable, "-X", "faulthandler", str(support.HERE / "run_suite.py"), f"test.{name}", str(out)]
        status, _, error = support.spawn(argv + (["--cendre"] if mode != "plain" else []), support.environment(mode, **env), TIMEOUT, cwd=folder)
        running = [line for line in error.split("\n") if line.startswith("[case ")]
        rest = "\n".join(line for line in error.split("\n") if not line.startswith("[case "))
        how = f"status {status} in {running[-1] if running else 'start-up'}\n{rest[-3000:]}"
        return (json.loads(out.read_text()) if out.exists() else None), how


@functools.cache
def plain(name):
    return run(name, "plain")


@pytest.mark.skipif(not PRESENT, reason="this Python comes without CPython's test suite (package `test`)")
@pytest.mark.parametrize("mode", ["first", "sampled"])
@pytest.mark.parametrize("name", PRESENT or ["none"])
def test_module(name, mode):
    """Same outcome for each test id, but for those that CPython itself fails here."""
    want, how = plain(name)
    assert want is not None, how
    got, how = run(name, mode)
    assert got is not None, how
    bad = {k: v for k, v in got.items() if v not in ("ok", "skipped") and want.get(k, "ok") in ("ok", "skipped")}
    missing = [k for k in want if k not in got and want[k] in ("ok", "skipped")]
    assert not bad and not missing, json.dumps(bad, indent=1) + f"\nmissing {missing}"
