"""Handlers of exceptions that run nothing unknown, and what still can be seen of an exception that they caught.
Held: tracebacks of exceptions that somebody keeps, contexts, `sys.exception()`, matching of classes and tuples, generators that are dropped."""
import sys

from kit import ALL, deltas, describe, matrix, outcome, sweep

MUST_COMPILE = ALL

kept = []


class Own(Exception):
    def __init__(self, *args):
        super().__init__(*args)
        if args and args[0] == "keep":
            kept.append(self)


class Dies:
    def __init__(self, log):
        self.log = log

    def __del__(self):
        self.log.append(type(sys.exception()).__name__)


def quiet(values):
    """Nothing can look between the raise and the end of the handler."""
    caught = 0
    for v in values:
        try:
            if v:
                raise ValueError
        except ValueError:
            caught += 1
    return caught


def quiet_own(values):
    caught = 0
    for v in values:
        try:
            raise Own(v)
        except Own:
            caught += 1
    return caught, [describe(e) for e in kept]


def missing(d, keys):
    found = []
    for k in keys:
        try:
            found.append(d[k])
        except KeyError:
            found.append(None)
    return found


def first(iterable, default):
    try:
        return next(iter(iterable))
    except StopIteration:
        return default


def tuples(x, a, b):
    try:
        raise x
    except (a, b):
        return "matched"
    except ValueError as e:
        return describe(e)


def global_tuple(x):
    try:
        if x == 0:
            raise ValueError(x)
        return 1 // (x - 1)
    except (ZeroDivisionError, ValueError):
        return "caught"
    except (KeyError, NotAClass):
        return "never"


NotAClass = 5


def no_match(x):
    """The entry that was put off is in the traceback of what goes on."""
    try:
        try:
            raise x
        except KeyError:
            return "key"
    except LookupError as e:
        return describe(e)


def no_match_out(x):
    try:
        raise x
    except KeyError:
        return "key"
    except IndexError:
        return "index"


def used_later(x):
    try:
        raise ValueError(x)
    except ValueError as e:
        saved = e
    return describe(saved)


def named_only(x):
    s = x
    try:
        raise ValueError(x)
    except ValueError as e:
        s = 0
    return s, "e" in locals()


def seen_inside(x):
    try:
        raise ValueError(x)
    except ValueError:
        return describe(sys.exception())


def context(x):
    """The caught exception is the context of one that its handler raises."""
    try:
        raise ValueError(x)
    except ValueError:
        raise KeyError(x)


def context_by_arithmetic(x, y):
    try:
        raise ValueError(x)
    except ValueError:
        return x + y


def context_by_unbound(x):
    try:
        raise ValueError(x)
    except ValueError:
        if x > 5:
            y = 1
        return y


def nested(x):
    try:
        try:
            raise ValueError(x)
        except ValueError:
            try:
                raise KeyError(x)
            except KeyError:
                inner = sys.exception()
            outer = sys.exception()
            return describe(inner), describe(outer)
    except KeyError:
        return "never"


def kept_elsewhere(log):
    e = ValueError("mine")
    for _ in range(3):
        try:
            raise e
        except ValueError:
            log += 1
    return log, describe(e)


def finaliser(log):
    """An object dies in the handler: its finaliser sees the exception that is handled."""
    for _ in range(2):
        d = Dies(log)
        try:
            raise ValueError
        except ValueError:
            d = None
    return log, d


def returned_from_handler(x):
    for i in range(3):
        try:
            raise ValueError
        except ValueError:
            if i == x:
                return i
    return -1


def loop_in_handler(n):
    s = 0
    try:
        raise ValueError(n)
    except ValueError:
        for i in range(n):
            s += i
        return s, describe(sys.exception())


def overflow_in_handler(n):
    s = n
    try:
        raise ValueError
    except ValueError:
        s = s * n * n
        return s, describe(sys.exception())


def deep(n):
    if n == 0:
        raise KeyError(n)
    return deep(n - 1)


def catch_deep(n):
    try:
        deep(n)
    except KeyError as e:
        return describe(e)


def with_suppressed(x):
    class Manager:
        def __enter__(self):
            return self

        def __exit__(self, t, e, tb):
            self.seen = describe(e)
            return True
    m = Manager()
    with m:
        raise ValueError(x)
    return m.seen


def plain_generator(n):
    for i in range(n):
        yield i


def careful_generator(n, log):
    try:
        for i in range(n):
            yield i
    except GeneratorExit:
        log.append(("exit", describe(sys.exception())))
        raise
    finally:
        log.append("finally")


def holding_generator(d):
    keep = d
    for i in range(9):
        yield i
    return keep


def dropped(log):
    """Generators that are dropped while they are suspended."""
    out = [any(x == 2 for x in range(9)), next(plain_generator(3)), next(careful_generator(3, log))]
    g = holding_generator(Dies(log))
    next(g)
    try:
        raise KeyError
    except KeyError:
        g = None
        out.append(type(sys.exception()).__name__)
    h = plain_generator(5)
    next(h)
    h.close()
    frame = None
    k = plain_generator(5)
    next(k)
    frame = k.gi_frame
    k = None
    out.append(frame.f_locals["i"] if "i" in frame.f_locals else "cleared")
    return out, log, outcome(next, h)


def cases():
    yield "quiet", lambda: matrix(quiet, [([1, 0, 1],), (range(5),), ("abc",)])
    yield "quiet_own", lambda: (kept.clear(), sweep(quiet_own, [("ab",), (["keep"],)]))[1]
    yield "missing", lambda: matrix(missing, [({1: 2}, [1, 2]), ({}, "ab"), ([], [0]), ({}, [[]])])
    yield "first", lambda: matrix(first, [([1], 0), ([], 0), ("", None), (5, 0)])
    classes = [ValueError, KeyError, Own, (Own, ValueError), 5, "text", None, ((KeyError,), ValueError)]
    yield "tuples", lambda: [outcome(tuples, x, a, b) for x in (ValueError(1), Own(2), KeyError) for a in classes for b in classes]
    yield "global_tuple", lambda: sweep(global_tuple, [(0,), (1,), (2,), ("a",), (None,)])
    yield "no_match", lambda: sweep(no_match, [(KeyError(1),), (IndexError(2),), (ValueError(3),), (KeyError,), (5,)])
    yield "no_match_out", lambda: sweep(no_match_out, [(KeyError(1),), (ValueError(3),), (ValueError,), (IndexError,), (Own("keep"),)])
    for f in used_later, named_only, seen_inside, context, nested, with_suppressed:
        yield f.__name__, lambda f=f: sweep(f, [(1,), ("a",), (None,)])
    yield "context_by_arithmetic", lambda: matrix(context_by_arithmetic, [(1, 2), (1.5, 2), ("a", 1), (2**62, 2**62), ([], 5)])
    yield "context_by_unbound", lambda: sweep(context_by_unbound, [(9,), (1,), ("a",)])
    yield "kept_elsewhere", lambda: sweep(kept_elsewhere, [(0,), (1.5,)])
    yield "finaliser", lambda: [outcome(finaliser, []) for _ in range(8)]
    yield "returned_from_handler", lambda: sweep(returned_from_handler, [(1,), (2,), (7,)])
    yield "loop_in_handler", lambda: sweep(loop_in_handler, [(3,), (0,), ("a",)])
    yield "overflow_in_handler", lambda: sweep(overflow_in_handler, [(3,), (2**40,), (1.5,), ("a",)])
    yield "catch_deep", lambda: sweep(catch_deep, [(0,), (1,), (5,)])
    yield "dropped", lambda: [outcome(dropped, []) for _ in range(8)]

    def counts():
        o, e = object(), ValueError("counted")
        def held():
            try:
                raise Own(o)
            except Own:
                pass
        def same():
            try:
                raise e
            except (ValueError, KeyError):
                pass
            e.__traceback__ = None
        def unmatched():
            try:
                raise Own(o)
            except KeyError:
                pass
        def dropping():
            any(x is o for x in holding_generator(o))
        return [deltas(held, o, Own, ValueError), deltas(same, e, o), deltas(unmatched, o, Own), deltas(dropping, o)]
    yield "reference_counts", counts
