"""Calls of functions with every kind of parameter list, in every way to give arguments, by compiled callers of compiled functions.
Held: what each parameter gets, TypeError texts, defaults that are replaced, references, the moment at which arguments end."""
import functools

from kit import ALL, deltas, outcome, sweep

MUST_COMPILE = ALL


def defaults(a, b=2, c=3):
    return a, b, c


def keyword_only(a, *, b, c=3):
    return a, b, c


def positional_only(a, b=1, /, c=2):
    return a, b, c


def rest(a, *args, b=4):
    return a, args, b


def named(a, /, **kw):
    return a, sorted(kw.items())


def everything(a, b=1, /, c=2, *args, d, e=5, **kw):
    return a, b, c, args, d, e, sorted(kw.items())


def cells(a, b=1, *args, c=2, **kw):
    def inner():
        return a, b, args, c, kw
    return inner()


def generator(a, b=2, *args, c=3, **kw):
    yield a, b, args, c, sorted(kw)


def closure_generator(a, b=2):
    return list(x + a + b for x in (1, 2))


class Methods:
    def __init__(self, a, b=1, *, c=2):
        self.got = a, b, c

    def method(self, a, b=1, *args, c=2, **kw):
        return a, b, args, c, sorted(kw)

    @classmethod
    def of_class(cls, a=1, **kw):
        return cls.__name__, a, sorted(kw)

    @staticmethod
    def static(a, b=2):
        return a, b

    def __call__(self, a, *, b=1):
        return a, b

    def __getitem__(self, key):
        return "item", key


FUNCTIONS = [defaults, keyword_only, positional_only, rest, named, everything, cells]


def ways(f, x):
    """One function in every way; each call is a site of its own, so all of them specialise."""
    yield lambda: f(x)
    yield lambda: f(x, 20)
    yield lambda: f(x, 20, 30)
    yield lambda: f(x, 20, 30, 40)
    yield lambda: f(x, b=5)
    yield lambda: f(a=x)
    yield lambda: f(x, c=6, b=5)
    yield lambda: f(x, 1, c=6, d=7)
    yield lambda: f(x, d=8, other=9)
    yield lambda: f(x, 2, b=3)
    yield lambda: f()
    yield lambda: f(*(x, 2))
    yield lambda: f(*[x], **{"b": 3})
    yield lambda: f(x, **{"c": 4, "d": 5})
    yield lambda: f(*range(5))
    yield lambda: f(**{"a": x, "b": 3})
    yield lambda: f(x, **{"na" + "me": 1, "b": 2})
    yield lambda: f(x, **{str("b"): 3, "d": 1})


def call_all(f, x):
    return [outcome(call) for call in ways(f, x)]


def loop(f, x):
    out = []
    for _ in range(12):
        out = call_all(f, x)
    return out


def generators(n):
    out = []
    for i in range(n):
        out += [*generator(i), *generator(i, 1, 5, c=i, z=1), closure_generator(i), next(generator(*(1, 2, 3)))]
        g = generator(i)
        out += [g.gi_frame.f_lineno - generator.__code__.co_firstlineno, g.gi_frame.f_locals["a"], g.gi_running, outcome(g.send, 1)]
        out += [next(g), next(g, "end"), g.gi_frame is None, sum(x for x in range(i)), any(x > 2 for x in range(i))]
    return out[-12:]


def throwing(n):
    out = []
    for i in range(n):
        out.append(outcome(generator(i).throw, ValueError(i)))
        g = generator(i)
        g.close()
        out.append(outcome(next, g))
    return out[-2:]


def methods(n):
    out = []
    for i in range(n):
        m = Methods(i, c=3)
        bound = m.method
        out += [m.got, Methods(i, 2).got, Methods(a=1, b=2, c=i).got, m.method(i), m.method(i, 2, 3, c=4, z=5), bound(i), bound(i, c=9)]
        out += [Methods.of_class(), Methods.of_class(a=i, k=2), m.of_class(i), Methods.static(i), m.static(b=1, a=i), m(i), m(i, b=4)]
        out += [functools.partial(m.method, 1, c=i)(2, y=3), m[i], list(map(m.method, (1, 2))), Methods.method(m, i, b=2)]
    return out[-18:]


def replaced(n):
    """Defaults that change while calls are compiled."""
    def f(a, b=1, *, c=2):
        return a, b, c
    out = []
    for i in range(n):
        out.append((f(i), f(i, c=5), outcome(lambda: f())))
        if i == n // 3:
            f.__defaults__ = (10, 11)
        if i == n // 2:
            f.__kwdefaults__ = {"c": 12}
        if i == 2 * n // 3:
            f.__defaults__ = None
            f.__kwdefaults__ = None
    return out


class Ends:
    log = []

    def __init__(self, name):
        self.name = name

    def __del__(self):
        Ends.log.append(self.name)


def drops(a, b=None, *args, c=None, **kw):
    Ends.log.append("in")
    a = None
    Ends.log.append("a gone")
    args = None
    Ends.log.append("args gone")
    kw = None
    Ends.log.append("kw gone")
    c = None
    Ends.log.append("out")


def lifetimes(n):
    for i in range(n):
        Ends.log.clear()
        drops(Ends("a"))
        drops(Ends("a"), Ends("b"), Ends("rest"), c=Ends("c"), d=Ends("d"))
        drops(*[Ends("a"), Ends("b"), Ends("rest")], **{"c": Ends("c"), "d": Ends("d")})
        drops(a=Ends("a"))
    return list(Ends.log)


def builtins(n):
    out = []
    for i in range(n):
        items = [3, 1, 2]
        items.append(i)
        items.extend((i,))
        items.insert(0, 5)
        out = [items.pop(), items.index(1), "a,b".split(","), "x".join(("1", "2")), {}.get(i), {1: 2}.setdefault(1, 3), divmod(i, 3), max(i, 1), abs(-i),
               outcome(items.index, 77), outcome(items.append), outcome("x".join, 5), outcome(abs, "x"), outcome(str.upper, 5), str.upper("a"), int("7", base=10), sorted(items, reverse=True)]
    return out


def cases():
    for f in FUNCTIONS:
        yield f.__name__, lambda f=f: sweep(loop, [(f, 1), (f, "x"), (f, None)])
    for f in (generators, throwing, methods, replaced, lifetimes, builtins):
        yield f.__name__, lambda f=f: sweep(f, [(20,), (9,), (30,)])
    def counts():
        o, m = object(), Methods(1)
        return [deltas(lambda: defaults(o), o), deltas(lambda: defaults(o, c=o), o), deltas(lambda: rest(o, o, o, b=o), o), deltas(lambda: named(o, x=o), o),
                deltas(lambda: everything(o, d=o, q=o), o), deltas(lambda: rest(*(o, o)), o), deltas(lambda: named(o, **{"z": o}), o), deltas(lambda: list(generator(o, c=o)), o),
                deltas(lambda: m.method(o, o, o, c=o, z=o), o, m), deltas(lambda: defaults(o, q=o), o), deltas(lambda: defaults(), o), deltas(lambda: [].append(o), o)]
    yield "reference_counts", counts
