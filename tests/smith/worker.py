"""A process that runs random programs, plainly or under cendre, and answers with what they recorded.

Reads one JSON request a line from stdin, writes one JSON answer a line to the file descriptor given as argument. A request is
{"source", "plan"}; the plan says when what is compiled and what else happens at a given moment (see `plans.py`). A plain worker
does of it what a program can see (tools, collections) and leaves the rest away.

Invariant: what a plain worker answers depends on source and plan alone.
"""
import array
import contextlib
import faulthandler
import gc
import io
import json
import opcode
import os
import random
import resource
import sys
import threading
import types
import warnings

import prelude
from generator import RUNS, TYPED

OPTIMIZED = 0x0001
SETTLING = 200              # runs
RESUME_CHECK = opcode._specialized_opmap["RESUME_CHECK"]


def codes_of(code):
    """The code objects of functions inside a code object."""
    if code.co_flags & OPTIMIZED:
        yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from codes_of(const)


def functions_of(code, namespace):
    """A function for each code object of the program, which says what its globals are; without the scaffold at the end."""
    found = []
    last = namespace["main"].__code__.co_firstlineno - len(namespace["ARGUMENTS"]) - 2
    for inner in codes_of(code):
        if inner.co_firstlineno >= last:
            continue
        cells = tuple(types.CellType() for _ in inner.co_freevars)
        found.append(types.FunctionType(inner, namespace, inner.co_name, None, cells))
    return found


class Plain:
    """What happens at the moments of a plan; the visible part."""

    jit = None

    def begin(self, plan, source):
        self.plan = plan
        self.moments = {}
        for number, action in plan["moments"]:
            self.moments.setdefault(number, []).append(action)
        self.last = max(self.moments, default=0)
        prelude.TURNS[0] = 0
        prelude.ON_TURN[0] = self.turn if self.moments else None
        self.tool = False

    def namespace(self):
        return {"__name__": "program", "__builtins__": __builtins__, **prelude.NAMES}

    def loaded(self, code, namespace):
        pass

    def turn(self, number):
        for action in self.moments.get(number, ()):
            self.act(action)
        if number >= self.last:
            prelude.ON_TURN[0] = None

    def act(self, action):
        if action == "collect":
            gc.collect()
        elif action == "watch on":
            self.watch(True)
        elif action == "watch off":
            self.watch(False)
        elif action == "trace on":
            sys.settrace(trace)
        elif action == "trace off":
            sys.settrace(None)
        elif action == "profile on":
            sys.setprofile(profile)
        elif action == "profile off":
            sys.setprofile(None)

    def watch(self, on):
        """A tool of sys.monitoring that records what the program's code does."""
        m = sys.monitoring
        if on and not self.tool:
            self.tool = True
            m.use_tool_id(2, "smith")
            for event in EVENTS:
                m.register_callback(2, getattr(m.events, event), callback(event))
            mask = 0
            for event in self.plan["events"]:
                mask |= getattr(m.events, event)
            m.set_events(2, mask)
        elif not on and self.tool:
            self.tool = False
            m.set_events(2, 0)
            m.free_tool_id(2)

    def before_run(self, number):
        pass

    def end(self):
        self.watch(False)
        sys.settrace(None)
        sys.setprofile(None)
        prelude.ON_TURN[0] = None


EVENTS = ("PY_START", "PY_RESUME", "PY_RETURN", "PY_YIELD", "LINE", "RAISE", "PY_UNWIND", "CALL", "JUMP", "EXCEPTION_HANDLED", "RERAISE", "PY_THROW")


def callback(event):
    def seen(code, *what):
        if code.co_filename == "program":
            prelude.note(f"event {event} {code.co_name} {what[0] if event in ('LINE', 'PY_START', 'PY_RETURN') and type(what[0]) is int else ''}")
    return seen


def trace(frame, event, what):
    if frame.f_code.co_filename == "program":
        prelude.note(f"trace {event} {frame.f_code.co_name}:{frame.f_lineno}")
        return trace
    return None


def profile(frame, event, what):
    if frame.f_code.co_filename == "program":
        prelude.note(f"profile {event} {frame.f_code.co_name}:{frame.f_lineno}")


class Cendre(Plain):
    """The same, and compiles."""

    def __init__(self, entries):
        import cendre
        from cendre import _cendre, jit
        self.native, self.jit, self.entries = _cendre, jit, entries
        self.leaves = int(os.environ.get("CENDRE_FORCE_LEAVES", 0))
        self.config()
        for module in (prelude, sys.modules["__main__"]):
            for value in list(vars(module).values()):
                for f in [value, *(vars(value).values() if isinstance(value, type) else ())]:
                    if isinstance(f, types.FunctionType):
                        jit.never(f)
                        for const in f.__code__.co_consts:
                            if isinstance(const, types.CodeType):
                                jit.never(const)
        self.changed = False
        self.refused = {}
        del cendre

    def config(self, **more):
        leaves = {"force_leaves": self.leaves, "seed": int(os.environ.get("CENDRE_SEED", 0))} if self.leaves else {}
        self.native.enable({"threshold": 10**9, "entries": self.entries, **leaves, **more})

    def begin(self, plan, source):
        super().begin(plan, source)
        self.random = random.Random(plan["seed"])
        self.functions = []
        settings = {}
        if plan["blocks"] and "async def" in source:
            # Finished coroutines are kept ready for the next awaited call, up to a bound: that looks like a leak.
            settings["awaits"] = False
        if plan["how"] == "sight":
            settings.update(threshold=0, warmup=plan["warmup"])
        self.changed = bool(settings)
        if settings or self.leaves:       # the sequence of forced leaves begins anew
            self.config(**settings)

    def loaded(self, code, namespace):
        if self.plan["how"] != "sight":
            self.functions = functions_of(code, namespace)

    def before_run(self, number):
        how = self.plan["how"]
        self.began = number > 0
        if number == self.plan["at"] and how in ("all", "some"):
            self.compile(100 if how == "all" else 50)
        elif how == "some" and number == self.plan["at"] + 2:
            self.compile(50)

    def compile(self, percent):
        """Compiles what has run; before the first run, everything."""
        for f in self.functions:
            if (self.began and RESUME_CHECK not in f.__code__._co_code_adaptive[:40:2]) or self.jit.is_compiled(f):
                continue
            if self.random.random() * 100 < percent:
                try:
                    self.jit.compile(f)
                except ValueError as error:
                    self.refused[str(error)] = self.refused.get(str(error), 0) + 1

    def act(self, action):
        if action == "compile":
            self.compile(100)
        elif action == "compile some":
            self.compile(50)
        elif action == "never":
            if self.functions:
                self.jit.never(self.random.choice(self.functions))
        elif action == "off and on":
            self.native.disable()
            self.config()
        elif action == "off":
            self.native.disable()
        elif action == "on":
            self.config()
        else:
            super().act(action)

    def end(self):
        super().end()
        if self.changed:
            self.config()


def perform(side, request):
    """Runs one program; its records, one list a run."""
    plan = request["plan"]
    # A program that ended in its first lines, which only the plain worker is asked to run, leaves frames behind.
    prelude.held.__defaults__[0].clear()
    gc.collect()
    prelude.LOG.clear()
    side.begin(plan, request["source"])
    runs, growth = [], []
    namespace = side.namespace()
    collecting = plan["gc"]
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()) as out:
            warnings.simplefilter("ignore")
            try:
                code = compile(request["source"], "program", "exec")
                exec(code, namespace)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                return {"useless": f"{type(error).__name__}: {error}"}
            except BaseException as error:
                return {"useless": "module: " + type(error).__name__}
            side.loaded(code, namespace)
            main = namespace["main"]
            if collecting:
                gc.set_threshold(1)
                gc.enable()
            for number in range(RUNS):
                side.before_run(number)
                main(number)
                if not collecting and number % 3 == 2:
                    gc.collect()
                prelude.LOG.append(out.getvalue())
                out.seek(0)
                out.truncate()
                runs.append(prelude.LOG[:])
                prelude.LOG.clear()
            if collecting:
                gc.disable()
            elif plan["blocks"]:
                # What a run leaves behind, when nothing is new any more. What grows all the time is given time to settle: CPython's own lists of
                # free objects (of tuples, say, that `except*` makes) have been seen to grow for a hundred runs.
                counts = array.array("q", [0]) * SETTLING       # measuring makes nothing
                for number in range(SETTLING):
                    main(TYPED - 1)
                    prelude.LOG.clear()
                    out.seek(0)
                    out.truncate()
                    gc.collect()
                    counts[number] = sys.getallocatedblocks()
                    growth = [b - a for a, b in zip(counts[max(number - 5, 0):number], counts[max(number - 4, 1):number + 1])]
                    # As `compare` judges it.
                    if number >= 5 and sorted(growth)[1] <= 0:
                        break
    finally:
        side.end()
        gc.disable()
    namespace.clear()
    side.functions = []
    gc.collect()
    late = prelude.LOG[:]
    prelude.LOG.clear()
    prelude._positions.clear()
    return {"runs": runs, "late": late, "growth": growth}


def main():
    fd, kind = int(sys.argv[1]), sys.argv[2]
    resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable()
    answer = os.fdopen(fd, "w", buffering=1)
    side = Plain() if kind == "plain" else Cendre(kind)
    gc.disable()
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("report"):
            print(json.dumps({"refused": getattr(side, "refused", {}), "stats": side.jit.stats() if side.jit else {}}), file=answer)
            continue
        print(json.dumps(perform(side, request)), file=answer)
    assert threading.main_thread()


if __name__ == "__main__":
    main()
