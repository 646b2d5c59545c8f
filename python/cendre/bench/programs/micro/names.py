"""Cases about attributes, globals and cells."""
import collections
import functools

from bench_micro.things import Base, Colour, Fallback, MANY, Many, OBJECTS, Pair, Slots, case

GLOBAL = 0

@case
def attr_read(n):
    o = OBJECTS[0]
    for i in range(n):
        o.x
        o.x
        o.x


@case
def attr_write(n):
    o = Base(1)
    for i in range(n):
        o.x = i
    return o.x


@case
def attr_augmented(n):
    o = Base(0)
    for i in range(n):
        o.x += 1
    return o.x


@case
def attr_polymorphic(n):
    for i in range(n):
        OBJECTS[i % 3].x


@case
def attr_megamorphic(n):
    for i in range(n):
        MANY[i % 9].x


@case
def attr_slots(n):
    o = Slots(1, 2)
    for i in range(n):
        o.x
        o.y = i


@case
def attr_hint(n):
    o = Many()
    for i in range(n):
        o.x
        o.a5


@case
def attr_hint_write(n):
    o = Many()
    for i in range(n):
        o.x = i


@case
def attr_property(n):
    o = OBJECTS[0]
    for i in range(n):
        o.twice


@case
def attr_class_of_instance(n):
    o = OBJECTS[0]
    for i in range(n):
        o.kind


@case
def attr_class(n):
    for i in range(n):
        Base.kind


@case
def attr_enum(n):
    for i in range(n):
        Colour.RED is Colour.BLUE


@case
def attr_enum_value(n):
    c = Colour.RED
    for i in range(n):
        c.value


@case
def attr_module(n):
    for i in range(n):
        functools.partial
        collections.deque


@case
def attr_bound_method(n):
    o = OBJECTS[0]
    for i in range(n):
        o.value


@case
def attr_fallback(n):
    o = Fallback()
    for i in range(n):
        o.anything


@case
def attr_namedtuple(n):
    p = Pair(1, 2)
    for i in range(n):
        p.a


@case
def attr_of_builtin(n):
    for i in range(n):
        i.real
        "x".join


@case
def attr_polymorphic_write(n):
    for i in range(n):
        OBJECTS[i % 3].x = 1


@case
def attr_polymorphic_property(n):
    for i in range(n):
        OBJECTS[i % 3].twice


@case
def global_store(n):
    global GLOBAL
    for i in range(n):
        GLOBAL = i
    return GLOBAL


@case
def global_read(n):
    for i in range(n):
        GLOBAL
        OBJECTS
        len


@case
def closure_cells(n):
    total = 0

    def add(x):
        nonlocal total
        total += x

    for i in range(n):
        add(i)
    return total


@case
def make_closure(n):
    for i in range(n):
        def f(x):
            return i
    return f(1)


@case
def make_lambda_defaults(n):
    for i in range(n):
        lambda x, y=i: x
