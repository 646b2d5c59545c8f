"""Comparisons, chained ones, `is`, `in`, truth values, and the branches made of them; over values of many types.
Held: each comparison asks the operands in CPython's order and gives what they give."""
import math

from kit import ALL, matrix, outcome, sweep
import kit

MUST_COMPILE = ALL
VALUES = [0, 1, -1, 2**30, 2**30 + 1, 2**62, 2**63, -2**70, 2**70, 1.0, 0.0, -0.0, 1.5, math.nan, math.inf, 2.0**62, True, False, None, "a", "b",
          "ab", "", "\u00e9", "\u4e00", b"a", (), (1,), (1, 2), [1], [], {}, {1}, 1j]


def lt(a, b):
    return a < b


def le(a, b):
    return a <= b


def eq(a, b):
    return a == b


def ne(a, b):
    return a != b


def gt(a, b):
    return a > b


def ge(a, b):
    return a >= b


def is_(a, b):
    return a is b, a is not b


def branch(a, b):
    """The same comparisons as branches: compared and jumped without a bool."""
    out = ""
    if a < b:
        out += "<"
    if a <= b:
        out += "<="
    if a == b:
        out += "=="
    if a != b:
        out += "!="
    if a > b:
        out += ">"
    if not a >= b:
        out += "not>="
    return out


def chained(a, b, c):
    return a < b < c, a <= b <= c, a == b == c, a < b > c, not a < b < c


def chained_branch(a, b, c):
    if a < b <= c:
        return "in"
    elif a > b >= c:
        return "out"
    return "else"


def contains(a, b):
    return a in b, a not in b


def contains_branch(a, b):
    if a in b:
        return "in"
    if a not in b:
        return "not in"


def truth(a):
    return not a, bool(a), 1 if a else 2, "w" if not a else "v"


def and_or(a, b, c):
    return (a and b), (a or b), (a and b or c), (a or b and c), not (a and b), (not a or not b)


def none_tests(a):
    out = []
    if a is None:
        out.append("None")
    if a is not None:
        out.append("not None")
    out.append(a is None)
    while a is None:
        a = 1
    return out, a


def while_truth(x):
    n = 0
    while x:
        x = x[1:] if isinstance(x, (str, list, tuple)) else x - 1
        n += 1
        if n > 20:
            break
    else:
        n += 1000
    return n


def small_identity(a):
    return a is True, a is False, a is ...


def sort_by(values, key):
    return sorted(values, key=lambda v: (key(v), str(v)))


def min_max(a, b, c):
    m = a if a < b else b
    m = m if m < c else c
    return m, max(a, b, c), min((a, b, c))


class Loud:
    """Says who is asked what; answers with what it was given, bool or not."""
    log = []

    def __init__(self, name, answer=NotImplemented):
        self.name, self.answer = name, answer

    def ask(self, op, other):
        Loud.log.append(f"{self.name}{op}{getattr(other, 'name', other)}")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def __lt__(self, o):
        return self.ask("<", o)

    def __gt__(self, o):
        return self.ask(">", o)

    def __le__(self, o):
        return self.ask("<=", o)

    def __ge__(self, o):
        return self.ask(">=", o)

    def __eq__(self, o):
        return self.ask("==", o)

    def __ne__(self, o):
        return self.ask("!=", o)

    __hash__ = None

    def __contains__(self, o):
        return self.ask(" contains ", o)

    def __bool__(self):
        Loud.log.append(f"bool {self.name}")
        if isinstance(self.answer, Exception):
            raise self.answer
        return True

    def __repr__(self):
        return f"Loud({self.name})"


class LoudSub(Loud):
    def __gt__(self, o):
        return self.ask("sub>", o)

    def __eq__(self, o):
        return self.ask("sub==", o)

    __hash__ = None


class Len:
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n


class BadBool:
    def __bool__(self):
        return "yes"


class Iter:
    def __iter__(self):
        return iter([1, "x", None])


def loud(function):
    """All answers, with the log of questions."""
    out = []
    for answer in (NotImplemented, True, 0, "text", [], ValueError("asked")):
        for left, right in ((Loud("a", answer), Loud("b")), (Loud("a", answer), 5), (5, Loud("b", answer)), (Loud("a"), LoudSub("s", answer))):
            Loud.log = []
            out.append((outcome(function, left, right), Loud.log))
    return out


def changing_answer(n):
    """A comparison whose type of result changes while it is warm."""
    class Switch:
        def __init__(self, k):
            self.k = k

        def __lt__(self, o):
            return self.k if self.k % 3 else ""
    out = []
    for i in range(n):
        if Switch(i) < 5:
            out.append(i)
        out.append(Switch(i) < 1)
    return out


def pairs(function):
    if kit.phase == "warm":
        return sweep(function, [(3, 4)])
    return [outcome(function, a, b) for a in VALUES for b in VALUES]


def cases():
    for f in (lt, le, eq, ne, gt, ge, is_, branch):
        if f is not is_:
            yield f"{f.__name__}_pairs", lambda f=f: pairs(f)
            yield f"{f.__name__}_loud", lambda f=f: loud(f)
        some = [(1, 2), (2, 1), (1.5, 2.5), (2.5, math.nan), ("a", "b"), ("b", "b"), (2**70, 2**69), (True, 2), (None, None), ([1], [2]), (1, 1.5), ("a", 1)]
        yield f"{f.__name__}_copies", lambda f=f, some=some: matrix(f, some)
    three = [(1, 2, 3), (3, 2, 1), (1.0, 2.0, 3.0), (1, 2.5, 2**70), ("a", "b", "c"), (1, 1, 1), (math.nan, 1, 2), (1, "a", 2), (3, 4, "c"), (None, 1, 2)]
    for f in (chained, chained_branch, and_or, min_max):
        yield f.__name__, lambda f=f: matrix(f, three)
    def loud_chain():
        out = []
        for answers in ((True, True), (0, 1), ("", 1), ([1], ValueError("no"))):
            Loud.log = []
            out.append((outcome(chained, Loud("a", answers[0]), Loud("b", answers[1]), Loud("c")), Loud.log))
        return out
    yield "loud_chain", loud_chain
    boxes = [(1, [1, 2]), (3, [1, 2]), ("a", "cab"), ("x", "cab"), ("", "abc"), (1, {1: 2}), (2, {1: 2}), (1, {1, 2}), (9, {1}), (None, (None,)), (1, range(5)), (7, range(5)),
             (98, b"abc"), (1, "abc"), ([], {1: 2}), ({}, {1}), (1, 5), (None, Iter()), (2, Iter()), ("x", Loud("box", "yes")), (math.nan, [math.nan]), (1.0, [1]),
             (1, frozenset({1}))]
    for f in (contains, contains_branch):
        yield f.__name__, lambda f=f: matrix(f, boxes)
    nan = math.nan
    yield "nan_identity", lambda: [contains(nan, [nan]), contains(float("nan"), [nan]), [nan] == [nan], eq(nan, nan), is_(nan, nan)]
    truths = [(v,) for v in [1, 0, True, False, None, "", "a", [], [1], (), (1,), {}, {1: 1}, set(), 0.0, -0.0, 0.1, nan, 2**70, b"", Len(0), Len(3), BadBool(),
                             Loud("t"), Loud("t", ValueError("bool")), Len(-1), Len("x"), object, len, ..., NotImplemented]]
    yield "truth", lambda: matrix(truth, truths)
    yield "none_tests", lambda: matrix(none_tests, [(None,), (0,), ("",), ([],)])
    yield "while_truth", lambda: matrix(while_truth, [(3,), ("abc",), ([1, 2],), ((),), (2.5,), (None,), (True,), (-1,)])
    yield "small_identity", lambda: sweep(small_identity, [(True,), (1,), (False,), (...,), (None,)])
    yield "sort_by", lambda: [sort_by([3, 1, 2], abs), sort_by(["b", "a"], len), outcome(sort_by, [1, "a"], lambda v: v)]
    yield "changing_answer", lambda: changing_answer(30)
