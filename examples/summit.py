"""The example of the 2022 Language Summit's talk on awaited calls: an await chain that usually has nothing to wait for.

A request asks a service, the service asks its cache. Nearly every time the value is there, so both coroutines finish
without suspending, and the coroutine objects that were built for them were never needed. Now and then the value is
missing and the innermost call really waits for a backend.

Invariant: what is printed depends on the arguments only, never on timing, so that two runs can be compared byte for
byte. `scripts/main_job.py` does that.

    python examples/summit.py [REQUESTS]
"""
import asyncio
import sys

KEYS = 64
EXPIRES_AFTER = 100  # reads of one key before its value must be fetched again


class Backend:
    """Where values come from when the cache does not have them; each fetch suspends once."""

    def __init__(self):
        self.fetched = 0

    async def fetch(self, key):
        self.fetched += 1
        await asyncio.sleep(0)
        return key * key + self.fetched


class Cache:
    """Values by key, each good for `EXPIRES_AFTER` reads."""

    def __init__(self, backend):
        self.backend = backend
        self.values = {}
        self.reads = {}
        self.hits = 0

    async def get(self, key):
        left = self.reads.get(key, 0)
        if left:
            self.reads[key] = left - 1
            self.hits += 1
            return self.values[key]
        value = await self.backend.fetch(key)
        self.values[key] = value
        self.reads[key] = EXPIRES_AFTER - 1
        return value


class Service:
    """What a request talks to: one await deep, and the cache behind it is the second."""

    def __init__(self, cache):
        self.cache = cache

    async def price(self, key, quantity):
        value = await self.cache.get(key)
        return value * quantity


async def serve(service, requests):
    """Answers `requests` requests one after the other and returns a checksum of all the answers."""
    checksum = 0
    for number in range(requests):
        answer = await service.price(number % KEYS, number & 7)
        checksum = (checksum * 31 + answer) % 1_000_000_007
    return checksum


def main(argv):
    """Runs the example; `argv` may hold the number of requests."""
    requests = int(argv[0]) if argv else 4_000_000
    backend = Backend()
    cache = Cache(backend)
    checksum = asyncio.run(serve(Service(cache), requests))
    # The two counts must add up whatever runs this program: each request reads the cache exactly once.
    assert cache.hits + backend.fetched == requests
    print(f"requests  {requests}")
    print(f"hits      {cache.hits}")
    print(f"fetched   {backend.fetched}")
    print(f"checksum  {checksum}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
