"""CPython 3.14 out of Debian's own packages, under a private prefix (`.python/`), on a Debian too old to have it.

Nothing of the system is touched and root is not needed: the packages of a newer suite are downloaded from the mirror
that apt is set up with (and checked with apt's own keys), unpacked, and the interpreter is told to use the libc and
loader that came along.

Invariant: `.python/` either is complete and matches this recipe (its stamp), or is made again from nothing.
"""

import os
import shutil
import subprocess
from pathlib import Path

from project import CACHE, PRIVATE_PYTHON, SetupError, digest, forget, is_done, mark_done, run, say

SUITE = "sid"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LOADER = "ld-linux-x86-64.so.2"
LIBRARIES = "usr/lib/x86_64-linux-gnu"

PACKAGES = [
    # The interpreter; headers for the layout probe and the C example; pip's wheel; CPython's own test suite.
    "python3.14", "python3.14-minimal", "libpython3.14-minimal", "libpython3.14-stdlib",
    "python3.14-dev", "libpython3.14-dev", "python3.14-venv", "python3-pip-whl", "libpython3.14-testsuite",
    # What its own extension modules, and wheels from the package index, load.
    "libc6", "libssl3t64", "libexpat1", "zlib1g", "libbz2-1.0", "libdb5.3t64", "libffi8", "liblzma5",
    "libncursesw6", "libtinfo6", "libreadline8t64", "libsqlite3-0", "libuuid1", "libzstd1", "libgcc-s1", "libstdc++6",
    # Runs under the loader that comes with it, so that none need be installed.
    "patchelf",
]

_KEY = digest(SUITE, *PACKAGES, files=[Path(__file__).resolve()])


def executable():
    """Where the private interpreter lies, whether or not it is there."""
    return PRIVATE_PYTHON / "usr/bin/python3.14"


def is_private(path):
    """Whether this is the interpreter that this module makes."""
    return Path(path) == executable()


def is_current():
    """Whether the prefix is complete and was made by this recipe."""
    return is_done("private-python", _KEY) and executable().exists()


def _mirror():
    """The mirror of Debian's main archive that apt is set up with; None if there is none."""
    done = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, text=True)
    for uri in done.stdout.split():
        if uri.rstrip("/").endswith("debian"):
            return uri
    return None


def cannot():
    """Why this way to a Python is closed on this machine; None when it is open."""
    for tool in ("apt-get", "dpkg", "dpkg-deb"):
        if not shutil.which(tool):
            return f"no {tool} here (not a Debian)"
    arch = subprocess.run(["dpkg", "--print-architecture"], stdout=subprocess.PIPE, check=False, text=True).stdout.strip()
    if arch != "amd64":
        return f"Debian on {arch} (only amd64 so far)"
    if not KEYRING.exists():
        return "no keys of Debian's archive (package debian-archive-keyring)"
    if not _mirror():
        return "apt knows no mirror of Debian's archive"
    return None


def install():
    """Makes the prefix if it is not there, and returns the interpreter's path."""
    if is_current():
        return executable()
    forget("private-python")
    shutil.rmtree(PRIVATE_PYTHON, ignore_errors=True)
    work = CACHE / "apt"
    shutil.rmtree(work, ignore_errors=True)
    debs = work / "debs"
    for folder in (work / "lists/partial", work / "archives/partial", debs):
        folder.mkdir(parents=True)
    (work / "source.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} {SUITE} main\n")
    # A private state: the system's package lists stay as they are, and no lock of theirs is taken.
    apt = ["apt-get", "-qq", "-o", f"Dir::Etc::sourcelist={work}/source.list", "-o", "Dir::Etc::sourceparts=/dev/null",
           "-o", f"Dir::State::Lists={work}/lists", "-o", f"Dir::Cache={work}", "-o", "Debug::NoLocking=1",
           "-o", "Acquire::Languages=none", "-o", "Acquire::Retries=3", "-o", f"APT::Sandbox::User={_user()}"]
    try:
        run("apt", [*apt, "update"])
        say("python", f"Debian's package list read (suite {SUITE})")
        run("apt", [*apt, "download", *PACKAGES], cwd=debs)
        found = sorted(debs.glob("*.deb"))
        size = sum(deb.stat().st_size for deb in found) / 1e6
        say("python", f"{len(found)} packages downloaded ({size:.0f} MB)")
        for deb in found:
            run("apt", ["dpkg-deb", "-x", deb, PRIVATE_PYTHON])
        _relocate()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    mark_done("private-python", _KEY)
    say("python", "unpacked into .python/ with its own libc and loader")
    return executable()


def _user():
    """Downloads run as whoever we are: apt's own user could not write below a home directory."""
    return "root" if os.geteuid() == 0 else ""


def _relocate():
    """Makes the interpreter use the prefix's loader and libraries."""
    libraries = PRIVATE_PYTHON / LIBRARIES
    loader = libraries / LOADER
    if not loader.exists():
        raise SetupError(f"libc6 of suite {SUITE} has no {LOADER} where it is expected")
    python = executable()
    patchelf = [loader, "--library-path", libraries, PRIVATE_PYTHON / "usr/bin/patchelf"]
    # --force-rpath: RPATH, unlike RUNPATH, also holds for the libraries of extension modules. Two runs in this order:
    # patchelf 0.18 sets both in one run, or the loader first, in a way that makes the program crash when it is started.
    run("apt", [*patchelf, "--force-rpath", "--set-rpath", libraries, python])
    run("apt", [*patchelf, "--set-interpreter", loader, python])
    run("apt", [python, "-I", "-c", "import ctypes, ssl, sqlite3, bz2, lzma, readline, uuid"])
