"""Finds a CPython that cendre supports, or fetches one into the project.

Order, each step said in one line: `$CENDRE_PYTHON`; `python3.14` on PATH; `uv python find` / `uv python install`;
the distribution's own packages (debian_python.py); else an error that says what to install.

Invariant: a Python is taken for what it says of itself when it is run, never for its name or its place.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import debian_python
from project import CACHE, VENV, SetupError, say

OLDEST = (3, 14, 5)
SUPPORTED = "CPython 3.14 from 3.14.5 on, the ordinary build (with the GIL, not a debug build), 64-bit"

# What an interpreter says of itself. It must run under any Python at all, since anything can be called python3.14.
_PROBE = """
import sys, json, platform
try:
    import sysconfig
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
except Exception:
    free_threaded = False
try:
    import ctypes, ssl, sqlite3, venv
    missing = ""
except ImportError as error:
    missing = str(error)
print(json.dumps({
    "version": list(sys.version_info[:3]),
    "implementation": platform.python_implementation(),
    "free_threaded": free_threaded,
    "debug": hasattr(sys, "gettotalrefcount"),
    "bits": 64 if sys.maxsize > 2**32 else 32,
    "missing": missing,
    "base": getattr(sys, "_base_executable", None) or sys.executable,
}))
"""


def probe(executable):
    """What the interpreter says of itself, or a sentence about why it says nothing."""
    try:
        done = subprocess.run([str(executable), "-I", "-c", _PROBE], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"cannot be run: {error}"
    if done.returncode != 0:
        return f"cannot be run: exit {done.returncode}"
    try:
        return json.loads(done.stdout)
    except ValueError:
        return "cannot be run: it is no Python"


def why_not(facts):
    """Why a Python with these facts is not supported; None when it is."""
    if isinstance(facts, str):
        return facts
    version = ".".join(map(str, facts["version"]))
    if facts["implementation"] != "CPython":
        return f"is {facts['implementation']}"
    if tuple(facts["version"][:2]) != OLDEST[:2] or tuple(facts["version"]) < OLDEST:
        return f"is {version}"
    if facts["free_threaded"]:
        return f"is {version}, a free-threaded build"
    if facts["debug"]:
        return f"is {version}, a debug build"
    if facts["bits"] != 64:
        return f"is {version}, a 32-bit build"
    if facts["missing"]:
        return f"is {version}, but lacks a part of the standard library: {facts['missing']}"
    return None


def _accept(executable, source):
    """The interpreter's own path if it is supported; says one line either way."""
    facts = probe(executable)
    reason = why_not(facts)
    if reason:
        say("python", f"{source}: {executable} {reason}; not supported")
        return None
    say("python", f"{source}: CPython {'.'.join(map(str, facts['version']))}")
    # With the project's own environment activated: that one is made anew out of what it was made from.
    return facts["base"] if Path(executable).is_relative_to(VENV) else executable


def _uv():
    uv = shutil.which("uv")
    if not uv:
        say("python", "uv: not installed")
        return None
    for verb in ("find", "install"):
        system = ["--system"] if verb == "find" else []  # Not an environment's, above all not our own.
        try:
            done = subprocess.run([uv, "python", verb, *system, "cpython@3.14"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  stdin=subprocess.DEVNULL, timeout=240, check=False, text=True)
        except (OSError, subprocess.TimeoutExpired) as error:
            say("python", f"uv python {verb}: {error}")
            return None
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1].strip()
            say("python", f"uv python {verb} 3.14: {last}")
            if verb == "install":
                return None
            continue
        if verb == "install":
            done = subprocess.run([uv, "python", "find", "--system", "cpython@3.14"], stdout=subprocess.PIPE, check=False, text=True)
        found = done.stdout.strip()
        accepted = _accept(found, f"uv python {verb}") if found else None
        if accepted:
            return accepted
    return None


def find():
    """The path of a supported Python, as it was found (links are kept: a package manager may move what they name)."""
    named = os.environ.get("CENDRE_PYTHON")
    if named:
        # Somebody who names a Python wants that one: taking another silently would hide the mistake.
        path = shutil.which(named)
        if not path:
            raise SetupError(f"CENDRE_PYTHON={named}: there is no such program; it takes the path of {SUPPORTED}")
        accepted = _accept(path, "$CENDRE_PYTHON")
        if not accepted:
            raise SetupError(f"CENDRE_PYTHON={named} {why_not(probe(path))}; it takes the path of {SUPPORTED}")
        return os.path.abspath(accepted)

    remembered = CACHE / "python"
    if remembered.exists():
        path = remembered.read_text()
        # The private one knows by itself whether it is still what its recipe says.
        if (not debian_python.is_private(path) or debian_python.is_current()) and why_not(probe(path)) is None:
            say("python", f"found before: {_shown(path)}")
            return path

    say("python", "$CENDRE_PYTHON: not set")
    path = shutil.which("python3.14")
    accepted = _accept(path, "python3.14 on PATH") if path else say("python", "python3.14 on PATH: none")
    accepted = accepted or _uv()
    if not accepted:
        problem = debian_python.cannot()
        if problem:
            say("python", f"distribution packages: {problem}")
            raise SetupError(f"no usable Python found. Install {SUPPORTED}: your system's package `python3.14` with "
                             "its `venv` part, or `uv python install 3.14`, or set CENDRE_PYTHON to the path of one")
        accepted = _accept(debian_python.install(), "distribution packages")
        if not accepted:
            raise SetupError(f"the distribution's python3.14 is not usable; cendre needs {SUPPORTED}. "
                             "Set CENDRE_PYTHON to the path of one")
    path = os.path.abspath(accepted)
    CACHE.mkdir(exist_ok=True)
    remembered.write_text(path)
    return path


def _shown(path):
    """A path inside the project is shown from its root."""
    try:
        return str(Path(path).relative_to(Path(__file__).resolve().parent.parent))
    except ValueError:
        return path
