"""Operator methods of classes written in Python: who is asked, in which order, with what, and what comes of each answer.
Held: as CPython's slots do it, also where a method gives NotImplemented, is inherited, overridden, taken away or replaced while it runs."""
import sys

from kit import ALL, outcome
import kit

MUST_COMPILE = ALL


def binary(a, b, op):
    """Every binary operator, a site each."""
    if op == 0:
        return a + b
    if op == 1:
        return a & b
    if op == 2:
        return a // b
    if op == 3:
        return a << b
    if op == 4:
        return a @ b
    if op == 5:
        return a * b
    if op == 6:
        return a % b
    if op == 7:
        return a | b
    if op == 8:
        return a ** b
    if op == 9:
        return a >> b
    if op == 10:
        return a - b
    if op == 11:
        return a / b
    return a ^ b


def in_place(a, b, op):
    """Every operator in place."""
    if op == 0:
        a += b
    elif op == 1:
        a &= b
    elif op == 2:
        a //= b
    elif op == 3:
        a <<= b
    elif op == 4:
        a @= b
    elif op == 5:
        a *= b
    elif op == 6:
        a %= b
    elif op == 7:
        a |= b
    elif op == 8:
        a **= b
    elif op == 9:
        a >>= b
    elif op == 10:
        a -= b
    elif op == 11:
        a /= b
    else:
        a ^= b
    return a


NAMES = ["add", "and", "floordiv", "lshift", "matmul", "mul", "mod", "or", "pow", "rshift", "sub", "truediv", "xor"]
LOG = []


def asked(name):
    """A method that notes its call and gives the object's answer."""
    def method(self, other):
        LOG.append((type(self).__name__, name, getattr(other, "tag", other)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer
    return method


def klass(name, prefixes, bases=(object,)):
    """A class with the operators of these prefixes ("" forward, "r" reflected, "i" in place)."""
    body = {"__init__": lambda self, answer=NotImplemented: setattr(self, "answer", answer), "tag": name,
            "__repr__": lambda self: f"<{name}>"}
    for prefix in prefixes:
        for op in NAMES:
            body[f"__{prefix}{op}__"] = asked(prefix + op)
    return type(name, bases, body)


class Kinds:
    forward = klass("Forward", [""])
    reflected = klass("Reflected", ["r"])
    both = klass("Both", ["", "r"])
    every = klass("Every", ["", "r", "i"])
    none = klass("Nothing", [])
    sub = klass("Sub", ["r"], (both,))
    subsub = klass("SubSub", [], (sub,))
    integer = klass("Integer", ["", "r"], (int,))
    listed = klass("Listed", ["", "r"], (list,))
    text = klass("Text", ["r"], (str,))


def make(kind, answer):
    """An object of a class that answers so."""
    cls = getattr(Kinds, kind)
    made = cls.__new__(cls)
    made.answer = answer
    return made


def all_pairs(function, op):
    """Each kind with each kind and with built-in objects, in every answer."""
    out = []
    kinds = [k for k in vars(Kinds) if not k.startswith("__")]
    if kit.phase == "warm":
        a, b = make("both", 7), make("both", 8)
        return [outcome(function, a, b, op) for _ in range(20)]
    for left in kinds:
        for right in kinds:
            for answers in ((NotImplemented, NotImplemented), (NotImplemented, 5), ("x", 6), (ValueError("no"), 1), (NotImplemented, KeyError("k"))):
                LOG.clear()
                out.append((left, right, outcome(function, make(left, answers[0]), make(right, answers[1]), op), list(LOG)))
        for other in (3, 2.5, "s", [1], (1,), None, {1}, {1: 2}, b"b", True):
            for answer in (NotImplemented, 1.5):
                LOG.clear()
                out.append((left, outcome(function, make(left, answer), other, op), list(LOG)))
                LOG.clear()
                out.append((left, outcome(function, other, make(left, answer), op), list(LOG)))
    return out


class Vector:
    """Ordinary methods: refer to both operands, make new ones."""
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x = x
        self.y = y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def __sub__(self, other):
        if not isinstance(other, Vector):
            return NotImplemented
        return Vector(self.x - other.x, self.y - other.y)

    def __mul__(self, k):
        return Vector(self.x * k, self.y * k)

    def __rmul__(self, k):
        return self * k

    def __eq__(self, other):
        return isinstance(other, Vector) and self.x == other.x and self.y == other.y

    __hash__ = None

    def __bool__(self):
        return self.x != 0

    def __contains__(self, value):
        return value == self.x or value == self.y

    def __setitem__(self, i, value):
        if i:
            self.y = value
        else:
            self.x = value

    def __repr__(self):
        return f"V({self.x}, {self.y})"


def vectors(n):
    a, b = Vector(1, 2), Vector(0.5, -1)
    for i in range(n):
        a = a + b - b * 2 + 2 * b
        if a == b or i in a:
            a[i & 1] = a.x
        a = a - b if b else a
        if not a:
            a = Vector(i, 1)
    return a


def counts(n):
    """Nobody keeps an operand, a method or a class longer than CPython does."""
    a, b = Vector(1, 2), Vector(3, 4)
    before = sys.getrefcount(a), sys.getrefcount(b), sys.getrefcount(Vector), sys.getrefcount(Vector.__add__)
    for _ in range(n):
        a + b
        a == b
        a in b
        if a:
            pass
        b[0] = 3
    return [x - y for x, y in zip((sys.getrefcount(a), sys.getrefcount(b), sys.getrefcount(Vector), sys.getrefcount(Vector.__add__)), before)]


def replaced(n):
    """The method is replaced, inherited again, put into the instance, and deleted by itself."""
    class Base:
        def __add__(self, other):
            return "base"

        def __lt__(self, other):
            return "base <"

        def __contains__(self, other):
            return False

        def __bool__(self):
            return False

    class Derived(Base):
        def __add__(self, other):
            return "derived"

    out = []
    d = Derived()
    d.__add__ = lambda other: "instance"
    for i in range(n):
        if i == n // 4:
            Derived.__add__ = lambda self, other: ("new", other)
        if i == n // 2:
            del Derived.__add__
        if i == n // 2 + 2:
            Base.__add__ = staticmethod(lambda other: ("static", other))
            Base.__lt__ = lambda self, other: ("lt", other)
            Base.__contains__ = lambda self, other: [1]
            Base.__bool__ = lambda self: self
        if i == 3 * n // 4:
            def suicide(self, other):
                del Base.__add__
                return sys._getframe().f_code.co_name, sys._getframe(1).f_code.co_name
            Base.__add__ = suicide
            Base.__contains__ = None
            Base.__bool__ = lambda self: True
        out.append((outcome(binary, d, i, 0), outcome(lambda: d < i), outcome(lambda: i in d), outcome(lambda: not d)))
    return out


class Items:
    """`__next__` as a method."""
    def __init__(self, n, end):
        self.n = n
        self.end = end

    def __iter__(self):
        return self

    def __next__(self):
        if self.n == 0:
            raise self.end
        self.n -= 1
        return self.n


def items(n, end):
    out = []
    for x in Items(n, end):
        out.append(x)
    else:
        out.append("end")
    return out


class SetItem:
    def __setitem__(self, key, value):
        LOG.append((key, value))
        if key == 3:
            raise LookupError(key)
        return "ignored"


def set_items(n):
    LOG.clear()
    s = SetItem()
    for i in range(n):
        try:
            s[i] = i * i
        except LookupError as e:
            LOG.append(str(e))
    return list(LOG)


def deep(n):
    """Operators that call themselves: the limit of recursion is CPython's."""
    class Deep:
        def __add__(self, other):
            return self + (other + 1)

        def __lt__(self, other):
            return self < other

    out = []
    for f in (lambda: Deep() + 1, lambda: Deep() < 1):
        try:
            f()
        except RecursionError as e:
            out.append(str(e))
    return out


class Generating:
    def __add__(self, other):
        yield self
        yield other

    async def __mul__(self, other):
        return other

    def __sub__(self, other=5, *rest, key=None, **more):
        return other, rest, key, more

    def __mod__(self):
        return 1


def generating(other):
    g = Generating()
    made = g + other
    c = g * other
    try:
        c.send(None)
    except StopIteration as e:
        value = e.value
    return type(made).__name__, len(list(made)), value, g - other, outcome(binary, g, other, 6)


def comparisons(a, b):
    return [outcome(f, a, b) for f in (lambda a, b: a < b, lambda a, b: a <= b, lambda a, b: a == b, lambda a, b: a != b, lambda a, b: a > b, lambda a, b: a >= b)]


class Ordered:
    def __init__(self, k):
        self.k = k

    def __lt__(self, other):
        return self.k < other.k if isinstance(other, Ordered) else NotImplemented

    def __eq__(self, other):
        return self.k == other.k if isinstance(other, Ordered) else NotImplemented

    def __hash__(self):
        return hash(self.k)

    def __repr__(self):
        return f"O{self.k}"


class OrderedMore(Ordered):
    def __gt__(self, other):
        return "more >"


def ordered():
    out = []
    things = [Ordered(1), Ordered(2), OrderedMore(1), OrderedMore(3), 1, "a", None]
    for a in things:
        for b in things:
            out.append((repr(a), repr(b), comparisons(a, b)))
    return out


def cases():
    for op, name in enumerate(NAMES):
        yield f"binary_{name}", lambda op=op: all_pairs(binary, op)
        yield f"in_place_{name}", lambda op=op: all_pairs(in_place, op)
    yield "vectors", lambda: vectors(40)
    yield "counts", lambda: counts(30)
    yield "replaced", lambda: replaced(24)
    yield "items", lambda: [outcome(items, 5, e) for e in (StopIteration, StopIteration(3), IndexError("x"), KeyboardInterrupt)]
    yield "set_items", lambda: set_items(6)
    yield "deep", lambda: deep(0)
    yield "generating", lambda: [generating(3) for _ in range(6)]
    yield "ordered", ordered
