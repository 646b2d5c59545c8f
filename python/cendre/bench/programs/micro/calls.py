"""Cases about calls: of functions, methods, classes and builtins."""
import functools

from bench_micro.things import Base, MANY, Number, OBJECTS, Pair, Point, Right, Shape, Slots, Square, case, defaults, forward, keyword_only, kwargs, plain3, varargs


@case
def call_plain(n):
    for i in range(n):
        plain3(i, i, i)


@case
def call_defaults(n):
    for i in range(n):
        defaults(i)


@case
def call_keywords(n):
    for i in range(n):
        defaults(i, c=i)


@case
def call_keyword_only(n):
    for i in range(n):
        keyword_only(i, b=i)


@case
def call_varargs(n):
    for i in range(n):
        varargs(i, i)


@case
def call_kwargs(n):
    for i in range(n):
        kwargs(a=i, b=i)


@case
def call_star(n):
    args = (1, 2, 3)
    for i in range(n):
        plain3(*args)


@case
def call_double_star(n):
    kw = {"b": 1, "c": 2}
    for i in range(n):
        defaults(1, **kw)


@case
def call_forward(n):
    for i in range(n):
        forward(i, a=i)


@case
def call_method_keywords(n):
    o = OBJECTS[0]
    for i in range(n):
        o.add(i, c=i)


@case
def call_bound(n):
    f = OBJECTS[0].value
    for i in range(n):
        f()


@case
def call_polymorphic(n):
    for i in range(n):
        OBJECTS[i % 3].value()


@case
def call_megamorphic(n):
    for i in range(n):
        MANY[i % 9].value()


@case
def call_classmethod(n):
    for i in range(n):
        Base.make(i)


@case
def call_staticmethod(n):
    for i in range(n):
        Base.static(i)


@case
def call_super(n):
    o = OBJECTS[1]
    for i in range(n):
        o.size()


@case
def call_partial(n):
    f = functools.partial(plain3, 1, 2)
    for i in range(n):
        f(i)


@case
def call_object(n):
    f = Number(1)
    for i in range(n):
        f(i)


@case
def call_lambda(n):
    f = lambda x: x  # noqa: E731
    for i in range(n):
        f(i)


@case
def call_from_c(n):
    return sum(map(lambda x: x + 1, range(n)))


@case
def call_from_sort(n):
    items = list(range(n))
    items.sort(key=lambda x: -x)
    return items[0]


@case
def new_object(n):
    for i in range(n):
        Base(i)


@case
def new_slots(n):
    for i in range(n):
        Slots(i, i)


@case
def new_derived(n):
    for i in range(n):
        Right(i)


@case
def new_dataclass(n):
    for i in range(n):
        Point(i, i)


@case
def new_dataclass_keywords(n):
    for i in range(n):
        Point(x=i, y=i)


@case
def new_namedtuple(n):
    for i in range(n):
        Pair(i, i).a


@case
def new_exception(n):
    for i in range(n):
        ValueError("x")


@case
def call_builtin_len(n):
    items = [1, 2]
    for i in range(n):
        len(items)


@case
def call_builtin_len_object(n):
    items = Number(1)
    for i in range(n):
        len(items)


@case
def call_builtin_keywords(n):
    for i in range(n):
        int("7", base=10)


@case
def call_builtin_fast(n):
    for i in range(n):
        divmod(i, 7)


@case
def call_builtin_type(n):
    for i in range(n):
        list()
        dict()
        str(i)
        tuple((i,))
        bool(i)


@case
def call_builtin_min_max(n):
    for i in range(n):
        min(i, 3)
        max(i, 3)


@case
def call_isinstance(n):
    o = OBJECTS[1]
    for i in range(n):
        isinstance(o, Base)
        isinstance(o, int)


@case
def call_isinstance_tuple(n):
    o = OBJECTS[1]
    for i in range(n):
        isinstance(o, (int, str, Base))


@case
def call_isinstance_abc(n):
    o = Square()
    for i in range(n):
        isinstance(o, Shape)


@case
def call_getattr(n):
    o = OBJECTS[1]
    for i in range(n):
        getattr(o, "x")
        getattr(o, "nothing", None)
        hasattr(o, "x")


@case
def call_type_name(n):
    o = OBJECTS[1]
    for i in range(n):
        type(o).__name__


@case
def list_methods(n):
    for i in range(n):
        items = []
        items.append(i)
        items.extend((1, 2, 3))
        items.insert(0, i)
        items.pop()
        items.reverse()


@case
def list_append_pop(n):
    items = []
    for i in range(n):
        items.append(i)
        items.pop()


@case
def dict_methods(n):
    table = {"a": 1}
    for i in range(n):
        table.get("a")
        table.get("b", 0)
        table.setdefault("a", 2)


@case
def dict_items(n):
    table = {"a": 1, "b": 2, "c": 3}
    s = 0
    for i in range(n):
        for key, value in table.items():
            s += value
    return s


@case
def dict_values(n):
    table = {"a": 1, "b": 2, "c": 3}
    s = 0
    for i in range(n):
        for value in table.values():
            s += value
        for key in table:
            pass
    return s


@case
def set_methods(n):
    s = {1, 2}
    for i in range(n):
        s.add(i & 7)
        s.discard(9)
        s | {1}


@case
def str_methods(n):
    for i in range(n):
        "a,b".split(",")
        "abc".startswith("a")
        "abc".upper()
        " x ".strip()
        ",".join(("a", "b"))
