"""Cases about exceptions, `with`, loops and matching."""
from bench_micro.things import Base, Manager, Number, OBJECTS, Square, case


@case
def try_without_raise(n):
    s = 0
    for i in range(n):
        try:
            s = i
        except ValueError:
            pass
    return s


@case
def try_raise(n):
    for i in range(n):
        try:
            raise ValueError
        except ValueError:
            pass


@case
def try_raise_as(n):
    for i in range(n):
        try:
            raise ValueError("text")
        except (TypeError, ValueError) as error:
            error


def raiser(i):
    raise KeyError(i)


@case
def try_raise_in_call(n):
    for i in range(n):
        try:
            raiser(i)
        except KeyError:
            pass


@case
def try_key_error(n):
    table = {}
    for i in range(n):
        try:
            table[i]
        except KeyError:
            pass


@case
def try_attribute_error(n):
    o = OBJECTS[0]
    for i in range(n):
        try:
            o.missing
        except AttributeError:
            pass


@case
def try_stop_iteration(n):
    for i in range(n):
        try:
            next(iter(()))
        except StopIteration:
            pass


@case
def try_reraise(n):
    for i in range(n):
        try:
            try:
                raise ValueError
            except ValueError:
                raise
        except ValueError:
            pass


@case
def try_finally(n):
    s = 0
    for i in range(n):
        try:
            s = i
        finally:
            s += 1
    return s


@case
def with_manager(n):
    m = Manager()
    for i in range(n):
        with m:
            pass


@case
def with_manager_raise(n):
    m = Manager()
    for i in range(n):
        with m:
            raise ValueError


@case
def for_list(n):
    t = [1, 2, 3]
    for i in range(n):
        for x in t:
            pass


@case
def for_zip(n):
    t = [1, 2, 3]
    for i in range(n):
        for a, b in zip(t, t):
            pass


@case
def for_enumerate(n):
    t = [1, 2, 3]
    for i in range(n):
        for a, b in enumerate(t):
            pass


@case
def for_str(n):
    for i in range(n):
        for x in "abc":
            pass


@case
def for_object(n):
    t = Number(1)
    for i in range(n):
        for x in t:
            pass


@case
def for_set(n):
    t = {1, 2, 3}
    for i in range(n):
        for x in t:
            pass


@case
def for_map(n):
    t = [1, 2, 3]
    for i in range(n):
        for x in map(abs, t):
            pass


@case
def while_int(n):
    i = 0
    while i < n:
        i += 1
    return i


@case
def match_literal(n):
    for i in range(n):
        match i & 3:
            case 0:
                pass
            case 1:
                pass
            case _:
                pass


@case
def match_class(n):
    o = OBJECTS[0]
    for i in range(n):
        match o:
            case Square():
                pass
            case Base(x=1):
                pass


@case
def match_sequence(n):
    t = (1, 2)
    for i in range(n):
        match t:
            case [a, b]:
                pass


@case
def match_mapping(n):
    t = {"a": 1}
    for i in range(n):
        match t:
            case {"a": x}:
                pass


@case
def import_inside(n):
    for i in range(n):
        from functools import partial  # noqa: F401


@case
def chained_compare(n):
    for i in range(n):
        0 <= i < n


@case
def conditional(n):
    s = 0
    for i in range(n):
        s = 1 if i & 1 else 2
    return s


@case
def bool_operators(n):
    a, b = "", "x"
    for i in range(n):
        a or b
        a and b
