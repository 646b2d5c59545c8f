"""Random expressions of a wanted type, as source text.

Invariant: what is made terminates and stays small: shifts, powers and repetitions have bounds, and inside loops (`self.loops`) what could grow
with each round is cut (`bounded`). A type is a promise that usually holds: callees and guests at the late calls break it on purpose.
"""

TYPES = ("int", "float", "str", "bool", "list", "tuple", "dict", "obj", "any")

INTS = ("0", "1", "2", "3", "-1", "7", "255", "256", "257", "-5", "-6", "(2**30-1)", "(2**30)", "(-(2**30))", "(2**31)", "(2**60)", "(2**62)", "(2**63-1)",
        "(2**63)", "(-(2**63))", "(-(2**63)-1)", "(2**64)", "(10**20)", "1000003")
FLOATS = ("0.0", "-0.0", "1.0", "1.5", "-2.5", "nan", "inf", "-inf", "1e308", "5e-324", "0.1", "(2.0**53)", "1e16", "3.0")
STRINGS = ("''", "'a'", "'ab'", "'xyz'", "'\\xe9t\\xe9'", "'\\u20ac'", "'\\U0001f40d'", "'12'", "'key'", "'long string of text'")
ERRORS = ("ValueError", "KeyError", "ZeroDivisionError", "Error", "IndexError", "TypeError", "LookupError", "ArithmeticError", "OverflowError",
          "AttributeError", "Exception", "NameError")


class Expressions:
    """The part of the generator that makes expressions; `Statements` and `Programs` build on it."""

    # -- decisions
    def below(self, n):
        return self.choices.below(n)

    def chance(self, percent):
        """True so often; False is the simpler answer."""
        return self.choices.below(100) >= 100 - percent

    def pick(self, items):
        return items[self.choices.below(len(items))]

    def weighted(self, table):
        """Calls one of (weight, function) pairs."""
        total = 0
        for weight, _ in table:
            total += weight
        n = self.choices.below(total)
        for weight, make in table:
            n -= weight
            if n < 0:
                return make()
        raise AssertionError

    # -- variables
    def variable(self, kind):
        """A local or global of that type that is bound, as far as one can tell; None if there is none."""
        found = [n for n, t in self.scope.items() if t == kind]
        if self.chance(12):
            found += [n for n, t in self.globals.items() if t == kind]
        if self.maybe and self.chance(4 if self.wild else 1):
            found = [n for n, t in self.maybe.items() if t == kind] or found
        return self.pick(found) if found else None

    # -- expressions
    def expr(self, kind, depth=2):
        """An expression of a type; of a class, if that is its name. A wild program breaks the promise."""
        if self.wild and self.chance(2):
            kind = self.pick(TYPES)
        if kind == "obj":
            kind = self.some_class()
        if kind[0] == "A":
            return self.object_of(kind, depth)
        if depth <= 0 or self.below(10) < 3:
            return self.atom(kind)
        if self.chance(7):
            return self.general(kind, depth - 1)
        return getattr(self, "make_" + kind)(depth - 1)

    def atom(self, kind):
        if self.below(10) < 7:
            name = self.variable(kind)
            if name is not None:
                return name
        if kind == "int":
            return self.pick(INTS) if self.chance(40) else str(self.below(12) - 2)
        if kind == "float":
            return self.pick(FLOATS)
        if kind == "str":
            return self.pick(STRINGS)
        if kind == "bool":
            return self.pick(("True", "False"))
        if kind == "list":
            return self.pick(("[1, 2, 3]", "[0]", "[2**62, -1]", "[5, 4, 3, 2, 1]") + (("[]", "[1, 2.5, 3]", "[*(1, 2)]") if self.wild else ()))
        if kind == "tuple":
            return self.pick(("()", "(1, 2)", "(1,)", "(3, 'x', 2.0)", "(0, 1, 2, 3)"))
        if kind == "dict":
            return self.pick(("{}", "{'a': 1}", "{1: 2, 3: 4}", "{'a': 1, 'b': 2.5, 'key': 3}"))
        if kind[0] == "A":
            return self.new_object(kind, 0)
        return self.pick(("None", "N('t')", "1", "'s'", "...", "()", "1.5"))

    def some_class(self):
        """The name of a class whose objects can be made here, or `any`."""
        classes = self.lower if self.in_class else self.classes         # a class that makes itself would not end
        return self.pick(classes).name if classes else "any"

    def object_of(self, name, depth):
        """An object of a class."""
        found = [n for n, t in self.scope.items() if t == name]
        if found and self.below(10) < 7:
            return self.pick(found)
        if depth > 0 and self.chance(15):
            return self.call(name, depth - 1)
        return self.new_object(name, depth - 1)

    def new_object(self, name, depth):
        for cls in self.lower if self.in_class else self.classes:
            if cls.name == name:
                return f"{name}({', '.join(self.expr(t, depth) for _, t in cls.init)})"
        return "N('new')"

    def bounded(self, kind, text):
        """What is assigned inside loops, or outlives a call, must not grow without end."""
        if kind == "int" and any(op in text for op in ("*", "<<", "f", "m")):
            return f"({text}) % {self.pick(('1000003', '2**62', '-(2**64)', '97'))}"
        if kind in ("str", "list", "tuple") and any(op in text for op in ("+", "*", "f", "m")):
            return f"({text})[:{self.pick(('9', '30'))}]"
        return text

    def general(self, kind, depth):
        """Forms that give any type."""
        e = self.expr
        return self.weighted((
            (3, lambda: f"({e(kind, depth)} if {self.condition(depth)} else {e(kind, depth)})"),
            (2, lambda: f"({e(kind, depth)} {self.pick(('or', 'and'))} {e(kind, depth)})"),
            (2, lambda: self.walrus(kind, depth)),
            (1, lambda: f"(lambda {self.lambda_arguments(kind, depth)}"),
            (1, lambda: f"[{e(kind, depth)}, {e(kind, depth)}][{self.pick(('0', '1', '-1', '-2'))}]"),
            (1, lambda: f"poke({self.local_name()!r}, {e(self.pick(TYPES), depth)})" if self.chance(30) else e(kind, depth)),
        ))

    def lambda_arguments(self, kind, depth):
        """The rest of a lambda that is called at once."""
        if self.chance(50):
            with self.inner_scope({"q": kind}):
                body = self.expr(kind, depth)
            return f"q: {body})({self.expr(kind, depth)})"
        with self.inner_scope({"q": kind, "r": "int"}):
            body = self.expr(kind, depth)
        return f"q, *, r=3: {body})(q={self.expr(kind, depth)})"

    def local_name(self):
        return self.pick([n for n in self.scope if n[0] != "_"] or ["a"])

    def walrus(self, kind, depth):
        if self.no_walrus:
            return self.expr(kind, depth)
        text = self.expr(kind, depth)
        name = self.pick(("w", "v", "u"))
        self.maybe[name] = kind
        self.scope.pop(name, None)
        return f"({name} := {self.bounded(kind, text) if self.loops else text})"

    def condition(self, depth=1):
        """Something in a boolean place."""
        return self.expr("bool", depth) if self.below(10) < 8 else self.expr(self.pick(TYPES), depth)

    def call(self, kind, depth):
        """A call of a function of the program that returns this type, or an atom."""
        mult = self.loops or 1
        found = [f for f in self.functions if f.result == kind and f.kind == "def" and f.cost * mult < self.most_cost]
        if not found:
            return self.atom(kind)
        f = self.pick(found)
        self.cost += f.cost * mult
        return self.call_of(f, depth)

    def call_of(self, f, depth):
        """A call in one of its shapes."""
        arguments = [self.expr(t, depth) for _, t in f.parameters]
        names = [n for n, _ in f.parameters]
        shape = self.below(12)
        if f.positional_only:
            shape = 0 if shape < 9 else 10
        n = len(arguments)
        if shape < 6 or n == 0:
            if f.defaults and n and self.chance(50):
                arguments.pop()
            return f"{f.name}({', '.join(arguments)})"
        k = self.below(n)
        if shape < 9:
            return f"{f.name}({', '.join(arguments[:k] + [f'{a}={b}' for a, b in zip(names[k:], arguments[k:])])})"
        if shape == 9:
            return f"{f.name}({', '.join(arguments[:k])}{', ' if k else ''}**{{{', '.join(f'{a!r}: {b}' for a, b in zip(names[k:], arguments[k:]))}}})"
        if shape == 10:
            return f"{f.name}(*({', '.join(arguments)},))"
        return f"{f.name}({', '.join(arguments[:k])}{', ' if k else ''}*[{', '.join(arguments[k:])}])"

    def member(self, kind, depth):
        """An attribute, property or method of an object that gives this type."""
        found = [(c, m) for c in self.classes for m in c.members if m.kind == kind]
        if not found:
            return self.atom(kind)
        cls, m = self.pick(found)
        thing = "self" if self.in_class else self.object_of(cls.name, depth)
        if m.call is None:
            return f"{thing}.{m.name}" if m.name != "z" or self.in_class or self.chance(60) else f"{cls.name}.z"
        if self.in_class:
            return self.atom(kind)
        self.cost += 30 * (self.loops or 1)
        return f"{thing}.{m.name}({', '.join(self.expr(t, depth) for t in m.call)})"

    def variable_of(self, cls):
        """A local that holds an object of the class."""
        found = [n for n, t in self.scope.items() if t == cls.name or (self.wild and t[0] == "A")]
        return self.pick(found) if found else None

    def filled(self, kind, depth):
        """A container that is not empty, unless the program is wild."""
        text = self.expr(kind, depth)
        if self.wild or text[0] in "[(" and text[1] not in "])*(" and " for " not in text:
            return text
        return f"({text} or {self.pick(('[4, 5]', '[2**30]') if kind == 'list' else ('(6, 7)',))})"

    def element(self, depth):
        """A subscript of a container."""
        e = self.expr
        return self.weighted((
            (5, lambda: f"{self.filled('list', depth)}[{self.pick(('0', '-1'))}]"),
            (3, lambda: f"[{e('int', depth)}, {e('int', depth)}, 3][{e('int', depth)} % 3]"),
            (2 if self.wild else 0, lambda: f"{e('list', depth)}[{e('int', depth)}]"),
            (3, lambda: f"({e('int', depth)}, {e('int', depth)})[{self.pick(('0', '-1', '1'))}]"),
            (3 if self.wild else 1, lambda: f"{e('dict', depth)}[{self.key(depth)}]"),
            (2, lambda: f"{{1: {e('int', depth)}, 'a': {e('int', depth)}}}[{self.pick(('1', repr('a')))}]"),
            (2, lambda: f"{e('dict', depth)}.get({self.key(depth)}, {e('int', depth)})"),
        ))

    def divisor(self, kind, depth):
        if not self.wild and self.chance(93):
            return self.pick(("3", "-7", "2", "10", "2**31", "-1")) if kind == "int" or self.chance(50) else self.pick(("1.5", "-0.25", "1e300"))
        return self.expr(kind, depth)

    def key(self, depth):
        return self.pick(("'a'", "'b'", "'key'", "1", "3")) if self.chance(70) else self.expr(self.pick(("int", "str", "tuple")), depth)

    def operand(self, kind, depth):
        """Rarely an object, whose operator methods then have their say."""
        if self.classes and not self.in_class and self.chance(6):
            cls = self.pick(self.classes)
            if self.wild or "__add__" in cls.operators:
                return self.expr(cls.name, depth)
        return self.expr(kind, depth)

    def make_int(self, depth):
        e, o = self.expr, self.operand
        return self.weighted((
            (12, lambda: f"({o('int', depth)} {self.pick(('+', '-', '+', '-', '*'))} {o('int', depth)})"),
            (3, lambda: f"({o('int', depth)} {self.pick(('//', '%'))} {self.divisor('int', depth)})"),
            (3, lambda: f"({e('int', depth)} {self.pick(('&', '|', '^'))} {o('int', depth)})"),
            (2, lambda: f"({e('int', depth)} {self.pick(('<<', '>>'))} ({e('int', depth)} & {self.pick(('3', '31', '67'))}))"),
            (2, lambda: f"{self.pick(('-', '~', '+'))}{e('int', depth)}"),
            (1, lambda: f"{e('int', 0)} ** {self.pick(('2', '3', '0'))}"),
            (3, lambda: f"len({e(self.pick(('list', 'str', 'tuple', 'dict')), depth)})"),
            (3, lambda: self.element(depth)),
            (4, lambda: self.call("int", depth)),
            (4, lambda: self.member("int", depth)),
            (1, lambda: f"({e('int', depth)}).bit_length()" if self.chance(50) else f"({e('str', depth)}).count('a')"),
            (2, lambda: f"{self.pick(('min', 'max'))}({e('int', depth)}, {e('int', depth)})"),
            (1, lambda: f"abs({e(self.pick(('int', 'float')), depth)})"),
            (1, lambda: f"int({e(self.pick(('int', 'float', 'str', 'bool') if self.wild else ('int', 'bool')), depth)})"),
            (2, lambda: f"sum({self.comprehension(depth, '()')})"),
            (1, lambda: f"sum({e('list', depth)})"),
            (1, lambda: f"({e('bool', depth)} + {e('int', depth)})"),
            (1, lambda: self.pick(("turn()", "look()", "look(2)")) if self.chance(60) else e("int", depth)),
        ))

    def make_float(self, depth):
        e, o = self.expr, self.operand
        return self.weighted((
            (12, lambda: f"({o('float', depth)} {self.pick(('+', '-', '*'))} {o('float', depth)})"),
            (3, lambda: f"({o('float', depth)} {self.pick(('+', '-', '*'))} {o('int', depth)})"),
            (2, lambda: f"({o('int', depth)} {self.pick(('+', '-', '*'))} {o('float', depth)})"),
            (3, lambda: f"({o(self.pick(('int', 'float')), depth)} / {self.divisor(self.pick(('int', 'float')), depth)})"),
            (1, lambda: f"({e('float', depth)} {self.pick(('//', '%'))} {self.divisor('float', depth)})"),
            (1, lambda: f"-{e('float', depth)}"),
            (1, lambda: f"{e('float', 0)} ** {self.pick(('2', '2', '3'))}"),
            (3, lambda: self.call("float", depth)),
            (3, lambda: self.member("float", depth)),
            (1, lambda: f"float({e(self.pick(('int', 'float')), depth)})"),
            (1, lambda: f"round({e('float', depth)}, 2)"),
        ))

    def make_bool(self, depth):
        e, o = self.expr, self.operand
        kind = self.pick(("int", "int", "float", "str", "list", "tuple", "int"))
        compare = ("<", "<=", ">", ">=", "==", "!=") if kind != "tuple" or self.wild else ("==", "!=")
        return self.weighted((
            (10, lambda: f"({o(kind, depth)} {self.pick(compare)} {o(kind, depth)})"),
            (2, lambda: f"({e('int', depth)} {self.pick(compare)} {o(self.pick(('int', 'float')), depth)} {self.pick(compare)} {e('int', depth)})"),
            (2, lambda: f"(not {e('bool', depth)})"),
            (2, lambda: f"({e(self.pick(('int', 'str')), depth)} {self.pick(('in', 'not in'))} {e(self.pick(('list', 'tuple', 'dict')), depth)})"),
            (1, lambda: f"({e('str', depth)} in {e('str', depth)})"),
            (2, lambda: f"({e('any', depth)} {self.pick(('is', 'is not'))} {self.pick(('None', 'None', 'True'))})"),
            (1, lambda: f"isinstance({e('any', depth)}, {self.pick(('int', 'float', 'str', '(int, float)', 'Base'))})"),
            (2, lambda: f"({e('bool', depth)} {self.pick(('and', 'or'))} {e('bool', depth)})"),
            (1, lambda: f"bool({e('any', depth)})"),
            (1, lambda: self.call("bool", depth)),
            (1, lambda: f"({e('obj', depth)} {self.pick(('==', '<', 'in', 'is') if self.wild else ('==', 'is', '!='))} {e('obj', depth)})"),
            (1, lambda: f"({e(self.pick(('int', 'str')), depth)} in {{1, 'a', {e('int', depth)}}})"),
            (1, lambda: f"(type({e('any', depth)}) is {self.pick(('int', 'str', 'float'))})"),
        ))

    def make_str(self, depth):
        e = self.expr
        return self.weighted((
            (6, lambda: f"({e('str', depth)} + {e('str', depth)})"),
            (4, lambda: self.fstring(depth)),
            (2, lambda: f"{e('str', depth)}[{e('int', 0)}]" if self.wild else f"({e('str', depth)} or 'q')[{self.pick(('0', '-1'))}]"),
            (2, lambda: f"{e('str', depth)}[{self.slice(depth)}]"),
            (2, lambda: f"str({e(self.pick(('int', 'float', 'bool', 'str')), depth)})"),
            (1, lambda: f"({e('str', depth)} * ({e('int', 0)} % 5))"),
            (1, lambda: f"{e('str', depth)}.{self.pick(('upper()', 'strip()', 'replace(chr(97), chr(98))', 'title()'))}"),
            (1, lambda: f"{self.pick(STRINGS)}.join([{e('str', depth)}, {e('str', 0)}])"),
            (1, lambda: f"('%s|%r' % ({e('int', depth)}, {e('str', depth)}))"),
            (2, lambda: self.call("str", depth)),
            (2, lambda: self.member("str", depth)),
        ))

    def fstring(self, depth):
        """Parts must not hold quotes of the same kind; nesting is allowed since 3.12."""
        parts = []
        for _ in range(1 + self.below(3)):
            kind = self.pick(("int", "float", "str", "bool"))
            text = self.expr(kind, min(depth, 1))
            end = self.pick(("", "", "!r", "!s", ":>8" if kind in ("int", "str") else "", ":.3f" if kind == "float" else ""))
            parts.append(self.pick(("", "p=", " ")) + "{" + " " + text + " " + end + "}")
        return 'f"' + "".join(parts) + '"'

    def slice(self, depth):
        def part():
            return self.pick(("", "1", "-1", "2", "0", "-3")) if self.chance(80) else self.expr("int", min(depth, 1))
        return f"{part()}:{part()}" + (f":{self.pick(('2', '-1', '1'))}" if self.chance(20) else "")

    def make_list(self, depth):
        e = self.expr
        return self.weighted((
            (5, lambda: f"[{', '.join(e('int', depth) for _ in range(self.below(4)))}]"),
            (4, lambda: self.comprehension(depth, "[]")),
            (2, lambda: f"{e('list', depth)}[{self.slice(depth)}]"),
            (2, lambda: f"({e('list', depth)} + {e('list', depth)})"),
            (1, lambda: f"[*{e(self.pick(('list', 'tuple', 'dict') if self.wild else ('list',)), depth)}, {e('int', depth)}]"),
            (1, lambda: f"sorted({e('list', depth)}{self.pick(('', ', reverse=True', ', key=lambda z: -z'))})"),
            (1, lambda: f"list({e(self.pick(('tuple', 'list', 'dict') if self.wild else ('list',)), depth)})"),
            (1, lambda: f"[len({{{e('int', depth)}, {e('int', depth)}}} | {{*{e('list', depth)}}})]"),
            (1, lambda: f"list(range({e('int', 0)} % 6))"),
            (2, lambda: self.call("list", depth)),
            (1, lambda: self.generator_list(depth)),
        ))

    def generator_list(self, depth):
        found = [f for f in self.functions if f.kind == "gen" and f.cost * (self.loops or 1) < self.most_cost]
        if not found:
            return self.atom("list")
        f = self.pick(found)
        self.cost += f.cost * (self.loops or 1)
        return f"list({self.call_of(f, depth)})"

    def make_tuple(self, depth):
        e = self.expr
        return self.weighted((
            (5, lambda: f"({', '.join(e(self.pick(('int', 'float', 'str')), depth) for _ in range(1 + self.below(3)))},)"),
            (1, lambda: f"{e('tuple', depth)}[{self.slice(depth)}]"),
            (1, lambda: f"({e('tuple', depth)} + {e('tuple', depth)})"),
            (1, lambda: f"tuple({self.comprehension(depth, '()')})"),
            (1, lambda: f"(*{e('list', depth)}, {e('int', depth)})"),
            (1, lambda: f"divmod({e('int', depth)}, {self.divisor('int', depth)})"),
        ))

    def make_dict(self, depth):
        e = self.expr
        return self.weighted((
            (5, lambda: "{" + ", ".join(f"{self.key(depth)}: {e('int', depth)}" for _ in range(self.below(3))) + "}"),
            (2, lambda: self.comprehension(depth, "{:}")),
            (1, lambda: f"{{**{e('dict', depth)}, {self.key(depth)}: {e('int', depth)}}}"),
            (1, lambda: f"({e('dict', depth)} | {e('dict', depth)})"),
            (1, lambda: f"dict(a={e('int', depth)}, b={e('float', depth)})"),
        ))

    def make_obj(self, depth):
        return self.expr("obj", depth)

    def make_any(self, depth):
        e = self.expr
        return self.weighted((
            (4, lambda: e(self.pick(TYPES[:-1]), depth)),
            (2, lambda: f"N({self.pick(STRINGS[1:4])})"),
            (1, lambda: f"[{e('any', depth)}, N('i')]"),
            (1, lambda: "{" + f"{e('int', depth)}, {e('int', depth)}" + "}"),
            (1, lambda: f"slice({e('int', 0)}, {e('int', 0)})"),
            (1, lambda: self.call("any", depth)),
            (1, lambda: self.member("any", depth)),
            (1, lambda: self.bound_method(depth)),
            (1, lambda: f"getattr({e('obj', depth)}, {self.pick(('x', 'y', 'z', 'p'))!r}, {e('any', depth)})"),
        ))

    def bound_method(self, depth):
        """A method that is taken off its object before it is called."""
        found = [(c, m) for c in self.classes for m in c.members if m.call is not None]
        if not found or self.in_class or self.no_walrus:
            return self.atom("any")
        cls, m = self.pick(found)
        self.maybe["w"] = "any"
        self.scope.pop("w", None)
        self.cost += 30 * (self.loops or 1)
        return f"(w := {self.object_of(cls.name, depth)}.{m.name})({', '.join(self.expr(t, depth) for t in m.call)})"

    def comprehension(self, depth, kind):
        """A comprehension or generator expression over something short."""
        self.no_walrus += 1
        source = self.iterable(depth)
        name = self.pick(("i", "j"))
        outer_loops = self.loops
        with self.inner_scope({name: self.item}):
            self.loops = (outer_loops or 1) * 4
            condition = f" if {self.condition(depth)}" if self.chance(35) else ""
            second = f" for {name}2 in {self.pick(('(1, 2)', '[0, 1, 2]', f'range({name} % 3)'))}" if self.chance(12) else ""
            value = self.expr("int", depth)
            key = self.expr(self.pick(("int", "str")), depth) if kind == "{:}" else None
        self.no_walrus -= 1
        self.loops = outer_loops
        if key is not None:
            return f"{{{key}: {value} for {name} in {source}{condition}{second}}}"
        return kind[0] + f"{value} for {name} in {source}{condition}{second}" + kind[1]

    def iterable(self, depth):
        """Something short to iterate over; `item` is then the type of what it gives."""
        e = self.expr
        self.item = "int"

        def of(kind, text):
            self.item = kind
            return text
        return self.weighted((
            (6, lambda: f"range({self.pick(('3', '4', '2', '6'))})"),
            (2, lambda: f"range({e('int', 0)} % 5)"),
            (1, lambda: f"range({self.pick(('5, 0, -2', '2**62, 2**62 + 2', '1, 4', '-1, 2', '2**63 - 2, 2**63 + 1'))})"),
            (3, lambda: f"{e('list', depth)}[:6]"),
            (2, lambda: of("any", f"{e('tuple', depth)}[:6]")),
            (1, lambda: f"({e('int', depth)}, {e('int', depth)}, 7)"),
            (1, lambda: of("any", f"list({e('dict', depth)})[:6]")),
            (1, lambda: of("str", f"{e('str', depth)}[:5]")),
            (1, lambda: f"iter({e('list', depth)}[:4])"),
            (1, lambda: of("any", f"(N(str(n_)) for n_ in range({self.pick(('2', '3'))}))")),
            (1, lambda: f"map(abs, {e('list', depth)}[:5])"),
            (1, lambda: of("tuple", f"zip({e('list', depth)}[:5], (1, 2, 3))")),
            (2, lambda: of("any", self.generator_list(depth) + "[:5]")),
            (1, lambda: of("float", f"[{e('float', depth)}, 2.5, -0.0]")),
        ))
