"""Child processes for the tests: running programs of the corpus, comparing what two processes recorded, running snippets.

Every child has a hard timeout, is killed with its whole process group, has faulthandler on, and writes the running case to stderr, so that
a crash or a hang is reported with the case's name. A child never inherits cendre settings from the environment of the tests.
"""
import difflib
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAMS = sorted(p for p in (HERE / "programs").glob("*.py") if not p.stem.startswith("_"))
ENTRIES = ("executor", "vectorcall")
# warm: specialised by the interpreter, then compiled on demand. first: compiled when first seen. sampled: compiled when a
# sample has seen it once, so at any place of its run; what gets compiled is left to chance there, and not demanded.
MODES = ("warm", "first", "sampled")
TIMEOUT = float(os.environ.get("CENDRE_TEST_TIMEOUT", "120"))


@dataclass
class Run:
    """What a child recorded."""

    what: str
    records: list = field(default_factory=list)
    end: dict = None
    status: int = 0
    stderr: str = ""

    @property
    def complete(self):
        """The child ran every case and ended with status 0."""
        return self.status == 0 and self.end is not None

    def death(self):
        """How and where a child died."""
        how = "timeout" if self.status is None else (
            f"killed by {signal.Signals(-self.status).name}" if self.status < 0 else f"exit status {self.status}")
        running = [line for line in self.stderr.split("\n") if line.startswith(("[case ", "[end"))]
        rest = "\n".join(line for line in self.stderr.split("\n") if not line.startswith("[case "))
        return f"{self.what}: {how} in {running[-1] if running else 'start-up'}\n{rest[-6000:]}"


# Nothing is sampled, and only what is asked for is compiled: no event of cendre's own waits, which would decline an awaited call.
NO_EVENTS = {"CENDRE_THRESHOLD": str(2**32 - 1)}


def environment(mode="plain", entries=None, **more):
    """Environment of a child: fixed hash seed, no colours, no CENDRE_* but what `mode` says."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("CENDRE") and k not in ("PYTHON_JIT", "PYTHONDEVMODE")}
    env.update(PYTHONHASHSEED="0", PYTHON_COLORS="0", PYTHONDONTWRITEBYTECODE="1", CENDRE_TEST_TIMEOUT=str(TIMEOUT))
    if entries:
        env["CENDRE_ENTRIES"] = entries
    if mode in ("first", "sampled"):
        env["CENDRE_THRESHOLD"] = {"first": "0", "sampled": "1"}[mode]
    env.update(more)
    return env


def spawn(argv, env, timeout=TIMEOUT, cwd=None):
    """(status or None for a timeout, stdout, stderr)."""
    process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", cwd=cwd,
                               stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        out, error = process.communicate(timeout=timeout)
        return process.returncode, out, error
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, error = process.communicate()
        return None, out, error


def run(path, mode, entries, case=None, options=(), timeout=None, **env):
    """Runs a program in a child."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.jsonl"
        argv = [sys.executable, *options, str(HERE / "run_program.py"), str(path), "--mode", mode, "--child", str(out)]
        argv += ["--case", case] if case else []
        status, _, stderr = spawn(argv, environment(mode, entries, **env), timeout or TIMEOUT)
        result = Run(f"{Path(path).stem} ({mode}, {entries})", status=status, stderr=stderr)
        lines = out.read_text().splitlines() if out.exists() else []
    for line in lines:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:        # the child died while writing it
            break
        if record.get("end"):
            result.end = record
        else:
            result.records.append(record)
    return result


@functools.cache
def plain(path):
    """The run under plain CPython, once per test session."""
    return run(path, "plain", None)


def render(result):
    """All outcomes as text."""
    out = [] if result.complete else [result.death()]
    for r in result.records:
        if r["phase"] == "full" and r["run"] == 0:
            out.append(f"{r['case']}: {r['result']}" + "".join(f"\n  {k}: {r[k]}" for k in ("out", "err") if r[k]))
    return "\n".join(out)


def parts(text):
    """A long outcome in lines that a diff can show."""
    return text.replace("), list(", "),\n list(").replace(", str ", ",\n str ").split("\n")


def compare(want, got, one_case=False, demand=True):
    """Differences between a plain run and another, as texts; with `demand`, also what must be compiled and is not."""
    problems = []
    if not want.complete:
        return [want.death()]
    if not got.complete:
        problems.append(got.death())
    expected = {(r["case"], r["phase"], r["run"]): r for r in want.records}
    reported = set()
    for r in got.records:
        key = r["case"], r["phase"], r["run"]
        e = expected.pop(key, None)
        if e is None:
            problems.append(f"{key}: not seen under plain CPython")
        elif e != r and r["case"] not in reported:
            reported.add(r["case"])
            text = [f"{got.what}: case {r['case']} ({r['phase']} run {r['run']}) differs"]
            for part in ("result", "out", "err", "handled"):
                if e[part] != r[part]:
                    diff = list(difflib.unified_diff(parts(e[part]), parts(r[part]), "CPython", "cendre", lineterm="", n=1))
                    text += [f"  {part}:", *(f"    {line[:400]}" for line in diff[:40])]
            problems.append("\n".join(text))
    if got.complete and expected:
        problems.append(f"{got.what}: missing outcomes {sorted(expected)[:5]}")
    if got.end is None:
        return problems
    end = got.end
    if want.end["depth"] != end["depth"]:
        problems.append(f"{got.what}: recursion depth left at the end moved by {end['depth']}, under CPython {want.end['depth']}")
    for name, grown in end["growth"].items():
        # Upwards a little is allowed: cendre may hold a code object while it is compiled again. Downwards never.
        extra = grown - want.end["growth"][name]
        if extra < 0 or extra > 3:
            problems.append(f"{got.what}: reference count of the code of {name} moved by {grown}, under CPython {want.end['growth'][name]}")
    if not demand:
        return problems
    compiled = set(end["compiled"])
    if "(warm," in got.what:
        missing = [n for n in end["must"] if n not in compiled]
        copies = {n: r for n, r in end["refused"].items() if n.endswith(" (copy)")}
        if copies:
            problems.append(f"{got.what}: copies stayed interpreted: {copies}")
    elif "(first," in got.what and not one_case:
        missing = [n for n in end["must"] if n in want.end["ran"] and n not in compiled]
    else:
        missing = []
    if missing:
        why = {n: end["refused"].get(n, "?") for n in missing}
        problems.append(f"{got.what}: must be compiled and is not: {why}\n  {end['stats']}")
    return problems


# Every snippet starts with this. `compiled` is how a snippet says that it would test nothing if it were interpreted.
HEAD = """\
import faulthandler, sys; faulthandler.enable(); sys.path.insert(0, {here!r})
import kit
{enable}
def compiled(*functions):
    for f in functions if jit else ():
        jit.compile(f)
        assert jit.is_compiled(f), f"not compiled: {{f}}"
def record(function):
    code = getattr(function, "__code__", function)
    found = [r for r in jit.functions() if (r["name"], r["line"]) in ((code.co_qualname, code.co_firstlineno), (code.co_name, code.co_firstlineno))]
    assert found, f"cendre does not know {{function}}"
    return found[0]
"""


def python(source, *, mode="warm", entries="executor", enable=True, timeout=TIMEOUT, options=(), status=0, **env):
    """Runs a snippet in a child and gives its stdout. With `enable`, cendre is switched on first; else `jit` is None.

    Fails on another exit status than `status`; None stands for any.
    """
    head = HEAD.format(here=str(HERE), enable="import cendre; cendre.enable(); import cendre.jit as jit" if enable else "jit = None")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "snippet.py"
        script.write_text(head + textwrap.dedent(source))
        got, out, error = spawn([sys.executable, *options, str(script)], environment(mode, entries, **env), timeout)
    how = "timeout" if got is None else got
    assert got is not None and status in (None, got), f"status {how}, expected {status}\n--- stdout\n{out[-3000:]}\n--- stderr\n{error[-6000:]}"
    return out.replace(folder, "FOLDER")


@functools.cache
def python_plain(source):
    """The same snippet without cendre, once per test session."""
    return python(source, enable=False, mode="plain", entries=None)


def same(source, mode="warm", entries="executor", **env):
    """Runs a snippet under plain CPython and under cendre; what they print must be equal, and something must be printed."""
    want = python_plain(source)
    assert want.strip(), "the snippet prints nothing"
    same_texts(want, python(source, mode=mode, entries=entries, **env))


def same_texts(want, got):
    """Fails with a diff where two outputs differ."""
    diff = "\n".join(difflib.unified_diff(want.split("\n"), got.split("\n"), "CPython", "cendre", lineterm="", n=2))
    assert got == want, diff[:8000]
