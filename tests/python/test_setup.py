"""The set-up scripts: which Python is taken, and that nothing is done twice.

They run under the machine's own python3; here they are imported, since they hold to the standard library.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import find_python  # noqa: E402
import project  # noqa: E402

GOOD = {"version": [3, 14, 10], "implementation": "CPython", "free_threaded": False, "debug": False, "bits": 64,
        "missing": ""}


@pytest.mark.parametrize("facts, reason", [
    ({}, None),
    ({"version": [3, 14, 5]}, None),
    ({"version": [3, 14, 4]}, "is 3.14.4"),
    ({"version": [3, 15, 0]}, "is 3.15.0"),
    ({"version": [3, 12, 1]}, "is 3.12.1"),
    ({"implementation": "PyPy"}, "is PyPy"),
    ({"free_threaded": True}, "is 3.14.10, a free-threaded build"),
    ({"debug": True}, "is 3.14.10, a debug build"),
    ({"bits": 32}, "is 3.14.10, a 32-bit build"),
    ({"missing": "No module named 'ssl'"}, "is 3.14.10, but lacks a part of the standard library: No module named 'ssl'"),
])
def test_which_python_is_taken(facts, reason):
    assert find_python.why_not({**GOOD, **facts}) == reason


def test_a_python_is_believed_for_what_it_says_not_for_its_name(tmp_path):
    impostor = tmp_path / "python3.14"
    impostor.write_text("#!/bin/sh\nexit 3\n")
    impostor.chmod(0o755)
    assert "exit 3" in find_python.why_not(find_python.probe(impostor))
    assert find_python.why_not(find_python.probe(sys.executable)) is None
    assert "cannot be run" in find_python.why_not(find_python.probe(tmp_path / "nothing"))


def setup(**variables):
    done = subprocess.run(["python3", "scripts/setup.py", "--python-only"], cwd=ROOT, env={**os.environ, **variables},
                          capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_named_python_is_taken_or_refused(tmp_path):
    status, out, _ = setup(CENDRE_PYTHON=sys.executable)
    assert status == 0 and "$CENDRE_PYTHON: CPython 3.14" in out
    status, out, err = setup(CENDRE_PYTHON=str(tmp_path / "nothing"))
    assert status == 1 and err.startswith("error: CENDRE_PYTHON=") and "there is no such program" in err
    status, out, err = setup(CENDRE_PYTHON="/bin/true")
    assert status == 1 and err.startswith("error: CENDRE_PYTHON=/bin/true cannot be run") and "CPython 3.14" in err


def test_the_projects_own_environment_stands_for_what_it_was_made_from(monkeypatch):
    monkeypatch.setattr(find_python, "VENV", Path(sys.prefix))
    assert sys.prefix != sys.base_prefix
    taken = find_python._accept(sys.executable, "test")
    assert taken == sys._base_executable
    assert not Path(taken).is_relative_to(sys.prefix)


def test_stamps(tmp_path, monkeypatch):
    monkeypatch.setattr(project, "STAMPS", tmp_path / "stamps")
    source = tmp_path / "source"
    source.write_text("one")
    key = project.digest("x", files=[source])
    assert not project.is_done("step", key)
    project.mark_done("step", key)
    assert project.is_done("step", key)
    assert project.is_done("step", project.digest("x", files=[source]))
    source.write_text("two")
    assert not project.is_done("step", project.digest("x", files=[source]))
    assert not project.is_done("step", project.digest("y"))
    project.forget("step")
    assert not project.is_done("step", key)


def test_a_step_that_fails_shows_why(tmp_path, monkeypatch):
    monkeypatch.setattr(project, "LOGS", project.ROOT / ".cache" / "logs-of-tests")
    project.run("test", [sys.executable, "-c", "print('an earlier step')"])
    with pytest.raises(project.SetupError) as error:
        project.run("test", [sys.executable, "-c", "print('the ' + 'reason'); raise SystemExit(3)"])
    assert "failed (exit 3)" in str(error.value)
    assert "\n    the reason\n" in str(error.value)
    assert "an earlier step" not in str(error.value)
    assert "an earlier step" in (project.LOGS / "test.log").read_text()


def test_one_builds_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(project, "CACHE", tmp_path / "cache")
    program = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    command = [sys.executable, "-c", program, tmp_path / "cache/building"]
    with project.building():
        assert b"BlockingIOError" in subprocess.run(command, capture_output=True, check=False).stderr
    subprocess.run(command, check=True)
