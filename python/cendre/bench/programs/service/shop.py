"""The service that `cendre bench service` measures: a page of a shop, put together from look-ups, cached and not.

A page asks for its visitor, then for twelve products at once; each product asks for its record and its price at once. One look-up in
sixteen is not cached and waits a millisecond, as for an answer of another service. What is asked for is drawn from the page's number, so that
`expected` knows the answer without any of this.
"""

import asyncio
import json

PRODUCTS = 12
PAGES = 4096
ONE_IN = 16
BACKEND_SECONDS = 0.001


class Cache:
    """Holds everything but one key in sixteen: those have expired whenever they are asked for."""

    def __init__(self):
        self.entries = {}
        self.hits = self.misses = 0

    def get(self, kind, number):
        """The value, or None."""
        if number % ONE_IN == len(kind) % ONE_IN:
            self.misses += 1
            return None
        key = kind, number
        value = self.entries.get(key)
        if value is None:
            value = self.entries[key] = RECORDS[kind](number)
        self.hits += 1
        return value


def visitor(number):
    return {"id": number, "name": f"visitor {number}", "discount": number % 7}


def product(number):
    return {"id": number, "name": f"product {number}", "tags": [f"tag{number % n}" for n in (3, 5, 11)], "stock": number * 7 % 50}


def price(number):
    return 100 + number * 37 % 900


RECORDS = {"visitor": visitor, "product": product, "price": price}


class Shop:
    """The handlers' business."""

    def __init__(self):
        self.cache = Cache()

    async def look_up(self, kind, number):
        """A record from the cache, or from the other service."""
        value = self.cache.get(kind, number)
        if value is not None:
            return value
        return await self.ask(kind, number)

    async def ask(self, kind, number):
        """The other service's answer."""
        await asyncio.sleep(BACKEND_SECONDS)
        return RECORDS[kind](number)

    async def item(self, number, discount):
        """A line of the page."""
        record, cost = await asyncio.gather(self.look_up("product", number), self.look_up("price", number))
        return self.line(record, cost, discount)

    @staticmethod
    def line(record, cost, discount):
        """What the page says of a product."""
        final = cost * (100 - discount) // 100
        return {"id": record["id"], "name": record["name"], "tags": sorted(record["tags"]), "price": final, "available": record["stock"] > 0}

    async def page(self, number):
        """The page's text."""
        who = await self.look_up("visitor", number)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.item(n, who["discount"])) for n in wanted(number)]
        return render(number, who, [task.result() for task in tasks])


def wanted(number):
    """The products of a page."""
    return [(number * 31 + n * 17) % 1000 for n in range(PRODUCTS)]


def render(number, who, items):
    """The page as JSON."""
    shown = [item for item in items if item["available"]]
    return json.dumps({"page": number, "visitor": who["name"], "items": shown, "total": sum(item["price"] for item in shown)})


def expected(number):
    """The answer, put together without a loop, a cache or a task."""
    who = visitor(number)
    return render(number, who, [Shop.line(product(n), price(n), who["discount"]) for n in wanted(number)])
