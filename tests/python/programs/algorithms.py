"""Small whole programs: what people write, mixed types and all, long enough that loops are entered in the middle.
Held: the results (checked sums where they are long)."""
import bisect
import heapq
import random

from kit import ALL, outcome, sweep

MUST_COMPILE = ALL


def queens(n):
    def place(row, columns, left, right):
        if row == n:
            return 1
        count = 0
        for c in range(n):
            if c not in columns and row - c not in left and row + c not in right:
                count += place(row + 1, columns | {c}, left | {row - c}, right | {row + c})
        return count
    return place(0, frozenset(), frozenset(), frozenset())


def mandelbrot(size, limit):
    rows = []
    for y in range(size):
        row = ""
        for x in range(size):
            c = complex(2.0 * x / size - 1.5, 2.0 * y / size - 1.0)
            z = 0j
            for i in range(limit):
                if abs(z) > 2:
                    break
                z = z * z + c
            row += " .:-=+*#%@"[i % 10]
        rows.append(row)
    return rows


def mandelbrot_floats(size, limit):
    total = 0
    for y in range(size):
        ci = 2.0 * y / size - 1.0
        for x in range(size):
            cr = 2.0 * x / size - 1.5
            zr = zi = 0.0
            i = 0
            while i < limit and zr * zr + zi * zi < 4.0:
                zr, zi = zr * zr - zi * zi + cr, 2.0 * zr * zi + ci
                i += 1
            total += i
    return total


class Body:
    def __init__(self, x, y, vx, vy, m):
        self.x, self.y, self.vx, self.vy, self.m = x, y, vx, vy, m


def advance(bodies, dt, n):
    for _ in range(n):
        for i, a in enumerate(bodies):
            for b in bodies[i + 1:]:
                dx, dy = a.x - b.x, a.y - b.y
                d2 = dx * dx + dy * dy + 0.01
                mag = dt / (d2 * d2 ** 0.5)
                a.vx -= dx * b.m * mag
                a.vy -= dy * b.m * mag
                b.vx += dx * a.m * mag
                b.vy += dy * a.m * mag
        for a in bodies:
            a.x += dt * a.vx
            a.y += dt * a.vy
    return [(a.x, a.y) for a in bodies]


def n_body(n, kind):
    return advance([Body(kind(0), kind(0), kind(0), kind(0), kind(10)), Body(kind(1), kind(0), kind(0), kind(1), kind(1)), Body(kind(0), kind(2), kind(1), kind(0), kind(1))], 0.01, n)


def spectral(n):
    def a(i, j):
        return 1.0 / ((i + j) * (i + j + 1) // 2 + i + 1)

    def times(v, transposed):
        return [sum((a(j, i) if transposed else a(i, j)) * v[j] for j in range(n)) for i in range(n)]
    u = [1.0] * n
    for _ in range(3):
        v = times(times(u, False), True)
        u = times(times(v, False), True)
    return sum(x * y for x, y in zip(u, v)) / sum(x * x for x in v)


def fannkuch(n):
    p, q, s = list(range(n)), list(range(n)), list(range(n))
    sign, most, total = 1, 0, 0
    while True:
        if p[0]:
            q[:] = p
            flips = 1
            while True:
                k = q[q[0]]
                if not k:
                    break
                head = q[0]
                q[:head + 1] = q[head::-1]
                flips += 1
            flips = flips if q[0] else flips
            most = max(most, flips)
            total += sign * flips
        if sign == 1:
            p[0], p[1] = p[1], p[0]
            sign = -1
        else:
            p[1], p[2] = p[2], p[1]
            sign = 1
            for i in range(2, n):
                if s[i]:
                    s[i] -= 1
                    break
                s[i] = i
                if i == n - 1:
                    return total, most
                t = p[0]
                p[:i + 1] = p[1:i + 2]
                p[i + 1] = t


def tokens(text):
    i = 0
    while i < len(text):
        c = text[i]
        if c.isspace():
            i += 1
        elif c.isdigit():
            j = i
            while j < len(text) and (text[j].isdigit() or text[j] == "."):
                j += 1
            yield float(text[i:j]) if "." in text[i:j] else int(text[i:j])
            i = j
        elif c in "+-*/()%":
            yield c
            i += 1
        else:
            raise SyntaxError(f"bad {c!r} at {i}")
    yield None


class Parser:
    """A calculator by recursive descent over a generator of tokens."""

    def __init__(self, text):
        self.tokens = tokens(text)
        self.next()

    def next(self):
        self.token = next(self.tokens)

    def expression(self):
        value = self.term()
        while self.token in ("+", "-"):
            op = self.token
            self.next()
            other = self.term()
            value = value + other if op == "+" else value - other
        return value

    def term(self):
        value = self.factor()
        while (op := self.token) in ("*", "/", "%"):
            self.next()
            other = self.factor()
            match op:
                case "*":
                    value *= other
                case "/":
                    value /= other
                case _:
                    value %= other
        return value

    def factor(self):
        match self.token:
            case "-":
                self.next()
                return -self.factor()
            case "(":
                self.next()
                value = self.expression()
                if self.token != ")":
                    raise SyntaxError(f"expected ) not {self.token!r}")
                self.next()
                return value
            case int() | float() as value:
                self.next()
                return value
            case other:
                raise SyntaxError(f"unexpected {other!r}")


def calculate(text):
    return Parser(text).expression()


def dijkstra(graph, start):
    best, queue = {}, [(0, start)]
    while queue:
        d, node = heapq.heappop(queue)
        if node in best:
            continue
        best[node] = d
        for other, w in graph.get(node, {}).items():
            if other not in best:
                heapq.heappush(queue, (d + w, other))
    return best


def edit_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(last + (x != y), row[j] + 1, row[j - 1] + 1)
    return row[-1]


class Tree:
    __slots__ = ("key", "left", "right")

    def __init__(self, key):
        self.key, self.left, self.right = key, None, None

    def insert(self, key):
        node = self
        while True:
            side = "left" if key < node.key else "right"
            child = getattr(node, side)
            if child is None:
                setattr(node, side, Tree(key))
                return
            node = child

    def __iter__(self):
        if self.left is not None:
            yield from self.left
        yield self.key
        if self.right is not None:
            yield from self.right

    def depth(self):
        return 1 + max(self.left.depth() if self.left else 0, self.right.depth() if self.right else 0)


def tree_sort(items):
    it = iter(items)
    root = Tree(next(it))
    for x in it:
        root.insert(x)
    return list(root), root.depth()


def hash_text(text, modulus):
    h = 0xcbf29ce484222325
    for c in text:
        h = ((h ^ ord(c)) * 0x100000001b3) % modulus
    return h


def random_numbers(n, state):
    """A 64 bit generator: ints that grow over a machine word and are cut again."""
    out = []
    for _ in range(n):
        state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        out.append(((state >> 18) ^ state) >> 27 & 0xFFFFFFFF)
    return out


def big_fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def collatz(n):
    longest = 0, 0
    for start in range(1, n):
        k, steps = start, 0
        while k != 1:
            k = k // 2 if k % 2 == 0 else 3 * k + 1
            steps += 1
        longest = max(longest, (steps, start))
    return longest


def memoised(n):
    cache = {}
    def ways(k, coins):
        if k == 0:
            return 1
        if k < 0 or not coins:
            return 0
        key = k, coins
        if key not in cache:
            cache[key] = ways(k - coins[0], coins) + ways(k, coins[1:])
        return cache[key]
    return ways(n, (50, 25, 10, 5, 1)), len(cache)


def life(cells, steps):
    for _ in range(steps):
        counts = {}
        for x, y in cells:
            for dx in (-1, 0, 1):
                for dy in (-1, 0, 1):
                    if dx or dy:
                        at = x + dx, y + dy
                        counts[at] = counts.get(at, 0) + 1
        cells = {at for at, n in counts.items() if n == 3 or n == 2 and at in cells}
    return sorted(cells)


class Vector:
    def __init__(self, *v):
        self.v = v

    def __add__(self, o):
        return Vector(*(a + b for a, b in zip(self.v, o.v, strict=True)))

    def __mul__(self, k):
        return Vector(*[a * k for a in self.v]) if not isinstance(k, Vector) else sum(a * b for a, b in zip(self.v, k.v))

    __rmul__ = __mul__

    def __eq__(self, o):
        return isinstance(o, Vector) and self.v == o.v

    def __repr__(self):
        return f"Vector{self.v}"


def vectors(n):
    total = Vector(0, 0.0)
    for i in range(n):
        total = total + 2 * Vector(i, i * 0.5)
    return total, total * total, outcome(lambda: total + Vector(1)), outcome(lambda: total + 5)


def bubble(items):
    items = list(items)
    for i in range(len(items)):
        for j in range(len(items) - 1 - i):
            if items[j] > items[j + 1]:
                items[j], items[j + 1] = items[j + 1], items[j]
    return items


def quick(items):
    if len(items) < 2:
        return items
    pivot, *rest = items
    return quick([x for x in rest if x < pivot]) + [pivot] + quick([x for x in rest if not x < pivot])


def machine(program):
    """A bytecode interpreter with a dispatch by if: many branches on one local."""
    stack, names, pc, steps = [], {}, 0, 0
    while pc < len(program):
        op, *args = program[pc]
        pc += 1
        steps += 1
        if op == "push":
            stack.append(args[0])
        elif op == "add":
            b, a = stack.pop(), stack.pop()
            stack.append(a + b)
        elif op == "store":
            names[args[0]] = stack.pop()
        elif op == "load":
            stack.append(names[args[0]])
        elif op == "less":
            b, a = stack.pop(), stack.pop()
            stack.append(a < b)
        elif op == "jump_if":
            if stack.pop():
                pc = args[0]
        else:
            raise RuntimeError(op)
    return names, steps


PROGRAM = [("push", 0), ("store", "i"), ("push", 0), ("store", "s"), ("load", "s"), ("load", "i"), ("add",), ("store", "s"), ("load", "i"), ("push", 1), ("add",), ("store", "i"), ("load", "i"), ("push", 200), ("less",), ("jump_if", 4)]


def cases():
    yield "queens", lambda: sweep(queens, [(5,), (6,), (0,)])
    yield "mandelbrot", lambda: sweep(mandelbrot, [(12, 20), (3, 5)], 2)
    yield "mandelbrot_floats", lambda: sweep(mandelbrot_floats, [(15, 40), (3.5, 3)], 2)
    yield "n_body", lambda: [outcome(n_body, 40, k) for k in (float, int, bool, str)]
    yield "spectral", lambda: sweep(spectral, [(12,), (1,)], 2)
    yield "fannkuch", lambda: sweep(fannkuch, [(5,), (6,)], 2)
    yield "calculate", lambda: [outcome(calculate, t) for t in ("1 + 2 * 3", "(1 + 2) * -3.5 / 7", "10 % 4 - 2 * (3 - 4)", "1 / 0", "2 * (3", "", "a", "99999999999 * 99999999999", "1.5.2")] * 3
    yield "dijkstra", lambda: [dijkstra({i: {i + 1: 1, (i * 7) % 30: 2.5} for i in range(30)}, 0), dijkstra({}, "a"), outcome(dijkstra, {0: {1: "x"}}, 0)]
    yield "edit_distance", lambda: sweep(edit_distance, [("kitten sitting", "sitting kitten"), ("", "abc"), ([1, 2], (2, 1)), ("a", 5)])
    yield "tree_sort", lambda: [outcome(tree_sort, i) for i in ([(i * 37) % 101 for i in range(60)], [1.5, 2, True], "hello", ["a", 1])]
    yield "hash_text", lambda: sweep(hash_text, [("hello world" * 5, 2**64), ("\u4e00", 2**31), ("", 1), ("abc", 2.5), ("abc", 0)])
    yield "random_numbers", lambda: sweep(random_numbers, [(50, 42), (50, 2**63), (3, True), (3, 1.5)])
    yield "big_fibonacci", lambda: sweep(big_fibonacci, [(40,), (92,), (93,), (400,)])
    yield "collatz", lambda: sweep(collatz, [(300,), (2,)], 2)
    yield "memoised", lambda: sweep(memoised, [(100,), (0,), (7.5,)], 3)
    yield "life", lambda: life({(0, 1), (1, 2), (2, 0), (2, 1), (2, 2)}, 12)
    yield "vectors", lambda: sweep(vectors, [(30,), (0,)])
    values = random.Random(1).sample(range(1000), 40)
    for f in (bubble, quick):
        yield f.__name__, lambda f=f: sweep(f, [(values,), ([v / 7 for v in values],), ([str(v) for v in values],), ([1, "a"],), ([],), ([2**70, 1.5, True],)])
    yield "machine", lambda: [outcome(machine, PROGRAM), outcome(machine, [("push", "a"), ("push", 1), ("add",)]), outcome(machine, [("oops",)]), outcome(machine, [("add",)])]
    yield "bisect", lambda: [bisect.bisect(sorted(values), v) for v in (0, 500, 2.5)]
