"""CPython's own test suite under cendre: `make test-cpython`, or `python tests/cpython [options] [test_module ...]`.

Runs the modules of the `test` package that this Python comes with, each in processes of its own, plain and in the modes of `modes.py`,
compares test by test and writes a report. What is done is kept under .cache/cpython, so that a second run goes on where the first
stopped; outcomes of another build of cendre are not used again.
Invariant: the status is 0 only if every test that was asked for was compared and nothing differs. Read `processes.py`, `outcomes.py`.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import modes  # noqa: E402
import outcomes  # noqa: E402
import processes  # noqa: E402
import report  # noqa: E402

ROOT = HERE.parents[1]
SAY_AFTER = 30


def all_modules():
    """Names of all modules of the suite, as its own runner lists them."""
    found = subprocess.run([sys.executable, "-m", "test", "--list-tests"], env=modes.environment("plain"), capture_output=True, text=True, check=True)
    return [name if name.startswith("test.") else f"test.{name}" for name in found.stdout.split()]


def build_id():
    """Names the build of cendre: its outcomes hold for it alone."""
    digest = hashlib.sha256()
    package = Path(importlib.util.find_spec("cendre").origin).parent
    for file in sorted(p for p in package.rglob("*") if p.suffix in (".so", ".py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


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

    def __init__(self, options):
        self.options = options
        self.build = build_id()
        self.limits = processes.Limits(options.test_timeout, options.module_timeout, options.memory << 20, options.resources)
        self.store = Store(options.store, options.keep)
        self.progress = processes.Progress()
        self.lock, self.plain_locks = threading.Lock(), {}
        self.by_design = outcomes.skips()
        self.bad = 0

    def key(self, config):
        """What an outcome depends on."""
        what = f"{sys.version} {self.limits.resources}"
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
        c = outcomes.compare(plain, got, self.by_design, outcomes.specialisation_tests(module))
        with self.lock:
            self.bad += bool(c.differs)
            seconds = time.monotonic() - begun
            told = f"{len(c.differs)} DIFFER" if c.differs else "as plain"
            extra = "".join(f", {len(v)} {k}" for k, v in (("flaky", c.flaky), ("by design", c.by_design), ("specialisation", c.specialisation)) if v)
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
        report.write(self.store, modules, configs, self.by_design, self.options.report, sys.version)
        print(f"{self.bad} of {len(work)} differ; {self.options.report} has the report", flush=True)
        return 1 if self.bad else 0


def main():
    """Command line."""
    parser = argparse.ArgumentParser(prog="tests/cpython", description="CPython's own test suite under cendre, compared with plain CPython test by test.")
    parser.add_argument("modules", nargs="*", metavar="test_module", help="modules (default: all)")
    parser.add_argument("--modes", default=",".join(modes.MODES), help=f"of {', '.join(modes.MODES)} (default: all of them)")
    parser.add_argument("--entries", default=",".join(modes.ENTRIES), help="executor (executors on), vectorcall (off) (default: both)")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="modules at a time (default: the cores there are)")
    parser.add_argument("--seed", type=int, default=modes.SEED, help="of what the modes draw (default: %(default)s)")
    parser.add_argument("--store", type=Path, default=ROOT / ".cache" / "cpython", help="where outcomes are kept (default: .cache/cpython)")
    parser.add_argument("--keep", action="store_true", help="use kept outcomes of other builds too")
    parser.add_argument("--report", type=Path, default=ROOT / ".cache" / "cpython" / "report.md", help="the report (default: .cache/cpython/report.md)")
    parser.add_argument("--fast", action="store_true", help="compile with Cranelift's fastest settings, not with those of users: about twice the tests for the time")
    parser.add_argument("--test-timeout", type=float, default=300, metavar="SECONDS", help="of one test (default: %(default)s)")
    parser.add_argument("--module-timeout", type=float, default=1800, metavar="SECONDS", help="of one process (default: %(default)s)")
    parser.add_argument("--memory", type=int, default=8192, metavar="MIB", help="address space of one process (default: %(default)s)")
    parser.add_argument("-u", dest="resources", default="cpu,subprocess", help="resources that tests may use, as for python -m test (default: %(default)s)")
    parser.add_argument("--only-report", action="store_true", help="run nothing, write the report of the outcomes that are kept")
    options = parser.parse_args()
    chosen, entries = options.modes.split(","), options.entries.split(",")
    for what, given, known in (("mode", chosen, modes.MODES), ("kind of entries", entries, modes.ENTRIES)):
        for name in given:
            if name not in known:
                parser.error(f"no {what} {name!r}; there are {', '.join(known)}")
    if options.jobs < 1 or options.seed < 0 or options.memory < 512:
        parser.error("--jobs takes 1 or more, --seed 0 or more, --memory 512 or more")
    try:
        present = all_modules()
    except subprocess.CalledProcessError:
        parser.exit(3, "tests/cpython: this Python comes without its test suite (package `test`); a distribution may have it in a package of its own\n")
    if options.modules:
        wanted = [name if name.startswith("test.") else f"test.{name}" for name in options.modules]
        modules = [m for w in wanted for m in present if m == w or m.startswith(f"{w}.")]
        for w in wanted:
            if not any(m == w or m.startswith(f"{w}.") for m in modules):
                parser.error(f"the suite has no module {w}")
    else:
        modules = present
    configs = [(mode, e) for mode in chosen for e in entries]
    modules = list(dict.fromkeys(modules))
    if options.only_report:
        report.write(Store(options.store, keep=True), modules, configs, outcomes.skips(), options.report, sys.version)
        return
    sys.exit(Suite(options).run(modules, configs))


if __name__ == "__main__":
    main()
