"""The corpus under `programs/`, each program in each mode against plain CPython; and whether the corpus covers the language.

To run a failing case alone: python tests/python/run_program.py programs/NAME.py --case CASE --mode MODE --entries ENTRIES
"""
import dis
import opcode
import types

import pytest

import support

NAMES = {p.stem: p for p in support.PROGRAMS}

# Opcodes that no code of a function holds before it runs.
NOT_IN_FUNCTIONS = {
    "CACHE", "RESERVED", "ENTER_EXECUTOR", "INTERPRETER_EXIT",     # the interpreter's own
    "EXIT_INIT_CHECK",                                             # lives in the shim under a specialised __init__
    "SETUP_ANNOTATIONS", "LOAD_LOCALS",                            # module and class bodies only
    "LOAD_NAME", "STORE_NAME", "DELETE_NAME",                      # the same
    "JUMP_BACKWARD_NO_INTERRUPT",                                  # checked below: it is in every await
}


@pytest.mark.parametrize("entries", support.ENTRIES)
@pytest.mark.parametrize("mode", support.MODES)
@pytest.mark.parametrize("name", NAMES)
def test_program(name, mode, entries):
    """Same outcomes as CPython, and what must be compiled is."""
    got = support.run(NAMES[name], mode, entries)
    problems = support.compare(support.plain(NAMES[name]), got)
    assert not problems, "\n\n".join(problems)


@pytest.mark.parametrize("mode", ["warm", "first"])
@pytest.mark.parametrize("name", ["arith", "flow", "generators", "coroutines", "algorithms", "observers"])
def test_program_with_cpythons_own_jit(name, mode):
    """With PYTHON_JIT=1 one of the two compilers gives way; whichever does, the outcomes are CPython's.

    Nothing is demanded to be compiled: that is up to who wins.
    """
    got = support.run(NAMES[name], mode, None, PYTHON_JIT="1")
    problems = support.compare(support.plain(NAMES[name]), got, demand=False)
    assert not problems, "\n\n".join(problems)


@pytest.mark.parametrize("name", ["coroutines", "frames", "handlers", "lifetimes", "sites"])
def test_program_while_events_wait(name):
    """Another thread wants the GIL all the time: machine code gives way at its checkpoints, awaited calls are declined at random moments."""
    got = support.run(NAMES[name], "warm", None, CENDRE_TEST_EVENTS="1")
    problems = support.compare(support.plain(NAMES[name]), got)
    assert not problems, "\n\n".join(problems)


@pytest.mark.parametrize("name", NAMES)
def test_program_is_deterministic(name):
    """A plain run equals a plain run in development mode: else a difference would prove nothing about cendre."""
    problems = support.compare(support.plain(NAMES[name]), support.run(NAMES[name], "plain", None, options=("-X", "dev")))
    assert not problems, "\n\n".join(problems)


def codes(code):
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from codes(const)


def test_corpus_has_every_opcode():
    """Every opcode that a function can hold is in the corpus."""
    found = set()
    for path in support.PROGRAMS:
        for code in codes(compile(path.read_text(), path.name, "exec")):
            if code.co_flags & 1:
                found |= {i.opname for i in dis.get_instructions(code)}
    wanted = {n for n, number in opcode.opmap.items() if number < 256 and not n.startswith("INSTRUMENTED")}
    assert not wanted - found - NOT_IN_FUNCTIONS, sorted(wanted - found - NOT_IN_FUNCTIONS)
    assert "JUMP_BACKWARD_NO_INTERRUPT" in found


# Specialised forms of a process that runs CPython's own JIT.
NOT_SEEN = {"JUMP_BACKWARD_JIT"}


def test_corpus_has_every_specialised_opcode():
    """The adaptive bytecode of the corpus, after a plain run, holds every specialised form: all guards get their turn."""
    found = set()
    for path in support.PROGRAMS:
        found |= set(support.plain(path).end["adaptive"])
    assert not set(opcode._specialized_opmap) - found - NOT_SEEN, sorted(set(opcode._specialized_opmap) - found - NOT_SEEN)
