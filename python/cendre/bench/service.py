"""`cendre bench service`: a service over HTTP, plain and under cendre with each policy for asyncio's tasks.

The shop of `programs/service` runs on aiohttp and on Starlette with uvicorn, a process for each configuration; h2load (nghttp2's load generator) asks for its
pages over the loopback. First as fast as each can answer, then at fixed parts of the plain maximum. Rounds are interleaved, so that all configurations meet
the same noise. Beside latencies stands the processor time that the server spent on a request, which noise touches least.
Invariant: a configuration is measured only if its answers are right, before and after; a request that fails is told. Nothing fails by a number.
Read docs/benchmarks.md, "A service".
"""

import argparse
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from .. import _config
from . import plot
from .estimate import speedup
from .registry import PLAIN, Feature, Row
from .results import Result
from .runner import RowFailed, ending, environment

PROGRAM = Path(__file__).resolve().parent / "programs" / "service"
SERVERS = {"aiohttp": "aiohttp", "starlette": "Starlette on uvicorn"}
LEVELS = (20, 50, 80, 95)
CLIENTS = 32
CHECKED = 64
# The part of a run whose latencies do not count.
SETTLE = 0.25
TICKS = os.sysconf("SC_CLK_TCK")


def policies():
    """The policies for tasks that there are."""
    def known(policy):
        try:
            return _config.VARIABLES["CENDRE_TASKS"][1](policy)
        except ValueError:
            return None
    return [p for p in ("off", "exact", "family", "eager") if known(p)]


def configurations():
    """Plain, compiled code with asyncio's own tasks, and with each policy."""
    return [PLAIN, Feature("full", "CENDRE=1", {"CENDRE": "1"}),
            *(Feature(f"tasks-{p}", f"CENDRE=1, tasks {p}", {"CENDRE": "1", "CENDRE_TASKS": p}) for p in policies())]


class Server:
    """A process that serves the shop."""

    def __init__(self, kind, feature):
        self.feature = feature
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen([sys.executable, "-P", str(PROGRAM / "serve.py"), kind], env=environment(feature.environment, 0) | {"PYTHONPATH": str(PROGRAM)},
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RowFailed(self.end_of("did not start"))
        self.port = int(line)

    def end_of(self, what):
        """A sentence about a process that is not as it should be."""
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.errors.seek(0)
        return f"{self.feature.title}: {what}, {ending(self.process.wait())}\n{self.errors.read()[-2000:].decode(errors='replace')}".rstrip()

    def check(self, expected):
        """Asks for some pages and compares them."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            for number, right in expected.items():
                connection.request("GET", f"/page/{number}")
                answer = connection.getresponse()
                text = answer.read().decode()
                if answer.status != 200 or text != right:
                    raise RowFailed(f"{self.feature.title}: page {number} is wrong (status {answer.status}): {text[:300]}")
        except (OSError, http.client.HTTPException) as error:
            raise RowFailed(self.end_of(f"gave no answer ({error!r})")) from error
        finally:
            connection.close()

    def processor_seconds(self):
        """What the process has used so far, user and system."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident(self):
        """Resident memory in MiB."""
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    def end(self):
        """Ends it; what cendre has done in it."""
        try:
            said, _ = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RowFailed(f"{self.feature.title}: the process did not end") from None
        if self.process.returncode:
            raise RowFailed(self.end_of("at the end"))
        return json.loads(said.splitlines()[-1])


class Load:
    """What one run of the load generator gave: requests a second, latencies in ms, processor time a request in ms."""

    def __init__(self, server, program, seconds, rate=None):
        with tempfile.TemporaryDirectory(prefix="cendre-bench-") as folder:
            pages, logs = Path(folder) / "pages", []
            pages.write_text("".join(f"http://127.0.0.1:{server.port}/page/{n * 61 % 4096}\n" for n in range(512)))

            def start(clients, *more):
                logs.append(Path(folder) / f"log{len(logs)}")
                return subprocess.Popen([program, "--h1", "-i", str(pages), "-c", str(clients), "-D", f"{seconds * 1e3:.0f}ms", f"--log-file={logs[-1]}", *more],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            before = server.processor_seconds()
            if rate is None:
                running = [start(CLIENTS)]
            else:
                # The clients of one h2load send in step. Processes of their own, no two at the same rate, come as visitors do: whenever they like.
                running = [start(1, f"--rps={rate / CLIENTS * (0.75 + 0.5 * n / (CLIENTS - 1)):.3f}") for n in range(CLIENTS)]
            try:
                ends = [(process.communicate(timeout=60 + 4 * seconds)[0], process.returncode) for process in running]
            except subprocess.TimeoutExpired:
                raise RowFailed(f"{server.feature.title}: h2load did not end") from None
            finally:
                for process in running:
                    if process.poll() is None:
                        process.kill()
                        process.wait()
            spent = server.processor_seconds() - before
            for said, code in ends:
                if code:
                    raise RowFailed(f"{server.feature.title}: h2load {ending(code)}: {said[-500:]}")
            rows = [[int(field) for field in line.split("\t")[:3]] for log in logs for line in log.read_text().splitlines()]
        bad = [status for _, status, _ in rows if status != 200]
        if bad or not rows:
            raise RowFailed(f"{server.feature.title}: {len(bad)} of {len(rows)} requests failed (status {sorted(set(bad))})")
        first, last = min(start for start, _, _ in rows), max(start + took for start, _, took in rows)
        self.rate = len(rows) / (last - first) * 1e6
        # Starting the generators disturbs the first requests.
        times = sorted(took / 1e3 for start, _, took in rows if start - first >= SETTLE * seconds * 1e6) or [took / 1e3 for _, _, took in rows]
        self.median, self.high = times[len(times) // 2], times[min(len(times) * 99 // 100, len(times) - 1)]
        self.processor = spent / len(rows) * 1e3

    FIGURES = ("rate", "processor", "median", "high")

    def as_json(self):
        return {name: getattr(self, name) for name in self.FIGURES}


def measure(kind, features, options, progress):
    """{level: {feature: [Load]}} of one server; the level None is the maximum."""
    sys.path.insert(0, str(PROGRAM))
    try:
        import shop
    finally:
        sys.path.remove(str(PROGRAM))
    expected = {n: shop.expected(n) for n in range(0, CHECKED * 17, 17)}
    servers, stats = [], {}
    try:
        for feature in features:
            servers.append(Server(kind, feature))
            servers[-1].check(expected)
            progress(f"{kind}, {feature.title}: warming up")
            Load(servers[-1], options.h2load, options.warm_up)
        loads = {None: {f.name: [] for f in features}}
        for n in range(options.rounds):
            for server in servers:
                progress(f"{kind}, {server.feature.title}: maximum, {n + 1} of {options.rounds}")
                loads[None][server.feature.name].append(Load(server, options.h2load, options.seconds))
        most = median(load.rate for load in loads[None][PLAIN.name])
        for level in options.levels:
            loads[level] = {f.name: [] for f in features}
            for n in range(options.rounds):
                for server in servers:
                    progress(f"{kind}, {server.feature.title}: {level} % of {most:.0f} requests a second, {n + 1} of {options.rounds}")
                    loads[level][server.feature.name].append(Load(server, options.h2load, options.seconds, most * level / 100))
        for server in servers:
            server.check(expected)
            stats[server.feature.name] = {"resident": server.resident()}
        for server in servers:
            stats[server.feature.name]["cendre"] = server.end()
    finally:
        for server in servers:
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()
    return loads, stats


def ratios(kind, loads, features):
    """A row for each figure that has a ratio, in the form that tables and plots take: above 1 is better than plain."""
    rows = []
    for level, by_feature in loads.items():
        for figure, title in zip(Load.FIGURES, ("requests a second", "processor time", "p50", "p99"), strict=True):
            if (figure == "rate") != (level is None) and figure != "processor":
                continue
            result = Result(Row(f"{kind}, {title}" + ("" if level is None else f" at {level} %"), "", operation="request"), unit="")
            # As times, so that more is worse.
            blocks = {name: [[(1 / load.rate if figure == "rate" else getattr(load, figure)) or 1e-9] for load in own] for name, own in by_feature.items()}
            for feature in features[1:]:
                result.figures[feature.name, "warm"] = speedup(blocks[PLAIN.name], blocks[feature.name], "warm")
            rows.append(result)
    return rows


def print_tables(kind, loads, stats, features, out):
    """Absolute figures, a block for each level."""
    plain_most = median(load.rate for load in loads[None][PLAIN.name])
    for level, by_feature in loads.items():
        print(f"\n{SERVERS[kind]}, " + ("as many requests as it answers" if level is None else f"{level} % of {plain_most:.0f} requests a second"), file=out)
        print(f"    {'':24} {'requests/s':>10} {'processor time a request':>28} {'p50':>12} {'p99':>12}", file=out)
        plain = median(load.processor for load in by_feature[PLAIN.name])
        for feature in features:
            rate, processor, middle, high = (median(getattr(load, f) for load in by_feature[feature.name]) for f in Load.FIGURES)
            times = f"({plain / processor:.2f} x)" if processor else ""
            print(f"    {feature.title:24} {rate:10.0f} {processor:17.3f} ms {times:>9} {middle:9.2f} ms {high:9.2f} ms", file=out)
    print("\n    " + "; ".join(f"{feature.title}: {stats[feature.name]['resident']:.0f} MiB" for feature in features), file=out)


def main(argv, progress):
    """Runs `cendre bench service` with these arguments; the exit status."""
    parser = argparse.ArgumentParser(prog="cendre bench service", description="A service on aiohttp and on Starlette, plain and under each policy, driven by h2load.")
    parser.add_argument("servers", nargs="*", metavar="server", help=f"of {', '.join(SERVERS)} (default: both)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each configuration and level (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a run (%(default)s)")
    parser.add_argument("--warm-up", type=float, default=8.0, metavar="SECONDS", help="before them (%(default)s)")
    parser.add_argument("--levels", type=lambda text: [int(part) for part in text.split(",") if part], default=list(LEVELS), metavar="PERCENT,...",
                        help="of the plain maximum (20,50,80,95)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="of the configurations but plain, these: full, tasks-off, ... (can be given again)")
    parser.add_argument("--h2load", default=shutil.which("h2load"), help="the load generator (default: the one on PATH)")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--svg", metavar="FILE", help="draw the ratios to plain")
    options = parser.parse_intermixed_args(argv)
    for server in options.servers:
        if server not in SERVERS:
            parser.error(f"no server {server!r}; there are {', '.join(SERVERS)}")
    features = [f for f in configurations() if f is PLAIN or not options.only or f.name in options.only]
    if not options.h2load:
        print("cendre bench service: no h2load on PATH (Debian: the package nghttp2-client); --h2load says where it is", file=sys.stderr)
        return 1
    measured, rows, failed = {}, [], False
    for kind in options.servers or SERVERS:
        try:
            loads, stats = measure(kind, features, options, progress)
        except RowFailed as error:
            progress.done(f"{kind}: FAILED\n{error}")
            failed = True
            continue
        progress.done(f"{kind}: done")
        print_tables(kind, loads, stats, features, sys.stdout)
        rows += ratios(kind, loads, features)
        measured[kind] = {"stats": stats, "loads": {str(level or "maximum"): {n: [load.as_json() for load in own] for n, own in by.items()} for level, by in loads.items()}}
    if options.json:
        Path(options.json).write_text(json.dumps(measured, indent=1), encoding="utf-8")
    if options.svg:
        plot.write_svg(options.svg, rows, features)
    return 1 if failed else 0
