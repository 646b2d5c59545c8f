"""Every shape of call: arguments in all ways, all kinds of callables, wrong arguments, and callees that change while they are called.
Held: values, order of evaluation, and the exact text and place of each TypeError."""
import functools
import operator

from kit import ALL, deltas, matrix, outcome, sweep

MUST_COMPILE = ALL


def none():
    return "none"


def one(a):
    return a


def two(a, b):
    return a, b


def defaults(a, b=2, c=3):
    return a, b, c


def kwonly(a, *, k, m=5):
    return a, k, m


def posonly(a, b=1, /, c=2):
    return a, b, c


def star(*args):
    return args


def starstar(**kw):
    return kw


def everything(a, b=2, /, c=3, *args, d, e=6, **kw):
    return a, b, c, args, d, e, kw


def rest_after(a, *args, k=1):
    return a, args, k


def call0(f):
    return f()


def call1(f, x):
    return f(x)


def call2(f, x, y):
    return f(x, y)


def call_kw(f, x, y):
    return f(x, b=y)


def call_kw_only(f, x):
    return f(a=x)


def call_k(f, x, y):
    return f(x, k=y)


def call_many(f, x):
    return f(x, 2, 3, 4, 5, 6, 7, 8, 9, 10)


def call_star(f, args):
    return f(*args)


def call_starstar(f, kw):
    return f(**kw)


def call_both(f, args, kw):
    return f(*args, **kw)


def call_mixed(f, args, kw):
    return f(0, *args, 9, k=1, **kw)


def call_two_stars(f, a, b, kw, kw2):
    return f(*a, 5, *b, **kw, z=1, **kw2)


def call_method(o, x):
    return o.method(x)


def call_method_kw(o, x):
    return o.method(x=x)


def call_method_default(o):
    return o.method()


def call_method_star(o, args):
    return o.method(*args)


def order(log):
    """Evaluation order of function, arguments, keywords, stars."""
    def say(x):
        log.append(x)
        return x

    def get(f):
        log.append("f")
        return f
    get(everything)(say(1), say(2), *[say(3), say(4)], d=say(5), **{"x": say(6)}, y=say(7))
    return log


class Thing:
    base = 10

    def __init__(self, v=1):
        self.v = v

    def method(self, x=7):
        return self.v, x

    @classmethod
    def cls(cls, x):
        return cls.__name__, x

    @staticmethod
    def static(x):
        return "static", x

    @property
    def prop(self):
        return lambda x: ("prop", self.v, x)

    def __call__(self, *args, **kw):
        return "called", args, kw

    def __getattr__(self, name):
        if name == "missing":
            raise AttributeError("no missing here")
        return lambda *a: (name, a)

    def __repr__(self):
        return f"Thing({self.v})"


class Child(Thing):
    def __init__(self, v=2):
        super().__init__(v)
        self.w = super().base

    def method(self, x=8):
        return "child", super().method(x), super(Child, self).method(), super().cls(x), super().static(1)

    @classmethod
    def cls(cls, x):
        return "child", super().cls(x)

    def bad(self):
        return super().nothing

    def later(self):
        return [super(Child, self).method(i) for i in range(2)], (lambda: super(Child, self).base)()


class Slotted:
    __slots__ = ("method",)

    def __init__(self, m):
        self.method = m


class New:
    made = 0

    def __new__(cls, *args):
        if args == ("other",):
            return 5
        return super().__new__(cls)

    def __init__(self, *args):
        self.args = args

    def __repr__(self):
        return f"New{self.args}"


class BadInit:
    def __init__(self, x):
        return x


class RaisingInit:
    def __init__(self, x):
        self.x = x
        raise ValueError(x)


class NoInit:
    def __repr__(self):
        return "NoInit"


class Meta(type):
    def __call__(cls, *args):
        made = super().__call__()
        made.got = args
        return made


class WithMeta(metaclass=Meta):
    def __repr__(self):
        return f"WithMeta{getattr(self, 'got', None)}"


def construct(c, *args):
    return c(*args)


def construct1(c, x):
    return c(x)


def construct0(c):
    return c()


def builtin_calls(x):
    out = [len(x), isinstance(x, list), isinstance(x, (str, tuple)), type(x), str(x), tuple(x), list(x), sorted(x), repr(x), sum(map(len, map(str, x)))]
    out.append([*zip(x, x)])
    out.append(max(x, default=None) if x else None)
    out.append(list(enumerate(x, start=3)))
    out.append(callable(x))
    return out


def list_methods(x):
    a = []
    a.append(x)
    a.extend([1, 2])
    a.insert(0, "i")
    a.append(a.pop())
    a.reverse()
    a.sort(key=str)
    a.append(a.index(1))
    b = a.copy()
    a.clear()
    return a, b, b.count(x)


def str_methods(s):
    return s.upper(), s.split(","), s.replace("a", "b", 1), s.startswith("a"), s.strip().join(["1", "2"]), s.encode("utf-8"), s.find("z", 1), s.partition(",")


def dict_methods(d):
    d = dict(d)
    return d.get("a"), d.get("zz", 3), d.setdefault("n", []), d.pop("a", None), list(d.items()), d.update(q=1), list(d), d.keys() & {"q"}


def class_of(x):
    return type(x), x.__class__, type(x) is int, isinstance(x, int), issubclass(type(x), object)


def isinstance_bad(x, t):
    return isinstance(x, t)


def len_of(x):
    return len(x)


def append_to(l, x):
    l.append(x)
    return l


def shadowed(x):
    len = str
    return len(x)


def default_is_shared(x, acc=[]):
    acc.append(x)
    return len(acc), acc is default_is_shared.__defaults__[0]


def swapped(n):
    """Defaults, code and closure of a function change between calls."""
    def f(a, b=1):
        return a, b

    def g(a, b=1):
        return "g", b, a
    out = []
    for i in range(n):
        if i == 3:
            f.__defaults__ = (9,)
        if i == 6:
            f.__code__ = g.__code__
        if i == 9:
            f.__defaults__ = None
        if i == 11:
            f.__kwdefaults__ = {"b": 4}
        out.append(outcome(f, i))
    return out


def rebound_method(n):
    class C:
        def m(self):
            return "first"
    c, out = C(), []
    for i in range(n):
        if i == 4:
            C.m = lambda self: "second"
        if i == 8:
            c.m = lambda: "instance"
        if i == 12:
            del c.m
            C.m = property(lambda self: lambda: "property")
        if i == 15:
            del C.m
        out.append(outcome(lambda: c.m()))
    return out


def decorated(n):
    def twice(f):
        @functools.wraps(f)
        def wrapper(*args, **kw):
            return f(*args, **kw), f(*args, **kw)
        return wrapper

    @twice
    @twice
    def g(x):
        return x + n
    return g(1), g.__name__


def recursive(n):
    return n if n < 2 else recursive(n - 1) + recursive(n - 2)


def mutual_even(n):
    return True if n == 0 else mutual_odd(n - 1)


def mutual_odd(n):
    return False if n == 0 else mutual_even(n - 1)


def lambdas(x):
    f = lambda a, b=x, *c, d=2, **e: (a, b, c, d, e)
    return f(1), f(1, 2, 3, d=4, z=5), (lambda: x)(), (lambda *a: a)(*range(3))


def bound(o):
    m = o.method
    u = type(o).method
    return m(1), u(o, 2), m.__self__ is o, u.__name__, Thing.cls(3), Thing.static(4), o.cls(5), o.static(6), o.prop(7), o(1, k=2), o.dynamic(1)


def deep_args(f):
    return f(f(f(1, 2), f(3, 4)), f((5, 6), [f(7, 8)]))


def generator_argument(f, n):
    return f(*(i for i in range(n)), **{k: v for k, v in zip("kz", range(n))})


def raising_generator(f):
    return f(*(1 // (2 - i) for i in range(4)))


class BadMapping:
    def keys(self):
        return ["k"]

    def __getitem__(self, k):
        raise KeyError(k)


class GoodMapping(BadMapping):
    def __getitem__(self, k):
        return "got " + k


def many_locals():
    a = b = c = d = e = f = g = h = 1
    return sum([a, b, c, d, e, f, g, h]) + one(a + one(b + one(c)))


PARTIAL = functools.partial(two, 1)
CALLABLES = [none, one, two, defaults, kwonly, posonly, star, starstar, everything, rest_after, len, abs, str, int, tuple, type, list, dict, print, divmod, pow,
             Thing, Thing(3), Thing(3).method, Thing.cls, Thing.static, Child, New, BadInit, RaisingInit, NoInit, WithMeta, PARTIAL, lambda *a, **k: (a, k),
             5, None, "str", [].append, "a,b".split, {}.get, operator.itemgetter(0), object, super, BaseException, functools.reduce]


def cases():
    few = [none, one, two, defaults, star, everything, Thing, len, Thing(3).method, lambda *a, **k: (a, k), 5, NoInit, RaisingInit, BadInit]
    yield "call0", lambda: matrix(call0, [(f,) for f in CALLABLES if f not in (print,)], range(0, len(CALLABLES) - 1, 3))
    yield "call1", lambda: matrix(call1, [(f, x) for f in CALLABLES for x in ("5", 5)], range(0, 60, 4))
    yield "call2", lambda: matrix(call2, [(f, x, 2) for f in CALLABLES for x in (1, "k")], range(1, 60, 4))
    yield "call_kw", lambda: matrix(call_kw, [(f, 1, 2) for f in CALLABLES if f is not print], range(0, len(CALLABLES) - 1, 2))
    yield "call_kw_only", lambda: matrix(call_kw_only, [(f, 1) for f in CALLABLES], range(0, len(CALLABLES), 5))
    yield "call_k", lambda: matrix(call_k, [(f, 1, 2) for f in CALLABLES], range(0, len(CALLABLES), 5))
    yield "call_many", lambda: matrix(call_many, [(f, 1) for f in few])
    stars = [(f, a) for f in few for a in ((), (1,), [1, 2], iter([1, 2, 3]), {"a": 1}, 5, "xy", range(4))]
    yield "call_star", lambda: matrix(call_star, [(f, a) for f in few for a in ((), (1,), [1, 2], {"a": 1}, 5, "xy", range(4))], range(0, 60, 5))
    yield "call_star_iter", lambda: [outcome(call_star, f, a) for f, a in [(f, iter(a) if isinstance(a, list) else a) for f, a in stars if not hasattr(a, "__next__")]]
    yield "call_starstar", lambda: matrix(call_starstar, [(f, k) for f in few for k in ({}, {"a": 1}, {"d": 1, "a": 2}, {1: 2}, 5, [("a", 1)], GoodMapping(), BadMapping())], range(0, 60, 6))
    yield "call_both", lambda: matrix(call_both, [(f, a, k) for f in few for a in ((), (1,), (1, 2, 3, 4)) for k in ({}, {"d": 1}, {"a": 1}, {"zz": 1})], range(0, 100, 9))
    yield "call_mixed", lambda: matrix(call_mixed, [(f, a, k) for f in few for a in ((), (1, 2), 7) for k in ({}, {"d": 1}, {"k": 1}, 3, GoodMapping())], range(0, 100, 9))
    yield "call_two_stars", lambda: sweep(call_two_stars, [(star, (1,), (2,), {}, {}), (everything, (1,), (2,), {"d": 1}, {"q": 2}), (starstar, (), (), {"z": 1}, {}), (everything, (), (), {"d": 1}, {"d": 2}),
                                                            (everything, None, (), {}, {}), (everything, (), 3, {}, {}), (everything, (), (), None, {}), (everything, (), (), {}, 3)])
    objects = [Thing(1), Child(2), Slotted(one), Slotted(5), Slotted(Thing(2).method), New(), 5, None, Thing, Child]
    for f in (call_method, call_method_kw):
        yield f.__name__, lambda f=f: matrix(f, [(o, 4) for o in objects])
    yield "call_method_default", lambda: matrix(call_method_default, [(o,) for o in objects])
    yield "call_method_star", lambda: matrix(call_method_star, [(o, a) for o in objects for a in ((), (1,), (1, 2))], range(0, 30, 4))
    yield "order", lambda: order([])
    yield "construct", lambda: matrix(construct, [(c, *a) for c in (Thing, Child, New, BadInit, RaisingInit, NoInit, WithMeta, int, str, object, Exception) for a in ((), ("5",), (1, 2))], range(0, 33, 2))
    yield "construct1", lambda: [[str(r).replace("{}", "") for r in matrix(construct1, [(c, x) for c in (Thing, Child, New, BadInit, RaisingInit, NoInit, WithMeta, int, str) for x in ("other", None)])]]
    yield "construct0", lambda: matrix(construct0, [(c,) for c in (Thing, Child, New, BadInit, RaisingInit, NoInit, WithMeta, int, str, Meta)])
    yield "child", lambda: [Child().method(), Child.cls(1), outcome(Child().bad), Child().w, Child().later()]
    yield "builtin_calls", lambda: matrix(builtin_calls, [([1, 2],), ((1,),), ("ab",), ([],), ({},), (5,), (range(3),)])
    yield "list_methods", lambda: matrix(list_methods, [(1,), ("x",), (None,), (2.5,)])
    yield "str_methods", lambda: matrix(str_methods, [("a,b",), ("",), ("z\u00e9a",), (b"a,b",), (5,)])
    yield "dict_methods", lambda: matrix(dict_methods, [({"a": 1},), ([("b", 2)],), (5,), ({},)])
    yield "class_of", lambda: matrix(class_of, [(1,), (True,), ("a",), (None,), (Thing(1),), (Thing,)])
    yield "isinstance_bad", lambda: matrix(isinstance_bad, [(1, int), (1, (str, int)), (1, 5), (True, int), (1, int | str), (1, list[int]), (Thing(1), Thing), (1, ())])
    yield "len_of", lambda: matrix(len_of, [([1],), ("ab",), ({},), (5,), (Thing(1),), (range(2**63),), ((),)])
    yield "append_to", lambda: matrix(append_to, [([], 1), ([1], 2), (Thing(1), 3), ({}, 4), (None, 5)], make=lambda: [([], 1), ([1], 2), (Thing(1), 3), ({}, 4), (None, 5)])
    yield "shadowed", lambda: shadowed([1])
    yield "default_is_shared", lambda: default_is_shared(1)
    yield "swapped", lambda: swapped(14)
    yield "rebound_method", lambda: rebound_method(18)
    yield "decorated", lambda: decorated(5)
    yield "recursive", lambda: [recursive(12), outcome(recursive, "a"), recursive(5.5)]
    yield "mutual", lambda: [mutual_even(50), mutual_even(51)]
    yield "lambdas", lambda: lambdas(3)
    yield "bound", lambda: [bound(Thing(1)), bound(Child(1)), outcome(bound, 5), outcome(lambda: Thing(1).missing)]
    yield "deep_args", lambda: [deep_args(two), outcome(deep_args, one), deep_args(lambda a, b: [a, b])]
    yield "generator_argument", lambda: [outcome(generator_argument, f, n) for f in (star, rest_after, everything) for n in range(4)]
    yield "raising_generator", lambda: outcome(raising_generator, star)
    yield "many_locals", many_locals
    def counts():
        x, y, t = object(), [1], Thing(1)
        return [deltas(lambda: call2(two, x, y), x, y), deltas(lambda: call_kw(defaults, x, y), x, y, defaults), deltas(lambda: call_both(everything, (x,), {"d": y}), x, y),
                deltas(lambda: call1(len, x), x), deltas(lambda: call_method(t, x), x, t, Thing), deltas(lambda: construct1(Thing, x), x, Thing), deltas(lambda: construct1(RaisingInit, x), x),
                deltas(lambda: call1(two, x), x), deltas(lambda: deep_args(star), star), deltas(lambda: call_star(star, y), y), deltas(lambda: call_mixed(star, x, y), x, y)]
    yield "reference_counts", counts
