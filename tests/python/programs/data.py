"""Subscripts, slices, membership and mutation of lists, tuples, dicts, strings, bytes and user containers; with indices of all kinds.
Held: values, errors, and that a changed container is seen changed."""
from kit import ALL, deltas, matrix, outcome, sweep

MUST_COMPILE = ALL
INDICES = [0, 1, 2, -1, -3, -4, 3, 5, 255, 2**31, 2**63, -2**63, -2**70, True, False, 1.0, "a", None, "k", slice(1, 2), (1,), (0, 1), [0], b"a"]


class Indexed:
    def __init__(self, v=None):
        self.v = v

    def __getitem__(self, k):
        if k == 5:
            raise KeyError("five")
        return ("item", k)

    def __setitem__(self, k, v):
        if k == 5:
            raise KeyError("set five")
        self.v = (k, v)

    def __delitem__(self, k):
        self.v = ("deleted", k)

    def __repr__(self):
        return f"Indexed({self.v})"


class Generic:
    def __class_getitem__(cls, k):
        return cls.__name__, k


class Index:
    def __init__(self, i):
        self.i = i

    def __index__(self):
        if self.i == "bad":
            return "bad"
        if self.i == "raise":
            raise ValueError("index")
        return self.i

    def __repr__(self):
        return f"Index({self.i})"


class MyList(list):
    def __getitem__(self, i):
        return "mine", super().__getitem__(i)


class MyDict(dict):
    def __missing__(self, k):
        return "missing", k


class BadHash:
    def __hash__(self):
        raise OverflowError("hash")


class Same:
    """Equal hashes; comparing changes the dict."""

    def __init__(self, d=None, error=None):
        self.d, self.error = d, error

    def __hash__(self):
        return 7

    def __eq__(self, other):
        if self.error:
            raise self.error
        return False


def get(c, i):
    return c[i]


def get0(c):
    return c[0]


def get_last(c):
    return c[-1]


def get_key(d):
    return d["k"]


def put(c, i, v):
    c[i] = v
    return c


def delete(c, i):
    del c[i]
    return c


def augment(c, i, v):
    c[i] += v
    return c


def slice2(c, a, b):
    return c[a:b]


def slice3(c, a, b, s):
    return c[a:b:s]


def slices(c):
    return c[:], c[1:], c[:2], c[-2:], c[:-1], c[1:2], c[::2], c[::-1]


def put_slice(c, a, b, v):
    c[a:b] = v
    return c


def put_slice3(c, a, b, s, v):
    c[a:b:s] = v
    return c


def delete_slice(c, a, b):
    del c[a:b]
    return c


def two_dims(c, i, j):
    return c[i, j], c[i, ...], c[i:j, 1], c[()]


def nested(c, i, j):
    c[i][j] = c[j][i]
    return c[i][j], c


def swap(c, i, j):
    c[i], c[j] = c[j], c[i]
    return c


def total(c, n):
    s = 0
    for i in range(n):
        s += c[i]
    return s


def matrix_product(a, b):
    n, m, p = len(a), len(b), len(b[0])
    out = [[0] * p for _ in range(n)]
    for i in range(n):
        row, target = a[i], out[i]
        for j in range(p):
            acc = 0
            for k in range(m):
                acc += row[k] * b[k][j]
            target[j] = acc
    return out


def sieve(n):
    flags = [True] * n
    for i in range(2, n):
        if flags[i]:
            for j in range(i * i, n, i):
                flags[j] = False
    return [i for i in range(2, n) if flags[i]]


def count_words(words):
    d = {}
    for w in words:
        if w in d:
            d[w] += 1
        else:
            d[w] = 1
    return d, sorted(d, key=d.get), max(d.values(), default=0)


def changing_list(n):
    """The list a loop indexes shrinks and changes the kinds of its items."""
    l = [0, 1, 2, 3, 4, 5]
    out = []
    for i in range(n):
        try:
            out.append(l[i % 6])
        except IndexError as e:
            out.append(str(e))
        if i == 8:
            l[2] = "two"
        if i == 10:
            l.pop()
        if i == 15:
            l = tuple(l)
        if i == 20:
            l = dict(enumerate(l))
        if i == 30:
            l = "abcdef"
    return out


def displays(a, b):
    return [a, b], (a, b), {a, b}, {a: b, b: a}, [], (), {}, set(), [[]] * 2, {a: {b: [a]}}


def dict_order(a, b):
    d = {a: 1, b: 2, **{a: 3}}
    del d[a]
    d[a] = 4
    return list(d.items()), d | {b: 0}, {**d}, d.pop(b), d


def evaluation_order(log):
    def say(x):
        log.append(x)
        return x
    d = {say("k1"): say("v1"), say("k2"): say("v2")}
    d[say("k3")] = say("v3")
    l = [say(1), say(2)]
    l[say(0)] += say(5)
    l[say(0)], l[say(1)] = say(8), say(9)
    return d, l


def set_ops(a, b):
    return a | b, a & b, a - b, a ^ b, a <= b, a < b, a == b, a >= b, 1 in a, 1 not in b


def inplace_sets(a, b):
    c = a
    a |= b
    a &= {1, 2, 3}
    a -= {2}
    a ^= b
    return a, c is a


def inplace_lists(a, b):
    c = a
    a += b
    a *= 2
    return a, c, a is c


def bytes_ops(b, i):
    return b[i], b[i:], b + b"x", b * 2, b.hex(), list(b), b in b"abc", bytearray(b)[i]


def string_scan(s):
    n = 0
    for i in range(len(s)):
        if s[i] == "a" or s[i] in "bc":
            n += ord(s[i])
    return n, [c for c in s if c.isalpha()], s[len(s) // 2:]


def containers():
    return [[10, 20, 30], (10, 20, 30), {0: "zero", 1: "one", "k": "v", -1: "m"}, "abc", "\u00e9\u4e00\U0001f600", b"abc", bytearray(b"abc"), range(3), Indexed(), MyList([1, 2, 3]), MyDict(k=1), 5, None, {1, 2},
            Generic, list, [], {}, memoryview(b"abc"), [[1], [2], [3]], {True: "t"}, frozenset()]


def cases():
    pairs = [(c, i) for c in containers() for i in INDICES]
    def show_all(f, extra=()):
        return [str(outcome(f, c, i, *extra)).replace("\n", "") for c in containers() for i in INDICES]
    yield "get_all", lambda: show_all(get)
    warm = [k for k, (c, i) in enumerate(pairs) if not isinstance(c, (int, set)) and i in (1, "k", 0) and type(i) in (int, str)]
    yield "get_copies", lambda: matrix(get, pairs, warm[::2])
    yield "put_all", lambda: show_all(put, ("v",))
    yield "delete_all", lambda: show_all(delete)
    yield "augment_all", lambda: show_all(augment, (1,))
    def fresh_puts():
        return [(c, i, v) for c in (containers()) for i in (1, -1, "k", 7, True) for v in (5,) if not isinstance(c, memoryview)]
    yield "put_copies", lambda: matrix(put, fresh_puts(), range(0, 100, 5), make=fresh_puts)
    for f in (get0, get_last, get_key, slices):
        yield f.__name__, lambda f=f: [str(t).replace("memory at", "") for t in matrix(f, [(c,) for c in containers()], range(0, 20, 2))]
    yield "odd_indices", lambda: [outcome(get, c, i) for c in ([1, 2], (1, 2), "ab", b"ab", {1: 2}, Indexed(), range(2)) for i in (Index(1), Index(5), Index(-1), Index("bad"), Index("raise"), BadHash(), Same())]
    def same_keys():
        d = {Same(): 1}
        return [outcome(get, d, Same()), outcome(get, {Same(error=ValueError("eq")): 1}, Same()), outcome(get, d, BadHash()), outcome(put, {}, BadHash(), 1), outcome(put, {}, [], 1), outcome(delete, {}, "k")]
    yield "same_keys", same_keys
    bounds = [(None, None), (0, 2), (1, -1), (-2, 9), (2, 1), (True, 2**70), (-2**70, 1), (1.0, 2), ("a", None), (Index(1), Index(2)), (Index("raise"), 2)]
    yield "slice2", lambda: [outcome(slice2, c, a, b) for c in containers()[:9] + [5, {}, Generic] for a, b in bounds]
    yield "slice2_copies", lambda: matrix(slice2, [(c, a, b) for c in ([1, 2, 3], (1, 2, 3), "abc", b"abc", Indexed(), 5) for a, b in bounds[:6]], range(0, 36, 3))
    yield "slice3", lambda: [outcome(slice3, c, a, b, s) for c in containers()[:9] for a, b in bounds[:4] for s in (None, 1, -1, 2, 0, "x")]
    yield "put_slice", lambda: [outcome(put_slice, c, a, b, v) for a, b in bounds for v in ([7], "xy", (), 5, b"q") for c in ([1, 2, 3], bytearray(b"abc"), Indexed(), "abc", (1,))]
    yield "put_slice3", lambda: [outcome(put_slice3, [1, 2, 3, 4], None, None, s, v) for s in (2, -1, 0) for v in ([7], [7, 8], [1, 2, 3, 4], 5)]
    yield "delete_slice", lambda: [outcome(delete_slice, c, a, b) for a, b in bounds for c in ([1, 2, 3], bytearray(b"abc"), Indexed(), "abc")]
    yield "two_dims", lambda: [outcome(two_dims, c, 1, 2) for c in (Indexed(), {(1, 2): 3}, [1], Generic)]
    def nests():
        return [([[1, 2], [3, 4]], 0, 1), ({0: {1: "a"}, 1: {0: "b"}}, 0, 1), ([(1, 2), (3, 4)], 0, 1), ([[1.5, 2], ["a", 4]], 1, 0), ([[1]], 0, 1)]
    yield "nested", lambda: matrix(nested, nests(), make=nests)
    yield "swap", lambda: matrix(swap, nests(), make=nests)
    yield "total", lambda: matrix(total, [([1, 2, 3], 3), ((1.5, 2), 2), ({0: 1, 1: 2}, 2), ("abc", 2), ([1, 2], 3), ([2**62] * 5, 5), ([1, 2.5, True], 3), ([1, "a"], 2), (b"abc", 3), (range(9), 9)])
    a = [[1, 2], [3, 4]]
    yield "matrix_product", lambda: matrix(matrix_product, [(a, a), ([[1.5, 2.0]], [[1.0], [2.0]]), (a, [[1, 2.5], [2**62, 3]]), (a, [["x"], ["y"]]), (a, [[1]]), ([], a)])
    yield "sieve", lambda: sweep(sieve, [(30,), (3,), (100,), (2.5,)])
    yield "count_words", lambda: matrix(count_words, [("a b a c".split(),), ([1, 2, 1],), ([1, 1.0, True],), (["a", 1, None],), ([[]],), ((),)])
    yield "changing_list", lambda: sweep(changing_list, [(40,), (7,)][:1])
    yield "displays", lambda: matrix(displays, [(1, 2), ("a", "b"), (1, 1.0), ([], 1), (None, (1,))])
    yield "dict_order", lambda: matrix(dict_order, [("a", "b"), (1, 2), (1, True), ([], 1)])
    def order():
        log = []
        return evaluation_order(log), log
    yield "evaluation_order", order
    yield "set_ops", lambda: matrix(set_ops, [({1, 2}, {2, 3}), ({1}, {1}), (frozenset({1}), {2}), ({1}, [1]), ({}.keys(), {1}), (3, 5)])
    yield "inplace_sets", lambda: [outcome(inplace_sets, a, b) for a, b in (({1, 5}, {2}), (frozenset({1}), {9}), ({1}, [2]), (1, 2))]
    yield "inplace_lists", lambda: [outcome(inplace_lists, a, b) for a, b in (([1], [2]), ([1], "ab"), ([1], 5), ((1,), (2,)), ("a", "b"), (1, 2), (1.5, 2))]
    yield "bytes_ops", lambda: matrix(bytes_ops, [(b"ab", 0), (b"ab", -1), (b"", 0), (bytearray(b"ab"), 1), ("ab", 0)])
    yield "string_scan", lambda: matrix(string_scan, [("abcxyz",), ("",), ("\u00e9a\u4e00",), (b"ab",), (["a", "b"],)])
    def counts():
        o = object()
        l, t, d = [o] * 3, (o, o), {"k": o, 1: o}
        return [deltas(lambda: get(l, 1), o, l), deltas(lambda: get(t, 1), o, t), deltas(lambda: get(d, "k"), o, d), deltas(lambda: get(l, 9), o, l), deltas(lambda: put(l, 1, o), o, l), deltas(lambda: put(d, 1, o), o, d),
                deltas(lambda: swap(l, 0, 1), o, l), deltas(lambda: slices(l), o, l), deltas(lambda: displays(o, 1), o), deltas(lambda: put(l, 9, o), o, l), deltas(lambda: augment(d, 1, o), o, d), deltas(lambda: delete({1: o}, 1), o)]
    yield "reference_counts", counts
