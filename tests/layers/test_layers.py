"""The layers of the architecture, held by a test: which crate may depend on which, and where `unsafe` may stand.

Invariant: an arrow goes down only. The table below is the architecture's; a new edge is a decision, made here and in
the documents, and not a line in some Cargo.toml.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Crate -> the crates of ours that it may depend on.
ALLOWED = {
    "cendre-cpython": set(),
    "cendre-ir": set(),
    "cendre-bytecode": {"cendre-ir"},
    "cendre-static": {"cendre-ir"},
    "cendre-passes": {"cendre-ir"},
    "cendre-codegen": {"cendre-ir"},
    "cendre-runtime": {"cendre-cpython", "cendre-ir", "cendre-bytecode", "cendre-passes", "cendre-codegen"},
    "cendre-asyncio": {"cendre-cpython", "cendre-runtime"},
    "cendre": {"cendre-cpython", "cendre-runtime", "cendre-asyncio"},
}
# What comes from outside, by the prefix of its name -> the only crates that may use it.
FENCED = {
    "pyo3": {"cendre-cpython"},
    "cranelift": {"cendre-codegen"},
}
UNSAFE_ALLOWED = {"cendre-cpython", "cendre-runtime", "cendre-asyncio", "cendre"}
LONGEST_FILE = 800


def violations(edges):
    """The edges (crate, dependency, kind) that the table does not allow, as sentences.

    Tests may use any pure crate of ours (a pass's test wants the code generator); the fences hold for them too.
    """
    found = []
    for crate, dependency, kind in edges:
        if crate not in ALLOWED:
            found.append(f"{crate} is not in the table of layers")
        elif dependency in ALLOWED or dependency.startswith("cendre"):
            pure_in_test = kind == "dev" and dependency not in UNSAFE_ALLOWED
            if dependency not in ALLOWED[crate] and not pure_in_test:
                found.append(f"{crate} must not depend on {dependency}")
        else:
            for prefix, users in FENCED.items():
                if dependency.startswith(prefix) and crate not in users:
                    found.append(f"{crate} must not depend on {dependency} (only {', '.join(sorted(users))} may)")
    return found


@pytest.fixture(scope="module")
def packages():
    done = subprocess.run(["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"], cwd=ROOT,
                          stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)["packages"]


def test_edges(packages):
    assert {"cendre-cpython", "cendre-ir", "cendre-runtime", "cendre"} <= {package["name"] for package in packages}
    edges = [(package["name"], dependency["name"], dependency["kind"] or "normal")
             for package in packages for dependency in package["dependencies"]]
    assert violations(edges) == []


@pytest.mark.parametrize("edge", [
    ("cendre-ir", "cendre-bytecode", "normal"),
    ("cendre-ir", "cranelift-codegen", "normal"),
    ("cendre-bytecode", "pyo3-ffi", "normal"),
    ("cendre-passes", "cendre-bytecode", "build"),
    ("cendre-codegen", "cendre-runtime", "dev"),
    ("cendre-runtime", "cranelift-frontend", "normal"),
    ("cendre-cpython", "cendre-ir", "normal"),
    ("cendre-new", "libc", "normal"),
])
def test_a_wrong_edge_is_found(edge):
    assert len(violations([edge])) == 1


def sources(crate):
    return sorted((ROOT / "crates" / crate / "src").rglob("*.rs"))


def code_lines(path):
    """Lines without their comments and strings, in which the word `unsafe` means something."""
    for line in path.read_text().splitlines():
        yield re.sub(r'"(\\.|[^"\\])*"', '""', line).split("//")[0]


def test_unsafe_only_where_it_belongs(packages):
    found = []
    for package in packages:
        crate = package["name"]
        if crate in UNSAFE_ALLOWED:
            continue
        if "#![forbid(unsafe_code)]" not in (ROOT / "crates" / crate / "src/lib.rs").read_text():
            found.append(f"{crate}/src/lib.rs lacks #![forbid(unsafe_code)]")
    assert found == []


def test_every_unsafe_block_says_why(packages):
    found = []
    for package in packages:
        for path in sources(package["name"]):
            reason = False
            for number, (line, code) in enumerate(zip(path.read_text().splitlines(), code_lines(path)), 1):
                if re.search(r"\bunsafe \{", code) and not reason and "SAFETY" not in line:
                    found.append(f"{path.relative_to(ROOT)}:{number}")
                if "SAFETY" in line:
                    reason = True
                elif not line.lstrip().startswith("//"):
                    reason = False
    assert found == []


def test_files_open_with_what_they_hold_and_stay_short(packages):
    listed = subprocess.run(["git", "ls-files", "*.rs", "*.py"], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    found = []
    for name in listed.stdout.split():
        path = ROOT / name
        if not path.exists():
            continue
        lines = path.read_text().splitlines()
        if len(lines) > LONGEST_FILE and "tests" not in path.relative_to(ROOT).parts:
            found.append(f"{name} has {len(lines)} lines (at most {LONGEST_FILE}: make a folder of it)")
        if name.startswith("crates/") and "/src/" in name and not lines[0].startswith("//!"):
            found.append(f"{name} does not open with what it holds (//!)")
    assert found == []
