"""Locals, cells, free variables, globals, builtins: bound, unbound, deleted, rebound while the function that uses them runs; imports.
Held: values, and the type and text of NameError and UnboundLocalError with their places."""
import builtins
import sys

from kit import ALL, deltas, matrix, outcome, sweep

MUST_COMPILE = ALL

counter = 0
shared = "module"
target = "old"


def unbound(flag):
    if flag:
        x = 1
    return x


def unbound_arithmetic(flag):
    if flag:
        a = b = 2
    return a * b + a


def deleted(flag):
    x = flag
    if flag:
        del x
    return x


def delete_twice():
    x = 1
    del x
    del x


def delete_argument(a, b):
    del a
    return b, a


def delete_in_loop(n):
    out = []
    for i in range(n):
        x = i
        out.append(x)
        if i % 2:
            del x
        try:
            out.append(x)
        except UnboundLocalError as e:
            out.append(str(e))
    return out


def bound_late(n):
    for i in range(n):
        if i > 2:
            return late
        if i == 2:
            late = i


def cell_unbound(flag):
    def inner():
        return x
    if flag:
        x = 1
    return inner()


def cell_deleted(flag):
    x = 5
    def inner():
        return x
    before = inner()
    if flag:
        del x
    return before, inner()


def cell_deleted_in_owner():
    x = 5
    def inner():
        return x
    del x
    return x, inner


def free_deleted():
    x = 5
    def inner():
        nonlocal x
        del x
    inner()
    try:
        inner()
    except NameError as e:
        return type(e).__name__, str(e)


def counter_closure(start):
    n = start
    def up(by=1):
        nonlocal n
        n += by
        return n
    def peek():
        return n
    return [up(), up(5), peek(), up.__closure__[0].cell_contents, up(0.5), peek()]


def three_deep(a):
    def one(b):
        def two(c):
            def three(d):
                nonlocal a, b
                a += d
                b = c
                return a, b, c, d
            return three
        return two
    f = one(2)(3)
    return f(4), f(5), a


def argument_is_cell(a, *args, k=2, **kw):
    def inner():
        return a, args, k, kw
    a = [a]
    k += 1
    return inner()


def loop_closures(n):
    fs = []
    for i in range(n):
        fs.append(lambda: i)
        fs.append(lambda i=i: i)
    return [f() for f in fs]


def comprehension_cells(n):
    fs = [lambda: i for i in range(n)]
    gs = {k: (lambda: k + n) for k in range(n)}
    x = "outer"
    ys = [x for x in range(n)]
    return [f() for f in fs], [g() for g in gs.values()], x, ys, [[j for j in range(i)] for i in range(n)]


def recursive_closure(n):
    def fact(k):
        return 1 if k < 2 else k * fact(k - 1)
    return fact(n)


def cell_rewritten(n):
    x = 0
    def f():
        return x
    out = []
    for i in range(n):
        x = i if i != 5 else "five"
        out.append(f())
    f.__closure__[0].cell_contents = "written"
    out.append(x)
    del f.__closure__[0].cell_contents
    try:
        out.append(x)
    except NameError as e:
        out.append(str(e))
    return out


def class_in_function(v):
    class C:
        w = v
        def get(self):
            return v, __class__
        class D:
            u = v
        x = [v for _ in range(2)]
    return C().get()[0], C.w, C.D.u, C.x, C().get()[1] is C


def class_locals_shadow(v):
    class C:
        if v:
            v = v
        y = v
        locals_ = sorted(k for k in locals() if not k.startswith("__"))
    return C.y, C.locals_


def use_global():
    return shared


def use_global_counter():
    global counter
    counter += 1
    return counter


def store_global(x):
    global made_here
    made_here = x
    return made_here


def delete_global():
    global made_here
    made_here = 1
    del made_here
    return made_here


def undefined():
    return no_such_name


def misspelt():
    return lenn([1])


def global_becomes_other(n):
    """A global read in a loop is changed by a callee, deleted, and shadows a builtin."""
    global target
    out = []
    def change(i):
        global target, len
        if i == 4:
            target = 4.5
        if i == 8:
            len = lambda x: "shadow"
        if i == 10:
            del target
        if i == 12:
            del len
            target = "back"
    for i in range(n):
        change(i)
        try:
            out.append((target, len("ab")))
        except NameError as e:
            out.append(str(e))
    target = "old"
    return out


def builtin_replaced(n):
    out = []
    old = builtins.abs
    try:
        for i in range(n):
            if i == 5:
                builtins.abs = lambda x: ("replaced", x)
            out.append(abs(-i))
    finally:
        builtins.abs = old
    return out


def builtin_added(n):
    out = []
    for i in range(n):
        if i == 5:
            builtins.brand_new = i
        try:
            out.append(brand_new)
        except NameError as e:
            out.append((str(e), e.name))
    del builtins.brand_new
    return out


def other_globals():
    """The same code object with other globals."""
    import types
    out = []
    for space in ({"shared": 1}, {"shared": "two"}, {}, {"shared": None, "__builtins__": {}}, {"__builtins__": {"shared": "from builtins"}}):
        f = types.FunctionType(use_global.__code__, space)
        out.extend(outcome(f) for _ in range(4))
    return out, use_global()


def exec_in_function(n):
    space = {"n": n}
    exec("m = n + 1\ndef f(): return m * 2", space)
    x = 5
    scope = {}
    exec("y = x + 1", globals() | {"x": x}, scope)
    return space["f"](), eval("n * 3", space), scope, eval("x + 1"), sorted(locals())


def locals_snapshot(a):
    b = a
    d = locals()
    d["b"] = "changed"
    d["new"] = 1
    c = 3
    return b, sorted(locals()), d is locals(), sorted(d)


def walrus(values):
    out = []
    while (n := len(values)) > 2 and (x := values[-1]):
        values = values[:-1]
        out.append((n, x))
    return out, [y := 1, y ** 2], any((found := v) == 1 for v in values) and found, [last := v for v in values], last


def many_names(a, b, c):
    a, b, c = c, a, b
    a, b = b, a
    (a, b), c = (c, a), b
    [d, e] = a, b
    f = g = h = d
    return a, b, c, d, e, f, g, h


def augmented_targets(d, l, o):
    d["k"] += 1
    l[0] *= 2
    l[1:2] += [7, 8]
    o.x -= 3
    o.y = o.z = d["k"]
    return d, l, vars(o)


class Space:
    def __init__(self):
        self.x = 10


def imports():
    import os.path as p
    import math as m, json
    from collections import OrderedDict as O, defaultdict
    from os import sep
    return p.join("a", "b"), m.floor(2.5), json.dumps([1]), O(a=1), defaultdict(int)["q"], sep


def import_missing(mode):
    if mode == 0:
        import no_such_module
    if mode == 1:
        from math import no_such_name
    if mode == 2:
        from . import relative
    if mode == 3:
        import os.no_such_part
    if mode == 4:
        from sys import path as p, modules
        return isinstance(p, list), "sys" in modules


def annotations(a: int, b: "str" = 1, *c: list[int], d: undefined_name = 2) -> None:
    x: int = a
    y: str
    (z): float = 1.5
    return x, z


def annotated_inside():
    def f(a: int) -> str:
        return a
    class C:
        q: int = 1
        r: "later"
        def method(self, a: int): pass
    makers = [x.__annotate__.__qualname__ for x in (f, C, C.method)]
    return f.__annotations__, C.__annotations__, makers


class SetOfMine(set):
    pass


# A module keeps which of its annotations were reached in a set that it can bind to something else.
REACHED = compile("if mine is not None:\n    __conditional_annotations__ = mine\nx: int\nreached = __conditional_annotations__", "reached", "exec")


def conditional_annotations(mine):
    space = {"mine": mine}
    exec(REACHED, space)
    return space["reached"]


def type_parameters[T: int, *Ts, **P](x: T) -> T:
    type Alias[K] = dict[K, T]
    def inner[U = int](u: U):
        return u, T
    class G[V: (int, str)]:
        def m(self, v: V):
            return v, V, T
    return inner(x), str(Alias), str(Alias.__value__), G().m(x)[0], str(G.__type_params__), str(Ts), str(P)


def large_constants():
    return 12345678901234567890, 1.5e300, -1, 1j, b"bytes", "s" * 3, (1, (2, 3)), frozenset({1}), ..., None, True, -0.0, 0x7fffffff, 256, 255, -5, -6


def build_big():
    """A function with more than 256 locals and constants and far jumps: extended arguments."""
    lines = ["def big(n):"]
    lines += [f"    v{i} = {i + 1000}" for i in range(270)]
    lines += ["    total = 0", "    for i in range(n):", "        if i % 2:"]
    lines += [f"            total += v{i} * {i + 5000}" for i in range(210, 270)]
    lines += ["        else:"]
    lines += [f"            total -= v{i} if total > {i + 9000} else v{269 - i}" for i in range(60)]
    lines += ["        def g(): return v269", "        total += g()", "    return total, v260, v0"]
    space = {}
    exec("\n".join(lines), space)
    return space["big"]


big = build_big()


def cases():
    for f in (unbound, unbound_arithmetic, deleted, cell_unbound, cell_deleted):
        yield f.__name__, lambda f=f: matrix(f, [(True,), (False,), (2,), (0,)])
    for f in (delete_twice, cell_deleted_in_owner, free_deleted, use_global, use_global_counter, delete_global, undefined, misspelt, exec_in_function, imports, large_constants, annotated_inside):
        if f is not exec_in_function:
            yield f.__name__, lambda f=f: [outcome(f) for _ in range(5)]
    yield "exec_in_function", lambda: [outcome(exec_in_function, n) for n in (1, "a", 2.5)]
    yield "delete_argument", lambda: sweep(delete_argument, [(1, 2)])
    for f in (delete_in_loop, bound_late, loop_closures, comprehension_cells, recursive_closure, cell_rewritten, builtin_replaced, builtin_added):
        yield f.__name__, lambda f=f: sweep(f, [(8,), (3,), (0,), (12,)])
    yield "global_becomes_other", lambda: sweep(global_becomes_other, [(16,), (5,)][:1])
    yield "counter_closure", lambda: [outcome(counter_closure, s) for s in (1, 2.5, 2**63, "a")]
    yield "three_deep", lambda: [outcome(three_deep, s) for s in (1, 2.5, "a")]
    yield "argument_is_cell", lambda: [argument_is_cell(1), argument_is_cell(1, 2, k=3, z=4)]
    yield "class_in_function", lambda: [class_in_function(1), class_in_function("x"), class_locals_shadow(1), outcome(class_locals_shadow, 0)]
    yield "store_global", lambda: sweep(store_global, [(1,), ("a",), (None,)])
    yield "other_globals", other_globals
    yield "locals_snapshot", lambda: locals_snapshot(1)
    yield "walrus", lambda: sweep(walrus, [([1, 2, 3, 4],), ([1, 0, 2],), ([],), ("abc",)])
    yield "many_names", lambda: many_names(1, 2, 3)
    yield "augmented_targets", lambda: [outcome(augmented_targets, {"k": 1}, [1, 2, 3], Space()), outcome(augmented_targets, {}, [1], Space()), outcome(augmented_targets, {"k": "a"}, [1], Space()),
                                        outcome(augmented_targets, {"k": 1.5}, [1.5, 2], Space())]
    yield "import_missing", lambda: [outcome(import_missing, m) for m in range(5)]
    yield "annotations", lambda: [annotations(1), outcome(lambda: annotations.__annotations__)]
    yield "conditional_annotations", lambda: [outcome(conditional_annotations, mine) for mine in (None, {}, 0, {7}, frozenset(), SetOfMine(), [], None)]
    yield "type_parameters", lambda: type_parameters(3)
    yield "big", lambda: matrix(big, [(6,), (1,), (0,), ("a",), (True,)])
    def counts():
        o = object()
        return [deltas(lambda: argument_is_cell(o), o), deltas(lambda: store_global(o), o), deltas(lambda: three_deep(o), o), deltas(lambda: cell_deleted(o), o), deltas(lambda: many_names(o, o, o), o),
                deltas(lambda: deleted(o), o), deltas(lambda: delete_argument(o, o), o)]
    yield "reference_counts", counts
