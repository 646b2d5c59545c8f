"""Modules of CPython's own test suite about the language itself, in the mode `warm`: no test that passes without cendre may fail with it.

The whole suite in all modes is `make test-cpython` (tests/cpython). Where the interpreter comes without its test suite (many
distributions put it into a package of its own), this is skipped. A module alone: python tests/cpython --modes warm test_generators
"""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cpython"))

import modes  # noqa: E402
import outcomes  # noqa: E402
import processes  # noqa: E402

MODULES = """
    test_asyncgen test_augassign test_binop test_bool test_call test_class test_compare test_contextlib test_contextlib_async test_coroutines test_descr test_dict
    test_dynamic test_except_star test_exception_group test_extcall test_float test_frame test_fstring test_generator_stop test_generators test_genexps test_grammar
    test_iter test_keywordonlyarg test_list test_listcomps test_monitoring test_named_expressions test_opcodes test_patma test_positional_only_arg
    test_property test_raise test_range test_richcmp test_scope test_set test_slice test_super test_sys_setprofile test_sys_settrace
    test_tuple test_type_params test_unpack_ex test_with test_yield_from
""".split()
LIMITS = processes.Limits(test_seconds=200, module_seconds=400, resources="subprocess")


def present():
    """Whether this Python has its test suite."""
    try:
        import test.libregrtest  # noqa: F401
    except ImportError:
        return False
    return True


@pytest.mark.skipif(not present(), reason="this Python comes without CPython's test suite (package `test`)")
@pytest.mark.parametrize("name", MODULES)
def test_module(name):
    """Same outcome for each test id, but for those that CPython itself fails here, and those that cannot hold by design."""
    module, env, plain_env = f"test.{name}", modes.environment("warm", "executor"), modes.environment("plain")
    plain = processes.run_module(module, plain_env, LIMITS)
    assert plain["tests"] and not plain["crashes"], plain
    got = processes.run_module(module, env, LIMITS)
    got["again"] = processes.second_look(module, outcomes.suspects(plain, got), env, plain_env, LIMITS)
    compared = outcomes.compare(plain, got, outcomes.skips(), outcomes.specialisation_tests(module))
    assert not compared.differs, "\n".join(f"{test}: {have['outcome']}: {have['why']}" for test, have in compared.differs.items())
    assert compared.passed > 0 and got["compiled"][0]["compiled"] > 0
