"""`cendre bench coverage`: what of the standard library compiles. A part of it here; all of it in `make test-long`."""
import json
import subprocess
import sys

import pytest


def coverage(tmp_path, *arguments, timeout=600):
    out = tmp_path / "coverage.json"
    command = [sys.executable, "-m", "cendre", "bench", "coverage", "--json", str(out), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    return done, json.loads(out.read_text()) if out.exists() else None


def test_a_part_of_the_library_compiles(tmp_path):
    done, report = coverage(tmp_path, "asyncio/taskgroups.py", "asyncio/streams.py", "contextlib.py", "dataclasses.py", "test/test_asyncgen.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert report["files"] == 5 and not report["dead"] and not report["refused"], done.stdout
    assert report["seen"]["async generators"] > 50 and report["seen"]["functions"] > 200, report["seen"]
    assert "0 refused" in done.stdout


def test_refusals_and_strange_files(tmp_path):
    (tmp_path / "good.py").write_text("def f():\n    return 1\nclass C:\n    x = 1\n")
    (tmp_path / "bad.py").write_text("def f(:\n")
    done, report = coverage(tmp_path, str(tmp_path / "good.py"), str(tmp_path / "bad.py"))
    assert done.returncode == 0, done.stderr
    assert report["not_python"] == 1 and report["seen"] == {"bodies of modules and classes": 2, "functions": 1}, report
    done, _ = coverage(tmp_path, "no/such/folder")
    assert done.returncode == 2 and "no such files" in done.stderr


@pytest.mark.long
def test_the_whole_library_compiles(tmp_path):
    done, report = coverage(tmp_path, timeout=7200)
    assert done.returncode == 0 and not report["dead"], done.stdout
    assert sum(report["refused"].values()) == 0, done.stdout
