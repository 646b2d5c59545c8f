"""A GraphQL service at its normal job: graphql-core resolves a deep query whose asynchronous resolvers are mostly cached.

A small shop: customers have orders, orders have lines, lines have products, products have reviews, reviews have
authors. Each resolver awaits a repository, the repository awaits a cache, and the cache awaits the (pretended) data
base only when it must: before each request one product is changed, so a few reads of each request are misses.

Invariant: what is printed depends on the arguments only, never on timing or addresses, so that two runs can be compared
byte for byte. `scripts/main_job.py` does that.

    pip install -r examples/requirements.txt
    python examples/graphql_service.py [REQUESTS]
"""
import asyncio
import hashlib
import json
import sys

try:
    from graphql import build_schema, execute, parse, validate
except ImportError:
    sys.exit("graphql_service.py needs graphql-core: pip install -r examples/requirements.txt")

SCHEMA = """
type Query { customers(first: Int!): [Customer!]! }
type Customer { id: Int! name: String! orders: [Order!]! }
type Order { id: Int! lines: [Line!]! total: Int! }
type Line { quantity: Int! product: Product! }
type Product { id: Int! title: String! price: Int! reviews: [Review!]! }
type Review { stars: Int! author: Customer! }
"""

QUERY = """
query Shop($first: Int!) {
  customers(first: $first) {
    id name
    orders {
      id total
      lines {
        quantity
        product { id title price reviews { stars author { id name } } }
      }
    }
  }
}
"""

CUSTOMERS, PRODUCTS, ORDERS_EACH, LINES_EACH, REVIEWS_EACH = 12, 40, 3, 3, 2


class Database:
    """Rows made from their keys; reading one suspends once, as a round trip would."""

    def __init__(self):
        self.reads = 0
        self.revision = [0] * PRODUCTS

    async def read(self, kind, key):
        self.reads += 1
        await asyncio.sleep(0)
        return getattr(self, "make_" + kind)(key)

    def make_customer(self, key):
        orders = [key * ORDERS_EACH + n for n in range(ORDERS_EACH)]
        return {"id": key, "name": f"customer {key}", "order_ids": orders}

    def make_order(self, key):
        lines = [{"quantity": 1 + (key + n) % 5, "product_id": (key * 7 + n * 11) % PRODUCTS} for n in range(LINES_EACH)]
        return {"id": key, "lines": lines}

    def make_product(self, key):
        price = 100 + key * 3 + self.revision[key]
        reviews = [{"stars": 1 + (key + n) % 5, "author_id": (key + n * 5) % CUSTOMERS} for n in range(REVIEWS_EACH)]
        return {"id": key, "title": f"product {key}", "price": price, "reviews": reviews}


class Cache:
    """Rows by kind and key; a miss goes to the data base."""

    def __init__(self, database):
        self.database = database
        self.rows = {}
        self.hits = 0

    async def get(self, kind, key):
        row = self.rows.get((kind, key))
        if row is not None:
            self.hits += 1
            return row
        row = await self.database.read(kind, key)
        self.rows[kind, key] = row
        return row

    def forget(self, kind, key):
        self.rows.pop((kind, key), None)


class Repository:
    """One method a kind of row; what the resolvers await."""

    def __init__(self, cache):
        self.cache = cache

    async def customer(self, key):
        return await self.cache.get("customer", key)

    async def order(self, key):
        return await self.cache.get("order", key)

    async def product(self, key):
        return await self.cache.get("product", key)


async def resolve_customers(_root, info, first):
    repository = info.context
    return [await repository.customer(key) for key in range(first)]


async def resolve_orders(customer, info):
    repository = info.context
    return [await repository.order(key) for key in customer["order_ids"]]


async def resolve_total(order, info):
    repository = info.context
    total = 0
    for line in order["lines"]:
        product = await repository.product(line["product_id"])
        total += product["price"] * line["quantity"]
    return total


async def resolve_product(line, info):
    return await info.context.product(line["product_id"])


async def resolve_author(review, info):
    return await info.context.customer(review["author_id"])


def make_schema():
    """The schema with our resolvers attached; fields without one read the key of their name."""
    schema = build_schema(SCHEMA)
    for type_name, field, resolver in (
        ("Query", "customers", resolve_customers),
        ("Customer", "orders", resolve_orders),
        ("Order", "total", resolve_total),
        ("Line", "product", resolve_product),
        ("Review", "author", resolve_author),
    ):
        schema.type_map[type_name].fields[field].resolve = resolver
    return schema


def count_fields(data):
    """How many values an answer holds, to see that the query was resolved to its full depth."""
    if isinstance(data, dict):
        return sum(count_fields(value) for value in data.values())
    if isinstance(data, list):
        return sum(count_fields(value) for value in data)
    return 1


async def serve(requests):
    """Answers `requests` requests; returns what there is to print."""
    schema = make_schema()
    document = parse(QUERY)
    errors = validate(schema, document)
    assert not errors, errors
    database = Database()
    cache = Cache(database)
    repository = Repository(cache)
    digest = hashlib.sha256()
    values = 0
    for number in range(requests):
        changed = number % PRODUCTS
        database.revision[changed] += 1
        cache.forget("product", changed)
        result = await execute(schema, document, context_value=repository, variable_values={"first": CUSTOMERS})
        assert result.errors is None, result.errors
        values += count_fields(result.data)
        digest.update(json.dumps(result.data).encode())
    return values, cache.hits, database.reads, digest.hexdigest()


def main(argv):
    """Runs the example; `argv` may hold the number of requests."""
    requests = int(argv[0]) if argv else 150
    values, hits, reads, digest = asyncio.run(serve(requests))
    lines = CUSTOMERS * ORDERS_EACH * LINES_EACH
    # customers: id, name; orders: id, total; lines: quantity, id, title, price; reviews: stars, id, name
    each = CUSTOMERS * 2 + CUSTOMERS * ORDERS_EACH * 2 + lines * 4 + lines * REVIEWS_EACH * 3
    assert values == requests * each, (values, requests * each)
    print(f"requests  {requests}")
    print(f"values    {values}")
    print(f"hits      {hits}")
    print(f"reads     {reads}")
    print(f"answers   sha256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
