"""Attributes of classes that the class itself is asked for: constants, enum members, class methods, static methods.

Invariant tested: compiled code knows them as long as nothing has changed, and finds what CPython finds whatever does.
"""

import pytest
import support

READS = """
import enum
class Base:
    def who(self): return "base"
class D(Base):
    ONE = 1; TEXT = "abc"; LIST = [1, 2]; YES = True; PI = 3.5; NOTHING = None
    @classmethod
    def cm(cls, a): return cls.__name__, a
    @staticmethod
    def sm(a, b=5): return a, b
    def plain(self): return self
class Meta(type): pass
class E(metaclass=Meta):
    X = 7; T = (1, 2)
class Colour(enum.Enum):
    RED = 1; BLUE = 2
def constants(n):
    t = 0
    for i in range(n):
        if i != D.ONE: t += D.ONE
        t += len(D.TEXT) + len(D.LIST) if D.YES else 1000
        t += E.X + len(E.T)
        t -= int(D.PI)
        if Colour.RED is not Colour.BLUE: t += 1
        if D.NOTHING is not None: t += 100
    return t
def calls(x): return D.cm(x), D.sm(x), D.sm(x, 6), D.plain(x), Base.who(x)
def bound(x): return D.cm.__self__ is D, D.sm(x)
def tell(f, x):
    try: return f(x)
    except Exception as e: return type(e).__name__, str(e)
def show(): print([tell(constants, 20) for _ in range(80)][-1], [tell(calls, 3) for _ in range(80)][-1], [tell(bound, 4) for _ in range(80)][-1])
for _ in range(100): constants(3), calls(3), bound(3)
compiled(constants, calls, bound)
"""

CHANGES = {
    "constant": "D.ONE = 5",
    "kind of constant": "D.ONE = 'one'",
    "truth": "D.YES = []",
    "object": "D.LIST = (1, 2, 3)",
    "gone": "del D.ONE",
    "of a base": "Base.ONE = 9; del D.ONE",
    "class method": "D.cm = classmethod(lambda cls, a: (cls, 'new', a))",
    "no class method": "D.cm = lambda a: ('plain', a)",
    "what it wraps": "D.__dict__['cm'].__init__(lambda cls, a: ('anew', a))",
    "what it wraps, no function": "D.__dict__['cm'].__init__(str)",
    "static method": "D.sm = staticmethod(lambda *a: a)",
    "what the static method wraps": "D.__dict__['sm'].__init__(max)",
    "code": "D.cm.__func__.__code__ = (lambda cls, a: ('code', a)).__code__",
    "defaults": "D.sm.__defaults__ = (8,)",
    "method": "D.plain = 3",
    "base's method": "D.who = Base.who = lambda self: 'other'",
    "metaclass": "Meta.X = property(lambda cls: 70); Meta.other = 1",
    "metaclass hides": "Meta.T = property(lambda cls: 'abc')",
    "another metaclass": "E.__class__ = type('Meta2', (Meta,), {'X': property(lambda cls: 71)})",
    "a metaclass": "print(tell(lambda x: setattr(D, '__class__', x), type('Meta3', (type,), {'cm': property(lambda cls: 3)})))",
    "another class": "D = type('D', (D,), {'ONE': 6})",
    "no class": "D = type('I', (), {'ONE': 6})()",
    "bases": "D.__bases__ = (type('Other', (), {'who': lambda self: 'x'}),)",
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_is_seen(change):
    support.same(READS + f"show()\n{CHANGES[change]}\nshow()\n")


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_all_changes_one_after_another(entries):
    # Some cannot be made behind others.
    changes = [f"try: exec({text!r})\nexcept Exception as e: print(e)\nshow()\n" for text in CHANGES.values() if "D = " not in text]
    support.same(READS + "".join(changes), entries=entries)


def test_they_are_known_while_nothing_changes():
    # Code that asks a cache would not leave.
    out = support.python(READS + """
import cendre.jit
def leaves(f, *args):
    before = cendre.jit.stats()["left"]
    for _ in range(20): f(*args)
    return cendre.jit.stats()["left"] - before
class_method = lambda: D.cm(3)
static_method = lambda: D.sm(3)
constant = lambda: E.X
for _ in range(100): class_method(), static_method(), constant()
compiled(class_method, static_method, constant)
def show(): print([leaves(f) for f in (class_method, static_method, constant)], leaves(calls, 3))
show()
D.new = E.new = 1
show()
""", **support.NO_EVENTS)
    assert out.splitlines() == ["[0, 0, 0] 0", "[20, 20, 20] 20"]


def test_a_class_method_that_dies_on_the_way_is_still_called():
    support.same("""
class C:
    @classmethod
    def f(cls, a): return cls.__name__, a
def change():
    C.f = None
    import gc; gc.collect()
    return 3
def call(now): return C.f(change() if now else 1)
for _ in range(100): call(False)
compiled(call)
print(call(False), call(True))
""")
