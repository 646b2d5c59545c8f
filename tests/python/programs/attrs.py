"""Attributes of instances, classes, modules, slots and descriptors; classes that change under running code; class features.
Held: what is found where, descriptor calls, AttributeError texts, and that changes are seen at once."""
import collections
import dataclasses
import enum
import sys
import types

from kit import ALL, deltas, matrix, outcome, sweep

MUST_COMPILE = ALL


class Plain:
    kind = "class attribute"

    def __init__(self, x, y=0):
        self.x = x
        self.y = y

    def method(self):
        return "method", self.x

    def grow(self, n):
        for i in range(n):
            setattr(self, f"extra{i}", i)
        return self

    def __repr__(self):
        return "Plain"


class Slots:
    __slots__ = ("x", "y", "method")

    def __init__(self, x=1):
        self.x = x

    def __repr__(self):
        return "Slots"


class SlotsChild(Slots):
    pass


class Prop:
    @property
    def x(self):
        return "prop x"

    @x.setter
    def x(self, v):
        self.__dict__["stored"] = v

    @x.deleter
    def x(self):
        raise ValueError("deleter")

    @property
    def y(self):
        return self.absent

    @property
    def kind(self):
        return 1 // 0

    def __repr__(self):
        return "Prop"


class Getattr:
    x = "found"

    def __getattr__(self, name):
        if name == "kind":
            raise AttributeError("custom kind")
        if name == "y":
            raise KeyError("custom y")
        return "getattr " + name

    def __repr__(self):
        return "Getattr"


class Getattribute:
    def __getattribute__(self, name):
        if name == "kind":
            raise AttributeError(name)
        return "getattribute " + name


class SetDel:
    def __setattr__(self, name, v):
        super().__setattr__(name, ("set", v))

    def __delattr__(self, name):
        raise TypeError("cannot delete " + name)

    def __repr__(self):
        return "SetDel"


class Data:
    def __get__(self, o, t=None):
        return "data", o is None, t and t.__name__

    def __set__(self, o, v):
        o.__dict__["via"] = v

    def __delete__(self, o):
        o.__dict__["via"] = "deleted"


class NonData:
    def __get__(self, o, t=None):
        return "nondata", o is None


class Described:
    x = Data()
    y = NonData()
    kind = NonData()

    def __repr__(self):
        return "Described"


class Meta(type):
    meta_only = "meta"

    @property
    def x(cls):
        return "meta property"

    def __getattr__(cls, name):
        return "meta getattr " + name


class WithMeta(metaclass=Meta):
    y = 2


class PlainMeta(type):
    pass


class WithPlainMeta(metaclass=PlainMeta):
    x = 6
    y = 7


class Child(Plain):
    def __init__(self, x):
        super().__init__(x, "child")
        self.z = super().kind


class Lazy(list):
    x = 5

    def method(self):
        return "lazy"


class Unweighted(int):
    __slots__ = ()
    x = 3

    def method(self):
        return "int method", self + 1


def get_x(o):
    return o.x


def get_all(o):
    out = []
    try:
        out.append(o.x)
        out.append(o.y)
        out.append(o.kind)
    except AttributeError as e:
        out.append(str(e))      # not e.name: whether it is set depends, in CPython, on what has specialised
    return out


def get_missing(o):
    return o.missing


def set_x(o, v):
    o.x = v
    return getattr(o, "x", "none")


def del_x(o):
    del o.x
    return hasattr(o, "x")


def augment_x(o, v):
    o.x += v
    return o.x


def call_method(o):
    return o.method()


def load_method(o):
    m = o.method
    return m()


def has(o):
    return hasattr(o, "x"), hasattr(o, "missing"), getattr(o, "y", "default"), getattr(o, "missing", None)


def length(p):
    return (p.x * p.x + p.y * p.y) ** 0.5


def update_loop(o, n):
    for i in range(n):
        o.x = o.x + i
        o.y = o.x
    return o.x, o.y


def sum_points(points):
    total = 0
    for p in points:
        total += p.x + p.y
    return total


def linked(n):
    head = None
    for i in range(n):
        node = Plain(i, head)
        head = node
    total = 0
    while head is not None:
        total += head.x
        head = head.y
    return total


def class_changes(n):
    class C:
        a = 1

        def m(self):
            return "m"
    c, out = C(), []
    for i in range(n):
        if i == 4:
            C.a = 2.5
        if i == 8:
            c.a = "instance"
        if i == 12:
            C.a = property(lambda self: "property")
        if i == 16:
            C.m = lambda self: "m2"
        if i == 20:
            C.__getattr__ = lambda self, n: "getattr " + n
            del C.a
            del c.a
        if i == 24:
            del C.m
        if i == 28:
            c.__class__ = type("D", (), {"a": "D.a", "m": lambda self: "D.m"})
        if i == 32:
            c.__dict__ = {"a": "new dict"}
        out.append((c.a, c.m()))
    return out


def store_changes(n):
    class C:
        pass
    out = []
    c = C()
    for i in range(n):
        if i == 5:
            c.__dict__["seen"] = 1
        if i == 8:
            C.v = property(lambda self: "p", lambda self, v: out.append(("setter", v)))
        if i == 12:
            del C.v
        if i == 15:
            C.__setattr__ = lambda self, k, v: out.append((k, v))
        c.v = i
        out.append(getattr(c, "v", "none"))
    return out, sorted(vars(c))


def many_shapes(n):
    """Instances with attributes made in other orders."""
    out = []
    for i in range(n):
        o = types.SimpleNamespace() if i % 5 == 4 else Plain(i)
        if i % 3 == 0:
            o.z = 1
        if i % 3 == 1:
            o.w = 2
            o.z = 3
        if i % 4 == 0 and hasattr(o, "y"):
            del o.y
        o.x = getattr(o, "x", 0)
        out.append((o.x, getattr(o, "y", None), sorted(vars(o))))
    return out


def dict_materialised(n):
    p = Plain(1)
    d = p.__dict__
    for i in range(n):
        p.x = i
        if i == 5:
            d["x"] = "through dict"
        if i == 6:
            d["y"] = p.x
        if i == 7:
            d.clear()
    return p.x, d, getattr(p, "y", "gone")


def module_attribute(n):
    m = types.ModuleType("m")
    m.v = 1
    out = []
    for i in range(n):
        if i == 5:
            m.v = "text"
        if i == 8:
            del m.v
        if i == 9:
            m.__getattr__ = lambda name: "module getattr " + name
        try:
            out.append(m.v)
        except AttributeError as e:
            out.append(str(e))
    return out


def super_forms():
    class A:
        v = "A.v"

        def f(self):
            return "A.f"

        @classmethod
        def c(cls):
            return "A.c", cls.__name__

        @property
        def p(self):
            return "A.p"

    class B(A):
        v = "B.v"

        def f(self):
            return "B.f", super().f(), super().v, super().p, super().c(), super(B, self).f(), super(B, type(self)).c()

        @classmethod
        def c(cls):
            return "B.c", super().c()

        def nested(self):
            return [super(B, self).f() for _ in range(2)], (lambda s: super(B, s).v)(self)

        @staticmethod
        def bad():
            return super().f()

        def deleted(self):
            del self
            return super().f()

    class C(B, A):
        def f(self):
            return "C.f", super().f()
    b, c = B(), C()
    return b.f(), c.f(), C.c(), b.nested(), outcome(B.bad), outcome(b.deleted), [k.__name__ for k in C.__mro__]


def class_features():
    log = []

    class Registry:
        def __init_subclass__(cls, **kw):
            log.append((cls.__name__, kw))

        def __set_name__(self, owner, name):
            log.append((owner.__name__, name))

    class Named:
        def __set_name__(self, owner, name):
            log.append(("set_name", name))

    class Sub(Registry, tag=1):
        n = Named()
        a: int = 5

        def __init__(self):
            self.__private = 1

        def get(self):
            return self.__private

    @dataclasses.dataclass(order=True)
    class Point:
        x: int
        y: int = 2

    class E(enum.Enum):
        A = 1
        B = enum.auto()

    class F(enum.Flag):
        A = 1
        B = 2
    nt = collections.namedtuple("nt", "a b")
    made = type("Dyn", (Sub,), {"z": lambda self: "z"})
    return log, Sub().get(), sorted(vars(Sub()))[0], Point(1) < Point(2), Point(3), E.B, E(1), F.A | F.B, nt(1, b=2), nt(1, 2)._replace(a=5), made().z(), Sub.__annotations__


def decorators(log):
    def note(name):
        log.append("make " + name)
        def deco(f):
            log.append("apply " + name)
            return f
        return deco

    @note("a")
    @note("b")
    def f():
        return 1

    @note("class")
    class C:
        @note("method")
        def m(self):
            return 2
    return f(), C().m(), log


def special_methods():
    class V:
        def __init__(self, v):
            self.v = v

        def __getitem__(self, k):
            return V((self.v, k))

        def __call__(self, *a, **k):
            return V((self.v, a, k))

        def __iter__(self):
            yield from (1, 2)

        def __contains__(self, x):
            return x == self.v

        def __len__(self):
            return 3

        def __bool__(self):
            return False

        def __enter__(self):
            return "entered"

        def __exit__(self, *a):
            return True

        def __eq__(self, o):
            return isinstance(o, V) and o.v == self.v

        def __hash__(self):
            return hash(self.v)

        def __lt__(self, o):
            return self.v < o.v
    v = V(1)
    with v as e:
        raise KeyError
    v.__len__ = lambda: 100
    return v[2](3, k=4).v, [*v], 1 in v, len(v), not v, e, v == V(1), {v: 2}[V(1)], sorted([V(2), v])[0].v


class Wide:
    """More attributes than instances of a class share keys for: each has a dict of its own."""
    kind = "wide"

    def __init__(self, v):
        for i in range(40):
            setattr(self, f"a{i}", (v, i))

    def method(self):
        return "method", self.a39

    @property
    def prop(self):
        return self.a1


class Odd:
    """A key of a dict with the hash of a name, that raises when it is compared."""
    def __init__(self, name):
        self.name = name

    def __hash__(self):
        return hash(self.name)

    def __eq__(self, other):
        raise KeyError("compared with " + str(other))


def wide(n):
    """Names that are in the object's dict, or only in the class, or in the dict later; writes to that dict."""
    objs = [Wide(1), Wide(2), Plain(1).grow(40), types.SimpleNamespace(a0=1, a39=2, kind=3, prop=4, method=dict)]
    out = []
    for i in range(n):
        o = objs[i % 4]
        try:
            out.append((o.a0, o.a39, o.kind, o.prop, o.method()))
        except AttributeError as e:
            out.append(str(e))
        except KeyError as e:
            out.append(repr(e))
        o.a3 = i
        o.a3 += 1
        o.fresh = [i]
        out.append((o.a3, o.fresh))
        if i == 12:
            o.method = lambda: "shadow"
        elif i == 20:
            del o.method
        elif i == 24:
            del o.a39
            o.__dict__["a39"] = "again"
        elif i == 28:
            o.__dict__[Odd("method")] = 1
    return out


def objects():
    return [Plain(1, 2), Plain(1.5, 2), Plain("s", "t"), Slots(), SlotsChild(4), Prop(), Getattr(), Getattribute(), SetDel(), Described(), WithMeta, WithMeta(), Child(9), Plain, Slots, Described,
            types.SimpleNamespace(x=1, y=2, kind=3), WithPlainMeta, sys.modules[__name__], Lazy(), Unweighted(4), 5, None, "text", Plain(1).grow(40), object(), len]


def cases():
    warm = range(26)
    def one():
        return [(o,) for o in objects()]
    for f in (get_x, get_all, get_missing, call_method, load_method, has):
        yield f.__name__, lambda f=f: matrix(f, one(), warm, make=one)
    def deletable():
        return [(o,) for o in objects() if not isinstance(o, (type, types.ModuleType))]
    yield "del_x", lambda: matrix(del_x, deletable(), make=deletable)
    def put():
        return [(o, v) for o in objects() for v in (7,) if not isinstance(o, (type, types.ModuleType))]
    for f in (set_x, augment_x):
        yield f.__name__, lambda f=f: matrix(f, put(), make=put)
    yield "set_on_builtin", lambda: [outcome(set_x, o, 1) for o in (5, None, int, object(), "s", len)]
    yield "length", lambda: matrix(length, [(Plain(3, 4),), (Plain(3.0, 4.5),), (SlotsChild(2),), (types.SimpleNamespace(x=1, y=1),), (Plain(2**40, 2**40),), (Plain("a"),)])
    def updates():
        return [(Plain(1), 10), (Plain(1.5), 10), (SetDel(), 3), (Plain("s"), 2), (Slots(), 10), (Plain(2**62), 30), (types.SimpleNamespace(x=0), 5), (Described(), 2), (Plain(True), 3)]
    yield "update_loop", lambda: matrix(update_loop, updates(), make=updates)
    yield "sum_points", lambda: matrix(sum_points, [([Plain(i, i) for i in range(9)],), ([Plain(i, 0.5) for i in range(9)],), ([Plain(1), Slots(), Child(2)],), ([Plain(1, 1), types.SimpleNamespace(x=2, y=3), Plain("a", "b")],)])
    yield "linked", lambda: sweep(linked, [(50,), (0,), (3,)])
    for f in (class_changes, store_changes, many_shapes, dict_materialised, module_attribute, wide):
        yield f.__name__, lambda f=f: sweep(f, [(36,), (3,), (14,)])
    yield "super_forms", super_forms
    yield "class_features", class_features
    yield "decorators", lambda: decorators([])
    yield "special_methods", special_methods
    def counts():
        o = object()
        p, s, c = Plain(o), Slots(o), Child(o)
        return [deltas(lambda: get_x(p), o, p), deltas(lambda: get_x(s), o, s), deltas(lambda: set_x(p, o), o, p), deltas(lambda: set_x(s, o), o, s), deltas(lambda: call_method(p), o, p, Plain), deltas(lambda: load_method(c), o, c),
                deltas(lambda: get_missing(p), o, p), deltas(lambda: Child(o), o, Child), deltas(lambda: Plain(o, y=o), o, Plain), deltas(lambda: get_x(Plain), Plain), deltas(lambda: augment_x(p, o), o, p)]
    yield "reference_counts", counts
