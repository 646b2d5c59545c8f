"""Makes the environment of the frameworks under .cache/frameworks: a virtual environment with the pinned packages, and their suites.

The suites come from the source distributions; what is tested is what is installed, so the packages' own folders are taken out of them.
Invariant: the project's .venv is not touched; cendre is in the environment by the same two .pth files as in .venv, the same build.
"""

import shutil
import sys
import sysconfig
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import project  # noqa: E402
import setup  # noqa: E402

FOLDER = ROOT / ".cache" / "frameworks"
VENV = FOLDER / "venv"
PYTHON = VENV / "bin" / "python"
SUITES = FOLDER / "suites"
PINS = (HERE / "requirements.txt", HERE / "sources.txt")


def site_packages():
    """Where the packages of the environment lie."""
    return VENV / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def key():
    """What outcomes depend on beside Python and cendre."""
    return project.digest(files=PINS)[:16]


def make():
    """Makes what is not there; a `SetupError` says what failed."""
    done = project.digest(sys.version, sys._base_executable, files=PINS)
    if not (project.is_done("frameworks", done) and PYTHON.exists()):
        project.forget("frameworks")
        project.say("suites", "installing the frameworks and unpacking their suites (a minute)")
        shutil.rmtree(FOLDER / "venv", ignore_errors=True)
        shutil.rmtree(SUITES, ignore_errors=True)
        FOLDER.mkdir(parents=True, exist_ok=True)
        setup.create_venv("frameworks", sys._base_executable, VENV)
        pip = [PYTHON, "-m", "pip"]
        quiet = ["--disable-pip-version-check", "--no-deps"]
        project.run("frameworks", [*pip, "install", *quiet, "-r", HERE / "requirements.txt"])
        project.run("frameworks", [*pip, "download", *quiet, "--no-binary", ":all:", "--no-build-isolation", "--require-hashes", "-d", SUITES,
                                   "-r", HERE / "sources.txt"])
        for archive in sorted(SUITES.glob("*.tar.gz")):
            unpack(archive)
        project.mark_done("frameworks", done)
    for name in ("cendre.pth", "cendre_autostart.pth"):
        shutil.copy(Path(sysconfig.get_path("purelib")) / name, site_packages() / name)


def unpack(archive):
    """Unpacks a suite to SUITES/NAME, without the package itself."""
    name = archive.name.split("-")[0]
    with tarfile.open(archive) as file:
        file.extractall(SUITES, filter="data")
    folder = SUITES / name
    (SUITES / archive.name.removesuffix(".tar.gz")).rename(folder)
    for own in ("src", name):
        shutil.rmtree(folder / own, ignore_errors=True)
    archive.unlink()
