"""Runs one program of the corpus under plain CPython and under cendre, and prints where they differ.

    python tests/python/run_program.py programs/foo.py [--case NAME] [--mode warm|first|sampled] [--entries executor|vectorcall] [--plain]

With `--plain` the outcomes under plain CPython are printed and nothing is compared. Also the child of `support.run`:
`--child OUT` runs the cases in this process and writes one JSON line for each thing seen to the file OUT.

Invariant: everything a child records is a function of the program alone; whatever differs between a plain child and one with cendre
is a bug of cendre (or of the program, if two plain runs differ; `test_programs.py` looks for those as well).
"""
import argparse
import contextlib
import dis
import faulthandler
import gc
import importlib.util
import io
import json
import os
import sys
import traceback
import types
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import kit  # noqa: E402  (the path has to be set first)

WARM_RUNS, FULL_RUNS = 3, 3
OPTIMIZED = 0x0001          # CO_OPTIMIZED: code of a function, not of a module or class body


def load(path):
    """The program as a module of its own."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)      # `return` in `finally` is what some programs are about
        spec.loader.exec_module(module)
    return module


def codes_of(code):
    """The code objects of functions inside `code`, it too, outermost first."""
    if code.co_flags & OPTIMIZED:
        yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from codes_of(const)


def functions_of(module):
    """{qualified name: function} for every function of the program's text, nested ones too.

    The source is not compiled again: code objects are found from the functions and classes that live in the module.
    """
    found, seen = {}, set()

    def take(value, depth=0):
        if isinstance(value, (staticmethod, classmethod)):
            value = value.__func__
        if isinstance(value, property):
            for part in (value.fget, value.fset, value.fdel):
                take(part, depth)
        value = getattr(value, "__wrapped__", value) if isinstance(value, types.FunctionType) else value
        if isinstance(value, types.FunctionType) and value.__globals__ is module.__dict__:
            for code in codes_of(value.__code__):
                if code in seen:
                    continue
                seen.add(code)
                name = code.co_qualname
                while name in found:
                    name += "'"
                if code is value.__code__:
                    found[name] = value
                else:
                    cells = tuple(types.CellType() for _ in code.co_freevars)
                    found[name] = types.FunctionType(code, module.__dict__, code.co_name, None, cells)
        elif isinstance(value, type) and value.__module__ == module.__name__ and depth < 4:
            for inner in list(vars(value).values()):
                take(inner, depth + 1)

    for value in list(vars(module).values()):
        take(value)
    return found


def demanded(module, functions):
    """Names of the functions that must be compiled (`MUST_COMPILE`, without those in `MAY_INTERPRET`)."""
    must = module.MUST_COMPILE
    free = getattr(module, "MAY_INTERPRET", {})
    unknown = [n for n in [*(must if must is not kit.ALL else ()), *free] if n not in functions]
    if unknown:
        raise SystemExit(f"{module.__name__}: MUST_COMPILE or MAY_INTERPRET names what is not there: {unknown}")
    if must is kit.ALL:
        skip = {n for n in functions if n.split(".")[0] == "cases"}
        return [n for n in functions if n not in free and n not in skip]
    return list(must)


def observe(thunk):
    """Outcome of one run of a case: result or exception with its whole traceback, and what was printed.

    The collector runs behind each case and by chance never: what a finaliser sees would depend on how much was allocated before.
    """
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error), warnings.catch_warnings():
        warnings.simplefilter("always")
        try:
            result = kit.show(thunk())
        except BaseException as e:
            lines = traceback.TracebackException(type(e), e, e.__traceback__).format()
            result = "raised " + kit.clean("".join(lines))
        gc.collect()
    left = sys.exception()
    return {"result": result, "out": kit.clean(out.getvalue()), "err": kit.clean(error.getvalue()), "handled": repr(left)}


def depth():
    """How deep Python code can still go from here: moves if a recursion counter is not given back."""
    def down(n):
        try:
            return down(n + 1)
        except RecursionError:
            return n
    return down(0)


class Compiler:
    """`cendre.jit` as the child uses it; without cendre every method does nothing."""

    def __init__(self, mode):
        self.jit = None
        self.mode = mode
        self.refused = {}
        if mode != "plain":
            import cendre
            cendre.enable()
            import cendre.jit
            self.jit = cendre.jit
            if mode == "warm":
                kit.compile_hook = self.hook

    def hook(self, function):
        """For the copies that `matrix` makes: a copy that stays interpreted would test nothing."""
        self.compile(function.__qualname__ + " (copy)", function)

    def compile(self, name, function):
        """Compiles a function, or notes the reason why not."""
        print(f"[case compile {name}]", file=sys.__stderr__, flush=True)
        try:
            self.jit.compile(function)
            if not self.jit.is_compiled(function):
                self.refused[name] = "compile() returned, is_compiled() is False"
        except ValueError as reason:
            self.refused[name] = str(reason)

    def state(self, functions):
        """Names of the functions that are compiled now."""
        return [n for n, f in functions.items() if self.jit.is_compiled(f)] if self.jit else []


def disturb():
    """With CENDRE_TEST_EVENTS=1 another thread wants the GIL all the time, so that events wait at most places."""
    if os.environ.get("CENDRE_TEST_EVENTS") == "1":
        sys.setswitchinterval(1e-6)
        def spin():
            while True:
                pass
        import _thread
        _thread.start_new_thread(spin, ())


def child(path, mode, only, out):
    """Runs the cases; one JSON line each run into `out`."""
    faulthandler.enable()
    seconds = float(os.environ.get("CENDRE_TEST_TIMEOUT", "120"))
    faulthandler.dump_traceback_later(max(1.0, seconds - 5))
    depth_before = depth()
    compiler = Compiler(mode)
    module = load(path)
    disturb()
    functions = functions_of(module)
    must = demanded(module, functions)
    cases = [(n, t) for n, t in module.cases() if only is None or n == only]
    if not cases:
        raise SystemExit(f"no case {only!r} in {path}")
    gc.collect()
    gc.disable()            # see `observe`
    file = open(out, "w", encoding="utf-8", buffering=1)

    def write(**what):
        print(json.dumps(what), file=file)

    def run(phase, number):
        kit.phase = phase
        for name, thunk in cases:
            print(f"[case {name} {phase} {number}]", file=sys.__stderr__, flush=True)
            write(case=name, phase=phase, run=number, **observe(thunk))

    for number in range(WARM_RUNS):
        run("warm", number)
    if mode == "warm":
        for name, function in functions.items():
            if name.split(".")[0] != "cases":
                compiler.compile(name, function)
    for number in range(FULL_RUNS):
        if number == FULL_RUNS - 1:
            gc.collect()
            watched = [f.__code__ for f in functions.values()]
            refs = [sys.getrefcount(c) for c in watched]
        run("full", number)
    gc.collect()
    growth = {n: sys.getrefcount(c) - r for n, c, r in zip(functions, watched, refs)}
    print("[end]", file=sys.__stderr__, flush=True)
    ran = [n for n, f in functions.items() if any(i.opname == "RESUME_CHECK" for i in dis.get_instructions(f, adaptive=True))] \
        if mode == "plain" else []          # the first run of a code object makes RESUME a RESUME_CHECK
    adaptive = set()
    for code in [*(f.__code__ for f in functions.values()), *kit.copies]:
        if mode == "plain":
            adaptive |= {i.opname for i in dis.get_instructions(code, adaptive=True)}
    write(end=True, ran=ran, must=must, refused=compiler.refused, compiled=compiler.state(functions), growth=growth,
          depth=depth() - depth_before, adaptive=sorted(adaptive), stats=repr(compiler.jit.stats()) if compiler.jit else "")
    file.close()


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program", type=Path)
    parser.add_argument("--case")
    parser.add_argument("--mode", choices=("plain", "warm", "first", "sampled"), default="warm")
    parser.add_argument("--entries", choices=("executor", "vectorcall"), default="executor")
    parser.add_argument("--plain", action="store_true", help="print the outcomes under plain CPython, compare nothing")
    parser.add_argument("--child", metavar="OUT", help=argparse.SUPPRESS)
    args = parser.parse_args()
    path = args.program if args.program.exists() else HERE / args.program
    if not path.exists() and not path.suffix:
        path = HERE / "programs" / f"{args.program}.py"
    if args.child:
        child(path.resolve(), args.mode, args.case, args.child)
        return 0
    import support
    plain = support.run(path, "plain", None, args.case)
    if args.plain:
        print(support.render(plain))
        return 0 if plain.complete else 1
    other = support.run(path, args.mode, args.entries, args.case)
    problems = support.compare(plain, other, one_case=args.case is not None)
    print("\n\n".join(problems) if problems else f"equal: {len(other.records)} outcomes")
    if other.end:
        print(f"compiled {len(other.end['compiled'])}, refused {other.end['refused']}\n{other.end['stats']}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
