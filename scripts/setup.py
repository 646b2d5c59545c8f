"""Makes the project's `.venv`: a CPython 3.14, the tools it needs, and cendre built in release mode.

`python3 scripts/setup.py` does what is not done yet; `--python-only` stops after finding the interpreter.
Each step prints one line. Its output goes to `.cache/logs`.

Invariant: after success `.venv/bin/python -c "import cendre"` works, and the native module matches the sources.
Read first: project.py (stamps), find_python.py (which Python).
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from find_python import find
from project import CACHE, ROOT, VENV, SetupError, building, digest, forget, is_done, main, mark_done, run, say

REQUIREMENTS = [ROOT / "requirements-dev.txt", ROOT / "examples/requirements.txt"]
PYTHON = VENV / "bin/python"


def _base_facts(python):
    """Version and real place of the interpreter: what the virtual environment depends on."""
    text = "import sys, os; print(sys.version, os.path.realpath(sys.executable), sys.base_prefix, sep='\\n')"
    return subprocess.run([python, "-I", "-c", text], stdout=subprocess.PIPE, check=True, text=True).stdout


def create_venv(step, python, folder):
    """A virtual environment with pip, in a folder that is not there."""
    # Debian's packages carry pip as a wheel at a place that `ensurepip` only knows when they are installed system-wide.
    wheels = sorted(Path(_base_facts(python).splitlines()[-1]).glob("share/python-wheels/pip-*.whl"))
    if wheels:
        run(step, [python, "-m", "venv", "--without-pip", folder])
        run(step, [folder / "bin/python", wheels[-1] / "pip", "install", "--no-index", wheels[-1]])
    else:
        run(step, [python, "-m", "venv", folder])


def make_venv(python):
    """The virtual environment with pip, on this interpreter."""
    facts = _base_facts(python)
    key = digest(facts)
    CACHE.mkdir(exist_ok=True)
    (CACHE / "interpreter").write_text(str(python))  # For the C probe of CPython's structs: see the Makefile.
    if is_done("venv", key) and PYTHON.exists():
        say("venv", ".venv is there")
        return key
    for later in ("venv", "tools", "build"):
        forget(later)
    shutil.rmtree(VENV, ignore_errors=True)
    create_venv("venv", python, VENV)
    mark_done("venv", key)
    say("venv", ".venv made")
    return key


def install_tools(venv_key):
    """The pinned tools and libraries of the tests and examples."""
    key = digest(venv_key, files=REQUIREMENTS)
    if is_done("tools", key):
        say("tools", "installed")
        return key
    forget("tools")
    run("tools", [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "-r", REQUIREMENTS[0]])
    mark_done("tools", key)
    say("tools", "maturin, pytest and the libraries of the examples installed")
    return key


def _sources():
    """Every file that the native module, its packaging or its Python files' place depend on."""
    found = [ROOT / "Cargo.toml", ROOT / "Cargo.lock", ROOT / "pyproject.toml"]
    for folder in ("crates", "cendre.data", ".cargo"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "tests" not in path.relative_to(ROOT).parts:
                found.append(path)
    return [path for path in found if path.exists()]


def build(tools_key):
    """cendre itself, built by maturin in release mode and installed so that changes to Python files count at once."""
    if not shutil.which("cargo"):
        raise SetupError("no cargo on PATH: install a Rust toolchain (see `rust-version` in Cargo.toml)")
    with building():  # Who waited finds it done.
        _build(digest(tools_key, files=_sources()))


def _build(key):
    if is_done("build", key) and list((ROOT / "python/cendre").glob("_cendre.*.so")):
        say("build", "cendre is built")
        return
    forget("build")
    say("build", "compiling cendre and Cranelift in release mode (minutes the first time)")
    begun = time.monotonic()
    # CONDA_PREFIX beside VIRTUAL_ENV makes maturin refuse; whose it is does not matter here.
    env = {name: value for name, value in os.environ.items() if name not in ("CONDA_PREFIX", "CENDRE")}
    env.update(VIRTUAL_ENV=str(VENV), PATH=f"{VENV}/bin{os.pathsep}{os.environ.get('PATH', '')}")
    run("build", [VENV / "bin/maturin", "develop", "--release", "--quiet"], env=env)
    # An import that fails must end here, with its reason, and not in the middle of somebody's tests.
    run("build", [PYTHON, "-c", "import cendre; cendre.enable(); cendre.disable()"])
    mark_done("build", key)
    say("build", f"cendre built and installed in {time.monotonic() - begun:.0f} s")


def body():
    """All steps in order."""
    python = find()
    if sys.argv[1:] == ["--python-only"]:
        return
    if sys.argv[1:]:
        raise SetupError(f"unknown argument {sys.argv[1]} (takes --python-only or nothing)")
    build(install_tools(make_venv(python)))


if __name__ == "__main__":
    sys.exit(main(body))
