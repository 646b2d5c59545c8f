"""Generators: send, throw, close, yield from, delegation to all kinds of iterables, abandoned ones, expressions.
Held: what each step gives, the state and frame between steps, finally blocks and their order, and exceptions with their contexts."""
import gc
import inspect
import sys
import types
import weakref

from kit import ALL, deltas, describe, matrix, outcome, sweep

MUST_COMPILE = ALL


def count(n):
    i = 0
    while i < n:
        yield i
        i += 1
    return "done"


def echo(log):
    got = None
    while True:
        try:
            got = yield got
            log.append(got)
        except ValueError as e:
            log.append(("value", str(e), repr(sys.exception())))
            got = "caught"
        except GeneratorExit:
            log.append("exit")
            raise
        finally:
            log.append("finally")


def delegate(it, log):
    log.append("before")
    r = yield from it
    log.append(("result", r))
    return ("outer", r)


def delegate_guarded(it, log):
    try:
        r = yield from it
    except KeyError as e:
        log.append(("key", describe(e)))
        r = yield "recovered"
    finally:
        log.append("finally")
    return r


def deep(n):
    if n == 0:
        x = yield "bottom"
        return x
    r = yield from deep(n - 1)
    return r, n


def tree(t):
    if isinstance(t, tuple):
        for part in t:
            yield from tree(part)
    else:
        yield t


def ignores_exit():
    try:
        yield 1
    except GeneratorExit:
        yield 2


def returns_on_exit(log):
    try:
        yield 1
    except GeneratorExit:
        log.append("exit")
        return "value"


def raises_on_exit():
    try:
        yield 1
    finally:
        raise OSError("in finally")


def raises_stop():
    yield 1
    raise StopIteration(2)


def raises_stop_from_next():
    yield next(iter(()))


def yields_in_all(log):
    try:
        yield "try"
        raise ValueError("v")
    except ValueError:
        yield "except"
        log.append(repr(sys.exception()))
    else:
        yield "else"
    finally:
        yield "finally"
    with Manager(log) as m:
        yield m
    for x in (yield "iterable"):
        yield x
    yield
    (yield "expression")
    y = [(yield 1), (yield 2)]
    return y


def arguments(a, b=2, *args, k, **kw):
    yield a, b, args, k, kw


def consumer(make, n):
    total = 0
    for x in make(n):
        total += x
    return total


def consume_kinds(make, n):
    out = [list(make(n)), tuple(make(n)), sum(make(n)), max(make(n), default=None), [*make(n)], {x for x in make(n)}, dict(zip(make(n), make(n))), list(map(str, make(n))), any(x > 1 for x in make(n)),
           list(enumerate(make(n))), sorted(make(n), reverse=True), 2 in make(n), "-".join(str(x) for x in make(n))]
    a, *b = make(n)
    return out, a, b


def break_out(make, n):
    for x in make(n):
        if x == 2:
            break
    return x


def interleaved(n):
    a, b = count(n), count(n)
    out = []
    for x in a:
        out.append((x, next(b)))
        if x % 2:
            out.append(next(a, "end"))
    return out


def pipeline(n):
    squares = (x * x for x in range(n))
    odd = (s for s in squares if s % 2)
    pairs = ((a, b) for a in odd for b in range(2))
    return list(pairs)


def fibonacci():
    a, b = 0, 1
    while True:
        yield a
        a, b = b, a + b


def primes():
    found = []
    n = 2
    while True:
        for p in found:
            if n % p == 0:
                break
        else:
            found.append(n)
            yield n
        n += 1


def closure_generator(n):
    k = 0
    def inner():
        nonlocal k
        while k < n:
            k += 1
            yield lambda: k
    return [f() for f in inner()], k


def permutations(items):
    if not items:
        yield ()
    for i in range(len(items)):
        for rest in permutations(items[:i] + items[i + 1:]):
            yield (items[i], *rest)


def changing_types(values):
    total = 0
    for v in values:
        got = yield total
        total = total + v if got is None else got
    return total


class Manager:
    def __init__(self, log):
        self.log = log

    def __enter__(self):
        self.log.append("enter")
        return "managed"

    def __exit__(self, *exc):
        self.log.append(("leave", exc[0] and exc[0].__name__))


class Iterator:
    """Not a generator: no send, throw or close, unless asked for."""

    def __init__(self, items):
        self.items = list(items)

    def __iter__(self):
        return self

    def __next__(self):
        if not self.items:
            raise StopIteration("iterator's value")
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise item
        return item


class Full(Iterator):
    def send(self, v):
        return "sent", v

    def throw(self, *e):
        if isinstance(e[0], KeyError):
            return "thrown"
        raise StopIteration("stopped by throw")

    def close(self):
        self.items = ["closed"]
        raise OSError("close")


def run(g, actions):
    """Does steps with a generator: what each gave, and what the generator looks like after it."""
    out = []
    for action, *args in actions:
        if action == "next":
            r = outcome(next, g)
        elif action == "throw":
            r = outcome(g.throw, args[0]() if isinstance(args[0], types.FunctionType) else args[0])
        else:
            r = outcome(getattr(g, action), *args)
        frame = g.gi_frame
        out.append((action, r, inspect.getgeneratorstate(g), frame and frame.f_lineno, frame and frame.f_lasti, frame and sorted(frame.f_locals), type(g.gi_yieldfrom).__name__, g.gi_running, g.gi_suspended, repr(sys.exception())))
    return out


N = ("next",)
SCRIPTS = {
    "plain": [N, N, N, N],
    "send": [("send", None), ("send", 1), ("send", "two"), ("send", None)],
    "send_early": [("send", 5), N, N],
    "throw_value": [N, ("throw", lambda: ValueError("thrown")), N, ("throw", lambda: KeyError("k")), N],
    "throw_class": [N, ("throw", ValueError), ("throw", OSError), N],
    "throw_early": [("throw", lambda: ValueError("early")), N],
    "throw_exit": [N, ("throw", GeneratorExit), N],
    "throw_stop": [N, ("throw", lambda: StopIteration("s")), N],
    "throw_bad": [N, ("throw", 5), N],
    "close": [N, ("close",), N, ("close",), ("send", 1)],
    "close_early": [("close",), N],
    "mixed": [N, ("send", 3), ("throw", lambda: KeyError("k")), N, ("close",)],
}


def abandoned(log):
    def g(name):
        try:
            yield 1
        finally:
            log.append(("closed", name, repr(sys.exception())))
    a = g("a")
    next(a)
    del a
    b = g("b")
    next(b)
    b = None
    c = g("never started")
    del c
    for x in g("loop"):
        break
    cycle = [g("cycle")]
    cycle.append(cycle)
    next(cycle[0])
    del cycle
    gc.collect()
    return log


def self_running():
    def g():
        yield outcome(next, me)
    me = g()
    return list(me)


def self_throwing():
    def g():
        yield outcome(me.throw, ValueError("re-entered")), outcome(me.close)
    me = g()
    return list(me)


def weak():
    class Value:
        pass
    v = Value()
    r = weakref.ref(v)
    def g(x):
        yield 1
        x = None
        yield 2
    it = g(v)
    del v
    out = [r() is not None]
    next(it), next(it)
    out.append(r() is None)
    return out


def frame_survives():
    def g():
        x = 1
        yield sys._getframe()
        x = 2
        yield x
    it = g()
    f = next(it)
    out = [f is it.gi_frame, f.f_locals["x"], f.f_back, f.f_lineno]
    f.f_locals["x"] = 99
    next(it)
    out += [f.f_locals["x"], outcome(next, it), it.gi_frame, f.f_locals["x"], f.f_back]
    return out


def write_local_while_suspended(n):
    g = changing_types([1] * n)
    out = [next(g)]
    for i in range(n - 1):
        if i == 3:
            g.gi_frame.f_locals["total"] = 1000.5
        out.append(next(g))
    return out


def attributes():
    g = count(3)
    g.__name__ = "renamed"
    return type(g).__name__, g.__qualname__, g.gi_code.co_name, repr(g)[:25], outcome(lambda: g.gi_frame.clear()), outcome(next, g)


def frame_clear():
    g = count(3)
    next(g)
    return outcome(lambda: g.gi_frame.clear()), outcome(next, g), outcome(next, count(1))


def exception_in_consumer(log):
    def g():
        try:
            yield 1
        finally:
            log.append(("finally", repr(sys.exception())))
    for x in g():
        raise ValueError("consumer")


def throw_traceback(depth):
    g = deep(depth)
    next(g)
    g.throw(ValueError("through"))


def cases():
    makers = {"echo": echo, "yields_in_all": yields_in_all, "returns_on_exit": returns_on_exit}
    plain_makers = {"ignores_exit": ignores_exit, "raises_on_exit": raises_on_exit, "raises_stop": raises_stop, "raises_stop_from_next": raises_stop_from_next, "count": lambda: count(3), "deep": lambda: deep(3)}
    for script, actions in SCRIPTS.items():
        def all_of(actions=actions):
            out = []
            for name, make in makers.items():
                log = []
                out.append((name, run(make(log), actions), log))
            for name, make in plain_makers.items():
                out.append((name, run(make(), actions)))
            return out
        yield f"script_{script}", all_of
        def delegated(actions=actions):
            out = []
            for f in (delegate, delegate_guarded):
                for it in ([1, 2], (i for i in "ab"), Iterator("xy"), Full("xy"), Iterator([ValueError("it")]), echo([]), count(2), deep(2), 5, None, range(3), ignores_exit(), returns_on_exit([]), raises_on_exit(), Iterator([1, KeyError("mid")])):
                    log = []
                    out.append((run(f(it, log), actions), log))
            return out
        yield f"delegated_{script}", delegated
    yield "yields_sent", lambda: run(yields_in_all([]), [N, N, N, N, N, ("send", [7, 8]), N, N, N, N, ("send", "a"), ("send", "b")])
    yield "tree", lambda: list(tree(((1, (2, 3)), 4, ((), (5,)))))
    yield "arguments", lambda: [list(arguments(1, k=2)), list(arguments(1, 2, 3, k=4, z=5)), outcome(arguments, 1), outcome(arguments)]
    yield "consumer", lambda: matrix(consumer, [(count, 5), (range, 5), (lambda n: [1.5] * n, 3), (lambda n: iter("ab"), 2), (lambda n: (i * 0.5 for i in range(n)), 4), (lambda n: map(float, range(n)), 4), (lambda n: Iterator(range(n)), 4), (lambda n: 5, 1),
                                                (lambda n: (1 // (2 - i) for i in range(n)), 5), (lambda n: {2**62: 1, 2**63: 2}, 1), (count, 2.5)])
    yield "consume_kinds", lambda: [consume_kinds(count, 4), outcome(consume_kinds, count, 0), consume_kinds(range, 3)]
    yield "break_out", lambda: matrix(break_out, [(count, 5), (range, 5), (lambda n: Iterator(range(n)), 5), (lambda n: [], 1)])
    yield "interleaved", lambda: sweep(interleaved, [(6,), (7,), (1,)])
    yield "pipeline", lambda: sweep(pipeline, [(6,), (0,), (2.5,)])
    def endless():
        f, p = fibonacci(), primes()
        return [next(f) for _ in range(100)][-3:], [next(p) for _ in range(20)]
    yield "endless", endless
    yield "closure_generator", lambda: closure_generator(4)
    yield "permutations", lambda: [list(permutations([1, 2, 3])), list(permutations("ab")), outcome(list, permutations(5))]
    yield "changing_types", lambda: [list(changing_types(v)) if not isinstance(v, str) else outcome(list, changing_types(v)) for v in ([1, 2, 3], [1.5, 2], [1, 2.5, 2**70], [2**62] * 4, "ab", [True, True])]
    yield "changing_types_sent", lambda: run(changing_types([1, 2, 3, 4, 5]), [N, ("send", 2.5), N, ("send", "s"), N])
    yield "abandoned", lambda: abandoned([])
    for f in (self_running, self_throwing, weak, frame_survives, attributes, frame_clear):
        yield f.__name__, f
    yield "write_local_while_suspended", lambda: write_local_while_suspended(8)
    yield "exception_in_consumer", lambda: exception_in_consumer([])
    yield "throw_traceback", lambda: throw_traceback(3)
    yield "stop_traceback", lambda: list(raises_stop())
    def counts():
        o = object()
        def g(x):
            try:
                y = x
                yield y
                yield from (x, x)
            finally:
                x = None
        def half():
            it = g(o)
            next(it), next(it)
        def thrown():
            it = g(o)
            next(it)
            it.throw(ValueError(o))
        return [deltas(lambda: list(g(o)), o, g), deltas(half, o, g), deltas(thrown, o, g), deltas(lambda: g(o), o), deltas(lambda: consumer(lambda n: g(1), 1), g), deltas(lambda: list(tree((o, (o,)))), o)]
    yield "reference_counts", counts
