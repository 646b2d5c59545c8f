"""The `cendre` command and the `CENDRE_*` variables, from outside: what a user types and what comes back.

Invariant tested: `cendre run X` is `python X` to the byte (stdout, stderr, exit status), and cendre is on in it.
"""

import os
import re
import signal
import subprocess
import sys
import sysconfig
import textwrap
import time

import pytest

import cendre
from cendre import _config, _launch, _report

CENDRE = os.path.join(sysconfig.get_path("scripts"), "cendre")
# As the command calls it: its path is in some of Python's messages.
PYTHON = os.path.join(sysconfig.get_path("scripts"), "python3.14")
TIMEOUT = 60


def env(**variables):
    return {**os.environ, **variables}


def call(*command, cwd=None, stdin=None, **variables):
    """Runs a command; (exit status, stdout, stderr)."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env(**variables), input=stdin, capture_output=True,
                          text=True, timeout=TIMEOUT, check=False)
    return done.returncode, done.stdout, done.stderr


def python(*arguments, **options):
    return call(PYTHON, *arguments, **options)


def run(*arguments, **options):
    return call(CENDRE, "run", *arguments, **options)


@pytest.fixture
def folder(tmp_path):
    """A folder with programs of all sorts."""
    programs = {
        "plain.py": """
            import os, sys
            print(sys.argv, __name__, __file__, sys.path[0], sys.flags, sorted(vars()))
            print(sys.modules["__main__"].plain if "plain" in vars() else "no name")
            sys.stderr.write("to stderr\\n")
        """,
        "raises.py": """
            def inner(n):
                return 1 / (n - n)
            def outer():
                try:
                    inner(3)
                except ZeroDivisionError as error:
                    raise RuntimeError("outer") from error
            outer()
        """,
        "status.py": "import sys; sys.exit(int(sys.argv[1]))",
        "message.py": "raise SystemExit('a message')",
        "syntax.py": "def f(:\n    pass\n",
        "null.py": "x = '\\0'\nprint(repr(x))",
        "pack/__init__.py": "",
        "pack/__main__.py": "import sys; print('main of pack', sys.argv[1:], __package__)",
        "folder_app/__main__.py": "import sys; print(sys.argv, sys.path[0], __name__)",
    }
    for name, text in programs.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
    return tmp_path


@pytest.mark.parametrize("arguments", [
    ["plain.py"], ["plain.py", "a", "-x", "--threshold", "3", "--"], ["-O", "plain.py", "-c"],
    ["-X", "utf8=1", "-Wignore", "plain.py"], ["-uI", "plain.py"], ["-P", "plain.py"],
    ["raises.py"], ["status.py", "0"], ["status.py", "7"], ["status.py", "300"], ["message.py"],
    ["syntax.py"], ["missing.py"], ["null.py"], ["folder_app"], ["folder_app", "x"],
    ["-m", "pack", "a", "-b"], ["-m", "pack.missing"], ["-m", "raises"], ["-mpack"], ["-Im", "pack"],
    ["-c", "import sys; print(sys.argv, __name__)", "a", "-m"], ["-cprint(1)"], ["-Oc", "print(__debug__)", "x"],
    ["-c", "raise KeyError('k')"], ["-c", "1 +"], ["-c", "def f(): return g()\ndef g(): return nothing\nf()"],
    ["-m"], ["-c"], ["-Z", "plain.py"], ["-X", "utf8=nonsense", "-c", "1"], ["-V"],
    ["--check-hash-based-pycs", "always", "plain.py"],
    ["-c", "import os; os.kill(os.getpid(), 9)"], ["-c", "import os; os.kill(os.getpid(), 2)"],
    ["-c", "import os; os.abort()"], ["-c", "import os; os._exit(5)"],
], ids=" ".join)
def test_run_is_python(folder, arguments):
    assert run(*arguments, cwd=folder) == python(*arguments, cwd=folder)


def test_run_reads_stdin_as_python_does(folder):
    program = "import sys\nprint(sys.argv, __name__)\n1/0\n"
    assert run("-", "a", stdin=program, cwd=folder) == python("-", "a", stdin=program, cwd=folder)


IS_ON = "import cendre, os, sys; print(cendre.is_enabled(), os.environ.get('CENDRE'), len(sys.argv))"


def test_cendre_is_on(tmp_path):
    (tmp_path / "on.py").write_text(IS_ON)
    on = (0, "True 1 2\n", "")
    assert run("on.py", "a", cwd=tmp_path) == on
    assert run("-m", "on", "a", cwd=tmp_path) == on
    assert run("-c", IS_ON, "a") == on
    assert run("-", "a", stdin=IS_ON) == on
    assert python("-m", "cendre", "run", "on.py", "a", cwd=tmp_path) == on
    assert python("-c", IS_ON, "a", CENDRE="1") == on
    assert run("-c", IS_ON, "a", CENDRE="0") == on
    assert run("-O", "-c", IS_ON, "a", CENDRE="0") == on
    assert run("-c", IS_ON, "a", CENDRE_THRESHOLD="5") == on
    assert python("-c", IS_ON, "a") == (0, "False None 2\n", "")
    assert python("-c", IS_ON, "a", CENDRE="0") == (0, "False 0 2\n", "")
    assert python("-c", IS_ON, "a", CENDRE="") == (0, "False  2\n", "")


def test_the_command_through_a_link_and_by_name(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/cendre").symlink_to(CENDRE)
    assert call(tmp_path / "bin/cendre", "run", "-c", IS_ON) == (0, "True 1 1\n", "")
    by_name = env(PATH=os.path.dirname(CENDRE) + os.pathsep + os.environ["PATH"])
    assert subprocess.run(["cendre", "run", "-c", IS_ON], env=by_name, capture_output=True, text=True,
                          check=True).stdout == "True 1 1\n"
    # A copy far from any Python: the python3.14 on PATH.
    (tmp_path / "bin/copy").write_bytes(open(CENDRE, "rb").read())
    (tmp_path / "bin/copy").chmod(0o755)
    assert subprocess.run([tmp_path / "bin/copy", "run", "-c", IS_ON], env=by_name, capture_output=True, text=True,
                          check=True).stdout == "True 1 1\n"


def test_the_options_of_python_m_cendre_are_handed_on():
    program = "import sys; print(sys.flags.dev_mode, sys.flags.optimize, sys.warnoptions)"
    for way in (["-m", "cendre"], ["-mcendre"], [CENDRE]):  # The command is a Python program, too.
        status, out, _ = python("-X", "dev", "-OW", "error", *way, "run", "-c", program)
        assert (status, out.split()[:2]) == (0, ["True", "1"]), way
        assert "error" in out, way


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_end_it_as_they_end_python(number, tmp_path):
    program = "import time, sys; print('ready', flush=True); time.sleep(60)"
    ends = []
    for command in ([PYTHON], [CENDRE, "run"]):
        with subprocess.Popen([*command, "-c", program], env=env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as child:
            assert child.stdout.readline() == "ready\n"
            time.sleep(0.05)
            child.send_signal(number)
            _, stderr = child.communicate(timeout=TIMEOUT)
            ends.append((child.returncode, stderr))
    assert ends[0] == ends[1]
    assert ends[0][0] == -number


@pytest.mark.parametrize("arguments, says", [
    (["run", "--frob", "app.py"], "unknown option --frob"),
    (["run", "--thresh", "1", "app.py"], "unknown option --thresh"),
    (["run"], "what to run is missing"),
    (["run", "-u"], "what to run is missing"),
    (["run", "--threshold"], "--threshold needs a value"),
    (["run", "--threshold=", "x.py"], "--threshold needs a value"),
    (["run", "--threshold", "x", "x.py"], "CENDRE_THRESHOLD=x: takes a number"),
    (["run", "--code-limit", "0", "x.py"], "CENDRE_CODE_LIMIT=0: takes a number"),
    (["run", "--entries=all", "x.py"], "CENDRE_ENTRIES=all: takes auto, executor or vectorcall"),
    (["run", "--perf=1", "x.py"], "--perf takes no value"),
    (["run", "-S", "x.py"], "-S"),
    (["run", "-uS", "x.py"], "-S"),
    (["run", "--", "x.py"], "`--` is not needed"),
    (["explain"], "what to run is missing"),
    (["explain", "--frob"], "unknown option --frob"),
    (["frob"], "unknown command frob"),
    ([], "what to do is missing"),
])
def test_a_wrong_command_line_is_status_2(arguments, says):
    status, out, err = call(CENDRE, *arguments)
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


NONSENSE = [
    ("CENDRE_THRESHOLD", "-1"), ("CENDRE_THRESHOLD", "many"), ("CENDRE_THRESHOLD", "1.5"), ("CENDRE_THRESHOLD", "1_0"),
    ("CENDRE_THRESHOLD", " 1"), ("CENDRE_THRESHOLD", "9" * 30), ("CENDRE_ENTRIES", "Auto"), ("CENDRE_CODE_LIMIT", "M"),
    ("CENDRE_CODE_LIMIT", "1T"), ("CENDRE_CODE_LIMIT", "-1K"), ("CENDRE_CODE_LIMIT", "0"),
    ("CENDRE_CODE_LIMIT", "99999999999G"), ("CENDRE_PERF", "yes"),
    ("CENDRE_AWAITS", "2"), ("CENDRE_JIT", "off"), ("CENDRE_WARMUP", "20-2"), ("CENDRE_WARMUP", "2-"), ("CENDRE_WARMUP", "-2"),
    ("CENDRE_WARMUP", "2-3-4"), ("CENDRE_SEED", "x"), ("CENDRE_MIX", "101"), ("CENDRE_MIX", "50%"), ("CENDRE_FORCE_LEAVES", "-1"),
    ("CENDRE_FORCE_LEAVES", "99999999999"), ("CENDRE_FAULT", "none"), ("CENDRE_CRANELIFT", "opt_level"), ("CENDRE_CRANELIFT", "=x"),
    ("CENDRE_CRANELIFT", "opt_level=best"), ("CENDRE_CRANELIFT", "opt_level=none,frob=1"),
]


@pytest.mark.parametrize("variable, value", NONSENSE)
def test_nonsense_in_a_variable(variable, value):
    status, out, err = run("-c", "print('ran')", **{variable: value})
    assert (status, out) == (2, "")
    assert f"{variable}={value}: takes " in err

    status, out, err = run("-u", "-c", "print('ran')", **{variable: value})
    assert (status, out) == (2, "")
    assert f"{variable}={value}: takes " in err

    # Without `cendre run` nobody asked for more than a switch: the program runs on, without cendre.
    program = "import cendre; print(cendre.is_enabled())"
    status, out, err = python("-c", program, CENDRE="1", **{variable: value})
    assert (status, out) == (0, "False\n")
    assert err.startswith(f"cendre: {variable}={value}: takes ")
    assert err.count("\n") == 1

    # And when it is not switched on, nothing reads it.
    assert python("-c", "print(1)", **{variable: value}) == (0, "1\n", "")

    status, out, err = python("-c", "import cendre; cendre.enable()", **{variable: value})
    assert status == 1
    assert f"ValueError: {variable}={value}: takes " in err


def test_a_name_that_is_nearly_a_variable():
    """It has no effect, as before; names that are like none of ours are somebody else's."""
    status, out, err = call(CENDRE, "run", "-c", "print('ran')", CENDRE_THRESHHOLD="5", CENDRE_KITCHEN="9")
    assert (status, out) == (0, "ran\n")
    assert err == "cendre: CENDRE_THRESHHOLD is not a variable of cendre and has no effect; did you mean CENDRE_THRESHOLD?\n"


def test_nonsense_in_the_switch_itself():
    status, out, err = python("-c", "print('ran')", CENDRE="yes")
    assert (status, out, err) == (0, "ran\n", "cendre: CENDRE=yes: takes 0 or 1 (this process runs without cendre)\n")


@pytest.mark.parametrize("text, size", [("1", 1), ("4096", 4096), ("64K", 65536), ("8M", 8 << 20), ("2g", 2 << 30)])
def test_sizes(text, size):
    assert _config.from_environ({"CENDRE_CODE_LIMIT": text}) == {"code_limit": size}


@pytest.mark.parametrize("text, value", [("0", 0), ("7", 7), ("2-20", (2, 20)), ("3-3", (3, 3))])
def test_numbers_and_ranges(text, value):
    assert _config.from_environ({"CENDRE_WARMUP": text}) == {"warmup": value}


def test_settings_hold_only_what_was_set():
    assert _config.from_environ({}) == {}
    assert _config.from_environ({"CENDRE_THRESHOLD": "", "CENDRE_PERF": "1", "CENDRE_JIT": "0", "OTHER": "x"}) == \
        {"perf": True, "jit": False}


@pytest.mark.parametrize("value, error", [(-1, ValueError), (True, TypeError), ("1", TypeError), (1.0, TypeError)])
def test_threshold_argument(value, error):
    with pytest.raises(error, match="threshold"):
        cendre.enable(threshold=value)
    assert not cendre.is_enabled()


def test_options_become_variables():
    variables, arguments = _launch.parse(
        ["--threshold", "5", "-X", "dev", "--code-limit=1M", "--perf", "--no-awaits", "--no-jit", "--entries", "auto",
         "-m", "mod", "--perf"])
    assert arguments == ["-X", "dev", "-m", "mod", "--perf"]
    assert variables == {"CENDRE_THRESHOLD": "5", "CENDRE_CODE_LIMIT": "1M", "CENDRE_PERF": "1", "CENDRE_AWAITS": "0",
                         "CENDRE_JIT": "0", "CENDRE_ENTRIES": "auto"}


def test_help_and_version():
    for arguments in (["--help"], ["-h"], ["help"], ["run", "--help"], ["explain", "-h"]):
        status, out, err = call(CENDRE, *arguments)
        assert (status, err) == (0, "")
        assert "examples:" in out
        assert max(map(len, out.splitlines())) <= 110
        for option in _launch.OPTIONS:
            assert option in out
    status, out, err = call(CENDRE, "--version")
    assert (status, out, err) == (0, f"cendre {cendre.__version__} (CPython {sys.version.split()[0]})\n", "")


def test_bench_is_handed_its_arguments():
    status, out, err = call(CENDRE, "bench", "--list")
    assert (status, err) == (0, "")
    assert "fib" in out
    status, out, err = call(CENDRE, "bench", "--frob")
    assert (status, out) == (2, "")
    assert "--frob" in err


def test_enable_and_disable_in_a_program():
    program = """if True:
        import cendre
        assert not cendre.is_enabled()
        cendre.enable(threshold=3)
        assert cendre.is_enabled()
        cendre.enable()
        assert cendre.is_enabled()
        cendre.disable()
        cendre.disable()
        assert not cendre.is_enabled()
    """
    assert python("-c", program) == (0, "", "")


# A function that is compiled at first sight, and says so; one that must stay interpreted; an await.
PROGRAM = """
import asyncio, sys, cendre

def work(n):
    total = 0
    for i in range(n):
        total += i
    return total

@cendre.jit.never
def left_alone(n):
    return n + 1

async def leaf(x):
    if x == 7:
        await asyncio.sleep(0)
    return x + 1

async def chain(n):
    total = 0
    for i in range(n):
        total += await leaf(i)
    return total

for i in range(50):
    work(100); left_alone(i)
if len(sys.argv) > 1:
    # On a busy machine all hundred awaits are over before these are compiled.
    for f in leaf, chain:
        cendre.jit.compile(f)
print(asyncio.run(chain(100)))
sys.exit(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
"""


def test_explain_shows_functions_and_awaits(tmp_path):
    (tmp_path / "app.py").write_text(PROGRAM)
    status, out, err = call(CENDRE, "explain", "--threshold", "0", "app.py", "3", cwd=tmp_path)
    assert (status, err) == (3, "")
    assert out.startswith("5050\n\ncendre: app.py 3 (process ")
    assert "\x1b" not in out
    # The first call is interpreted: threshold 0 compiles what has been seen.
    work = re.search(r"\nwork  app\.py:4\n    compiled; (\d+) calls in machine code", out)
    assert work and 40 <= int(work[1]) <= 50, out
    chain = re.search(r"\nchain  app\.py:19\n    compiled.*\n(?:    .*\n)*?"
                      r"    line 22: await: (\d+) calls, (\d+) finished at once, (\d+) suspended", out)
    assert chain, out
    calls, finished, suspended = map(int, chain.groups())
    # An event that waits declines a call, also the one that suspends.
    assert 90 <= calls <= 100 and 50 < finished <= calls and suspended <= 1
    assert re.search(r"awaited calls: \d", out)
    assert not re.search(r"\nleft_alone  .*\n    compiled", out)


def test_explain_without_the_compiler_shows_none_compiled(tmp_path):
    (tmp_path / "app.py").write_text(PROGRAM)
    status, out, err = call(CENDRE, "explain", "--no-jit", "app.py", cwd=tmp_path)
    assert (status, err) == (0, "")
    assert "\n    compiled" not in out


def test_explain_ends_as_the_program_ended():
    program = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    status, out, err = call(CENDRE, "explain", "-c", program)
    assert (status, out) == (-signal.SIGTERM, "")
    assert "no report" in err and "signal 15" in err
    status, out, err = call(CENDRE, "explain", "-c", "raise KeyError(3)")
    assert status == 1
    assert err == python("-c", "raise KeyError(3)")[2]
    assert call(CENDRE, "explain", "missing.py")[0] == 2


def test_report_as_text():
    report = {"pid": 12, "argv": ["app.py"], "owner": True, "stats": {}, "functions": [
        {"name": "cold_one", "file": "app.py", "line": 9, "state": "cold", "reason": None, "leaves": [], "awaits": []},
        {"name": "slow", "file": "app.py", "line": 5, "state": "refused", "reason": "uses eval", "samples": 4,
         "leaves": [], "awaits": []},
        {"name": "quick", "file": "app.py", "line": 1, "state": "compiled", "reason": None, "calls": 12345,
         "samples": 1, "compiles": 2, "raises": 1,
         "leaves": [[2, "not an int", 1], [3, "overflow", 20]], "awaits": [[4, 30, 20, 6, 0], [7, 5, 2, 0, 3]]}]}
    assert _report.text([report]) == textwrap.dedent("""\
        cendre: app.py (process 12)
          functions seen: 3 (1 compiled, 1 cold, 1 refused)
          compiled code was left for the interpreter 21 times
          awaited calls: 35: 22 finished at once, 6 suspended, 3 gave what is no coroutine

        quick  app.py:1
            compiled; 12 345 calls in machine code; 1 sample; compiled 2 times in all; raised once
            line 3: left 20 times: overflow
            line 2: left once: not an int
            line 4: await: 30 calls, 20 finished at once, 6 suspended
            line 7: await: 5 calls, 2 finished at once, 0 suspended, 3 gave what is no coroutine

        slow  app.py:5
            not compiled: uses eval; 4 samples

        1 more were seen and never got hot
        """)
    report["stats"] = {"entries": "vectorcall", "entries_reason": "CPython's own JIT is on: its executors stay, ours are not installed"}
    assert "\n  compiled code is entered by vectorcall and monitoring: CPython's own JIT is on: its" in _report.text([report])
    painted = _report.text([report], colour=True)
    assert painted != _report.text([report])
    assert re.sub(r"\x1b\[\d+m", "", painted) == _report.text([report])


def test_a_report_that_cannot_be_written_is_one_line(tmp_path):
    status, out, err = python("-c", "print(1)", CENDRE="1", CENDRE_EXPLAIN=tmp_path / "none" / "report")
    assert (status, out) == (0, "1\n")
    assert err.startswith("cendre: ") and err.count("\n") == 1
