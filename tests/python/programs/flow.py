"""Loops, jumps, and try statements in all nestings, with return, break and continue in finally; with statements.
Held: the path taken (recorded step by step in a log), the value, and what exception is being handled at each step."""
import sys

from kit import ALL, deltas, matrix, outcome, sweep

MUST_COMPILE = ALL


def handled():
    return type(sys.exception()).__name__


def boom(x):
    """Raises what x says."""
    if x == 0:
        raise ValueError("zero")
    if x == 1:
        raise KeyError("one")
    if x == 2:
        return 1 // 0
    if x == 3:
        raise StopIteration(3)
    if x == 4:
        raise KeyboardInterrupt
    if x == 5:
        return [].pop()
    return x


def try_all(x, log):
    try:
        log.append("try")
        boom(x)
    except ValueError as e:
        log.append(("value", str(e), handled()))
    except (KeyError, ZeroDivisionError) as e:
        log.append(("key", str(e), handled()))
        raise
    except Exception:
        log.append(("exception", handled()))
        raise RuntimeError("other")
    else:
        log.append(("else", handled()))
        return "else"
    finally:
        log.append(("finally", handled()))
    return "end", handled()


def return_in_finally(x, log):
    try:
        boom(x)
        return "try"
    except ValueError:
        return "except"
    finally:
        log.append(handled())
        return "finally"


def return_value_then_finally(x, log):
    r = [x]
    try:
        return r
    finally:
        r.append("changed")
        r = "rebound"
        log.append(r)


def break_in_finally(n, log):
    for i in range(n):
        try:
            boom(i)
        except ValueError:
            log.append(("caught", i))
            continue
        finally:
            log.append(("finally", i, handled()))
            if i == 2:
                break
    else:
        return "else"
    return "broken", i, handled()


def continue_in_finally(n, log):
    i = -1
    while i < n:
        i += 1
        try:
            if i == 1:
                return "never"
            boom(i)
        finally:
            log.append((i, handled()))
            continue
    return i, handled()


def nested(a, b, c, log):
    try:
        try:
            boom(a)
            log.append("a passed")
            try:
                boom(b)
            except ValueError:
                log.append(("inner value", handled()))
                boom(c)
            finally:
                log.append(("inner finally", handled()))
        except KeyError:
            log.append(("middle key", handled()))
            try:
                boom(c)
            except ZeroDivisionError:
                log.append(("zero in handler", handled()))
            log.append(("after", handled()))
    except (ValueError, ZeroDivisionError) as e:
        log.append(("outer", type(e).__name__, type(e.__context__).__name__, handled()))
        return "outer"
    else:
        log.append("outer else")
    finally:
        log.append(("outer finally", handled()))
    return "end"


def loop_with_handlers(values, log):
    total = 0
    for v in values:
        try:
            total += boom(v)
        except ValueError:
            total += 100
        except KeyError as e:
            log.append(repr(e))
            break
        except TypeError:
            return "type", total
        else:
            if total > 50:
                continue
            log.append(total)
        finally:
            total += 1
    else:
        return "completed", total
    return "broken", total


def exception_name_is_deleted(x):
    e = "before"
    try:
        boom(x)
    except Exception as e:
        pass
    return e


def exception_name_rebound(x):
    try:
        boom(x)
    except Exception as e:
        e = "rebound"
        k = e
    return k, "e" in locals()


def exception_name_deleted_by_hand(x):
    try:
        boom(x)
    except Exception as e:
        del e
    return "e" in locals()


def bare_except(x):
    try:
        return boom(x)
    except:  # noqa: E722
        return handled(), str(sys.exception())


def raise_nothing():
    raise


def raise_in_handler_again(x):
    try:
        boom(x)
    except ValueError:
        try:
            raise_nothing()
        except Exception as e:
            return type(e).__name__, handled()
    return handled()


def raise_things(what, cause, mode):
    if mode == 0:
        raise what
    if mode == 1:
        raise what from cause
    try:
        boom(0)
    except ValueError:
        if mode == 2:
            raise what
        if mode == 3:
            raise what from cause
        if mode == 4:
            raise what from None
        raise


def bad_except_clause(x, t):
    try:
        boom(x)
    except t:
        return "caught"
    return "nothing"


def assertion(x, message):
    assert x, message
    return "ok"


def assertion_plain(x):
    assert x
    return x


def loop_else(n, stop):
    for i in range(n):
        if i == stop:
            break
    else:
        return "else", n
    return "break", i


def while_else(n, stop):
    i = 0
    while i < n:
        if i == stop:
            break
        i += 1
    else:
        i = -1
    return i


def nested_loops(n):
    out = []
    for i in range(n):
        for j in range(n):
            if j == i:
                continue
            if j > 3:
                break
            for k in (i, j):
                out.append(k)
                if k == 2:
                    break
            else:
                out.append("e")
        else:
            out.append("E")
    return out


def infinite(n):
    while True:
        n -= 1
        if n < 0:
            return n
        if n % 2:
            continue


def loops_over(it):
    out = []
    for x in it:
        out.append(x)
        if len(out) > 6:
            break
    return out


def loop_unpacking(it):
    out = []
    for a, (b, *c) in it:
        out.append((c, b, a))
    return out


def loop_target_kept(n):
    i = "none"
    for i in range(n):
        pass
    return i


def list_grows(n):
    l = [0]
    for x in l:
        if x < n:
            l.append(x + 1)
    return l


def list_shrinks(n):
    l = list(range(n))
    out = []
    for x in l:
        out.append(x)
        l.pop()
    return out, l


def dict_grows(n):
    d = {i: i for i in range(n)}
    for k in d:
        d[k + n] = k
    return d


def attribute_target(n):
    class Box:
        pass
    for Box.x in range(n):
        pass
    d = [0]
    for d[0] in "abc":
        pass
    return Box.x, d


def range_kinds(a, b, c):
    return [x for x in range(a, b, c)], sum(range(a, b)), list(reversed(range(a, b, c)))


def huge_range(n):
    out = []
    for i in range(2**62, 2**62 + n):
        out.append(i * 2)
    for i in range(-2**63 - 2, -2**63 + 2):
        out.append(i)
    return out


class Counter:
    def __init__(self, n, error=None):
        self.n, self.error = n, error

    def __iter__(self):
        return self

    def __next__(self):
        if self.n == 0:
            raise self.error or StopIteration("end")
        self.n -= 1
        return self.n


class OldStyle:
    def __getitem__(self, i):
        if i > 3:
            raise IndexError
        return i * 10


class BadIter:
    def __iter__(self):
        return 5


class Manager:
    def __init__(self, log, name, swallow=False, enter=None, leave=None):
        self.log, self.name, self.swallow, self.enter, self.leave = log, name, swallow, enter, leave

    def __enter__(self):
        self.log.append(f"enter {self.name}")
        if self.enter:
            raise self.enter
        return self.name

    def __exit__(self, kind, value, tb):
        self.log.append((f"exit {self.name}", getattr(kind, "__name__", kind), str(value), tb and tb.tb_lineno, handled()))
        if self.leave:
            raise self.leave
        return self.swallow


class NoExit:
    def __enter__(self):
        return self


class NoEnter:
    def __exit__(self, *a):
        return False


class InstanceOnly:
    def __init__(self):
        self.__enter__ = self.__exit__ = lambda *a: None


class BadTruth(Manager):
    def __exit__(self, *a):
        class NoBool:
            def __bool__(self):
                raise OverflowError("truth")
        return NoBool()


def with_one(m, x):
    with m as name:
        boom(x)
        return name, "returned"
    return "swallowed", handled()


def with_two(a, b, x, log):
    with a as p, b as q:
        log.append((p, q))
        boom(x)
    log.append("after")
    return handled()


def with_nested(a, b, x, log):
    with a:
        try:
            with b:
                boom(x)
        except KeyError:
            log.append(("key", handled()))
        else:
            log.append("else")
        finally:
            log.append(("finally", handled()))
    return "end"


def with_in_loop(make, values, log):
    for v in values:
        with make(log, v):
            if v == 7:
                continue
            if v == 8:
                break
            if v == 9:
                return "returned"
            boom(v)
            log.append(("passed", v))
    else:
        return "else"
    return "end"


def with_target(m, d):
    with m as d["k"], m as (d["a"], *d["b"]):
        return dict(d)


def with_parenthesised(a, b):
    with (a as x, b as y,):
        return x + y


def finally_order(log):
    def note(x):
        log.append(x)
        return x
    for i in range(2):
        try:
            try:
                return note("r")
            finally:
                note("f1")
        finally:
            note("f2")
            if i == 0:
                continue
    return note("last")


def locals_in_handlers(x):
    a = 1
    try:
        b = 2
        a = boom(x)
        b = 3
    except Exception:
        c = a, b
    finally:
        d = sorted(locals())
    return a, b, d


def deep_try(n, x):
    if n == 0:
        return boom(x)
    try:
        return deep_try(n - 1, x)
    except ValueError as e:
        raise KeyError(n) from e
    except KeyError:
        raise ValueError(n)
    finally:
        n += 1


def swallow_and_retry(n):
    tries = 0
    while True:
        try:
            tries += 1
            if tries < n:
                raise OSError(tries)
        except OSError as e:
            last = e.errno, str(e)
            continue
        else:
            break
    return tries, last


def logged(f, *args):
    log = []
    return outcome(f, *args, log), log


def cases():
    for f in (try_all, return_in_finally, return_value_then_finally):
        yield f.__name__, lambda f=f: [logged(f, x) for x in (9, 0, 1, 2, 3, 4, 5, "x")]
    for f in (break_in_finally, continue_in_finally):
        yield f.__name__, lambda f=f: [logged(f, n) for n in (0, 1, 2, 3, 6)]
    yield "nested", lambda: [logged(nested, a, b, c) for a in (9, 0, 1, 2, 3) for b in (9, 0, 1, 2) for c in (9, 0, 1, 2)]
    yield "loop_with_handlers", lambda: [logged(loop_with_handlers, v) for v in ([9, 10], [0, 9], [9, 1, 9], [9, "a", 9], [2], [60, 9, 0], [], [4])]
    for f in (exception_name_is_deleted, exception_name_rebound, exception_name_deleted_by_hand, bare_except, raise_in_handler_again):
        yield f.__name__, lambda f=f: matrix(f, [(x,) for x in (9, 0, 1, 2, 3, 4, 5)])
    things = [ValueError, ValueError("v"), KeyError("k"), 5, None, int, StopIteration(1), type("Odd", (Exception,), {"__new__": lambda c: 5}), "text", BaseException]
    yield "raise_things", lambda: [outcome(raise_things, w() if isinstance(w, type) and issubclass(w, BaseException) and m == 9 else w, c, m) for w in
                                   (ValueError, lambda: 0, 5, None, int, things[7], "text", BaseException) for c in (None, KeyError, 5) for m in range(6)]
    yield "raise_instances", lambda: [outcome(raise_things, ValueError("v"), c, m) for c in (None, KeyError("c"), 5, KeyError) for m in range(6)]
    yield "bad_except_clause", lambda: [outcome(bad_except_clause, x, t) for x in (0, 1, 9) for t in (ValueError, (KeyError, ValueError), 5, (ValueError, 5), (5, ValueError), (), int, None, ((ValueError,),))]
    yield "assertion", lambda: [outcome(assertion, x, m) for x in (1, 0, [], None) for m in ("message", 5, None)] + [outcome(assertion_plain, x) for x in (1, 0)]
    for f in (loop_else, while_else):
        yield f.__name__, lambda f=f: matrix(f, [(5, 2), (5, 9), (0, 0), (3.5, 2) if f is while_else else (True, 0), ("a", 1)])
    yield "nested_loops", lambda: sweep(nested_loops, [(3,), (6,), (0,), (True,), ("a",)])
    yield "infinite", lambda: matrix(infinite, [(5,), (2.5,), (-1,), (2**65 % 7,), ("a",)])
    def iterables():
        return [([1, 2, 3],), ((1, 2),), (range(4),), ("abc",), ({1: 2},), ((i for i in range(3)),), (Counter(3),), (OldStyle(),), ({5},), (b"ab",), (Counter(2, ValueError("it")),),
                (BadIter(),), (5,), (None,), (enumerate("ab"),), (zip([1], [2]),), (map(str, [1, 2]),), (iter([1]),), ([],), (range(0),), (range(9),), ((),), (dict(a=1).items(),), (reversed([1, 2]),)]
    yield "loops_over", lambda: matrix(loops_over, iterables(), make=iterables)
    yield "loop_unpacking", lambda: sweep(loop_unpacking, [([(1, (2, 3))],), ([(1, "ab"), (2, [3])],), ([(1, ())],), ([(1,)],), ([(1, 2)],), ({5: 6}.items(),), ([(1, 2, 3)],)])
    for f in (loop_target_kept, list_grows, list_shrinks, dict_grows, attribute_target, huge_range):
        yield f.__name__, lambda f=f: sweep(f, [(5,), (1,), (9,)])
    yield "range_kinds", lambda: matrix(range_kinds, [(0, 5, 1), (5, 0, -2), (0, 5, 0), (-3, 3, 2), (2**63, 2**63 + 3, 1), (0, 2.5, 1), (True, 3, 1)])
    yield "with_one", lambda: [(log, outcome(with_one, m, x)) for x in (9, 0, 1, 4) for log in [[]] for m in
                               (Manager(log, "a"), Manager(log, "s", True), Manager(log, "l", leave=KeyError("leave")), Manager(log, "e", enter=OSError("enter")), NoExit(), NoEnter(), InstanceOnly(), 5,
                                BadTruth(log, "t"), Manager(log, "one", 1), Manager(log, "str", ""))]
    def two():
        out = []
        for x in (9, 0):
            for sa in (False, True):
                for sb in (False, True):
                    for lb in (None, KeyError("lb")):
                        log = []
                        out.append((outcome(with_two, Manager(log, "a", sa), Manager(log, "b", sb, leave=lb), x, log), log))
                        log = []
                        out.append((outcome(with_nested, Manager(log, "a", sa), Manager(log, "b", sb, leave=lb), x, log), log))
        return out
    yield "with_two", two
    yield "with_in_loop", lambda: [logged(with_in_loop, Manager, v) for v in ([10, 11], [7, 10], [10, 8, 10], [10, 9], [0], [10, 1])]
    yield "with_in_loop_swallowed", lambda: [logged(with_in_loop, lambda log, v: Manager(log, v, True), v) for v in ([0, 1, 10], [7, 0, 8, 1])]
    yield "with_target", lambda: [outcome(with_target, Manager([], n), {}) for n in ("abc", [1], (), 5)]
    yield "with_parenthesised", lambda: with_parenthesised(Manager([], 1), Manager([], 2))
    yield "finally_order", lambda: logged(finally_order)
    yield "locals_in_handlers", lambda: matrix(locals_in_handlers, [(9,), (0,), (4,)])
    yield "deep_try", lambda: [outcome(deep_try, n, x) for n in (1, 2, 5) for x in (9, 0, 1, 2)]
    yield "swallow_and_retry", lambda: sweep(swallow_and_retry, [(3,), (10,)])
    def counts():
        o, log = object(), []
        class E(Exception):
            pass
        def raiser(x):
            raise E(x)
        def catch(x):
            try:
                raiser(x)
            except E as e:
                return e.args
        def passes(x):
            try:
                raiser(x)
            finally:
                x = None
        def swallow(x):
            with Manager([], x, True):
                raiser(x)
        return [deltas(lambda: catch(o), o, E), deltas(lambda: passes(o), o, E), deltas(lambda: swallow(o), o, E), deltas(lambda: bad_except_clause(0, o), o), deltas(lambda: loops_over([o, o]), o),
                deltas(lambda: raise_things(E(o), None, 3), o, E)]
    yield "reference_counts", counts
