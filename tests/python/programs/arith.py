"""Binary, unary and in-place arithmetic over every pair of a wide range of values: ints at the borders of digits and machine words,
floats with their odd values, bools, and types that do not fit. Held: every pair gives CPython's result or exception."""
import math
import operator

from kit import ALL, matrix, outcome, sweep
import kit

MUST_COMPILE = ALL

INTS = [0, 1, -1, 2, -2, 3, -7, 10, 255, 256, 257, -5, -6, 2**15, 2**30 - 1, 2**30, 2**30 + 1, -2**30, -2**30 - 1, 2**31 - 1, 2**31, -2**31,
        2**32, 2**60 - 1, 2**60, -2**60, 2**62 - 1, 2**62, 2**63 - 1, 2**63, -2**63, -2**63 - 1, 2**64, 10**20, -10**20]
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e308, -1e308, 5e-324, math.inf, -math.inf, math.nan, 2.0**53, 2.0**63]
OTHERS = [True, False, None, "a", "", b"b", (1,), [2], 1j, {3}, {4: 5}]
SMALL = [0, 1, -1, 2, 3, 5, 29, 30, 31, 62, 63, 64, 65, 100, True, False]


def add(a, b):
    return a + b


def sub(a, b):
    return a - b


def mul(a, b):
    return a * b


def truediv(a, b):
    return a / b


def floordiv(a, b):
    return a // b


def mod(a, b):
    return a % b


def power(a, b):
    return a ** b


def lshift(a, b):
    return a << b


def rshift(a, b):
    return a >> b


def bitand(a, b):
    return a & b


def bitor(a, b):
    return a | b


def bitxor(a, b):
    return a ^ b


def matmul(a, b):
    return a @ b


def iadd(a, b):
    a += b
    return a


def isub(a, b):
    a -= b
    return a


def imul(a, b):
    a *= b
    return a


def itruediv(a, b):
    a /= b
    return a


def ifloordiv(a, b):
    a //= b
    return a


def imod(a, b):
    a %= b
    return a


def ipower(a, b):
    a **= b
    return a


def ilshift(a, b):
    a <<= b
    return a


def irshift(a, b):
    a >>= b
    return a


def iand(a, b):
    a &= b
    return a


def ior(a, b):
    a |= b
    return a


def ixor(a, b):
    a ^= b
    return a


def imatmul(a, b):
    a @= b
    return a


def neg(a):
    return -a


def pos(a):
    return +a


def invert(a):
    return ~a


def not_(a):
    return not a


def const_right(a):
    return a + 1, a - 1, a * 3, a // 7, a % 7, a << 2, a >> 1, a & 255, a | 1, a ^ 5


def const_left(a):
    return 1 + a, 1 - a, 3 * a, 100 // a, 100 % a


def const_float(a):
    return a + 0.5, a - 0.5, a * 2.0, a / 4.0, 1.0 / a


def polynomial(x, y):
    return x * x * x - 3 * x * y + y * y - x // 3 + y % 5


def float_chain(x, y, z):
    t = x * y + z
    u = t - x / (y + 1.5)
    return t * u - (x - y) * (z - t)


def int_loop(n, step, start):
    total = start
    i = 0
    while i < n:
        total += i * step
        i += 1
    return total, i


def overflow_loop(x, n):
    """Leaves compact ints, then machine words, while it runs."""
    seen = []
    for i in range(n):
        x = x * 3 + i
        if i % 16 == 0:
            seen.append(x)
    return x, seen


def down_through_zero(n):
    out = []
    while n > -3:
        n -= 1
        out.append((n // 2, n % 3, n >> 1, -n, ~n))
    return out


def type_changes(values):
    """One local that is an int, a float, a str in turn."""
    acc = values[0]
    out = []
    for v in values[1:]:
        try:
            acc = acc + v
        except TypeError as e:
            out.append(str(e))
            acc = v
        out.append(acc)
    return out


def unboxed_then_seen(n):
    """Locals that could live unboxed, seen through locals() now and then."""
    i, s, f, out = 0, 0, 0.5, []
    while i < n:
        s = s + i
        f = f * 1.5 + i
        i = i + 1
        if i % 4 == 0:
            out.append(sorted(locals().items(), key=lambda kv: kv[0])[0:2])
    return i, s, f, len(out)


def shared_boxes(n):
    """Values that are also held elsewhere must not change when the local does."""
    kept = []
    x = 1000.5
    k = 2**40
    for _ in range(n):
        kept.append(x)
        kept.append(k)
        x = x + 1.0
        k = k + 1
    return kept, x, k


def alias(n):
    x = float(n)
    y = x
    x += 1.0
    z = y
    y += 2.0
    k = n + 1000
    j = k
    k += 1
    return x, y, z, k, j


def float_with(x, other):
    """A float that is in a register, with whatever the other one is."""
    x = x * 1.5
    out = [x < other, other < x, x == other, other != x, x >= other, other >= x]
    y = x * 0.5
    return out, y + other, other - y, y * other, x / other


def powers(x, y):
    x = x * 1.0
    y = y * 1.0
    return x ** 2, x ** y, (x * y) ** -1.5, x ** 3


def argument_not_changed(x):
    old = x
    x += 1
    return old, x


def div_zero_caught(a, b):
    try:
        return a / b, "no"
    except ZeroDivisionError as e:
        return str(e), a
    finally:
        a = None


class Number:
    """Reflected and in-place operators, NotImplemented."""

    def __init__(self, v):
        self.v = v

    def __add__(self, o):
        return NotImplemented if isinstance(o, str) else ("add", self.v, getattr(o, "v", o))

    def __radd__(self, o):
        return ("radd", self.v, o)

    def __isub__(self, o):
        self.v = (self.v, o)
        return self

    def __mul__(self, o):
        return NotImplemented

    def __rmul__(self, o):
        return ("rmul", o)

    def __matmul__(self, o):
        return ("matmul", getattr(o, "v", o))

    def __imatmul__(self, o):
        return ("imatmul", getattr(o, "v", o))

    def __neg__(self):
        return "neg"

    def __pos__(self):
        raise LookupError("pos")

    def __invert__(self):
        return "inv"

    def __bool__(self):
        return bool(self.v)

    def __divmod__(self, o):
        return ("divmod", o)

    def __rpow__(self, o, m=None):
        return ("rpow", o, m)

    def __index__(self):
        return 3

    def __repr__(self):
        return f"Number({self.v!r})"


class Sub(Number):
    """A subclass on the right goes first."""

    def __radd__(self, o):
        return ("Sub.radd", getattr(o, "v", o))


class MyInt(int):
    def __add__(self, o):
        return ("MyInt", int(self), o)


class MyFloat(float):
    pass


def user_operands():
    return [Number(1), Sub(2), MyInt(3), MyFloat(4.5)]


BINARY = [add, sub, mul, truediv, floordiv, mod, bitand, bitor, bitxor, matmul, iadd, isub, imul, itruediv, ifloordiv, imod, iand, ior, ixor,
          imatmul]
UNARY = [neg, pos, invert, not_, const_right, const_left, const_float]


def table(function, left, right):
    """All pairs; the first pair of each kind warms up."""
    if kit.phase == "warm":
        return sweep(function, [(left[1], right[1])])
    return [outcome(function, a, b) for a in left for b in right]


def copies(function, *kinds):
    """For each kind of operands a copy that has specialised on it, then all pairs of some values of every kind."""
    some = [1, 7, -3, 2**30, 2**62, 2**63, 0, 1.5, -0.0, math.inf, True, "s", None, [1], MyInt(5), MyFloat(2.5)]
    sequence = (str, list)          # times 2**30 it would fill the memory
    pairs = [(a, b) for a in some for b in some if not (function in (mul, imul) and (isinstance(a, sequence) or isinstance(b, sequence)))]
    warm = [k for k, (a, b) in enumerate(pairs) if (type(a), type(b)) in kinds and a in (7, 1.5, 2**62, "s") and b in (7, 1.5, 2**62, "s")]
    return matrix(function, pairs, warm)


def cases():
    for f in BINARY:
        yield f"{f.__name__}_ints", lambda f=f: table(f, INTS, INTS)
        yield f"{f.__name__}_floats", lambda f=f: table(f, FLOATS, FLOATS + [3, -2, 2**70])
        yield f"{f.__name__}_mixed", lambda f=f: table(f, [5, 1.5, *OTHERS], [4, 2.5, *OTHERS])
        yield f"{f.__name__}_users", lambda f=f: [outcome(f, a, b) for a in user_operands() for b in [*user_operands(), 7, "s"]] + \
            [outcome(f, 7, b) for b in user_operands()]
    for f in (lshift, rshift, ilshift, irshift, power, ipower):
        yield f"{f.__name__}_small", lambda f=f: table(f, [3, 1, -1, 0, 7, 2**29, -2**31, 2**62, True], SMALL)
    yield "power_floats", lambda: table(power, [2.0, -2.0, 0.0, math.inf, math.nan, -8], [2, 0.5, -1, 0, -1.5, 1 / 3, math.inf])
    for f in UNARY:
        yield f"{f.__name__}_all", lambda f=f: sweep(f, [(v,) for v in [7, *INTS, *FLOATS, *OTHERS, *user_operands()]])
    number = {(a, b) for a in (int, float) for b in (int, float)}
    for f in (add, sub, mul, truediv, floordiv, mod, iadd, isub, imul):
        yield f"{f.__name__}_copies", lambda f=f: copies(f, *number, (str, str))
    for f in (bitand, bitor, bitxor, lshift, rshift):
        yield f"{f.__name__}_copies", lambda f=f: matrix(f, [(a, b) for a in (5, 2**31, -1, True, 2**70, 1.5) for b in (3, 0, True, "x")])
    yield "polynomial", lambda: matrix(polynomial, [(3, 4), (3.5, 4), (2**31, 2**31), (-2**62, 3), ("a", 1), (True, False), (1.5, 2.5)])
    yield "float_chain", lambda: matrix(float_chain, [(1.5, 2.5, 3.5), (1, 2, 3), (0.0, -1.5, 2), (math.inf, 0.0, 1.0), (1e300, 1e300, -1e300), ("a", 2, 3)])
    yield "int_loop", lambda: matrix(int_loop, [(50, 3, 0), (50, 2**30, 2**62), (50, 1.5, 0), (50.0, 1, True), (5, "ab", ""), (40, -2**61, 5)])
    yield "overflow_loop", lambda: matrix(overflow_loop, [(1, 60), (-1, 60), (1.5, 60), (2**29, 3), (True, 20), ("a", 2)])
    yield "down_through_zero", lambda: matrix(down_through_zero, [(5,), (5.5,), (True,), (2**3,), (None,)])
    yield "type_changes", lambda: matrix(type_changes, [([1, 2, 3],), ([1, 2.5, 3, 2**70, "a", "b", 1],), ([1.5, 2.5, "x", None, 3],), (["a", "b", 1],)])
    yield "unboxed_then_seen", lambda: sweep(unboxed_then_seen, [(20,), (20.0,), (True,), (6,)])
    yield "shared_boxes", lambda: sweep(shared_boxes, [(10,), (3,)])
    yield "alias", lambda: sweep(alias, [(10,), (2**40,), (1.5,), (True,)])
    def untouched():
        values = [1000.5, 2**40, 2**70, 5]
        return [argument_not_changed(v) for v in values for _ in range(3)], values
    yield "argument_not_changed", untouched
    mixed = [7, 2**30 - 1, -2**30, 2**30, 2**53 + 1, 2**70, 10**400, True, 2.5, math.nan, math.inf, 0, -0.0, 1j, MyInt(5), MyFloat(1.5), Number(2), "s", None]
    yield "float_with", lambda: matrix(float_with, [(x, o) for x in (2.5, -0.0, 1e300) for o in mixed], range(4))
    yield "powers", lambda: matrix(powers, [(x, y) for x in (2.5, -2.5, 0.0, -0.0, 1e200, -1e200, 1e-200, math.inf, -math.inf, math.nan)
                                           for y in (3.0, 2.5, -3.0, 0.0, -0.5, 301.0, 1e18, math.inf, -math.inf, math.nan)], range(3))
    yield "div_zero_caught", lambda: sweep(div_zero_caught, [(1, 2), (1, 0), (1.0, 0), (1.0, 0.0), (2**70, 0), (0, 0), ("a", 0)])
    yield "operator_module", lambda: [operator.add(1, 2), divmod(-7, 2), divmod(Number(1), 2), divmod(7.5, -2), round(2.5), pow(3, -1, 7)]
    yield "huge_shift", lambda: [outcome(lshift, 1, -1), outcome(rshift, 1, 2**70), outcome(lshift, 0, 2**70), outcome(rshift, -1, 10**6)]
