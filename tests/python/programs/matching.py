"""The match statement in all its forms, and star unpacking.
Held: which case is taken, what it binds, which methods of the subject are called, and the errors."""
import enum
from dataclasses import dataclass

from kit import ALL, matrix, outcome, sweep

MUST_COMPILE = ALL


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


LIMIT = 10


@dataclass
class Point:
    x: int
    y: int = 0


@dataclass
class Point3(Point):
    z: int = 0


class Odd:
    __match_args__ = ("a", "b")

    def __init__(self, a):
        self.a = a

    @property
    def c(self):
        raise ValueError("c")


class BadArgs:
    __match_args__ = ["a"]


class BadNames:
    __match_args__ = (1,)


class Twice:
    __match_args__ = ("a", "a")
    a = 1


class Seq(list):
    pass


class Mapping(dict):
    def get(self, k, d=None):
        return ("got", k) if k == "special" else super().get(k, d)


def literals(s):
    match s:
        case 0:
            return "zero"
        case 1 | 2 | -3:
            return "few"
        case 2.5:
            return "float"
        case -1j | 1 + 2j:
            return "complex"
        case "text" | b"bytes":
            return "string"
        case None:
            return "none"
        case True:
            return "true"
        case False:
            return "false"
    return "nothing"


def values(s):
    match s:
        case Colour.RED:
            return "red"
        case Colour.BLUE | Colour.RED:
            return "blue"
        case Point.y:
            return "attribute"
        case _ if s == LIMIT:
            return "guard"
        case other:
            return "other", other


def sequences(s):
    match s:
        case []:
            return "empty"
        case [1]:
            return "one"
        case [x, y] if x == y:
            return "same", x
        case [x, 2]:
            return "two", x
        case [x, [y, *z], *_]:
            return "nested", x, y, z
        case ["go", ("north" | "south") as direction]:
            return "go", direction
        case [first, *middle, last] if middle:
            return first, middle, last
        case (a, b, *rest):
            return "pair", a, b, rest
        case [*everything]:
            return "star", everything
    return "nothing"


def mappings(s):
    match s:
        case {"kind": "circle", "r": r}:
            return "circle", r
        case {"kind": str(k), **rest} if rest:
            return "other", k, rest
        case {"point": {"x": x, "y": [y, *_]}}:
            return "point", x, y
        case {Colour.RED: v, 2.5: _}:
            return "keys", v
        case {"special": v}:
            return "special", v
        case {}:
            return "mapping"
    return "nothing"


def classes(s):
    match s:
        case bool(b):
            return "bool", b
        case int(i) | float(i) if i > 5:
            return "number", i
        case int():
            return "int"
        case str() as t if t:
            return "str", t
        case Point3(x, y, z):
            return "point3", x, y, z
        case Point(x=0, y=y):
            return "on axis", y
        case Point(x, y=1):
            return "one", x
        case Point():
            return "point"
        case Odd(a=[*a]):
            return "odd list", a
        case Odd(a, b):
            return "both", a, b
        case Odd(1):
            return "odd 1"
        case list([x]) | tuple((x, _)):
            return "seq", x
        case dict({"k": v}):
            return "dict", v
        case object(real=r):
            return "has real", r
        case Exception(args=[a]):
            return "exception", a
    return "nothing"


def class_errors(s, which):
    match which:
        case 0:
            match s:
                case Point(1, 2, 3):
                    return "never"
        case 1:
            match s:
                case BadArgs(x):
                    return "never"
        case 2:
            match s:
                case BadNames(x):
                    return "never"
        case 3:
            match s:
                case Twice(x, y):
                    return "never"
        case 4:
            match s:
                case int(1, 2):
                    return "never"
        case 5:
            match s:
                case Odd(c=1):
                    return "never"
        case 6:
            t = 5
            match s:
                case t():
                    return "never"
        case 7:
            match s:
                case Twice(x, a=y):
                    return "never"
        case 8:
            match s:
                case BadArgs():
                    return "fine"
    return "fell through"


def duplicate_key(s, k):
    class K:
        a = k
        b = k
    match s:
        case {K.a: 1, K.b: 1}:
            return "never"
    return "no"


def bindings_kept(s):
    x = "before"
    match s:
        case [x, 5]:
            return "matched", x
        case [x, y, z] if z == 0:
            return "guarded"
    return x


def in_loop(items):
    out = []
    for item in items:
        match item:
            case {"skip": True}:
                continue
            case ["stop", *_]:
                break
            case ("return", v):
                return v, out
            case _:
                out.append(item)
    else:
        out.append("else")
    return out


def evaluate(e):
    match e:
        case int() | float():
            return e
        case ("+", *args):
            return sum(evaluate(a) for a in args)
        case ("*", a, b):
            return evaluate(a) * evaluate(b)
        case ("-", a):
            return -evaluate(a)
        case ("let", name, v, body):
            return evaluate(substitute(body, name, evaluate(v)))
        case _:
            raise SyntaxError(f"bad {e!r}")


def substitute(e, name, v):
    match e:
        case str() if e == name:
            return v
        case (op, *args):
            return (op, *(substitute(a, name, v) for a in args))
    return e


def unpack2(s):
    a, b = s
    return b, a


def unpack3(s):
    a, [b, c], d = s
    return d, c, b, a


def unpack_star(s):
    a, *b, c = s
    return a, b, c


def unpack_star_first(s):
    *a, b = s
    return a, b


def unpack_star_last(s):
    a, b, *c = s
    return a, b, c


def unpack_nested_star(s):
    (a, *b), *c = s
    return a, b, c


def build(a, b):
    return [*a, 1, *b], (*a, *b), {*a, *b, 5}, [*a], (*b,), {**dict.fromkeys(a), "z": 1, **dict.fromkeys(b, 2)}


def merge(a, b):
    return {**a, "k": 0, **b}, {"k": 0, **a}, {**a}


def subjects():
    return [0, 1, 2, -3, 2.5, -1j, 1 + 2j, "text", b"bytes", None, True, False, 1.0, 10, "", Colour.RED, Colour.BLUE, [], [1], [2, 2], [7, 2], [1, [2, 3, 4], 5], ["go", "north"],
            ["go", "west"], [1, 2, 3, 4], (1, 2), (1, 2, 3), [0], range(3), "ab", bytearray(b"ab"), {1: 2}, {"kind": "circle", "r": 3}, {"kind": "square", "a": 1}, {"kind": "square"}, {"kind": 5, "q": 1},
            {"point": {"x": 1, "y": [2]}}, {Colour.RED: 1, 2.5: 2}, Mapping(special=1), Mapping(), {}, Point(0, 5), Point(3, 1), Point(3, 3), Point3(1, 2, 3), Odd([1]), Odd(1), Odd(2), Seq([1, 5]),
            (1, 5), {"k": 9}, 6.5, 1e9, ValueError("v"), ValueError(1, 2), iter([1]), {1, 2}, ("a", "b"), [1, 5], object, print, 2**70, ...]


def cases():
    subjects()      # called twice: where an event waits at the first call, the interpreter passes over the way in
    all_subjects = [(s,) for s in subjects()]
    for f in (literals, values, sequences, mappings, classes, bindings_kept):
        yield f.__name__, lambda f=f: [text.replace("\n", "") for text in sweep(f, all_subjects)]
        yield f"{f.__name__}_copies", lambda f=f: matrix(f, all_subjects, range(0, len(all_subjects), 7))
    yield "class_errors", lambda: [outcome(class_errors, s, k) for s in (Point(1, 2), BadArgs(), BadNames(), Twice(), 1, Odd(1), 5) for k in range(10)]
    yield "duplicate_key", lambda: [outcome(duplicate_key, s, k) for s in ({}, {1: 1}, {"a": 1}) for k in (1, "a")]
    yield "in_loop", lambda: [in_loop(i) for i in ([1, {"skip": True}, 2], [1, ["stop"], 2], [1, ("return", 5)], [])]
    yield "evaluate", lambda: [outcome(evaluate, e) for e in (1, ("+", 1, 2, 3), ("*", ("+", 1, 2), 2.5), ("-", 4), ("let", "x", 5, ("*", "x", "x")), ("?", 1), ("*", 1), "free")]
    def sequences_():
        return [([1, 2],), ((1, 2),), ("ab",), ([1, 2, 3],), ((1,),), ({1: 2, 3: 4},), (5,), (None,), (iter([1, 2]),), ([1, [2, 3], 4],), ((1, "bc", 4),), ([],), (range(5),), ([[1, 2], 3, 4],), ((i for i in range(2)),)]
    for f in (unpack2, unpack3, unpack_star, unpack_star_first, unpack_star_last, unpack_nested_star):
        yield f.__name__, lambda f=f: matrix(f, sequences_(), make=sequences_)
    yield "build", lambda: matrix(build, [([1], [2]), ((1, 2), "ab"), ({1: 2}, {3}), (5, []), ([], 5), ([], []), (range(3), [[1]]), ([[]], [])])
    yield "merge", lambda: sweep(merge, [({"a": 1}, {"k": 2}), ({}, {}), ([], {}), ({}, 5), ({1: 2}, {1: 3}), (None, {})])
