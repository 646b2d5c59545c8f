"""Rows about awaited calls: chains that never suspend, that suspend now and then, and always.

Every program counts what it is named after: the driver counts the suspensions it saw, and the result says how many
calls were made. Read `docs/benchmarks.md` for what each row means; `worker.py` for how a program is run.
"""
import asyncio
import types


async def leaf(x):
    return x + 1


async def middle(x):
    return await leaf(x)


async def chain(n):
    total = 0
    for i in range(n):
        total += await middle(i)
    return total


@types.coroutine
def pause():
    yield


async def pausing_leaf(x, every):
    if x % every == 0:
        await pause()
    return x + 1


async def pausing_middle(x, every):
    return await pausing_leaf(x, every)


async def pausing_chain(n, every):
    total = 0
    for i in range(n):
        total += await pausing_middle(i, every)
    return total


async def waiting_leaf(x, every, loop):
    if x % every == 0:
        future = loop.create_future()
        loop.call_soon(future.set_result, 1000)
        return x + await future
    return x + 1


async def waiting_middle(x, every, loop):
    return await waiting_leaf(x, every, loop)


async def waiting_chain(n, every):
    loop = asyncio.get_running_loop()
    total = 0
    for i in range(n):
        total += await waiting_middle(i, every, loop)
    return total


class Store:
    """A cache whose reads are coroutines, as a service would have it."""

    def __init__(self, size):
        self.values = {key: key * 2 for key in range(size)}
        self.reads = 0

    async def get(self, key):
        self.reads += 1
        return self.values[key]


class Service:
    def __init__(self, store):
        self.store = store

    async def double(self, key):
        value = await self.store.get(key)
        return value


async def serve(service, n):
    total = 0
    for i in range(n):
        total += await service.double(i & 63)
    return total


class Lock:
    """An asynchronous context manager that never has to wait."""

    def __init__(self):
        self.entered = self.left = 0

    async def __aenter__(self):
        self.entered += 1
        return self

    async def __aexit__(self, kind, error, traceback):
        self.left += 1
        return False


async def locked(lock, n):
    total = 0
    for i in range(n):
        async with lock:
            total += i
    return total


async def numbers(n):
    for i in range(n):
        yield i


async def collect(n):
    total = 0
    async for i in numbers(n):
        total += i
    return total


def drive(coroutine):
    """The smallest event loop: sends None until the end; the result and the number of suspensions."""
    suspended = 0
    send = coroutine.send
    try:
        while True:
            send(None)
            suspended += 1
    except StopIteration as stop:
        return stop.value, suspended


def never(n):
    return drive(chain(n))


def pausing(every):
    return lambda n: drive(pausing_chain(n, every))


def waiting(every):
    runner = asyncio.Runner()
    return lambda n: runner.run(waiting_chain(n, every))


def methods(n):
    store = Store(64)
    return (*drive(serve(Service(store), n)), store.reads)


def async_with(n):
    lock = Lock()
    return (*drive(locked(lock, n)), lock.entered, lock.left)


def async_for(n):
    return drive(collect(n))


def ups(n):
    """1 + 2 + ... + n, without a loop."""
    return n * (n + 1) // 2


def multiples(n, every):
    """How many of 0 .. n-1 are multiples of `every`."""
    return -(-n // every)


def waited(every):
    # each wait gives 1000 in the place of 1, so the sum says how many calls really waited
    return lambda n: ups(n) + 999 * multiples(n, every)


def workload(name):
    """The program of a row: (function of n, n, number of operations, expected result for n)."""
    if name == "await-never":
        return never, 200_000, 400_000, lambda n: (ups(n), 0)
    if name == "await-pause-10":
        return pausing(10), 150_000, 300_000, lambda n: (ups(n), multiples(n, 10))
    if name == "await-pause-1":
        return pausing(1), 60_000, 120_000, lambda n: (ups(n), n)
    if name == "await-future-10":
        return waiting(10), 60_000, 120_000, waited(10)
    if name == "await-future-1":
        return waiting(1), 10_000, 20_000, waited(1)
    if name == "await-method":
        whole = sum(2 * key for key in range(64))
        return methods, 64 * 2000, 64 * 2000 * 2, lambda n: (n // 64 * whole, 0, n)
    if name == "async-with":
        return async_with, 150_000, 300_000, lambda n: (ups(n - 1), 0, n, n)
    if name == "async-for":
        return async_for, 200_000, 200_000, lambda n: (ups(n - 1), 0)
    raise LookupError(name)
