"""Runs a test suite plain and in modes, each module in processes of its own, keeps what became of each test, and compares.

A module's outcome in a mode is kept on disk, so that a run goes on where one stopped; outcomes of another build of cendre are not used again.
Invariant: `Suite.run` answers 0 only if every test that was asked for was compared and nothing differs. What differs between suites is the `Subject`;
read `processes.py`, `outcomes.py`. Users: `tests/cpython`, `tests/frameworks`.
"""

import hashlib
import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import modes
import outcomes
import processes
import report

ROOT = Path(__file__).resolve().parents[2]
SAY_AFTER = 30


@dataclass(frozen=True)
class Subject:
    """A test suite."""

    title: str
    # What runs a module (see `processes.Limits.worker`), and what its outcomes depend on beside the Python and cendre.
    worker: tuple
    key: str = ""
    # {test id: reason}: what cannot hold by design.
    by_design: dict = field(default_factory=dict)
    # The ids of a module that are counted apart, and what the report calls them.
    apart: Callable = lambda module: set()
    apart_title: str = "apart"


def build_id():
    """Names the build of cendre: its outcomes hold for it alone."""
    digest = hashlib.sha256()
    package = Path(importlib.util.find_spec("cendre").origin).parent
    for file in sorted(p for p in package.rglob("*") if p.suffix in (".so", ".py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def add_options(parser, folder):
    """The options of the command line that every suite has."""
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="modules at a time (default: the cores there are)")
    parser.add_argument("--seed", type=int, default=modes.SEED, help="of what the modes draw (default: %(default)s)")
    parser.add_argument("--store", type=Path, default=folder, help=f"where outcomes are kept (default: {folder.relative_to(ROOT)})")
    parser.add_argument("--keep", action="store_true", help="use kept outcomes of other builds too")
    parser.add_argument("--report", type=Path, default=folder / "report.md", help=f"the report (default: {folder.relative_to(ROOT)}/report.md)")
    parser.add_argument("--fast", action="store_true", help="compile with Cranelift's fastest settings, not with those of users: about twice the tests for the time")
    parser.add_argument("--test-timeout", type=float, default=300, metavar="SECONDS", help="of one test (default: %(default)s)")
    parser.add_argument("--module-timeout", type=float, default=1800, metavar="SECONDS", help="of one process (default: %(default)s)")
    parser.add_argument("--memory", type=int, default=8192, metavar="MIB", help="address space of one process (default: %(default)s)")
    parser.add_argument("--only-report", action="store_true", help="run nothing, write the report of the outcomes that are kept")


def check_options(parser, options):
    """Ends with a message where the values make no sense."""
    if options.jobs < 1 or options.seed < 0 or options.memory < 512:
        parser.error("--jobs takes 1 or more, --seed 0 or more, --memory 512 or more")


class Store:
    """Outcomes on disk: one file for each module and configuration."""

    def __init__(self, folder, keep):
        self.folder, self.keep = folder, keep

    def path(self, config, module):
        """Where it is kept."""
        return self.folder / "-".join(config) / f"{module}.json"

    def get(self, config, module, key):
        """The outcome, if there is one that may be used again."""
        try:
            kept = json.loads(self.path(config, module).read_text())
        except (OSError, ValueError):
            return None
        return kept if kept["key"] == key or self.keep else None

    def put(self, config, module, key, result):
        """Keeps an outcome; it is there as a whole or not at all."""
        path = self.path(config, module)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".new").write_text(json.dumps(dict(result, key=key), indent=1))
        path.with_suffix(".new").replace(path)


class Job:
    """One module in one configuration."""

    def __init__(self, suite, config, module):
        self.suite, self.config, self.module = suite, config, module

    def run(self):
        """The outcome, from the store or by running it; suspects are looked at twice."""
        suite, config, module = self.suite, self.config, self.module
        key = suite.key(config)
        got = suite.store.get(config, module, key)
        if got is not None:
            return got
        env = modes.environment(*config, seed=suite.options.seed, fast=suite.options.fast) if config != ("plain",) else modes.environment("plain")
        label = f"{'-'.join(config)} {module}"
        told = suite.progress.start(label)
        try:
            got = processes.run_module(module, env, suite.limits, told=told)
            if config != ("plain",):
                self.look_again(got, env, told)
        finally:
            suite.progress.end(label)
        suite.store.put(config, module, key, got)
        return got

    def look_again(self, got, env, told):
        """Runs the suspects alone, in this mode and plain: what passes then, or fails there too, is no difference."""
        doubtful = outcomes.suspects(self.suite.plain(self.module), got)
        got["again"] = processes.second_look(self.module, doubtful, env, modes.environment("plain"), self.suite.limits, told)


class Suite:
    """One run of the command."""

    def __init__(self, subject, options):
        self.subject, self.options = subject, options
        self.build = build_id()
        self.limits = processes.Limits(options.test_timeout, options.module_timeout, options.memory << 20, options.resources, subject.worker)
        self.store = Store(options.store, options.keep)
        self.progress = processes.Progress()
        self.lock, self.plain_locks = threading.Lock(), {}
        self.bad = 0

    def key(self, config):
        """What an outcome depends on."""
        what = f"{sys.version} {self.limits.resources}{self.subject.key}"
        return what if config == ("plain",) else f"{what} {self.build} {self.options.seed}{' fast' if self.options.fast else ''}"

    def plain(self, module):
        """The module's plain outcome; only one thread runs it."""
        with self.lock:
            lock = self.plain_locks.setdefault(module, threading.Lock())
        with lock:
            return Job(self, ("plain",), module).run()

    def one(self, n, total, config, module):
        """A job, and the line that says how it went."""
        begun = time.monotonic()
        plain = self.plain(module)
        got = Job(self, config, module).run()
        c = outcomes.compare(plain, got, self.subject.by_design, self.subject.apart(module))
        broken = plain["module"] == "error" and not plain["tests"]
        with self.lock:
            self.bad += bool(c.differs) or broken
            seconds = time.monotonic() - begun
            told = "NO TESTS, plain neither" if broken else f"{len(c.differs)} DIFFER" if c.differs else "as plain"
            extra = "".join(f", {len(v)} {k}" for k, v in (("flaky", c.flaky), ("by design", c.by_design), (self.subject.apart_title, c.apart)) if v)
            print(f"[{n}/{total}] {'-'.join(config)} {module}: {c.passed} passed, {c.skipped_by_test} skipped, {told}{extra} ({seconds:.0f} s)", flush=True)
            for test, have in c.differs.items():
                why = have["why"].strip().split("\n")
                print(f"    {test}: {have['outcome']}: {why[0][:160]}", flush=True)
        return c

    def run(self, modules, configs):
        """Everything; answers the status."""
        work = [(config, module) for config in configs for module in modules]
        stop = threading.Event()

        def say():
            while not stop.wait(SAY_AFTER):
                text = self.progress.text()
                if text:
                    print(f"  running: {text}", flush=True)
        speaker = threading.Thread(target=say, daemon=True)
        speaker.start()
        with ThreadPoolExecutor(self.options.jobs) as pool:
            jobs = [pool.submit(self.one, n, len(work), *item) for n, item in enumerate(work, 1)]
            try:
                for job in jobs:
                    job.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        stop.set()
        report.write(self.store, modules, configs, self.subject, self.options.report, sys.version)
        print(f"{self.bad} of {len(work)} differ; {self.options.report} has the report", flush=True)
        return 1 if self.bad else 0


def run(subject, options, modules, configs):
    """What the options ask for; answers the status."""
    if options.only_report:
        report.write(Store(options.store, keep=True), modules, configs, subject, options.report, sys.version)
        return 0
    return Suite(subject, options).run(modules, configs)
