"""Which object a number is: one computation makes one object, wherever it stands, and another computation makes another.
Held: `is` of numbers that were computed and then stood in two places of any kind (locals, attributes, items, cells, arguments, results, the
stack of a frame that is left), around loops and where paths meet; ints and floats, of one digit and more, and the cached small ones."""
import sys

from kit import ALL, Yield, drive, matrix, sweep

MUST_COMPILE = ALL


class Box:
    def __init__(self, x=0, y=0):
        self.x = x
        self.y = y

    def twice(self, k):
        self.x = self.y = k * 1000 + 1
        return self.x is self.y

    def cached(self, k):
        self.x = k * 3000
        return self.x

    def keep(self, x):
        self.x = x
        return x


class Slots:
    __slots__ = ("x", "y")


class Watcher:
    """Takes part in comparisons and arithmetic, and remembers with which objects."""

    def __init__(self):
        self.seen = []

    def __lt__(self, other):
        self.seen.append(other)
        return True

    def __gt__(self, other):
        self.seen.append(other)
        return True

    def __getitem__(self, key):
        self.seen.append(key)
        return 5

    def __setitem__(self, key, value):
        self.seen.append(key)
        self.seen.append(value)

    def all_one(self):
        return [a is self.seen[0] for a in self.seen]


class Reflected:
    """No number: its operators remember the other operand."""

    def __init__(self):
        self.seen = []

    def keep(self, other):
        self.seen.append(other)
        return 7

    __radd__ = __rsub__ = __rmul__ = __add__ = __mod__ = __rmod__ = keep

    def __gt__(self, other):
        self.seen.append(other)
        return True

    def all_are(self, x):
        return [a is x for a in self.seen]


def seen_by(y, x):
    """Which of the numbers that y has met are this one; nothing if it is a number itself."""
    return y.all_are(x) if isinstance(y, Reflected) else []


def writes(name, value):
    """Writes a local of the caller."""
    sys._getframe(1).f_locals[name] = value
    return value


class WritesAtTheEnd:
    def __init__(self, value):
        self.value = value

    def __del__(self):
        sys._getframe(1).f_locals["x"] = self.value


def pair(*args, **kwargs):
    items = [*args, *kwargs.values()]
    return [a is items[0] for a in items]


def give(x):
    return x


def give_compared(x):
    if x > 12345678:
        return x + 1
    return x


def local_attribute(k):
    a = Box()
    x = k * 1000 + 1
    a.x = x
    y = a.x
    return x is a.x, y is x, a.x is y


def chained(k):
    a, b = Box(), Slots()
    a.x = b.y = k * 1000 + 1
    x = a.y = k * 2000 + 1
    b.x = y = z = k * 3000 + 1
    return a.x is b.y, x is a.y, b.x is y, y is z, b.x is z, a.x is x


def chained_locals(k):
    x = y = k * 1000 + 1
    p = q = r = k * 0.5 + 0.25 if k % 1 else k * 7000
    return x is y, p is q, q is r, x is p


def chained_items(k):
    d, l = {}, [0, 0, 0]
    l[0] = l[1] = d["a"] = x = k * 1000 + 1
    d[x] = x
    return l[0] is l[1], l[0] is d["a"], x is l[0], next(iter(d.values())) is x, list(d)[1] is d[x]


def appended(k):
    l = []
    x = k * 1000 + 1
    l.append(x)
    l.append(x)
    x = x + 1
    l.append(x)
    x = x - 1
    l.append(x)
    return [[a is b for a in l] for b in l], x is l[3]


def tuples(k):
    x = k * 1000 + 1
    t = (x, x)
    u = [x, t[0], x]
    s = {x: x}
    return t[0] is t[1], u[0] is t[1], u[1] is u[2], all(a is b for a, b in s.items())


def arguments(k):
    x = k * 1000 + 1
    return pair(x, x), pair(x, other=x), pair(*[x, x], y=x), pair(x, give(x)), pair(give(x), x, give_compared(x))


def walrus(k):
    l = [(y := k * 1000 + 1), y, y + 0]
    m = pair((z := k * 2000 + 1), z)
    n = (a := (b := k * 3000 + 1), b)
    return l[0] is l[1], l[1] is y, l[2] is y, m, n[0] is n[1], a is b


def across_calls(k):
    x = k * 1000 + 1
    t = (x, give(0), x)
    u = [x, give(x), x + 0, give_compared(x), x]
    v = (x, len([x]), x)
    return t[0] is t[2], [a is x for a in u], v[0] is v[2] is x, t[0] is u[0]


def across_branches(k, a, b):
    x = k * 1000 + 1
    y = k * 2000 + 1
    z = x if a else y
    t = (x, z if b else y, [0 for _ in range(3)], x)
    w = x and y
    v = a or x
    return z is x, z is y, t[0] is t[3], t[1] is z, t[1] is y, w is y, v is x, (x if b else z) is x


def comprehensions(k):
    x = k * 1000 + 1
    l = [x for _ in range(3)]
    m = [(i, (j := i * 1000 + k), j) for i in range(3)]
    d = {i * 700 + k: i for i in range(3)}
    e = {(q := i * 900 + k): q for i in range(3)}
    return [a is x for a in l], [a is b for _, a, b in m], len(d), [a is b for a, b in e.items()]


def copies(k):
    x = k * 1000 + 1
    y = x
    z = y
    x = x + 0
    w = z
    a, b = y, x
    a, b = b, a
    return y is z, x is y, w is y, a is x, b is z, a is b


def swapped(k, n):
    a, b = k * 1000 + 1, k * 2000 + 1
    l = [a, b]
    for _ in range(n):
        a, b = b, a
    return a is l[0], a is l[1], b is l[0], b is l[1]


def fibonacci(n):
    a, b = 1000, 1001
    seen = []
    for _ in range(n):
        a, b = b, a + b
        seen.append(a)
    return [x is seen[-1] for x in seen], b is a


def unchanged_in_loop(x, n, turn):
    y = x
    for i in range(n):
        if i == turn:
            x = x + 1
    return x is y, x


def unchanged_while(x, n):
    y = x
    z = 0
    while n > 0:
        n -= 1
        z += x
        if z < 0:
            x = z
    return x is y, x, z


def argument_through(x, n):
    for i in range(n):
        x += i
    return x


def through_loops(k):
    a = k * 1000 + 1
    b = argument_through(a, 0)
    c = argument_through(a, 1)
    d = argument_through(a, 3)
    return a is b, a is c, a is d


def recomputed(k, n):
    """The same value again is another object."""
    x = k * 1000 + 1
    y = x
    l = [x]
    for _ in range(n):
        x = k * 1000 + 1
    z = x
    for _ in range(n):
        x = x + 1 - 1
    return x is y, x is z, y is l[0], z is y


def loop_carried(k, n):
    last = k * 1000
    same = []
    for i in range(n):
        x = i * 1000 + k
        same.append(x is last)
        last = x
        same.append(x is last)
    return same, last is x


def kept_in_loop(k, n):
    l = []
    x = k * 1000 + 1
    for i in range(n):
        l.append(x)
        if i % 3 == 2:
            x = x + 1
    return [[a is b for a in l] for b in l], l[-1] is x


def pure_between(k, n):
    """A loop that lets nothing out between two places where everything does."""
    x = k * 1000 + 1
    l = [x]
    s = 0
    for i in range(n):
        s += i
        if s < 0:
            x = s
    l.append(x)
    l.append(s)
    return l[0] is l[1], x is l[0], s is l[2]


def nested(k, n):
    x = k * 1000 + 1
    y = x
    out = []
    for i in range(n):
        for j in range(n):
            if i * j == 2:
                x = x + j
        out.append(x)
        if i == 1:
            y = x
    return [a is x for a in out], [a is y for a in out], x is y


def in_place(a, k):
    """What an attribute held before is another object, and stays."""
    a.x = k * 1000 + 1
    y = a.x
    a.x += 1
    z = a.x
    a.x = a.x - 1
    t = (a.x, y, z, a.x)
    return y is a.x, t[0] is t[3], t[0] is y, z is a.x


def subscripts(k, n):
    l = [0] * 100
    w = Watcher()
    d = {}
    for i in range(n):
        l[i * 2 + 1] += 3
        w[i * 1000 + k] += 7
        d[i * 1000 + k] = d.get(i * 1000 + k, 0) + i * 900
        d[i * 1000 + k] += 900
    return l[:9], [w.seen[i] is w.seen[i + 1] for i in range(0, len(w.seen), 3)], list(d.values())


def compared(k):
    w = Watcher()
    r = 5 < k * 1000 + 1 < 10**9, w < k * 1000 + 1 < w, w < (x := k * 2000 + 1) < w, 5 < x < w
    return r, w.seen[0] is w.seen[1], w.seen[2] is w.seen[3] is x, w.seen[4] is x


def formatted(k):
    x = k * 1000 + 1
    return f"{x}{x is x}", x is x, x is not x


def closures(k):
    x = k * 1000 + 1
    l = [x]

    def inner(y):
        nonlocal x
        same = y is x
        x = y + 1
        return same, x
    r = inner(x)
    return r[0], r[1] is x, l[0] is x


def cells(k):
    x = y = k * 1000 + 1
    z = k * 2000 + 1
    f = lambda: (x, z)
    w = z
    return f()[0] is y, f()[1] is w, f()[1] is z


def defaults(k):
    x = k * 1000 + 1

    def f(a, b=x, *, c=x):
        return a is b, b is c
    return f(x), f(x + 0), f(b=x, a=x)


def results(b, k):
    x = give(k * 1000 + 1)
    y = b.cached(k)
    z = b.keep(x)
    w = give_compared(x)
    return x is w, y is b.x, z is b.x, give_compared(w) is x, b.twice(k), b.keep(y) is y


def argument_back(x):
    y = give(x)
    z = give_compared(y)
    return x is y, x is z, y is z


def from_list(l):
    seen = []
    for x in l:
        y = x + 1
        seen.append(x is l[len(seen)])
        l[len(seen) - 1] = y
    a, b, *_ = l
    return seen, a is l[0], b is l[1]


def unpacked(k):
    t = (k * 1000 + 1, k * 2000 + 1)
    a, b = t
    (c, d), e = t, a
    return a is t[0], b is t[1], c is e, d is b


def yields(k):
    x = k * 1000 + 1
    got = yield x
    same = [got is x]
    y = x + 1
    t = (y, (yield y), y)
    same.append([a is y for a in t])
    yield same
    return x


def generators(k):
    g = yields(k)
    x = next(g)
    y = g.send(x)
    return g.send(y), x, y


def items(n):
    for i in range(n):
        x = i * 1000 + 300
        yield x
        yield x
    yield from (x, x)


def consumed(n):
    l = [x for x in items(n)]
    return [l[i] is l[i + 1] for i in range(0, len(l), 2)]


async def passes(x):
    return x


async def waits(x):
    await Yield(x)
    return x


async def steps(k):
    x = k * 1000 + 1
    y = await passes(x)
    z = await waits(x)
    t = (x, await passes(x), x, await waits(x), x)
    return x is y, x is z, [a is x for a in t]


def coroutines(k):
    yielded, result = drive(steps(k))
    return result, [a is yielded[0] for a in yielded]


def raised(k):
    x = y = 0
    a = Box()
    try:
        x = k * 1000 + 1
        a.x = x
        a.y = y = k * 2000 + 1
        raise ValueError(x, y)
    except ValueError as e:
        return e.args[0] is x, e.args[1] is y, a.x is x, a.y is y


def looked_at(k):
    x = k * 1000 + 1
    y = x
    a = Box(x)
    z = x + 1
    l = sys._getframe().f_locals
    return l["x"] is x, l["y"] is l["x"], l["x"] is a.x, l["z"] is z, locals()["z"] is z


def overflows(k):
    """Leaves in the middle: the rest runs in the interpreter, on what it was handed."""
    x = k * 1000 + 1
    a = Box()
    a.x = x
    y = x
    t = (x, y, k * 2**62 * 4, x)
    z = (x, a.x + 2**63, y)
    return [v is x for v in t], z[0] is z[2], a.x is x, x is y


def leaves_with_stack(k, o):
    x = k * 1000 + 1
    l = [x, k * 2000 + 1, o + 1, x]
    return l[0] is l[3], x is l[0], l[1] is x


def kinds(k, n):
    """One local that is an int, a float and an int again."""
    out = []
    x = k * 1000
    for i in range(n):
        y = x
        x = x * 0.5
        out.append(x is y)
        y = x
        x = int(x) + 1000
        out.append((x is y, y))
        z = x
        out.append(z is x)
    return out


def small(k):
    """The cached ones are always one object."""
    a = Box()
    out = []
    for n in (255, 256, 257, -4, -5, -6):
        x = n * k
        y = n * k
        a.x = a.y = z = n * k
        out.append((x is y, a.x is a.y, z is a.x, z is x))
    return out


def floats(x, n):
    a = Box()
    y = x
    l = []
    for i in range(n):
        a.x = a.y = x * 1.5
        z = w = x + 0.25
        l.append((a.x is a.y, z is w, x is y))
        if i == 2:
            x = x + 1.0
            l.append(x is y)
    f = [0.0, 0.0]
    f[0] = f[1] = x * 2.0
    f[0] = z = x * 3.0
    return l, x is y, f[0] is f[1], f[0] is z


def constants(n):
    x = 1000.5
    y = 1000.5
    z = 70000
    for _ in range(n):
        if x < 0:
            x = y * 2
            z = z + 1
    return x is y, z is 70000 if n < 0 else z + 0 is z


def deleted(k):
    x = k * 1000 + 1
    y = x
    l = [x]
    del x
    x = l[0]
    return x is y


def attribute_loop(a, n):
    same = []
    for i in range(n):
        x = i * 1000 + 300
        a.x = x
        same.append(a.x is x)
        a.y = a.x
        same.append(a.y is x)
        a.x = a.x + 1
        same.append(a.y is x)
        a.y = a.x = a.x + 1
        same.append(a.x is a.y)
    return same


def operand_back(x, y, n):
    """Arithmetic that answers the object on its left."""
    z = x % y
    l = [x >> n, x << n, x // 1, x % 2**61, x % -2**61, x | n]
    return z is x, z, [a is x for a in l], l


def maximum(l):
    best = l[0]
    for x in l:
        best = x if x > best else best
    return [best is x for x in l]


def maximum_computed(n):
    best = 0
    seen = []
    for i in range(n):
        x = i * 7919 % 1009 + 1000
        seen.append(x)
        best = x if x > best else best
    return [best is x for x in seen]


def clamp(x, low, high):
    y = low if x < low else high if x > high else x
    return y is x, y is low, y is high, y


def handed_on(b, k, y):
    """What a call returns is an operand at once."""
    r = [b.cached(k) + y, b.keep(k * 1000) - y, y + b.cached(k), y % b.cached(k) if k else 0, b.cached(k) < y]
    return r, seen_by(y, b.x)[-2:], len(seen_by(y, 0))


def handed_on_argument(b, x, y):
    r = [give(x) + y, give_compared(x) * y, b.keep(x) + y, y + give(x)]
    return r, seen_by(y, x)


def handed_on_chain(x, y):
    """Two of them wait."""
    return give(x) + (give_compared(x) + (give(x) + y)), seen_by(y, x)


def handed_on_raises(x, y, z):
    """A call raises while another's result waits."""
    try:
        return give(x) + raises(z) + y
    except ZeroDivisionError:
        return "raised"


def raises(z):
    return 1 // z


async def kept_awaits(b, x, y):
    return [await passes(x) + y, await waits(x) + y, await passes(b.x) + y, (await waits(b.x)) < y], seen_by(y, x), seen_by(y, b.x)


def handed_on_awaits(b, x, y):
    return drive(kept_awaits(b, x, y))[1]


def chosen(a, b, c, y):
    p, q = a * 1000 + 1, b * 1000 + 1
    r = [(p if c else q) + y, (a if c else b) + y, (p if c else b) + y, (p if c else b + 1) * y, y + (p if c else q)]
    return r, seen_by(y, p), seen_by(y, q), seen_by(y, a), seen_by(y, b)


def chosen_called(a, b, c, y):
    p = a * 1000 + 1
    r = [(p if c else give(b)) + y, (give(p) if c else b) + y, (p + 1 if c else give(b)) + y]
    return r, seen_by(y, p), seen_by(y, b)


def chosen_stored(a, c, y):
    """The local that it is from is written while it waits."""
    p = a * 1000 + 1
    l = [p]
    r = (p if c else a) + (give(p := a * 3000 + 1) and y)
    return r, seen_by(y, l[0]), seen_by(y, p)


def chosen_in_loop(n, y):
    best = total = 0
    for i in range(n):
        x = i * 7919 % 1009 + 1000
        total += x if x > best else best
        if x > best:
            best = x
    return total, (x if x > best else best) + y, seen_by(y, x), seen_by(y, best)


def written_under(k, value):
    """A number waits while somebody writes to its local."""
    x = k * 1000 + 1
    y = x
    t = (x, writes("x", value), x)
    x = z = k * 2000 + 1
    u = pair(x, writes("x", value), x, z)
    x = w = k * 1000 + 1
    v = [w, [x, writes("x", value) or x, y, x][0], x]
    return t[0] is y, t[2] is y, u, x is z, v[0] is v[1], v[1] is y


def written_at_an_end(k, value):
    x = k * 1000 + 1
    y = x
    t = (x, [WritesAtTheEnd(value)].clear(), x)
    return t[0] is y, t[2] is y, t[0], x


def written_argument(x, value):
    y = x
    t = (x, writes("x", value), x)
    r = Reflected()
    x = y
    x + (writes("x", value) and r)
    return t[0] is y, t[2] is value, r.all_are(y)


BIG = [3, 1, 2**20, 2**31 + 5, 2**40, -7, 0]


def hot(n):
    """Entered in the middle of its loops."""
    a = Box()
    x = y = n * 1000 + 7
    bad = 0
    for i in range(n):
        if x is not y:
            bad += 1
        if i % 7 == 3:
            x = i * 1000 + 7
            a.x = x
        elif i % 7 == 5:
            y = x
            if a.x is not y:
                bad += 1
        a.y = z = i * 3000 + 7
        if a.y is not z:
            bad += 1
    return bad, x is y


def hot_pure(x, n):
    y = x
    i = 0
    s = 0
    while i < n:
        i += 1
        s += i * x
        if s % 1000003 == 1000004:
            x = s
    return x is y, s


def cases():
    straight = (local_attribute, chained, chained_locals, chained_items, appended, tuples, arguments, walrus, across_calls, comprehensions,
                copies, compared, formatted, closures, cells, defaults, unpacked, raised, looked_at, overflows, through_loops, small, deleted)
    for f in straight:
        yield f.__name__, lambda f=f: matrix(f, [(k,) for k in BIG] + [(2.5,)], warm=[0, 3, 7])
    loops = (swapped, recomputed, loop_carried, kept_in_loop, pure_between, nested, subscripts, kinds)
    for f in loops:
        tuples_ = [(3, 4), (3, 0), (2**33, 5), (7, 12), (2.5, 4)]
        yield f.__name__, lambda f=f: matrix(f, tuples_, warm=[0, 1, 2])
    inputs = {
        unchanged_in_loop: [(x, n, turn) for x in (7000, 2**40, 0.5, 3) for n, turn in ((0, 0), (5, 9), (5, 2))],
        unchanged_while: [(x, n) for x in (7000, 2**40, 0.5) for n in (0, 1, 6)],
        fibonacci: [(8,), (60,)],
        floats: [(1.5, 5), (2000.25, 3)],
        constants: [(0,), (3,)],
        maximum: [([1000, 3000, 2000, 3000 + 0],), ([0.5, 2.5, 1.5],)],
        maximum_computed: [(6,), (30,)],
        clamp: [(5000, 1000, 9000), (500, 1000, 9000), (50000, 1000, 9000), (1.5, 2.5, 3.5)],
        across_branches: [(k, a, b) for k in (3, 2**33) for a in (0, 1) for b in (0, 1)],
        leaves_with_stack: [(3, 4), (3, 2**63), (3, 0.5), (2**33, True)],
        generators: [(3,), (2**33,), (0.5,)],
        consumed: [(3,), (9,)],
        coroutines: [(3,), (2**33,), (0.5,)],
        argument_back: [(10**6 + 7,), (0.1,), (5,), ("s",)],
        operand_back: [(x, y, n) for x, y in ((1001, 2000), (1001, 2**40), (2**33, 2**40), (-2**40, 2**41), (-2**40, -2**41), (-5000, -2**41), (7, 2**40))
                       for n in (0, 1)],
        give_compared: [(10**6 + 7,), (10**9,)],
    }
    for f, given in inputs.items():
        yield f.__name__, lambda f=f, given=given: matrix(f, given)
    others = [(3, 2000), (2**33, 2**40), (3, Reflected), (2**33, Reflected), (2.5, Reflected), (2.5, 0.5)]

    def met(*more):
        return lambda: [(*(v() if isinstance(v, type) else v for v in (*more, k)), y() if isinstance(y, type) else y) for k, y in others]
    choices = [(a, b, c, y) for a, b in ((3, 4), (2**33, 5), (2.5, 3.5)) for c in (0, 1) for y in (1000, Reflected)]
    chosen_of = lambda: [(a, b, c, y() if y is Reflected else y) for a, b, c, y in choices]
    yield "handed_on", lambda: matrix(handed_on, met(Box)(), make=met(Box))
    yield "handed_on_argument", lambda: matrix(handed_on_argument, met(Box)(), make=met(Box))
    yield "handed_on_chain", lambda: matrix(handed_on_chain, met()(), make=met())
    awaited = lambda: [(Box(12345), *a) for a in met()()]
    yield "handed_on_awaits", lambda: matrix(handed_on_awaits, awaited(), make=awaited)
    yield "handed_on_raises", lambda: matrix(handed_on_raises, [(k, y, z) for k in (3000, 2**33, 0.5) for y in (1, 0.5) for z in (1, 0)])
    for f in (chosen, chosen_called):
        yield f.__name__, lambda f=f: matrix(f, chosen_of(), make=chosen_of)
    stored = lambda: [(a, c, Reflected() if y else 5) for a in (3, 2**33, 2.5) for c in (0, 1) for y in (0, 1)]
    yield "chosen_stored", lambda: matrix(chosen_stored, stored(), make=stored)
    in_loop = lambda: [(9, 5), (30, 2.5), (9, Reflected())]
    yield "chosen_in_loop", lambda: matrix(chosen_in_loop, in_loop(), make=in_loop)
    for f in (written_under, written_at_an_end, written_argument):
        yield f.__name__, lambda f=f: matrix(f, [(k, v) for k in (3, 7000, 2**33, 2.5) for v in (5, 3001, "text")])
    made = {
        from_list: lambda: [([1000, 2000, 3000],), ([0.5, 1.5],)],
        attribute_loop: lambda: [(Box(), 3), (Slots(), 3)],
        in_place: lambda: [(Box(), 3), (Slots(), 3), (Box(), 2**33), (Box(), 2.5)],
        results: lambda: [(Box(), 3), (Box(), 2**33), (Box(), 0.5)],
    }
    for f, make in made.items():
        yield f.__name__, lambda f=f, make=make: matrix(f, make(), make=make)
    yield "hot", lambda: sweep(hot, [(3000,)], times=2)
    yield "hot_pure", lambda: sweep(hot_pure, [(70001, 5000), (2**33, 10), (0.75, 100)], times=2)
