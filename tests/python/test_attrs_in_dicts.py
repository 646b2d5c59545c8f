"""Attributes of objects that have too many for inline values: a site remembers where in the dict the name stood.

Invariant tested: whatever becomes of the dict, a site finds what CPython finds.
"""

import pytest
import support

MANY = """
class Wide:
    shadow = "of the class"
    def __init__(self, n, turned=False):
        names = [f"a{i}" for i in range(40)]
        for i, name in enumerate(reversed(names) if turned else names):
            setattr(self, name, (n, name))
class Slotted(dict):
    pass
def read(o):
    return o.a7, o.a39
def last(o):
    return o.a39
def shadow(o):
    return o.shadow
def tell(f, o):
    try:
        return f(o)
    except AttributeError as e:
        return str(e)
w = [Wide(n) for n in range(5)]
for _ in range(100):
    for o in w: read(o), last(o), shadow(o)
compiled(read, last, shadow)
def all_of(objects):
    for _ in range(80):
        for o in objects: yield tell(read, o), tell(last, o), tell(shadow, o)
def show(*objects):
    seen = list(all_of(objects))
    print(len(seen), sorted(set(map(str, seen))))
show(*w)
show(*w, *[Wide(n, True) for n in range(5)])            # another order
del w[0].a7; show(*w)                                   # gone: its entry is empty
w[0].a7 = "again"; show(*w)                             # now at the end
w[1].a39 = "other"; w[1].shadow = "mine"; show(*w)
w[2].__dict__ = {"a39": 1, "a7": 2}; show(*w)           # a small dict
w[3].__dict__ = {3: 4, "a7": 5, "a39": 6}; show(*w)     # keys of any kind
w[4].__dict__ = Slotted(a7=7, a39=8); show(*w)
w[4].__dict__.clear(); show(*w)
w[0].__dict__ = {"".join(["a", "7"]): "not interned", "".join(["a3", "9"]): 0}; show(*w)
class Key(str):
    def __eq__(self, other): seen_keys.append(str(other)); return str.__eq__(self, other)
    __hash__ = str.__hash__
seen_keys = []
w[1].__dict__ = {Key("a7"): "by a key of its own", Key("a39"): 0}; show(w[1]); print(len(seen_keys) >= 240)
print(tell(read, 3), tell(read, Wide))
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_a_hint_is_only_a_hint(entries):
    support.same(MANY, entries=entries)


WRITES_ONLY = """
class Keeps:
    def __set__(self, o, value): o.__dict__["n"] = value
class Deletes:
    def __delete__(self, o): o.__dict__.pop("d", None)
class Later:
    def __set__(self, o, value): o.__dict__["l"] = value
    def __get__(self, o, t=None): return "got", o is None
class Holder:
    n, d, l = Keeps(), Deletes(), Later()
def make(class_, value):
    o = class_()
    o.n = value
    o.__dict__["d"], o.l = value, value
    return o
def read(o): return o.n, o.d, o.l
def call(o): return o.n.get(1), 2 in o.d
def show(*objects):
    print(len([read(o) for _ in range(80) for o in objects]), *(str(read(o)).replace(str(id(o)), "") for o in objects[:2] if "n" in o.__dict__))
show(make(Holder, {1: 2}))
compiled(read, call, make)
class Slots(Holder): __slots__ = ()
for class_ in Holder, type("Derived", (Holder,), {}), Slots, type("More", (Holder,), {"extra": 1}):
    o = make(class_, {1: 3})
    for _ in range(80): assert call(o) == (3, False)
    show(o, make(class_, {}))
    empty = class_()
    for _ in range(80): assert [type(v).__name__ for v in read(empty)] == ["Keeps", "Deletes", "tuple"]
# The class of what is in the way changes: it gets a __get__, and one loses it.
Keeps.__get__ = lambda self, o, t=None: "a getter now"
show(make(Holder, 4))
del Keeps.__get__
show(make(Holder, 5))
del Later.__get__
show(make(Holder, 6))
"""


@pytest.mark.parametrize("mode", ["warm", "all"])
@pytest.mark.parametrize("entries", support.ENTRIES)
def test_what_is_in_the_way_of_writes_alone_is_not_read(entries, mode):
    """A descriptor with `__set__` or `__delete__` and without `__get__` (networkx has such): the object's own value is found first."""
    support.same(WRITES_ONLY, mode=mode, entries=entries)
