"""The suites: where their tests lie, in which parts they run, and how pytest runs them.

A part is what runs in one process, unless it crashes: with everything compiled, starting pytest takes longer than most files of tests.
Invariant: a suite runs with its own configuration (warnings are errors in all of them), without what is about its own project: coverage,
parallel runs, limits of time (the runner has its own). Standard library only: the worker imports this before anything else.
"""

import socket
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".cache" / "frameworks"
SITE = FOLDER / "venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


class Suite:
    """One suite. `parts`: {name: patterns of files, from the root of the tests}; a file belongs to the first part that takes it."""

    name = ""
    config = "pyproject.toml"
    parts = {}
    options = ()

    def source(self):
        """Where its source distribution is unpacked."""
        return FOLDER / "suites" / self.name

    def root(self):
        """What the names of tests are relative to."""
        return self.source()

    def files(self):
        """{part: its files}."""
        found, taken = {}, set()
        for part, patterns in self.parts.items():
            paths = sorted({path for pattern in patterns for path in self.root().glob(pattern)} - taken)
            taken.update(paths)
            found[part] = paths
        return found

    def id(self, nodeid):
        """The name of a test in the report."""
        return f"{self.name}/{nodeid}"

    def arguments(self):
        """Those of pytest."""
        return ["-c", str(self.source() / self.config), "--rootdir", str(self.root()), "-o", "addopts=", "-p", "no:cacheprovider", "-q", "--tb=short",
                "--continue-on-collection-errors", *self.options]

    def prepare(self, items):
        """Called with the tests that were found."""


class Trio(Suite):
    """trio's; its tests are in the package. What needs linters and type checkers is left out by its own option."""

    name = "trio"
    parts = {"core": ["_core/_tests/test_*.py"], "a-h": ["_tests/test_[a-h]*.py"], "i-s": ["_tests/test_[i-r]*.py", "_tests/test_s[a-s]*.py"], "s-z": ["_tests/**/test_*.py"]}
    options = ("-p", "trio._tests.pytest_plugin", "--import-mode=importlib", "--skip-optional-imports")

    def root(self):
        return SITE / "trio"


class Anyio(Suite):
    """anyio's, each test on asyncio, asyncio with uvloop, asyncio with eager tasks, and trio."""

    name = "anyio"
    parts = {"sockets": ["tests/test_sockets.py"], "plugin": ["tests/test_pytest_plugin.py"], "tasks": ["tests/test_taskgroups.py"],
             "threads": ["tests/test_from_thread.py", "tests/test_to_*.py", "tests/test_subprocesses.py", "tests/test_signals.py"],
             "files": ["tests/test_fileio.py", "tests/test_tempfile.py", "tests/test_[a-f]*.py"], "rest": ["tests/**/test_*.py"]}
    options = ("-p", "anyio", "-p", "pytest_mock", "-p", "timeout", "-o", "timeout=0")

    def source(self):
        return FOLDER / "suites" / "anyio"

    def prepare(self, items):
        import pytest

        try:
            socket.getaddrinfo("localhost", 80, socket.AF_INET6)
            return
        except OSError:
            pass
        # They would fail, and leave sockets behind that other tests are blamed for.
        for item in items:
            if item.path.name == "test_sockets.py" and ("ipv6" in item.name or "dualstack" in item.name or item.originalname in self.both):
                item.add_marker(pytest.mark.skip(reason="localhost has no IPv6 address here"))

    both = ("test_unretrieved_future_exception_server_crash",)


class AnyioWithoutDebug(Anyio):
    """The same on asyncio without its debug mode, in which the suite runs its loops: there cendre leaves tasks to asyncio."""

    name = "anyio-nodebug"
    parts = {part: Anyio.parts[part] for part in ("sockets", "tasks", "rest")}

    def prepare(self, items):
        super().prepare(items)
        items[:] = [item for item in items if isinstance(self.backend(item), tuple)]
        for item in items:
            name, options = self.backend(item)
            item.callspec.params["anyio_backend"] = (name, options | {"debug": False})

    @staticmethod
    def backend(item):
        """The backend of a test, or None."""
        return getattr(item, "callspec", None) and item.callspec.params.get("anyio_backend")


class Aiohttp(Suite):
    """aiohttp's. What its own configuration leaves out too (`-m`) is left out."""

    name = "aiohttp"
    config = "pytest.ini"
    parts = {"client-functional": ["tests/test_client_functional.py", "tests/test_client_ws_functional.py", "tests/test_proxy_functional.py"],
             "web-functional": ["tests/test_web_*functional.py", "tests/test_web_server.py", "tests/test_web_runner.py", "tests/test_run_app.py", "tests/test_test_utils.py"],
             "client": ["tests/test_client*.py", "tests/test_connector.py", "tests/test_proxy.py", "tests/test_resolver.py"],
             "web": ["tests/test_web*.py", "tests/test_urldispatch.py"], "benchmarks": ["tests/test_benchmarks*.py"],
             "parser": ["tests/test_http_parser.py"], "processes": ["tests/test_circular_imports.py", "tests/test_imports.py", "tests/test_leaks.py", "tests/test_worker.py"],
             "rest": ["tests/test_*.py"]}
    options = ("-p", "pytest_mock", "-p", "pytest_codspeed.plugin", "-p", "timeout", "-o", "timeout=0", "-m", "not dev_mode and not autobahn and not internal")


SUITES = {suite.name: suite for suite in (Trio(), Anyio(), AnyioWithoutDebug(), Aiohttp())}


def modules():
    """Names of all parts of all suites, as the runner takes them."""
    return [f"{name}.{part}" for name, suite in SUITES.items() for part in suite.parts]


def find(module):
    """(the suite, the files) of a part by name."""
    name, _, part = module.partition(".")
    return SUITES[name], SUITES[name].files()[part]
