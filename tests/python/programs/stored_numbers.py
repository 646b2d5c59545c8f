"""Computed numbers that are stored into attributes, where compiled code may write them into the object that is there.
Held: nobody sees a number change that was fetched, stored or lent before; small ints are the cached ones; whatever else an attribute held is
dropped and finalised as ever; shapes, dicts, descriptors and subclasses of int that appear meanwhile are noticed."""
from kit import ALL, deltas, matrix, sweep

MUST_COMPILE = ALL


class Tally:
    def __init__(self, n=0):
        self.n = n
        self.m = 0.5

    def add(self, k):
        self.n += k
        return self.n

    def halve(self):
        self.m = self.m * 0.5 + 1.0
        return self.m

    def old_and_new(self, k):
        old = self.n
        self.n = old + k
        return old, self.n, old is self.n

    def both(self, k):
        return self.n + self.step(k) + self.n

    def step(self, k):
        self.n = self.n * 2 + k
        return self.n


class Slotted:
    __slots__ = ("n", "m", "other")

    def __init__(self, n=0):
        self.n = n
        self.m = 0.5

    add = Tally.add
    halve = Tally.halve
    old_and_new = Tally.old_and_new
    both = Tally.both
    step = Tally.step


class Loud(int):
    """An int that says when it goes."""

    gone = []

    def __add__(self, other):
        return Loud(int(self) + other)

    def __del__(self):
        Loud.gone.append(int(self))


class Noisy:
    """What an attribute may hold before a number comes: it looks at the attribute when it goes."""

    def __init__(self, owner, log):
        self.owner, self.log = owner, log

    def __del__(self):
        self.log.append(getattr(self.owner, "n", "nothing"))


def grow(o, k, times):
    """The same number in four places: none but the attribute's may change."""
    seen = []
    for i in range(times):
        before = o.n
        kept = [before, o.n]
        o.n += k
        seen.append((before, kept, o.n, before is kept[0], kept[0] is kept[1]))
    return seen


def shared(o, p, k):
    """Two attributes with one object."""
    p.n = o.n
    o.n += k
    q = o.n, p.n
    p.n += k
    return q, o.n, p.n


def lent(o, k):
    """A number that is an argument while its attribute is written."""
    def callee(x, y):
        o.n += k
        return x, y, o.n
    return callee(o.n, o.n), o.n


def on_the_stack(o, k):
    return o.n - o.add(k) - o.n, (o.n, o.add(k), o.n), [o.n, o.step(k)], o.n


def keys(o, k):
    """Numbers that a dict has as keys."""
    d = {}
    for _ in range(4):
        d[o.n] = o.m
        o.n += k
        o.halve()
    return d, o.n, o.m


def edges(o, start):
    """Around what fits one digit, and around the cached small ints."""
    out = []
    for n in (250, 255, 256, 257, -4, -5, -6, 2**30 - 2, 2**30 - 1, 2**30, -2**30, -2**30 + 1, 2**60 - 1, 2**60, 2**62, 2**63 - 2, 2**63, 10**30):
        o.n = start
        o.n += n
        o.n += 1
        out.append(o.n)
        o.n += 1
        out.append(o.n)
        o.n -= 3
        out.append((o.n, o.n is int(str(o.n)) if -5 <= o.n <= 256 else None))
    return out


def floats(o, k):
    out = []
    for _ in range(3):
        m = o.m
        o.m = m * k
        o.m = o.m + 0.25
        out.append((m, o.m, str(o.m - o.m)))
        o.m = -o.m * 0.0
        out.append(str(o.m))
        o.m += 1.5
    return out


def changes_kind(o, k):
    """An int, then a float, then an int again in one attribute."""
    for _ in range(3):
        o.n = o.n + k
        o.n = o.n * 0.5
        o.n = o.n // 1
        o.n = int(o.n) + 300
    return o.n


def in_place_of(o, make, k):
    """Something that is no number goes, with a finaliser that looks."""
    log = []
    out = []
    for i in range(3):
        o.n = make(o, log)
        j = i + k
        o.n = j * 1000
        out.append(o.n)
        j = j * 3
        out.append(j)
    return out, log


def unset(o, k):
    """The first store into an attribute, and one that was deleted."""
    for _ in range(3):
        del o.n
        try:
            o.n += k
        except AttributeError as e:
            text = str(e)
        i = k * 500
        o.n = i + k
    return o.n, text


def shapes(k):
    """Objects whose dict has been asked for, that have too many attributes, or another class, by turns."""
    class Kind(Tally):
        pass

    class Other(Tally):
        @property
        def n(self):
            return 7000

        @n.setter
        def n(self, value):
            self.hidden = value

    out = []
    for turn in range(24):
        o = Kind(k * 1000)
        if turn % 4 == 1:
            o.__dict__["n"] = 2000 + k
        if turn % 4 == 2:
            for j in range(40):
                setattr(o, f"x{j}", j)
        if turn % 6 == 5:
            o.__class__ = Other
        kept = o.n
        o.add(k)
        o.add(k + 1)
        out.append((kept, o.n, sorted(vars(o).items())[:3]))
    Kind.n = property(lambda self: 99, lambda self, value: out.append(value))
    o = Kind(5)
    out.append(o.add(k))
    del Kind.n
    o = Kind(5)
    out.append(o.add(k))
    return out


def dict_after(o, k):
    """The dict of an object that lost its inline values keeps what was stored before."""
    o.n += k
    d = vars(o)
    o.n += k
    first = dict(d)
    o.n += k
    d["n"] = d["n"] + k
    return first, d, o.n


def loud(k):
    Loud.gone.clear()
    o = Tally(Loud(1000))
    for _ in range(3):
        o.n += k
    o.n = int(o.n) + k
    o.n += k
    return o.n, type(o.n).__name__, Loud.gone


def chain(o, k):
    """Owners that are found on the way, and dropped."""
    o.next = Tally(k)
    o.next.next = Slotted(k)
    for _ in range(3):
        o.next.n += o.next.next.n
        o.next.next.n += o.next.n
        o.next.m = o.next.n * 0.5
    return o.next.n, o.next.next.n, o.next.m


def last_reference(k):
    """The owner goes when its attribute has been written."""
    log = []

    class Owner:
        def __init__(self):
            self.n = 1000 + k

        def __del__(self):
            log.append(self.n)

    for _ in range(3):
        holder = [Owner()]
        holder.pop().n += k
    return log


def value_kept(o, k):
    """A local's number that was stored stays what it is."""
    x = k * 1000 + 1
    o.n = x
    y = o.n
    o.n += k
    z = o.n
    o.n += k
    return x, y, z, o.n


def same_id(o, k):
    """While the program holds both they are two."""
    o.n = k * 1000
    a = o.n
    o.n += 1
    b = o.n
    o.n += 1
    return a is b, id(a) == id(b), a, b, o.n


def deleter(o, k):
    """A method that ends its own `self` elsewhere while it runs."""
    box = [o]

    class Last(Tally):
        def go(self, k):
            box.clear()
            self.n += k
            return self.n

    box[0] = Last(1000)
    return [box[0].go(k), len(box)]


def cases():
    def one():
        return [(Tally(n), k) for n, k in ((1000, 7), (0, 1), (2**30 - 2, 1), (2**62, 2**61), (1.5, 2), (True, 1), ("a", "b"), ([], [1]), (10**40, 1))] \
            + [(Slotted(2000), 5), (Slotted(0.5), 0.25), (Slotted(2**63 - 1), 1)]

    warm = range(12)
    for f in (on_the_stack, keys, changes_kind, lent, chain, dict_after, value_kept, same_id):
        yield f.__name__, lambda f=f: matrix(f, one(), warm, make=one)
    yield "grow", lambda: matrix(grow, [(*a, 5) for a in one()], make=lambda: [(*a, 5) for a in one()])
    yield "shared", lambda: matrix(shared, [(a, Tally(), k) for a, k in one()], make=lambda: [(a, Tally(), k) for a, k in one()])
    for name in ("add", "old_and_new", "both", "step"):
        f = getattr(Tally, name)
        yield name, lambda f=f: matrix(f, one(), make=one)
    yield "halve", lambda: matrix(Tally.halve, [(a,) for a, _ in one()], make=lambda: [(a,) for a, _ in one()])
    yield "edges", lambda: sweep(edges, [(Tally(), 0), (Slotted(), 0), (Tally(), 1000), (Tally(), -1000)])
    yield "floats", lambda: sweep(floats, [(Tally(), 3.0), (Slotted(), 2.0), (Tally(), float("inf")), (Tally(), -1)])
    yield "in_place_of", lambda: sweep(in_place_of, [(Tally(), lambda o, log: 5000 + len(log), 1), (Tally(), lambda o, log: Noisy(o, log), 1), (Slotted(), Noisy, 2), (Tally(), lambda o, log: None, 3), (Tally(), lambda o, log: "text" * 3, 4)])
    yield "unset", lambda: sweep(unset, [(Tally(), 3), (Slotted(), 3), (Tally(), 3.5)])
    for f in (shapes, loud, last_reference):
        yield f.__name__, lambda f=f: sweep(f, [(3,), (400,), (2**31,)])
    yield "deleter", lambda: sweep(deleter, [(Tally(), 3), (None, 1000)])

    def counts():
        o, x = Tally(), 12345678
        o.n = x
        return [deltas(lambda: o.add(1), x, o), deltas(lambda: o.old_and_new(1000), o), deltas(lambda: o.both(1000), o, Tally), deltas(lambda: lent(o, 1000), o)]
    yield "reference_counts", counts
