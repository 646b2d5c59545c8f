"""except*, exception groups, contexts and causes, notes; and the whole printed traceback of each.
Held: which handlers run on which part, what is raised in the end, and the structure of the group."""
import sys

from kit import ALL, describe, outcome

MUST_COMPILE = ALL


def star(error, log):
    try:
        raise error
    except* ValueError as g:
        log.append(("value", describe(g), repr(sys.exception())))
    except* (KeyError, TypeError) as g:
        log.append(("key", describe(g)))
    else:
        log.append("else")
    finally:
        log.append(("finally", repr(sys.exception())))
    return "end"


def star_raises(error, mode):
    try:
        raise error
    except* ValueError as g:
        if mode == 0:
            raise
        if mode == 1:
            raise KeyError("new")
        if mode == 2:
            raise g
        if mode == 3:
            raise KeyError("cause") from g
        if mode == 4:
            raise ExceptionGroup("more", [OSError(1)])
    except* OSError:
        if mode % 2:
            raise RuntimeError("second")
    return mode


def star_loop(errors, log):
    for e in errors:
        try:
            if e is not None:
                raise e
        except* ValueError as g:
            log.append(len(g.exceptions))
        else:
            log.append("none")
    return "done"


def star_nested(error):
    try:
        try:
            raise error
        except* ValueError:
            raise TypeError("inner")
    except* TypeError as g:
        text = describe(g)
    return text


def star_name_deleted(error):
    g = 1
    try:
        raise error
    except* ValueError as g:
        pass
    return "g" in locals()


def star_bad_type(error, t):
    try:
        raise error
    except* t:
        return_value = "matched"
    return return_value


def no_exception(x):
    try:
        x += 1
    except* ValueError:
        x = "never"
    else:
        x += 1
    return x


def chain(kind):
    try:
        try:
            {}["missing"]
        except KeyError as e:
            if kind == 0:
                raise ValueError("plain")
            if kind == 1:
                raise ValueError("from") from e
            if kind == 2:
                raise ValueError("none") from None
            if kind == 3:
                e.add_note("a note")
                raise
            if kind == 4:
                raise e
            if kind == 5:
                raise ValueError from OSError
            if kind == 6:
                1 / 0
    finally:
        if kind == 7:
            [][1]


def context_is_restored():
    out = []
    try:
        raise ValueError("a")
    except ValueError:
        out.append(repr(sys.exception()))
        try:
            raise KeyError("b")
        except KeyError as e:
            out.append((repr(sys.exception()), repr(e.__context__)))
        out.append(repr(sys.exception()))
        def inner():
            out.append(repr(sys.exception()))
            try:
                raise OSError("c")
            except OSError as e:
                out.append(repr(e.__context__))
            return sys.exception()
        inner()
    out.append(repr(sys.exception()))
    return out


def context_in_generator():
    out = []
    def gen():
        out.append(("start", repr(sys.exception())))
        try:
            yield 1
            raise ValueError("in generator")
        except ValueError as e:
            out.append(("context", repr(e.__context__)))
            yield repr(sys.exception())
        out.append(("left", repr(sys.exception())))
        yield 3
    g = gen()
    try:
        raise KeyError("outer")
    except KeyError:
        next(g)
        out.append(repr(sys.exception()))
    out.append(next(g))
    out.append(repr(sys.exception()))
    try:
        raise TypeError("other")
    except TypeError:
        next(g)
        out.append(repr(sys.exception()))
    return out


def cycle():
    a, b = ValueError("a"), KeyError("b")
    try:
        try:
            raise a
        except ValueError:
            try:
                raise b
            except KeyError:
                raise a
    except ValueError as e:
        return describe(e)


def with_traceback(e):
    try:
        raise ValueError("first")
    except ValueError as v:
        tb = v.__traceback__
    raise e.with_traceback(tb)


def same_instance_twice():
    e = ValueError("twice")
    out = []
    for _ in range(3):
        try:
            raise e
        except ValueError as x:
            n, tb = 0, x.__traceback__
            while tb:
                n, tb = n + 1, tb.tb_next
            out.append(n)
    return out


def groups():
    return [ValueError(1), ExceptionGroup("v", [ValueError(1)]), ExceptionGroup("m", [ValueError(1), KeyError(2)]), ExceptionGroup("k", [KeyError(2), OSError(3)]),
            ExceptionGroup("n", [ExceptionGroup("in", [ValueError(1), OSError(2)]), TypeError(3)]), OSError(9), BaseExceptionGroup("b", [KeyboardInterrupt(), ValueError(1)])]


def cases():
    def all_star():
        out = []
        for e in groups():
            log = []
            out.append((outcome(star, e, log), log))
        return out
    yield "star", all_star
    yield "star_raises", lambda: [outcome(star_raises, e, m) for m in range(6) for e in groups()]
    def loop():
        log = []
        return outcome(star_loop, [*groups()[:3], None, ValueError()], log), log
    yield "star_loop", loop
    yield "star_nested", lambda: [outcome(star_nested, e) for e in groups()]
    yield "star_name_deleted", lambda: [outcome(star_name_deleted, e) for e in groups()]
    yield "star_bad_type", lambda: [outcome(star_bad_type, e, t) for e in groups()[:3] for t in (ValueError, ExceptionGroup, 5, (ValueError, ExceptionGroup), (5,), Exception)]
    yield "no_exception", lambda: no_exception(1)
    for kind in range(9):
        yield f"chain_{kind}", lambda kind=kind: chain(kind)
    yield "context_is_restored", context_is_restored
    yield "context_in_generator", context_in_generator
    yield "cycle", cycle
    yield "with_traceback", lambda: with_traceback(KeyError("k"))
    yield "same_instance_twice", same_instance_twice
    yield "printed_group", lambda: star_raises(groups()[4], 3)
    yield "printed_nested", lambda: star_raises(groups()[4], 1)
