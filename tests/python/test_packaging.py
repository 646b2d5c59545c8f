"""cendre as an installed package: what the wheel holds, an environment of its own, what it costs when it is off.

Invariant tested: after `pip install` in any 3.14 environment `CENDRE=1` works there, and after `pip uninstall` nothing
of ours is left that a starting Python would trip over.
"""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import pytest

import cendre
from cendre import _supported

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import project  # noqa: E402

# One worker builds the wheel, once.
packaging = pytest.mark.xdist_group("packaging")


def check(*command, **variables):
    done = subprocess.run(list(map(str, command)), env={**os.environ, **variables}, cwd=ROOT.parent, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """What `pip wheel` makes of the project, with the maturin that is here."""
    folder = tmp_path_factory.mktemp("wheel")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with project.building():
        check(sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "-w", folder, ROOT, PATH=path)
    (found,) = folder.glob("cendre-*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """The `bin` folder of a new virtual environment with nothing but cendre in it."""
    folder = tmp_path_factory.mktemp("environment")
    check(sys.executable, "-m", "venv", "--without-pip", folder)
    check(sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "--no-index", "--no-deps", wheel)
    return folder / "bin"


@packaging
def test_what_the_wheel_holds(wheel):
    assert re.fullmatch(r"cendre-[\d.]+-cp314-cp314-\w*linux\w*x86_64\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        start = [name for name in names if name.endswith("cendre_autostart.pth")]
        assert len(start) == 1 and ("/" not in start[0] or "/purelib/" in start[0])
        assert archive.read(start[0]) == (ROOT / "cendre.data/purelib/cendre_autostart.pth").read_bytes()
    modules = {name for name in names if name.startswith("cendre/")}
    assert {"cendre/__init__.py", "cendre/__main__.py", "cendre/include/cendre.h", "cendre/py.typed", "cendre/_cendre.pyi",
            "cendre/_cendre.cpython-314-x86_64-linux-gnu.so"} <= modules
    sources = {f"cendre/{path.relative_to(ROOT / 'python/cendre')}" for path in (ROOT / "python/cendre").rglob("*.py")}
    assert sources <= modules
    assert {"LICENSE-MIT", "LICENSE-APACHE"} <= {name.rsplit("/")[-1] for name in names}


@packaging
def test_it_works_in_an_environment_of_its_own(environment):
    program = "import cendre; print(cendre.is_enabled(), cendre.__file__)"
    on, file = check(environment / "python", "-c", program, CENDRE="1").split()
    assert on == "True"
    assert Path(file).is_relative_to(environment.parent)
    assert check(environment / "python", "-c", program).split()[0] == "False"
    assert check(environment / "cendre", "run", "-c", program).split()[0] == "True"
    include = check(environment / "python", "-c", "import cendre; print(cendre.get_include())").strip()
    assert (Path(include) / "cendre.h").read_bytes() == (ROOT / "include/cendre.h").read_bytes()
    assert check(environment / "cendre", "--version").startswith(f"cendre {cendre.__version__} ")


@packaging
def test_uninstalling_leaves_nothing_behind(wheel, tmp_path):
    check(sys.executable, "-m", "venv", "--without-pip", tmp_path)
    pip = [sys.executable, "-m", "pip", "--python", tmp_path / "bin/python"]
    check(*pip, "install", "--no-index", "--no-deps", wheel)
    check(tmp_path / "bin/python", "-c", "import cendre")
    check(*pip, "uninstall", "-y", "cendre")
    assert check(tmp_path / "bin/python", "-c", "print(1)", CENDRE="1") == "1\n"
    assert [path for path in tmp_path.rglob("*cendre*")] == []


def test_one_version():
    assert cendre.__version__ == importlib.metadata.version("cendre")
    assert f'version = "{cendre.__version__}"' in (ROOT / "Cargo.toml").read_text()


def test_off_means_not_even_imported():
    program = "import sys; print(sorted(name for name in sys.modules if 'cendre' in name))"
    assert check(sys.executable, "-c", program) == "[]\n"
    assert check(sys.executable, "-c", program, CENDRE="0") == "[]\n"
    assert "cendre._cendre" in check(sys.executable, "-c", program, CENDRE="1")


def test_switched_on_it_imports_little():
    """What `CENDRE=1` adds to the modules of every process, by name: a heavy import would show here.

    `atexit` is built in; the native module stops its threads there.
    """
    program = "import sys; print(*sorted(sys.modules))"
    off = set(check(sys.executable, "-c", program).split())
    on = set(check(sys.executable, "-c", program, CENDRE="1").split())
    assert on - off == {"cendre", "cendre._cendre", "atexit"}


GOOD = {"implementation": types.SimpleNamespace(name="cpython"), "version_info": (3, 14, 10, "final", 0), "abiflags": "",
        "platform": "linux", "maxsize": 2**63 - 1}


@pytest.mark.parametrize("facts, found", [
    ({}, None),
    ({"version_info": (3, 14, 5, "final", 0)}, None),
    ({"version_info": (3, 14, 4, "final", 0)}, "CPython 3.14.4"),
    ({"version_info": (3, 13, 9, "final", 0)}, "CPython 3.13.9"),
    ({"version_info": (3, 15, 0, "alpha", 1)}, "CPython 3.15.0"),
    ({"abiflags": "t"}, "a free-threaded build of CPython 3.14.10"),
    ({"abiflags": "d", "gettotalrefcount": len}, "a debug build of CPython 3.14.10"),
    ({"implementation": types.SimpleNamespace(name="pypy")}, "pypy 3.14.10"),
    ({"platform": "darwin"}, "CPython 3.14.10 on darwin"),
    ({"maxsize": 2**31 - 1}, "CPython 3.14.10 on linux"),
])
def test_what_is_supported(monkeypatch, facts, found):
    monkeypatch.setattr(_supported, "sys", types.SimpleNamespace(**{**GOOD, **facts}))
    refusal = _supported.refusal()
    assert refusal == (found and f"{_supported.SUPPORTED}; this is {found}")


def test_another_python_gets_a_sentence():
    """The package's source under whatever other Python this machine has."""
    found = [python for folder in os.environ["PATH"].split(os.pathsep) for python in Path(folder).glob("python3*")
             if re.fullmatch(r"python3(\.\d+)?", python.name)]
    program = ("import sys; sys.path.insert(0, sys.argv[1])\n"
               "if sys.version_info[:2] == (3, 14): print('same'); sys.exit()\n"
               "try: import cendre\n"
               "except ImportError as error: print(error)\n"
               "else: print('no ImportError')\n")
    tried = 0
    for python in found:
        done = subprocess.run([python, "-c", program, ROOT / "python"], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout != "same\n":
            tried += 1
            assert done.stdout.startswith(_supported.SUPPORTED + "; this is "), python
    if not tried:
        pytest.skip("this machine has no other Python; the table above tests the sentences")


def test_a_missing_native_module_says_so(tmp_path):
    ignore = shutil.ignore_patterns("*.so", "bench", "__pycache__")
    shutil.copytree(ROOT / "python/cendre", tmp_path / "cendre", ignore=ignore)
    sentence = f"cendre's native module is not built for this Python; {_supported.SUPPORTED}"
    program = "try: import cendre\nexcept ImportError as error: print(error)"
    assert check(sys.executable, "-c", program, PYTHONPATH=tmp_path) == sentence + "\n"
    # Switched on, the process says so in a line and goes on.
    assert check(sys.executable, "-c", "print(1)", PYTHONPATH=tmp_path, CENDRE="1") == \
        f"cendre: {sentence} (this process runs without cendre)\n1\n"


def test_the_stub_names_what_the_native_module_has():
    import ast

    from cendre import _cendre

    tree = ast.parse((ROOT / "python/cendre/_cendre.pyi").read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert functions
    assert functions <= set(dir(_cendre))
