"""f-strings, t-strings, str and bytes building, formatting; comprehensions of all kinds.
Held: the text, the order in which __format__, __str__ and __repr__ are asked, and errors."""
from kit import ALL, matrix, outcome, sweep

MUST_COMPILE = ALL


class Spoken:
    log = []

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        Spoken.log.append(f"repr {self.name}")
        return f"<{self.name}>"

    def __str__(self):
        Spoken.log.append(f"str {self.name}")
        return self.name

    def __format__(self, spec):
        Spoken.log.append(f"format {self.name} {spec!r}")
        if spec == "bad":
            return 5
        return f"{self.name}:{spec}"


def simple(x):
    return f"{x}"


def two(x, y):
    return f"{x}-{y}"


def conversions(x):
    return f"{x!r} {x!s} {x!a} {x=} {x = !s}"


def specs(x, w):
    return f"{x:>10}|{x:<{w}}|{x:^{w}.{w}}|{x!s:>{w}}"


def number_specs(x):
    return f"{x:d}" if isinstance(x, int) else f"{x:.3f}", f"{x:e}", f"{x:,}", f"{x:+}", f"{x:010}"


def nested(x):
    return f"{f'{x}' + f"{x}"!r:>{len(f'{x}') + 10}}"


def with_bad_spec(x):
    return f"{x:bad}"


def adjacent(x):
    return "a" f"{x}" "b" f"{x}{x}" rf"\{x}" "{}"


def template(x, y):
    t = t"a{x}b{y!r:>{x}}c{x + y}"
    return t.strings, t.values, [(i.expression, i.conversion, i.format_spec) for i in t.interpolations]


def template_edge(x):
    t = t""
    u = t"{x}{x=}"
    return t.strings, t.values, u.strings, u.values, (t + u).strings


def percent(a, b):
    return "%s %r" % (a, b), "%d" % 3, "%5.1f|%-4s|" % (2.25, "x")


def bad_percent(f, a):
    return f % a


def concatenate(n):
    s = ""
    for i in range(n):
        s += str(i)
        t = s
        s += "!"
        if i == 2:
            kept = s
    return s, t, kept if n > 2 else None


def concat_cell(n):
    s = "a"
    def look():
        return s
    for _ in range(n):
        s += "b"
        look()
    return look()


def concat_types(parts):
    acc = parts[0]
    for p in parts[1:]:
        acc += p
    return acc


def joins(n):
    return "".join(f"{i}" for i in range(n)), ",".join([str(i) for i in range(n)]), b"".join(bytes([i]) for i in range(n)), "-".join(map(str, range(n)))


def comprehensions(n, k):
    return ([i * k for i in range(n)], [i for i in range(n) if i % 2 if i > 1], {i % 3 for i in range(n)}, {i: i * k for i in range(n) if i}, list(i for i in range(n)),
            [(i, j) for i in range(n) for j in range(i)], [[j for j in range(i)] for i in range(n)], {k: [v] * 2 for k, v in enumerate("ab")}, tuple(x for x in (y for y in range(n))))


def comprehension_unbinds(n):
    i = "kept"
    a = [i for i in range(n)]
    try:
        b = [1 // i for i in (2, 1, 0)]
    except ZeroDivisionError as e:
        b = str(e)
    return i, a, b


def comprehension_unbound(n):
    if n > 100:
        q = 1
    r = [q for q in range(n)]
    return r, q


def comprehension_over(it):
    return [x for x in it], 1


def set_comprehension_over(it):
    return {x for x in it}


def dict_comprehension_over(it):
    return {a: b for a, b in it}


def comprehension_calls(f, n):
    return [f(i) for i in range(n)], [y for i in range(n) if (y := f(i))]


def generator_is_lazy(log):
    def note(x):
        log.append(x)
        return range(x)
    g = (log.append(i) or i for i in note(3))
    log.append("made")
    return list(g), log


def str_ops(s, k):
    return s + s, s * 2, s[0], s[-1], s[1:], s[::-1], s[k], k in "abc", s == "ab", s < "b", len(s), s % ()


def logged(f, *args):
    Spoken.log = []
    return outcome(f, *args), Spoken.log


def cases():
    values = [1, 1.5, "text", None, True, [1], {"a": 1}, "\u00e9\n", b"b", 2**70, -0.0, (1,), ValueError("v")]
    for f in (simple, conversions, adjacent, nested, template_edge, with_bad_spec):
        yield f.__name__, lambda f=f: matrix(f, [(v,) for v in values])
        yield f"{f.__name__}_spoken", lambda f=f: logged(f, Spoken("a")) if f is not template_edge else None
    yield "two", lambda: matrix(two, [(a, b) for a in (1, "s", None) for b in ("t", 2.5)])
    yield "specs", lambda: matrix(specs, [("text", 6), ("s", 3), (Spoken("w"), 4), (5, 3), ("s", "x"), ("s", -1), (None, 3)])
    yield "number_specs", lambda: matrix(number_specs, [(5,), (2.5,), (True,), (2**70,), ("a",), (-0.0,), (float("inf"),)])
    yield "template", lambda: sweep(template, [(1, 2), ("3", "4"), (1, "a"), (2.5, 1)])
    yield "spoken_two", lambda: logged(two, Spoken("a"), Spoken("b"))
    yield "percent", lambda: [percent(1, "a"), percent(Spoken("p"), None), outcome(bad_percent, "%d", "x"), outcome(bad_percent, "%s %s", 1), outcome(bad_percent, "%s", (1, 2)), bad_percent("%(a)s", {"a": 1}), bad_percent(7, 4)]
    yield "concatenate", lambda: sweep(concatenate, [(10,), (2,), (0,)])
    yield "concat_cell", lambda: concat_cell(10)
    yield "concat_types", lambda: matrix(concat_types, [(["a", "b", "c"],), ([1, 2],), (["a", 1],), ([[1], (2,), "ab"],), ([b"a", b"b"],), ([(1,), (2,)],), ([1.5, 2, True],), (["a", None],)], make=lambda: [
        (["a", "b", "c"],), ([1, 2],), (["a", 1],), ([[1], (2,), "ab"],), ([b"a", b"b"],), ([(1,), (2,)],), ([1.5, 2, True],), (["a", None],)])
    yield "joins", lambda: sweep(joins, [(5,), (0,), (300,), ("a",)])
    yield "comprehensions", lambda: matrix(comprehensions, [(5, 2), (5, 1.5), (5, "ab"), (0, 1), (4, None), ("a", 1)])
    yield "comprehension_unbinds", lambda: comprehension_unbinds(3)
    yield "comprehension_unbound", lambda: sweep(comprehension_unbound, [(3,), (0,)])
    for f in (comprehension_over, set_comprehension_over, dict_comprehension_over):
        def iterables():
            return [([1, 2],), ("ab",), ({1: 2},), ({1: 2}.items(),), (5,), ([(1, 2), (3, 4)],), ([[]],), (iter([(1, 2)]),), (range(3),), (None,), (["ab", "cd"],), ((i for i in ((1, 2), 3)),)]
        yield f.__name__, lambda f=f, iterables=iterables: matrix(f, iterables(), make=iterables)
    yield "comprehension_calls", lambda: [outcome(comprehension_calls, f, 4) for f in (str, abs, lambda x: x - 1, lambda x: 1 // (2 - x), 5)]
    yield "generator_is_lazy", lambda: generator_is_lazy([])
    yield "str_ops", lambda: matrix(str_ops, [("ab", 1), ("ab", "a"), ("", 0), ("\u00e9\u4e00", 0), (b"ab", 1), ("ab", 5), ("ab", -2), ("ab", True), ([1, 2], 0)])
