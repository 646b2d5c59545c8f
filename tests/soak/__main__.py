"""A service under load for minutes, with guards that fail although nothing is wrong: `make soak`, or `python tests/soak [options]`.

The server is that of `cendre bench service`, with everything compiled after a few calls, forced leaves, and a policy for tasks; the client, aiohttp's in this process,
compares every answer with the one it knows, and now and then goes away before it has come, which cancels the handler.
Invariant: the status is 0 only if every answer was right, guards were made to fail, no policy gave up, memory stayed flat and the process ended as it should.
"""

import argparse
import asyncio
import random
import sys
import time
from statistics import median

import aiohttp

from cendre.bench import service
from cendre.bench.registry import Feature
from cendre.bench.runner import RowFailed

sys.path.insert(0, str(service.PROGRAM))

import shop  # noqa: E402

CLIENTS = 24
# One request in so many is given up by the client.
GIVEN_UP = 50
SAY_AFTER = 20
# MiB that the last quarter of the run may have more than the second: caches of the allocator, not a leak of each request.
GROWTH = 6.0


class Soak:
    """One run."""

    def __init__(self, server, seconds, seed):
        self.server, self.end = server, time.monotonic() + seconds
        self.random = random.Random(seed)
        self.right = self.given_up = 0
        self.wrong, self.memory = [], []

    async def client(self, session):
        """Asks for pages until the time is over or something was wrong."""
        while time.monotonic() < self.end and not self.wrong:
            number = self.random.randrange(shop.PAGES)
            url = f"http://127.0.0.1:{self.server.port}/page/{number}"
            if not self.random.randrange(GIVEN_UP):
                try:
                    async with asyncio.timeout(self.random.random() * 0.003):
                        async with session.get(url) as answer:
                            await answer.read()
                except TimeoutError:
                    pass
                self.given_up += 1
                continue
            try:
                async with session.get(url) as answer:
                    text = await answer.text()
            except aiohttp.ClientError as error:
                self.wrong.append(f"page {number}: {error!r}")
                return
            if answer.status != 200 or text != shop.expected(number):
                self.wrong.append(f"page {number}: status {answer.status}: {text[:300]}")
            self.right += 1

    async def watch(self):
        """Notes the memory once a second, and says how it goes."""
        begun = said = time.monotonic()
        while time.monotonic() < self.end and not self.wrong:
            await asyncio.sleep(1)
            self.memory.append(self.server.resident())
            if time.monotonic() - said >= SAY_AFTER:
                said = time.monotonic()
                print(f"  {said - begun:.0f} s: {self.right} right answers, {self.given_up} given up, {self.memory[-1]:.1f} MiB", flush=True)

    async def run(self):
        """All clients at once."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CLIENTS), timeout=aiohttp.ClientTimeout(total=60)) as session:
            await asyncio.gather(self.watch(), *(self.client(session) for _ in range(CLIENTS)))

    def faults(self, stats):
        """What is not as it should be, in sentences."""
        if stats is None:
            return ["cendre was not on in the server"]
        found = list(self.wrong)
        if not self.right:
            found.append("no answer came")
        if not stats["jit"]["left_forced"]:
            found.append("no guard was made to fail")
        if "tasks" in stats and (stats["tasks"]["faults"] or not stats["tasks"]["steps"]):
            found.append(f"the policy gave up, or did not work: {stats['tasks']}")
        grown = self.grown()
        if grown is None:
            found.append("too short to judge the memory")
        elif grown > GROWTH:
            found.append(f"memory grew by {grown:.1f} MiB between the second and the last quarter")
        return found

    def grown(self):
        """MiB between the middle of the second and of the last quarter."""
        quarter = len(self.memory) // 4
        return median(self.memory[-quarter:]) - median(self.memory[quarter:2 * quarter]) if quarter >= 3 else None


def main():
    """Command line."""
    parser = argparse.ArgumentParser(prog="tests/soak", description="A service under load with forced leaves; every answer is checked.")
    parser.add_argument("--server", choices=service.SERVERS, default="aiohttp", help="(%(default)s)")
    parser.add_argument("--policy", choices=["none", *service.policies()], default="exact", help="for tasks; none: asyncio's own code (%(default)s)")
    parser.add_argument("--seconds", type=float, default=600, help="(%(default)s)")
    parser.add_argument("--leaves", type=int, default=400, help="one guard in so many fails (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    variables = {"CENDRE": "1", "CENDRE_THRESHOLD": "0", "CENDRE_WARMUP": "2-20", "CENDRE_SEED": str(options.seed), "CENDRE_FORCE_LEAVES": str(options.leaves)}
    if options.policy != "none":
        variables["CENDRE_TASKS"] = options.policy
    try:
        server = service.Server(options.server, Feature("soak", f"{options.server}, policy {options.policy}", variables))
        soak = Soak(server, options.seconds, options.seed)
        asyncio.run(soak.run())
        stats = server.end()
    except RowFailed as error:
        print(error)
        return 1
    faults = soak.faults(stats)
    jit = (stats or {}).get("jit", dict.fromkeys(("compiled", "left", "left_forced"), 0))
    print(f"{options.server}, policy {options.policy}, {options.seconds:.0f} s: {soak.right} right answers, {soak.given_up} requests given up, {len(soak.wrong)} wrong; "
          f"{jit['compiled']} compiled, {jit['left']} guards failed and {jit['left_forced']} were made to; memory {soak.memory[0]:.1f} MiB at first, "
          f"{soak.memory[-1]:.1f} at the end, {soak.grown() or 0:+.1f} between the second and the last quarter")
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
