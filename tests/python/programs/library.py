"""Pure Python parts of the standard library at work: much code that was not written for us. Mode `first` compiles it all.
Held: the results, also of the libraries' own error paths."""
import argparse
import ast
import collections
import configparser
import contextlib
import copy
import csv
import dataclasses
import datetime
import difflib
import enum
import fnmatch
import fractions
import functools
import html.parser
import io
import itertools
import json
import logging
import operator
import pathlib
import pickle
import pprint
import re
import shlex
import statistics
import string
import textwrap
import tokenize
import typing
import urllib.parse
import xml.etree.ElementTree

import _pydatetime
import _pydecimal

from kit import ALL, outcome

MUST_COMPILE = ALL


def jsons():
    pure = json.JSONEncoder(indent=1, sort_keys=True)
    decoder = json.JSONDecoder()
    decoder.parse_string = json.decoder.py_scanstring
    decoder.scan_once = json.scanner.py_make_scanner(decoder)
    data = {"a": [1, 2.5, None, True, "\u00e9\n"], "b": {"c": []}}
    text = pure.encode(data)
    return text, decoder.decode(text) == data, [outcome(decoder.decode, t) for t in ("[1,", "{\"a\"}", "nul", "[1 2]", "\"\\x\"", "")], outcome(pure.encode, {1: object})[:40]


def asts():
    source = "def f(x, *a, k=1):\n    return [x + y for y in a if y > k] or {**{}, 'k': lambda z: z}\nclass C(f(1)): x: int = 5\n"
    tree = ast.parse(source)
    class Renamer(ast.NodeTransformer):
        def visit_Name(self, node):
            return ast.copy_location(ast.Name(node.id + "_", node.ctx), node)
    return ast.unparse(Renamer().visit(tree)), ast.dump(tree)[:200], outcome(ast.literal_eval, "[1, {2: (3,)}]"), outcome(ast.literal_eval, "f()"), outcome(ast.parse, "x +")[:60]


def decimals():
    D = _pydecimal.Decimal
    with _pydecimal.localcontext() as c:
        c.prec = 30
        return str(D(1) / D(7)), str(D("1.5") ** 10), str(D(2).sqrt()), str(D("123.456").quantize(D("0.1"))), outcome(lambda: D(1) / D(0)), D("0.1") + D("0.2") == D("0.3"), str(round(D("2.675"), 2)), str(D("1e3").normalize())


def fractions_():
    F = fractions.Fraction
    return F(1, 3) + F(1, 6), F("3.25") * 2, F(7, 3) // 1, F(-7, 3) % 2, F(1, 2) ** -3, outcome(F, 1, 0), F.from_float(0.375), F(22, 7).limit_denominator(5), float(F(1, 3)), F(1, 2) < 0.75


def dates():
    d = _pydatetime.date(2024, 2, 28)
    t = _pydatetime.datetime(2024, 12, 31, 23, 59, 59)
    return str(d + _pydatetime.timedelta(days=2)), str(t + _pydatetime.timedelta(seconds=1)), d.isocalendar()[:3], t.strftime("%Y-%j"), outcome(_pydatetime.date, 2023, 2, 29), str(datetime.timedelta(days=1.5)), str(_pydatetime.datetime.fromisoformat("2024-01-02T03:04:05+02:00"))


def expressions():
    r = re.compile(r"(?P<year>\d{4})-(?P<month>\d\d)|(?:x(y+)?)*?z", re.X)
    return [m.groupdict() for m in r.finditer("2024-05 xyyz 1999-12 z")], re.sub(r"\b(\w)(\w*)", lambda m: m[1].upper() + m[2], "the quick fox"), re.split(r"[,;]\s*", "a, b;c"), outcome(re.compile, "(a"), re.findall(r"(a|b)+?c", "abcbc"), fnmatch.filter(["a.py", "b.txt"], "*.py")


def texts():
    long = "The quick brown fox jumps over the lazy dog and runs away from the hounds. " * 2
    return textwrap.wrap(long, 30), textwrap.dedent("  a\n    b\n"), textwrap.shorten(long, 40), string.Template("$a ${b} $$").substitute(a=1, b=2), outcome(string.Template("$c").substitute), string.capwords("a b"), shlex.split("a 'b c' \"d\\\"e\""), outcome(shlex.split, "'a"), \
        string.Formatter().format("{0} {x[k]} {y.real:>5}", 1, x={"k": 2}, y=3.5), pprint.pformat({"k": list(range(30)), "z": {"deep": ["x" * 30] * 3}}, width=50)


def tables():
    out = io.StringIO()
    w = csv.DictWriter(out, ["a", "b"])
    w.writeheader()
    w.writerows([{"a": 1, "b": "x,y"}, {"a": None, "b": 'q"'}])
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    c = configparser.ConfigParser()
    c.read_string("[s]\na = 1\nb = %(a)s2\n[t]\nflag = yes\n")
    return rows, outcome(w.writerow, {"z": 1}), {s: dict(c[s]) for s in c.sections()}, c.getboolean("t", "flag"), outcome(c.get, "s", "none"), outcome(c.read_string, "x")


def arguments():
    p = argparse.ArgumentParser(prog="prog", exit_on_error=False, description="what it does", color=False)
    p.add_argument("file", nargs="+")
    p.add_argument("-n", "--number", type=int, default=3)
    g = p.add_mutually_exclusive_group()
    g.add_argument("--yes", action="store_true")
    g.add_argument("--no", dest="yes", action="store_false")
    return [outcome(p.parse_args, a) for a in (["a"], ["a", "b", "-n", "5"], ["--number=x", "a"], ["--yes", "--no", "a"])], p.format_help()


def differences():
    a, b = "one two three four".split(), "one too three five six".split()
    return list(difflib.unified_diff(a, b, lineterm="")), difflib.SequenceMatcher(None, "abcdef", "abxdeg").ratio(), difflib.get_close_matches("appel", ["ape", "apple", "peach"]), list(difflib.ndiff(a, b))


def copies():
    @dataclasses.dataclass
    class Node:
        v: int
        kids: list = dataclasses.field(default_factory=list)
        parent: object = dataclasses.field(default=None, repr=False, compare=False)
    n = Node(1, [Node(2), Node(3)])
    for k in n.kids:
        k.parent = n
    m = copy.deepcopy(n)
    return m == n, m.kids[0].parent is m, dataclasses.asdict(Node(1, [Node(2)])), dataclasses.replace(n, v=5), pickle._loads(pickle._dumps([1, (2.5, "a"), {"k": {3}}, None, 2**70, b"x"])), outcome(dataclasses.replace, n, z=1)


def collections_():
    class Lru(collections.OrderedDict):
        def __getitem__(self, k):
            self.move_to_end(k)
            return super().__getitem__(k)
    l = Lru(a=1, b=2)
    l["a"]
    chain = collections.ChainMap({"a": 1}, {"a": 2, "b": 3})
    class L(collections.UserList):
        pass
    class Weird(collections.abc.MutableMapping):
        def __init__(self):
            self.d = {}
        def __getitem__(self, k):
            return self.d[k]
        def __setitem__(self, k, v):
            self.d[k] = v
        def __delitem__(self, k):
            del self.d[k]
        def __iter__(self):
            return iter(self.d)
        def __len__(self):
            return len(self.d)
    w = Weird()
    w.update(a=1, b=2)
    return list(l), dict(chain), chain.new_child({"c": 1}).maps, L([3, 1])[::-1], collections.Counter("hello").most_common(2), w.setdefault("c", 5), w.pop("a"), list(w.items()), outcome(w.pop, "zz"), w == {"b": 2, "c": 5}, collections.Counter(a=3) - collections.Counter(a=1, b=2)


def functions():
    @functools.singledispatch
    def kind(x):
        return "object"

    @kind.register
    def _(x: int):
        return "int"

    @kind.register(list)
    def _(x):
        return "list"

    @functools.total_ordering
    class T:
        def __init__(self, v):
            self.v = v
        def __lt__(self, o):
            return self.v < o.v
        def __eq__(self, o):
            return self.v == o.v
        __hash__ = None

    class C:
        @functools.cached_property
        def p(self):
            return [1]
    c = C()
    cached = functools.lru_cache(maxsize=2)(lambda x: x * 2)
    return kind(1), kind([]), kind("a"), kind(True), T(1) <= T(2), T(3) >= T(4), c.p is c.p, [cached(i) for i in (1, 2, 1, 3, 1)], tuple(cached.cache_info()), functools.reduce(operator.mul, range(1, 8)), \
        [list(g) for _, g in itertools.groupby([1, 1, 2, 3, 3])], list(itertools.accumulate([1, 2, 3], operator.mul))


def enums():
    class Flags(enum.Flag):
        R = enum.auto()
        W = enum.auto()
        RW = R | W
    class Level(enum.IntEnum):
        LOW = 1
        HIGH = 10
        @property
        def double(self):
            return self * 2
    return Flags.R | Flags.W, Flags(2), ~Flags.R, Level.HIGH > 5, Level["LOW"].double, [m.name for m in Level], outcome(Level, 7), outcome(lambda: Level.NONE)


def contexts():
    log = []
    @contextlib.contextmanager
    def managed(name):
        log.append(name)
        try:
            yield name
        except ValueError as e:
            log.append(repr(e))
        finally:
            log.append("out " + name)
    with contextlib.ExitStack() as stack:
        for n in "ab":
            stack.enter_context(managed(n))
        stack.callback(log.append, "callback")
        raise ValueError("inside")
    with contextlib.suppress(KeyError):
        {}["x"]
    return log


def markup():
    class P(html.parser.HTMLParser):
        def __init__(self):
            super().__init__()
            self.seen = []
        def handle_starttag(self, tag, attrs):
            self.seen.append((tag, attrs))
        def handle_data(self, data):
            self.seen.append(data)
    p = P()
    p.feed("<p class='x'>hi <b>there</b> &amp; more<br/></p>")
    x = xml.etree.ElementTree.fromstring("<a k='1'><b>t</b><b/></a>")
    return p.seen, [e.tag for e in x.iter()], x.find("b").text, urllib.parse.parse_qs("a=1&b=2&a=3"), urllib.parse.urljoin("http://h/a/b", "../c?d#e"), urllib.parse.quote("a b/\u00e9")


def others():
    logger = logging.getLogger("corpus")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s %(funcName)s:%(lineno)d"))
    logger.handlers, logger.propagate = [handler], False
    try:
        1 / 0
    except ZeroDivisionError:
        logger.exception("failed %s", "here")
    logger.setLevel("INFO")
    logger.debug("no")
    source = "x = f'{a!r:>{w}}' # comment\nif x:\n  pass\n"
    p = pathlib.PurePosixPath("/a/b/../c.tar.gz")
    return stream.getvalue(), [t.type for t in tokenize.generate_tokens(io.StringIO(source).readline)], statistics.mean([1, 2.5, 3]), statistics.stdev([1, 2, 4]), statistics.median([3, 1, 2]), p.suffixes, p.parent.name, (p / "d").parts, \
        typing.get_type_hints(typed), str(typing.Optional[int]), str(dict[str, list[int]])


def typed(a: "int", b: typing.List["str"]) -> typing.Optional["int"]:
    return a


def cases():
    for f in (jsons, asts, decimals, fractions_, dates, expressions, texts, tables, arguments, differences, copies, collections_, functions, enums, contexts, markup, others):
        yield f.__name__, f
