"""Compares the outcomes of a mode with those of plain CPython, test by test.

Invariants: a test differs when it is good in a plain run and not in the mode, or is missing there; what CPython itself fails here is not
held against cendre, nor counted as passed. A difference is only excused by design, with its reason (for CPython's
suite an entry of `skips.toml`), or counted apart (for CPython's suite by the rule of `specialisation_tests`).
"""

import ast
import importlib.util
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
GOOD = ("ok", "skipped", "expected failure")
MOST_SKIPS = 25

# The rule. A test asserts which specialised opcode the interpreter chose if it, or a function of its module that it names (or one that this
# names, and so on), reads the adaptive code: `adaptive=True`, `_co_code_adaptive`, or the executors of CPython's own JIT.
_ADAPTIVE = {"_co_code_adaptive", "get_executor", "get_first_executor", "get_opnames", "iter_opnames"}


def skips(path=HERE / "skips.toml"):
    """{test id: reason}; a ValueError where the list breaks its own rules."""
    rows = tomllib.loads(path.read_text(encoding="utf-8")).get("skip", [])
    if len(rows) > MOST_SKIPS:
        raise ValueError(f"{path.name} holds {len(rows)} entries, at most {MOST_SKIPS} are allowed")
    out = {}
    for row in rows:
        test, reason = row.get("test", ""), row.get("reason", "")
        if test.count(".") < 3 or not reason.strip() or set(row) - {"test", "reason", "modes"}:
            raise ValueError(f"{path.name}: an entry takes a whole test id and a reason: {row}")
        out[test] = reason
    return out


def specialisation_tests(module):
    """Ids of the tests of a module that assert which specialised opcode the interpreter chose."""
    # By path: looking for a module imports its package, which may refuse.
    base = Path(*importlib.util.find_spec("test").submodule_search_locations).joinpath(*module.split(".")[1:])
    folder = base if base.is_dir() else base.parent
    files = sorted(base.rglob("*.py")) if base.is_dir() else [f for f in [base.with_suffix(".py")] if f.exists()]
    out = set()
    for file in files:
        name = module if len(files) == 1 else ".".join([module, *file.relative_to(folder).with_suffix("").parts])
        out |= rule(file.read_text(encoding="utf-8", errors="replace"), name)
    return out


def rule(source, module):
    """The rule, on the source of a module."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return set()
    functions, classes = {}, {}

    def walk(node, prefix, methods):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                bases = [b.id if isinstance(b, ast.Name) else getattr(b, "attr", "") for b in child.bases]
                classes[child.name] = (prefix + child.name, bases, set())
                walk(child, f"{prefix}{child.name}.", classes[child.name][2])
            elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                names = {n.id for n in ast.walk(child) if isinstance(n, ast.Name)} | {n.attr for n in ast.walk(child) if isinstance(n, ast.Attribute)}
                calls = (k for n in ast.walk(child) if isinstance(n, ast.Call) for k in n.keywords)
                adaptive = any(k.arg == "adaptive" and isinstance(k.value, ast.Constant) and k.value.value is True for k in calls)
                functions.setdefault(child.name, [False, set()])
                functions[child.name][0] |= adaptive or bool(names & _ADAPTIVE)
                functions[child.name][1] |= names
                methods.add(child.name)
            else:
                walk(child, prefix, methods)

    def methods_of(name, seen=()):
        """Those of a class and of its bases in this module."""
        if name not in classes or name in seen:
            return set()
        return classes[name][2].union(*(methods_of(base, (*seen, name)) for base in classes[name][1]))

    walk(tree, "", set())
    reads = {name for name, (yes, _) in functions.items() if yes}
    while True:
        # A method may be named like anything; names of tests and fixtures are not followed.
        followed = {x for x in reads if not x.startswith(("test", "setUp", "tearDown"))}
        more = {n for n, (_, names) in functions.items() if n not in reads and names & followed}
        if not more:
            break
        reads |= more
    return {f"{module}.{path}.{name}" for of, (path, _, _) in classes.items() for name in methods_of(of) & reads if name.startswith("test")}


@dataclass
class Comparison:
    """What became of one module in one mode."""

    passed: int = 0
    skipped_by_test: int = 0
    fails_plain: int = 0
    flaky: dict = field(default_factory=dict)
    by_design: dict = field(default_factory=dict)
    apart: dict = field(default_factory=dict)
    differs: dict = field(default_factory=dict)


def suspects(plain, got):
    """Ids of a mode that need a second look."""
    out = {}
    for test, want in plain["tests"].items():
        if want["outcome"] in GOOD:
            have = got["tests"].get(test)
            if have is None:
                out[test] = {"outcome": "missing", "why": got["why"]}
            elif have["outcome"] not in GOOD or want["outcome"] == "ok" and have["outcome"] != "ok":
                out[test] = have
    for test, have in got["tests"].items():
        if test not in plain["tests"] and have["outcome"] not in GOOD:
            out[test] = have
    if got["module"] == "ran" and None in got["compiled"]:
        out["(cendre)"] = {"outcome": "off", "why": "cendre was not on at the end of the process"}
    for crash in got["crashes"]:
        if crash["test"] in ("at exit", "between tests", "import"):
            out[f"({crash['test']})"] = {"outcome": "crashed", "why": f"{crash['how']}\n{crash['trace'][-3000:]}"}
    return out


def compare(plain, got, by_design, apart):
    """The comparison of one module. Suspects that a second look has cleared stand in `got["again"]`."""
    out = Comparison()
    doubtful = suspects(plain, got)
    again = got.get("again", {})
    for test, have in doubtful.items():
        second = again.get(test)
        if second and second["mode"] in GOOD:
            out.flaky[test] = have
        elif second and second["plain"] not in GOOD:
            out.fails_plain += 1
        elif test in by_design:
            out.by_design[test] = by_design[test]
        elif test in apart:
            out.apart[test] = have
        else:
            out.differs[test] = have
    for test, want in plain["tests"].items():
        if test in doubtful:
            continue
        have = got["tests"].get(test, {}).get("outcome")
        if want["outcome"] not in GOOD:
            out.fails_plain += 1
        elif have == "skipped":
            out.skipped_by_test += 1
        else:
            out.passed += 1
    return out
