"""Random statements: flow, exceptions, containers, closures, and what changes the program while it runs.

Invariant: `scope` holds what is bound at this point of the text as far as one can tell, `maybe` what may be; loops have constant bounds.
"""
import contextlib

from expressions import ERRORS, TYPES, Expressions

POOL = ("a", "b", "c", "d", "x", "y", "s", "t")


class Statements(Expressions):
    """Adds statements to `self.lines`."""

    def line(self, text):
        self.lines.append("    " * self.indent + text)
        self.cost += self.loops or 1

    @contextlib.contextmanager
    def inner_scope(self, more):
        """Names of a comprehension or lambda."""
        old = self.scope, self.maybe, self.no_await
        self.scope, self.maybe, self.no_await = {**self.scope, **more}, dict(self.maybe), True
        yield
        self.scope, self.maybe, self.no_await = old

    def branch(self, size):
        """A block that may or may not run: what it binds is not certain behind it."""
        before = dict(self.scope)
        self.indent += 1
        self.block(size)
        self.indent -= 1
        after, self.scope = self.scope, {}
        for name, kind in before.items():
            if after.get(name) == kind:
                self.scope[name] = kind
            else:
                self.maybe[name] = kind
        for name, kind in after.items():
            if name not in before:
                self.maybe[name] = kind

    def block(self, size):
        """Statements; at least one."""
        start = len(self.lines)
        for _ in range(1 + self.below(size) if size > 1 else 1):
            if self.room <= 0:
                break
            self.room -= 1
            if self.statement() == "end":
                break
        if len(self.lines) == start:
            self.line("pass")

    def statement(self):
        """One statement; "end" if nothing behind it would run."""
        nested = self.indent - self.base < 4
        if not self.kinds:
            return self.assign()
        table = [
            (22, self.assign), (8, self.augmented), (4, self.unpack), (5, self.log), (3, self.call_statement), (3, self.look), (1, self.poke),
            (2, self.alias), (3, self.same), (2, self.delete), (4, self.set_attribute), (4, self.set_item), (3, self.raise_if), (2, self.turn), (1, self.change),
            (2, self.keep), (3, self.leave), (1, self.assertion), (2, self.set_global), (2, self.list_method), (1, self.other), (3, self.resume)]
        if nested:
            table += [(9, self.if_), (9, self.for_), (3, self.while_), (9, self.try_), (4, self.with_), (3, self.match)]
            if not self.nested:
                table += [(3, self.closure)]
        if self.kind in ("gen", "agen"):
            table += [(14, self.yield_)]
        if self.kind == "gen":
            table += [(3, self.yield_from)]
        if self.kind in ("coro", "agen"):
            table += [(14, self.await_)]
            if nested:
                table += [(4, self.async_for), (4, self.async_with)]
        return self.weighted([(weight * self.kinds[make.__name__], make) for weight, make in table] + [(1, self.assign)])

    # -- binding
    def new_name(self):
        return self.pick(self.pool)

    def bind(self, name, kind):
        self.maybe.pop(name, None)
        self.scope[name] = kind

    def assign(self):
        kind = self.pick(self.favourites)
        if kind == "obj":
            kind = self.some_class()
        name = self.new_name()
        if self.chance(60) and name in self.scope:
            kind = self.scope[name]
        text = self.expr(kind, 3)
        self.line(f"{name} = {self.bounded(kind, text) if self.loops else text}")
        self.bind(name, kind)

    def augmented(self):
        kind = self.pick(("int", "int", "float", "str", "list"))
        name = self.variable(kind)
        if name is None or name in self.globals:
            return self.assign()
        if kind == "int":
            op = self.pick(("+=", "+=", "-=", "*=", "//=", "%=", "&=", "|=", "^=", ">>="))
            if op in ("//=", "%="):
                self.line(f"{name} {op} {self.divisor('int', 1)}")
                return
            if op == "*=" and self.loops:
                op = "+="
            self.line(f"{name} {op} {self.operand('int', 1) if op != '>>=' else self.pick(('1', '3'))}")
            if op in ("*=",) and self.loops:
                self.line(f"{name} %= 1000003")
        elif kind == "float":
            self.line(f"{name} {self.pick(('+=', '-=', '*='))} {self.operand(self.pick(('float', 'float', 'int')), 1)}")
        elif kind == "str":
            self.line(f"{name} += {self.expr('str', 1)}")
            if self.loops:
                self.line(f"{name} = {name}[-30:]")
        else:
            self.line(f"{name} += {self.expr(self.pick(('list', 'tuple') if self.wild else ('list',)), 1)}")
            if self.loops:
                self.line(f"{name} = {name}[-9:]")

    def unpack(self):
        a, b, c = self.new_name(), self.new_name(), self.new_name()
        n = self.below(6)
        if n == 0 and a != b and a in self.scope and b in self.scope:
            self.line(f"{a}, {b} = {b}, {a}")
            self.scope[a], self.scope[b] = self.scope[b], self.scope[a]
            return
        if n < 3:
            k1, k2 = self.pick(TYPES[:4]), self.pick(TYPES[:4])
            self.line(f"{a}, {b} = {self.expr(k1)}, {self.expr(k2)}")
            self.bind(a, k1)
            self.bind(b, k2)
        elif n == 3:
            text = self.expr(self.pick(('tuple', 'list', 'str')))
            self.line(f"{a}, {b} = {text}" if self.wild else f"{a}, {b} = [*{text}, 1, 2][:2]" if self.chance(50) else f"{a}, {b} = ({self.expr('int')}, {self.expr('int')})[:]")
            self.bind(a, "any")
            self.bind(b, "any")
        elif n == 4:
            self.line(f"{a}, *{b} = {self.filled(self.pick(('tuple', 'list')), 2)}")
            self.bind(a, "any")
            self.bind(b, "list")
        else:
            self.line(f"{a}, ({b}, {c}) = {self.expr('int')}, {self.expr('tuple') if self.wild else '(1, %s)' % self.expr('float')}")
            for name in (a, b, c):
                self.bind(name, "any")
            if not self.wild:
                self.bind(a, "int") if a not in (b, c) else None

    def alias(self):
        if not self.scope:
            return self.assign()
        old = self.pick(list(self.scope))
        name = self.new_name()
        self.line(f"{name} = {old}")
        self.bind(name, self.scope[old])
        self.line(f"log({name} is {old})")

    def number(self):
        """A number that is computed, of any size."""
        text = self.expr(self.pick(("int", "int", "float")), 1)
        return f"({text} {self.pick(('* 1.5', '+ 1000', '+ 0', '- 1', '* 1000003'))})"

    def place(self):
        """Where a number can be stored, and how it is read again."""
        ways = [(n, n) for n in (self.new_name(), self.new_name())]
        for cls in self.classes:
            thing = None if self.in_class else self.variable_of(cls)
            ways += [(f"{thing}.{a}",) * 2 for a, kind in cls.attributes if thing is not None and kind in ("int", "float", "any")]
        lists = self.variable("list")
        if lists is not None:
            ways += [(f"{lists}[:0]", f"{lists}[0]")]
        dicts = self.variable("dict")
        if dicts is not None:
            ways += [(f"{dicts}['a']",) * 2, (f"{dicts}[1]",) * 2]
        return self.pick(ways)

    def same(self):
        """One number in several places: are they one object?"""
        numbers = [n for n, t in self.scope.items() if t in ("int", "float")]
        n = self.below(9)
        if n < 3:
            places = [p for p in (self.place() for _ in range(2 + self.below(2))) if p[0] == p[1]]
            if len(places) < 2:
                return self.assign()
            text = self.number()
            self.line(f"{' = '.join(p for p, _ in places)} = {self.bounded('float', text)}")
            for p, _ in places:
                if p.isidentifier():
                    self.bind(p, "any" if self.chance(20) else "int")
            self.line(f"log(same({', '.join(p for p, _ in places)}))")
        elif n == 3 and not self.no_walrus:
            name = self.pick(("w", "v"))
            self.maybe[name] = "int"
            self.scope.pop(name, None)
            self.line(f"log(same(({name} := {self.number()}), {name}))")
        elif n == 4 and numbers:
            x, y = self.pick(numbers), self.pick(numbers)
            self.line(f"log(same({x}, {self.call('any', 1)}, {y}, {x}, ({x} if {self.condition(1)} else {y})))")
        elif n == 5 and numbers:
            x = self.pick(numbers)
            name = self.new_name()
            self.line(f"{name} = {x} {self.pick(('and', 'or'))} {self.pick(numbers)}" if self.chance(50) else f"{name} = {x} if {self.condition(1)} else {self.pick(numbers)}")
            self.bind(name, "int")
            self.line(f"log(same({name}, {x}))")
        elif n == 6 and numbers:
            x, name = self.pick(numbers), self.new_name()
            self.line(f"{name} = [{x}, {x} + 0, {self.pick(numbers)}, {x}]")
            self.bind(name, "list")
            if name != x:
                self.line(f"log(same({x}, *{name}))")
        else:
            if len(numbers) < 2:
                return self.assign()
            self.line(f"log(same({', '.join(numbers[:5])}))")
        return None

    def delete(self):
        names = [n for n in self.scope if n in self.pool]
        if not names:
            return self.assign()
        name = self.pick(names)
        self.line(f"del {name}")
        self.maybe[name] = self.scope.pop(name)

    def keep(self):
        """An object that says when it dies."""
        name = self.new_name()
        self.serial += 1
        self.line(f"{name} = N('{self.serial}')" if self.chance(80) else f"{name} = [N('{self.serial}'), {self.expr('any', 1)}]")
        self.bind(name, "any")

    # -- plain ones
    def log(self):
        self.line(f"log({', '.join(self.expr(self.pick(TYPES)) for _ in range(1 + self.below(2)))})")

    def call_statement(self):
        self.line(self.weighted((
            (3, lambda: self.call(self.pick(TYPES), 2)),
            (2, lambda: self.member(self.pick(TYPES), 1)),
            (1, lambda: f"log(*{self.expr('list', 1)}, *{self.expr('tuple', 1)})"),
            (1, lambda: self.expr(self.pick(TYPES), 2)))))

    def look(self):
        self.line(self.pick(("look()", "look()", "look(3)", "stack()", "handled()", "held()", "log(sorted(locals()))")))

    def poke(self):
        kind = self.pick(TYPES)
        name = self.local_name()
        if self.chance(60 if self.wild else 92) and name in self.scope:
            kind = self.scope[name]
        self.line(f"poke({name!r}, {self.expr(kind, 1)})")

    def turn(self):
        self.line("turn()")

    def assertion(self):
        self.line(f"assert {self.condition()}, {self.expr(self.pick(TYPES), 1)}")

    def raise_if(self):
        self.line(f"if {self.condition(2)}: {self.raising()}")

    def raising(self):
        kind = self.pick(ERRORS)
        if self.handling and self.chance(40):
            return self.pick(("raise", "raise e_") if self.named else ("raise",))
        text = f"raise {kind}({self.expr(self.pick(TYPES), 1)})"
        if self.chance(25):
            text += f" from {self.pick(('None', 'KeyError(7)') + (('e_',) if self.named else ()))}"
        if self.chance(8):
            text = f"raise ExceptionGroup('g', [{kind}(1), {self.pick(ERRORS)}(N('in group'))])"
        return text

    def leave(self):
        """return, break or continue, often behind an `if`."""
        ways = []
        if not self.no_leave:
            ways += ["return"]
            if self.in_loop:
                ways += ["break", "continue", "break", "continue"]
        if not ways:
            return self.log()
        way = self.pick(ways)
        if way == "return":
            way = self.return_text()
        if self.chance(75):
            self.line(f"if {self.condition(2)}: {way}")
            return None
        self.line(way)
        return "end"

    def return_text(self):
        if self.kind == "agen":
            return "return"
        text = self.expr(self.result, 2)
        return f"return {self.bounded(self.result, text)}"

    def set_attribute(self):
        found = [(c, a) for c in self.classes for a in c.attributes]
        if not found:
            return self.assign()
        cls, (name, kind) = self.pick(found)
        thing = "self" if self.in_class else self.variable_of(cls)
        if thing is None:
            return self.assign()
        n = self.below(10)
        if n == 0 and self.chance(50):
            self.line(f"del {thing}.{name}")
            if not self.wild:
                self.line(f"{thing}.{name} = {self.expr(kind, 1)}")
        elif n == 1 and kind == "int":
            self.line(f"{thing}.{name} += {self.expr('int', 1)}")
        elif n == 2 and cls.dict:
            self.line(f"{thing}.{self.pick(('z', 'p', 'm1'))} = {self.expr('any', 1)}")
        else:
            text = self.expr(kind if self.chance(90 if self.wild else 97) else self.pick(TYPES), 2)
            self.line(f"{thing}.{name} = {self.bounded(kind, text)}")

    def set_item(self):
        kind = self.pick(("list", "dict"))
        name = self.variable(kind)
        if name is None:
            return self.assign()
        n = self.below(8)
        place = self.pick(("0", "-1", "1") if self.wild else ("0", "-1")) if kind == "list" else self.key(1)
        if not self.wild and kind == "list":
            self.line(f"if {name}:")
            place = " ".join([place])
        elif not self.wild and n < 2:
            self.line(f"{name}[{place}] = 3")
        self.indent += not self.wild and kind == "list"
        self.set_item_in(kind, name, n, place)
        self.indent -= not self.wild and kind == "list"

    def set_item_in(self, kind, name, n, place):
        if n == 0:
            self.line(f"del {name}[{place}]")
        elif n == 1:
            self.line(f"{name}[{place}] += {self.expr('int', 1)}")
        elif n == 2 and kind == "list":
            self.line(f"{name}[{self.slice(1)}] = {self.expr('list', 1)}[:4]")
        elif n == 3:
            self.line(f"{name}[{self.expr('int', 1)}] = {self.expr('any', 1)}" if self.wild else f"{name}[:] = [{self.expr('int', 1)}]" if kind == "list"
                      else f"{name}[{self.expr('int', 1)}] = 1")
        else:
            self.line(f"{name}[{place}] = {self.expr(self.pick(('int', 'int', 'float', 'any') if self.wild else ('int',)), 2)}")

    def list_method(self):
        name = self.variable("list")
        if name is None:
            return self.assign()
        self.line(self.pick((f"{name}.append({self.expr('int', 2)})", f"{name}.pop()" if self.wild else f"{name}.append(3)", f"{name}.extend({self.expr('tuple' if self.wild else 'list', 1)})",
                             f"{name}.insert(0, {self.expr('int', 1)})", f"{name}.reverse()", f"{name}.clear()")))
        if self.loops:
            self.line(f"{name} = {name}[-12:]")

    def set_global(self):
        names = [n for n in self.declared]
        if not names:
            return self.assign()
        name = self.pick(names)
        if self.chance(8 if self.wild else 1):
            self.line(f"del {name}")
            return
        kind = self.globals[name] if self.chance(85 if self.wild else 97) else self.pick(TYPES)
        self.line(f"{name} = {self.bounded(kind, self.expr(kind, 2))}")

    def change(self):
        """Changes the program itself: code, defaults, types, globals."""
        table = []
        plain = [f for f in self.functions if f.kind == "def" and not f.wrapped]
        if plain:
            f = self.pick(plain)
            lower = [g for g in plain if g.number < f.number and len(g.parameters) == len(f.parameters)]
            if lower:
                table.append((2, lambda: f"{f.name}.__code__ = {self.pick(lower).name}.__code__"))
            if f.parameters:
                table.append((2, lambda: f"{f.name}.__defaults__ = ({self.expr(f.parameters[-1][1], 1)},)"))
            same = [g for g in plain if g.number < f.number]
            if same:
                table.append((1, lambda: f"globals()[{f.name!r}] = {self.pick(same).name}"))
        for name in self.globals:
            table.append((1, lambda name=name: f"globals()[{name!r}] = {self.expr(self.pick(TYPES), 1)}"))
        for cls in self.classes:
            for m in cls.members:
                if m.call is not None:
                    table.append((1, lambda m=m, cls=cls: f"{cls.name}.{m.name} = lambda *q: {self.expr(m.kind, 0)}"))
            table.append((1, lambda cls=cls: f"{cls.name}.{self.pick(('x', 'y', 'z', 'm1'))} = {self.expr('any', 1)}"))
            thing = self.variable_of(cls)
            if thing:
                table.append((1, lambda cls=cls: f"{thing}.__class__ = {cls.name}"))
        if not table or self.in_class:
            return self.log()
        self.line(self.weighted(table))

    def other(self):
        self.line(self.pick((
            "gc.collect()",
            f"log(type({self.expr('any', 1)}).__name__)",
            f"log([*map(lambda q: {self.expr('int', 1)}, {self.expr('list', 1)}[:4])])",
            f"import types as {self.new_name_of('any')}",
            f"from sys import maxsize as {self.new_name_of('int')}",
            f"print({self.expr('int', 1)}, end='')",
        )))

    def resume(self):
        """A generator or coroutine that is driven by hand, or left suspended."""
        found = [f for f in self.functions if f.kind != "def" and f.cost * (self.loops or 1) < self.most_cost]
        if not found or self.in_class:
            return self.log()
        f = self.pick(found)
        self.cost += f.cost * (self.loops or 1)
        if f.kind != "gen" or self.chance(30):
            self.line(f"log(drive({self.call_of(f, 1)}, {self.pick(('3', '6', '12'))}))")
            return
        name = self.new_name_of("any")
        self.line(f"{name} = {self.call_of(f, 1)}")
        for _ in range(1 + self.below(3)):
            if self.chance(12):
                self.line("try:")
                self.line(f"    log({name}.throw({self.pick(ERRORS)}))")
                self.line("except Exception as e_:")
                self.line("    log(e_)")
            else:
                self.line(self.pick((f"log(next({name}, 'over'))", f"log(next({name}, 'over'))", f"for {self.new_name_of('any')} in {name}: break",
                                     f"{name}.close()", f"log([*{name}][:3])")))

    # -- flow
    def if_(self):
        self.line(f"if {self.condition(2)}:")
        self.branch(3)
        if self.chance(25):
            self.line(f"elif {self.condition(2)}:")
            self.branch(3)
        if self.chance(50):
            self.line("else:")
            self.branch(3)

    @contextlib.contextmanager
    def looping(self, rounds):
        old = self.loops, self.in_loop, self.no_leave_loop
        self.loops = (self.loops or 1) * rounds
        self.in_loop = True
        yield
        self.loops, self.in_loop, self.no_leave_loop = old

    def for_(self):
        if (self.loops or 1) > 60:
            return self.assign()
        name = self.new_name()
        kind = "int"
        n = self.below(12)
        if n < 2:
            source, target = f"enumerate({self.iterable(1)})", f"{name}, {self.new_name()}"
            kind = "int" if self.item == "int" else "any"
        elif n == 2:
            source, target = f"list({self.expr('dict', 1)}.items())[:5]", f"{name}, {self.new_name()}"
            kind = "any"
        elif n == 3:
            source, target = f"range({self.pick(('12', '20'))})", name
        elif n == 4:
            source, target, kind = f"{self.expr('str', 1)}[:6]", name, "str"
        else:
            source, target = self.iterable(1), name
            kind = self.item
        self.line(f"for {target} in {source}:")
        with self.looping(20 if n == 3 else 5):
            before = dict(self.scope)
            for t in target.split(", "):
                self.bind(t, kind)
            self.branch(4)
            self.scope = {n: k for n, k in self.scope.items() if before.get(n) == k}
            for t in target.split(", "):
                if t not in self.scope:
                    self.maybe[t] = kind
        self.loop_else()

    def loop_else(self):
        if self.chance(15):
            self.line("else:")
            self.branch(2)

    def while_(self):
        if (self.loops or 1) > 60:
            return self.assign()
        self.serial += 1
        name = f"_w{self.serial}"
        self.line(f"{name} = {self.pick(('3', '5', '9'))}")
        self.line(f"while {name} > 0{self.pick(('', f' and {self.condition(1)}'))}:")
        with self.looping(6):
            self.indent += 1
            self.line(f"{name} -= 1")
            self.indent -= 1
            self.branch(4)
        self.loop_else()

    def try_(self):
        old = self.handling, self.named, self.no_leave, self.in_loop
        star = self.chance(10)
        self.line("try:")
        self.branch(4)
        kind = self.below(10)
        if kind < 8 or star:
            for n in range(1 + self.chance(25)):
                names = self.pick(ERRORS) if self.chance(50) else self.pick(("Exception", "(ValueError, TypeError, KeyError)", "ArithmeticError", "(LookupError, Error)"))
                if self.chance(6) and not star:
                    names = f"({self.expr('any', 1)} and {names})"
                named = self.chance(60)
                self.line(f"except{'*' if star else ''} {names}{' as e_' if named else ''}:")
                self.handling, self.named = True, named
                if star:
                    self.no_leave, self.in_loop = True, False
                self.indent += 1
                if named and self.chance(60):
                    self.line("log(e_)")
                if self.chance(25):
                    self.line("handled()")
                self.indent -= 1
                self.branch(3)
                self.handling, self.named, self.no_leave, self.in_loop = old
            if self.chance(20):
                self.line("else:")
                self.branch(2)
        if kind >= 8 and not star or self.chance(25):
            self.line("finally:")
            self.branch(3)

    def with_(self, word=""):
        def one():
            self.serial += 1
            text = f"Manager('c{self.serial}'"
            if self.chance(30):
                text += f", {self.pick(('True', self.expr('bool', 0), self.expr('any', 0)))}"
            elif self.chance(8 if self.wild else 1):
                text += ", False, Error('enter')"
            text += ")"
            if self.chance(30):
                name = self.new_name()
                self.maybe[name] = "str"
                self.scope.pop(name, None)
                text += f" as {name}"
            return text
        self.line(f"{word}with {', '.join(one() for _ in range(1 + self.chance(25)))}:")
        self.branch(4)

    def match(self):
        kind = self.pick(("int", "tuple", "list", "dict", "str", "obj", "any"))
        self.line(f"match {self.expr(kind)}:")
        self.indent += 1
        patterns = ["0 | 1 | 2", "int(q)", "float() | str()", "(q, r)", "[q, *r]", "[1, _, *_]", "{'a': q}", "{'key': int(q), **r}", "None", "str() as q",
                    "(int(q), str() as r, *_)", "-1", "1.5", "True | False", "'a' | 'b'", "[[q], *r]"]
        for cls in self.classes:
            patterns += [f"{cls.name}(x=q)", f"{cls.name}(y=int() as q)", f"{cls.name}()"]
        for _ in range(1 + self.below(4)):
            guard = f" if {self.condition(1)}" if self.chance(25) else ""
            pattern = self.pick(patterns)
            self.line(f"case {pattern}{guard}:")
            self.indent += 1
            if "q" in pattern and self.chance(60):
                self.line("log(q)")
            self.indent -= 1
            self.branch(2)
        if self.chance(40):
            self.line("case _:")
            self.branch(2)
        self.indent -= 1

    def closure(self):
        """A nested function that reads and writes what is around it, and calls of it."""
        self.serial += 1
        name = f"_g{self.serial}"
        parameter = self.pick(("k", "a"))
        kind = self.pick(TYPES[:5])
        outer = [n for n in self.scope if n in self.pool and n != parameter]
        written = [self.pick(outer)] if outer and self.chance(60) else []
        self.line(f"def {name}({parameter}{self.pick(('', '=3'))}{self.pick(('', ', *rest', ', **more'))}):")
        saved = (self.scope, self.maybe, self.pool, self.kind, self.loops, self.in_loop, self.handling, self.named, self.no_leave, self.result,
                 self.declared, self.nested, self.base, self.no_await)
        self.scope = {**self.scope, parameter: kind}
        self.maybe = {}
        self.pool = ("h", "l", "k", *written)
        self.kind, self.in_loop, self.handling, self.named, self.no_leave = self.pick(("def", "def", "def", "gen")), False, False, False, False
        self.result, self.declared, self.nested, self.no_await = kind, [], True, False
        self.indent += 1
        if written:
            self.line(f"nonlocal {written[0]}")
        self.base = self.indent
        if self.kind == "gen":
            self.line("yield 1")
        inner_kind = self.kind
        self.block(4)
        if self.chance(70):
            self.line(self.return_text())
        self.indent -= 1
        (self.scope, self.maybe, self.pool, self.kind, self.loops, self.in_loop, self.handling, self.named, self.no_leave, self.result,
         self.declared, self.nested, self.base, self.no_await) = saved
        for n in written:
            self.maybe[n] = self.scope.pop(n)
        for _ in range(1 + self.below(2)):
            use = f"{name}({self.expr(kind, 1)})"
            if inner_kind == "gen":
                use = f"[*{use}]"
            self.line(self.pick((f"log({use})", f"{self.new_name_of('any')} = {use}", f"log({name}({parameter}={self.expr(kind, 1)}))")))
        if self.chance(15):
            self.line(f"return {name}" if self.kind == "def" and not self.no_leave else f"log({name})")

    def new_name_of(self, kind):
        name = self.new_name()
        self.bind(name, kind)
        return name

    # -- generators and coroutines
    def yield_(self):
        kind = self.pick(TYPES[:5])
        text = self.expr(kind, 2)
        if self.chance(35):
            name = self.new_name()
            self.line(f"{name} = yield {text}")
            self.bind(name, "any")
        elif self.chance(10):
            self.line(f"log((yield {text}))")
        else:
            self.line(f"yield {text}")

    def yield_from(self):
        found = [f for f in self.functions if f.kind == "gen" and f.cost * (self.loops or 1) < self.most_cost]
        source = self.call_of(self.pick(found), 1) if found and self.chance(60) else self.expr(self.pick(("list", "tuple")), 1) + "[:3]"
        if self.chance(50):
            self.line(f"{self.new_name_of('any')} = yield from {source}")
        else:
            self.line(f"yield from {source}")

    def awaitable(self, depth=1):
        """(what to await, the type of its value)."""
        found = [f for f in self.functions if f.kind == "coro" and f.cost * (self.loops or 1) < self.most_cost]
        if found and self.chance(60):
            f = self.pick(found)
            self.cost += f.cost * (self.loops or 1)
            return self.call_of(f, depth), f.result
        kind = self.pick(TYPES[:5])
        return f"{self.pick(('Step', 'Ready', 'Ready'))}({self.expr(kind, depth)})", kind

    def await_(self):
        text, kind = self.awaitable()
        if kind == "int" and self.loops:
            text = f"{text}"
        if self.chance(60):
            self.line(f"{self.new_name_of(kind)} = await {text}")
        elif self.chance(40):
            self.line(f"log(await {text}, {self.expr('any', 1)})")
        elif self.chance(30):
            self.line(f"log([await {self.pick(('Ready', 'Step'))}(i) for i in {self.iterable(1)}])")
        elif self.chance(30):
            self.line(f"log([i async for i in Items({self.iterable(1)})])")
        else:
            self.line(f"await {text}")

    def async_for(self):
        found = [f for f in self.functions if f.kind == "agen" and f.cost * (self.loops or 1) < self.most_cost]
        source = self.call_of(self.pick(found), 1) if found and self.chance(60) else f"Items({self.iterable(1)})"
        name = self.new_name()
        self.line(f"async for {name} in {source}:")
        with self.looping(5):
            before = dict(self.scope)
            self.bind(name, "int")
            self.branch(3)
            self.scope = {n: k for n, k in self.scope.items() if before.get(n) == k}
            self.maybe[name] = "int"
        self.loop_else()

    def async_with(self):
        self.with_("async ")
