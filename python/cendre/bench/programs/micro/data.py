"""Cases about containers, strings and operators."""
from bench_micro.things import Number, OBJECTS, case


@case
def list_comprehension(n):
    for i in range(n):
        [x for x in (1, 2, 3, 4)]


@case
def dict_comprehension(n):
    for i in range(n):
        {x: i for x in (1, 2, 3, 4)}


@case
def set_comprehension(n):
    for i in range(n):
        {x for x in (1, 2, 3, 4)}


@case
def generator_sum(n):
    for i in range(n):
        sum(x for x in (1, 2, 3, 4))


@case
def generator_any(n):
    for i in range(n):
        any(x > 3 for x in (1, 2, 3, 4))


@case
def generator_list(n):
    for i in range(n):
        list(x for x in (1, 2, 3, 4))


@case
def generator_join(n):
    for i in range(n):
        "".join(x for x in ("a", "b", "c"))


def numbers(n):
    for i in range(n):
        yield i


@case
def generator_for(n):
    for i in range(n):
        for x in numbers(4):
            pass


@case
def generator_long(n):
    s = 0
    for x in numbers(n):
        s += x
    return s


def delegating(n):
    yield from numbers(n)


@case
def generator_delegation(n):
    s = 0
    for x in delegating(n):
        s += x
    return s


@case
def build_list(n):
    for i in range(n):
        [i, i, i]


@case
def build_tuple(n):
    for i in range(n):
        (i, i, i)


@case
def build_dict(n):
    for i in range(n):
        {"a": i, "b": i}


@case
def build_set(n):
    for i in range(n):
        {i, 1}


@case
def build_star(n):
    a = (1, 2)
    for i in range(n):
        [*a, i]
        (*a, i)


@case
def build_dict_star(n):
    a = {"a": 1}
    for i in range(n):
        {**a, "b": i}


@case
def unpack_tuple(n):
    t = (1, 2)
    for i in range(n):
        a, b = t
    return a


@case
def unpack_list(n):
    t = [1, 2, 3]
    for i in range(n):
        a, b, c = t
    return a


@case
def unpack_star(n):
    t = (1, 2, 3)
    for i in range(n):
        a, *b = t
    return a


@case
def swap(n):
    a, b = "a", "b"
    for i in range(n):
        a, b = b, a
    return a


@case
def subscript_list(n):
    t = [1, 2, 3]
    for i in range(n):
        t[1]
        t[-1]


@case
def subscript_dict(n):
    t = {"a": 1}
    for i in range(n):
        t["a"]


@case
def subscript_dict_int(n):
    t = {1: 1}
    for i in range(n):
        t[1]


@case
def subscript_dict_tuple(n):
    t = {(1, 2): 1}
    for i in range(n):
        t[1, 2]


@case
def subscript_str(n):
    t = "abc"
    for i in range(n):
        t[1]


@case
def subscript_object(n):
    t = Number(1)
    for i in range(n):
        t[1]


@case
def store_list(n):
    t = [1, 2, 3]
    for i in range(n):
        t[1] = i


@case
def store_dict(n):
    t = {"a": 1}
    for i in range(n):
        t["a"] = i


@case
def store_dict_augmented(n):
    t = {"a": 0}
    for i in range(n):
        t["a"] += 1
    return t["a"]


@case
def store_dict_new(n):
    for i in range(n):
        t = {}
        t["a"] = i
        t["b"] = i


@case
def delete_dict(n):
    t = {}
    for i in range(n):
        t["a"] = i
        del t["a"]


@case
def slice_list(n):
    t = [1, 2, 3]
    for i in range(n):
        t[1:]


@case
def slice_str(n):
    t = "abcdef"
    for i in range(n):
        t[1:3]


@case
def slice_tuple(n):
    t = (1, 2, 3)
    for i in range(n):
        t[:2]


@case
def contains_dict(n):
    t = {"a": 1}
    for i in range(n):
        "a" in t
        "b" not in t


@case
def contains_set(n):
    t = {"a", "b"}
    for i in range(n):
        "a" in t


@case
def contains_tuple(n):
    s = "b"
    for i in range(n):
        s in ("a", "b")


@case
def contains_list(n):
    t = [1, 2, 3]
    for i in range(n):
        3 in t


@case
def contains_str(n):
    t = "abcdef"
    for i in range(n):
        "c" in t


@case
def contains_object(n):
    t = Number(1)
    for i in range(n):
        1 in t


@case
def format_simple(n):
    s = "x"
    for i in range(n):
        f"{s}-{i}"


@case
def format_spec(n):
    x = 1.5
    for i in range(n):
        f"{x:.2f}"


@case
def format_repr(n):
    s = "x"
    for i in range(n):
        f"{s!r}"


@case
def format_percent(n):
    for i in range(n):
        "%s %d" % ("x", i)


@case
def format_method(n):
    for i in range(n):
        "{} {}".format("x", i)


@case
def concat_str(n):
    a, b = "a", "b"
    for i in range(n):
        a + b


@case
def concat_str_append(n):
    s = ""
    for i in range(n):
        s += "x"
    return len(s)


@case
def compare_str(n):
    a, b = "a", "b"
    for i in range(n):
        a == b
        a != b
        a < b


@case
def compare_object(n):
    a, b = Number(1), Number(2)
    for i in range(n):
        a == b


@case
def compare_none(n):
    a = None
    for i in range(n):
        a is None
        a is not None


@case
def compare_tuple(n):
    a, b = (1, 2), (1, 3)
    for i in range(n):
        a == b


@case
def compare_mixed(n):
    a, b = 1, 1.5
    for i in range(n):
        a < b


@case
def operator_object(n):
    a = Number(1)
    for i in range(n):
        a + 1


@case
def operator_big(n):
    a = 1 << 80
    for i in range(n):
        a + i


@case
def operator_power(n):
    x = 1.5
    for i in range(n):
        x ** 2
        i ** 2


@case
def operator_mod_div(n):
    for i in range(n):
        i % 7
        i // 7
        i / 7


@case
def operator_bits(n):
    for i in range(n):
        (i << 3) ^ (i >> 1) & i | 1
        ~i


@case
def operator_unary(n):
    x = 1.5
    for i in range(n):
        -i
        -x
        not i


@case
def operator_mixed(n):
    x = 1.5
    for i in range(n):
        x * i
        i + x


@case
def operator_list(n):
    a = [1]
    for i in range(n):
        a + a
        a * 2


@case
def truth_containers(n):
    a, b, c = [1], {}, "x"
    s = 0
    for i in range(n):
        if a:
            s += 1
        if b:
            s += 1
        if c:
            s += 1
    return s


@case
def truth_object(n):
    a = Number(1)
    s = 0
    for i in range(n):
        if a:
            s += 1
    return s


@case
def truth_plain_object(n):
    a = OBJECTS[0]
    s = 0
    for i in range(n):
        if a:
            s += 1
    return s
