"""Random programs: classes, functions of all kinds, and the arguments with which they are called in each run.

A program is a text that defines `main(k)`; run `k` calls each function with its `k`-th arguments. The first runs pass what the parameters are
meant for, so that the bytecode specialises; the late ones pass other types. `make(choices)` is the way in.

Invariant: functions call only functions with a lower number, so that every program ends; what they cost is added up (`cost`) and bounded.
"""
from dataclasses import dataclass, field

from expressions import INTS, TYPES
from statements import POOL, Statements

RUNS = 9
TYPED = 6           # of these with arguments of the meant types


@dataclass
class Function:
    name: str
    number: int
    kind: str                       # def, gen, coro, agen
    parameters: list
    result: str
    cost: int = 1
    defaults: bool = False
    positional_only: bool = False
    wrapped: bool = False


@dataclass
class Member:
    name: str
    kind: str
    call: list = None               # types of a method's parameters; None: an attribute or property


@dataclass
class Class:
    name: str
    init: list
    attributes: list
    members: list = field(default_factory=list)
    operators: set = field(default_factory=set)
    dict: bool = True


KINDS = ("assign", "augmented", "unpack", "log", "call_statement", "look", "poke", "alias", "same", "delete", "set_attribute", "set_item", "raise_if", "turn",
         "change", "keep", "leave", "assertion", "set_global", "list_method", "other", "if_", "for_", "while_", "try_", "with_", "match", "closure",
         "resume", "yield_", "yield_from", "await_", "async_for", "async_with")
FAVOURITES = ("int", "int", "int", "float", "float", "str", "bool", "list", "tuple", "dict", "obj", "any")


class Programs(Statements):
    """Makes one program."""

    most_cost = 400

    def __init__(self, choices):
        self.choices = choices
        self.lines, self.indent, self.serial, self.base = [], 0, 0, 0
        self.functions, self.classes, self.lower, self.globals = [], [], [], {}
        self.room, self.wild, self.kinds, self.favourites, self.item = 0, True, {}, FAVOURITES, "int"
        self.reset("def", {}, "int")
        self.in_class = False

    def reset(self, kind, scope, result):
        """Starts a function."""
        self.scope, self.maybe, self.pool = dict(scope), {}, POOL
        self.kind, self.result = kind, result
        self.loops, self.in_loop, self.no_leave_loop = 0, False, False
        self.handling = self.named = self.no_leave = self.nested = False
        self.no_walrus, self.no_await, self.declared, self.cost = 0, False, [], 1

    def make(self):
        # A program of few kinds of statements says more than one of all: each has its own mix.
        self.wild = self.chance(30)
        self.kinds = {name: self.pick((0, 1, 1, 1, 3)) for name in KINDS} if self.chance(75) else dict.fromkeys(KINDS, 1)
        self.favourites = [self.pick(FAVOURITES) for _ in range(3)] if self.chance(50) else FAVOURITES
        for n in range(self.below(3)):
            kind = self.pick(("int", "int", "float", "str", "list", "any"))
            name = f"G{n}"
            self.line(f"{name} = {self.atom(kind)}")
            self.globals[name] = kind
        for n in range(self.below(3)):
            self.class_(n)
        if self.chance(12):
            self.decorator()
        for n in range(1 + self.below(3)):
            self.function(n)
        self.main()
        return "\n".join(self.lines) + "\n"

    # -- classes
    def class_(self, n):
        name = f"A{n}"
        slots = self.below(3)           # 0: dict, 1: slots, 2: slots and dict
        parent = self.pick(self.classes) if self.classes and self.chance(35) else None
        meta = ", metaclass=Meta" if parent is None and self.chance(6) else ""
        self.line(f"class {name}({parent.name if parent else self.pick(('Base', 'Base', 'Dies'))}{meta}):")
        self.indent += 1
        attributes = [("x", self.pick(("int", "int", "float", "str", "any"))), ("y", self.pick(("int", "float", "list", "any")))]
        cls = Class(name, list(attributes), list(attributes), dict=slots != 1)
        if parent is None and slots:
            self.line("__slots__ = ('x', 'y')" if slots == 1 else "__slots__ = ('y', '__dict__')")
        elif parent is not None and slots == 1 and not parent.dict:
            self.line("__slots__ = ()")
        else:
            cls.dict = True
        if self.chance(30):
            self.line(f"z = {self.expr('int', 1)}")
            cls.members.append(Member("z", "int"))
        old = self.lower = self.classes
        self.in_class = True
        self.classes = [cls]
        cls.members += [Member(a, k) for a, k in attributes]
        self.method("__init__", attributes, None, init=True, parent=parent)
        if parent is not None:
            if self.chance(40):
                self.line("def up(self):")
                self.line(f"    return super().{self.pick([m.name + ('()' if m.call == [] else '') for m in parent.members] + ['x'])}")
                cls.members.append(Member("up", "any", []))
        if self.chance(6):
            self.line("def __getattribute__(self, name):")
            self.line("    return object.__getattribute__(self, name)")
        n_methods = 1 + self.below(4)
        used = set()
        for _ in range(n_methods):
            self.some_method(cls, used)
        self.classes = [*old, cls]
        self.in_class = False
        self.indent -= 1

    OPERATORS = ("__add__", "__radd__", "__sub__", "__mul__", "__iadd__", "__eq__", "__lt__", "__or__", "__and__")

    def some_method(self, cls, used):
        n = self.below(12)
        if n < 3:
            name = f"m{self.below(3)}"
            if name in used:
                return
            used.add(name)
            parameters = [(p, self.pick(TYPES[:5])) for p in ("a", "b")[:self.below(3)]]
            result = self.pick(TYPES[:5])
            self.method(name, parameters, result)
            cls.members.append(Member(name, result, [k for _, k in parameters]))
        elif n < 5:
            name = f"p{self.below(2)}"
            if name in used:
                return
            used.add(name)
            result = self.pick(TYPES[:4])
            self.line("@property")
            self.method(name, [], result)
            if self.chance(30):
                self.line(f"@{name}.setter")
                self.method(name, [("a", result)], "any")
                cls.attributes.append((name, result))
            cls.members.append(Member(name, result))
        elif n < 9:
            name = self.pick(self.OPERATORS)
            if name in used:
                return
            used.add(name)
            cls.operators.add(name)
            result = "bool" if name in ("__eq__", "__lt__") else self.pick(("int", "float", "any", "any"))
            self.method(name, [("o", "any")], result, operator=True)
            if name == "__eq__" and self.chance(60):
                self.line("__hash__ = Base.__hash__")
        elif n == 9:
            name, parameters, result = self.pick((
                ("__len__", [], "int"), ("__bool__", [], "bool"), ("__getitem__", [("a", "int")], "int"), ("__contains__", [("a", "any")], "bool"),
                ("__neg__", [], "int"), ("__index__", [], "int"), ("__call__", [("a", "int")], "int"), ("__setitem__", [("a", "int"), ("b", "any")], "any"),
                ("__getattr__", [("a", "str")], "int"), ("__format__", [("a", "str")], "str"), ("__int__", [], "int"), ("__float__", [], "float")))
            if name in used:
                return
            used.add(name)
            self.method(name, parameters, result, operator=name != "__getattr__", bare=name == "__getattr__")
        elif n == 10:
            name = f"s{self.below(2)}"
            if name in used:
                return
            used.add(name)
            how = self.pick(("staticmethod", "classmethod"))
            self.line(f"@{how}")
            result = self.pick(TYPES[:4])
            self.method(name, [("a", "int")], result, first={"staticmethod": None, "classmethod": "cls"}[how])
            cls.members.append(Member(name, result, ["int"]))
        elif "it" not in used:
            used.add("it")
            self.line("def __iter__(self):")
            self.indent += 1
            self.line("yield self.x")
            self.line("yield from [1, 2]")
            self.indent -= 1

    def method(self, name, parameters, result, init=False, operator=False, bare=False, first="self", parent=None):
        self.reset("def", dict(parameters), result or "any")
        names = [n for n, _ in parameters]
        self.line(f"def {name}({', '.join(([first] if first else []) + names)}):")
        self.indent += 1
        self.base = self.indent
        start = len(self.lines)
        old = self.in_class, self.classes, self.functions
        self.functions = []
        if first != "self" or bare:
            self.classes = []
        self.room = 4 + self.below(4)
        if operator and self.chance(40):
            self.line(self.pick(("log(o)", "look(2)", f"note('in {name}')", "stack()", "turn()")) if "o" in names else f"note('in {name}')")
            if self.chance(30):
                self.line(f"poke({self.pick(POOL)!r}, {self.expr(self.pick(TYPES), 1)}, 2)")
            if self.chance(15):
                self.line("return NotImplemented")
        if init:
            # Whether an argument ends with its parameter depends on whether CPython's call site has specialised.
            self.pool = [n for n in POOL if n not in names]
            if parent is not None and self.chance(60):
                self.line(f"super().__init__({', '.join(self.expr(t, 1) for _, t in parent.init)})")
            for n, _ in parameters:
                if self.chance(94 if self.wild else 99):
                    self.line(f"self.{n} = {n}")
            if self.chance(20):
                self.block(2)
        else:
            if self.chance(50):
                self.block(3)
            if self.chance(90 if self.wild else 99):
                if operator and self.chance(20):
                    self.line(f"if isinstance(o, {self.pick(('int', 'float', 'Base'))}): return {self.expr(self.result, 1)}" if "o" in names
                              else f"return {self.expr(self.result, 1)}")
                self.line(f"return {self.bounded(self.result, self.expr(self.result, 2))}")
        if len(self.lines) == start:
            self.line("pass")
        self.in_class, self.classes, self.functions = old
        self.indent -= 1

    # -- functions
    def decorator(self):
        self.line("def deco(f):")
        self.indent += 1
        self.line("def wrapper(*args, **kwargs):")
        self.indent += 1
        self.line(self.pick(("log(len(args), sorted(kwargs))", "turn()", "stack()", "pass")))
        self.line("return f(*args, **kwargs)")
        self.indent -= 1
        self.line("return wrapper")
        self.indent -= 1
        self.globals_deco = True

    globals_deco = False

    def function(self, n):
        kind = self.pick(("def", "def", "def", "def", "gen", "coro", "coro", "agen") if n else ("def", "def", "gen", "coro", "coro"))
        parameters = [(p, self.pick(("int", "int", "int", "float", "str", "list", "dict", "tuple", self.some_class(), "any")))
                      for p in ("a", "b", "c")[:self.below(4)]]
        f = Function(f"f{n}", n, kind, parameters, self.pick(("int", "int", "float", "str", "bool", "list", "any", self.some_class())))
        self.reset(kind, dict(parameters), f.result)
        if self.globals_deco and kind == "def" and self.chance(50):
            self.line("@deco")
            f.wrapped = True
        names = [p for p, _ in parameters]
        if names and self.chance(20):
            names[-1] = f"{names[-1]}={self.atom_const(parameters[-1][1])}"
            f.defaults = True
        if names and self.chance(8) and not f.wrapped:
            names.insert(1, "/")
            f.positional_only = True
        if self.chance(8):
            names.append(self.pick(("*rest", "**more", "*, key_=5")))
        self.line(f"{'async ' if kind in ('coro', 'agen') else ''}def {f.name}({', '.join(names)}):")
        self.indent += 1
        self.base = self.indent
        if self.globals and self.chance(40):
            self.declared = [self.pick(list(self.globals))]
            self.line(f"global {self.declared[0]}")
        self.room = 5 + self.below(9)
        if kind in ("gen", "agen"):
            self.line(f"yield {self.expr('int', 1)}")
        for _ in range(3 + self.below(4)):
            if self.room <= 0:
                break
            self.room -= 1
            if self.statement() == "end":
                break
        else:
            if self.chance(85):
                self.line(self.return_text())
        self.indent -= 1
        f.cost = self.cost
        self.functions.append(f)

    def atom_const(self, kind):
        old, self.scope = self.scope, {}
        text = self.atom(kind)
        self.scope = old
        return text

    def main(self):
        self.reset("def", {}, "any")
        self.line("ARGUMENTS = {")
        self.indent += 1
        old = self.globals
        self.globals = {}
        functions, self.functions = self.functions, []
        for f in functions:
            rows = []
            for k in range(RUNS):
                if k in (2, 3, 4):
                    rows.append(rows[k - 2])
                    continue
                values = [self.argument(t) for _, t in f.parameters]
                if k >= TYPED and values:
                    values[self.below(len(values))] = self.argument(self.pick(TYPES))
                rows.append("lambda: (" + "".join(v + ", " for v in values) + ")")
            self.line(f"{f.name!r}: [{', '.join(rows)}],")
        self.functions, self.globals = functions, old
        self.indent -= 1
        self.line("}")
        self.line("def main(k):")
        self.indent += 1
        for f in reversed(self.functions):
            self.line(f"run({f.name}, ARGUMENTS[{f.name!r}][k])")
        self.indent -= 1

    def argument(self, kind):
        if kind == "int" and self.chance(40):
            return self.pick(INTS)
        if kind == "any" and self.chance(30):
            return "N('arg')"
        if kind in ("list", "dict", "obj"):
            return self.expr(kind, 1)
        return self.atom(kind)


def make(choices):
    """The text of a program."""
    return Programs(choices).make()
