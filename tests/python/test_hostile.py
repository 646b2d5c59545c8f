"""Code objects of strangers: bytes, stack sizes, tables that no compiler made. They are refused or left to the interpreter.

What runs here is never *executed* unless plain CPython executes the same code object safely: interpreting random bytes crashes CPython
itself. So the rule that is tested: giving any code object to the compiler is safe, ends soon, and changes nothing that the program
can see; code that does mean something runs with the same results.
"""
import signal
import pytest

import support

MUTANTS = """
import random, sys, time, types
def sample(n, *rest, k=1, **more):
    t = [n]
    for i in range(n):
        try:
            t.append(i * 2.5 if i % 2 else more.get("x", i))
            with Manager() as m: t[-1] += m
        except (ValueError, TypeError) as e: t = [str(e)]
        finally: k += 1
    def inner(): return n, k
    return t, inner(), {a: b for a, b in more.items()}, f"{n!r:>5}", rest
class Manager:
    def __enter__(self): return 1
    def __exit__(self, *a): return False
async def co(x):
    async with Manager2() as m: x += await leaf(m)
    async for i in agen(3): x += i
    return [y async for y in agen(x)]
async def leaf(x): return x
async def agen(n):
    for i in range(n): yield i
def gen(n):
    got = yield n
    yield from gen(n - 1)
    match got:
        case [a, *b]: yield a
        case {"k": v, **r}: yield v
        case int(x) | str(x): yield x
sources = [sample, co, agen, gen, textwrap_dedent, Manager.__exit__]
r = random.Random(SEED)
def noise(n): return bytes(r.randrange(256) for _ in range(n))
def strewn(data, n):
    data = bytearray(data) or bytearray(b"abcd")
    for _ in range(n): data[r.randrange(len(data))] = r.randrange(256)
    return bytes(data)
def mutate(code):
    # All changes at once: CPython itself cannot read the code of an object that is damaged already.
    changes = {}
    for kind in r.choices(range(8), k=r.choice((1, 1, 2))):
        raw = code.co_code
        if kind < 4: changes["co_code"] = strewn(raw, r.choice((1, 1, 1, 2, 5, 40)))
        elif kind == 4: changes["co_code"] = noise(2 * r.randrange(1, 200))
        elif kind == 5: changes["co_exceptiontable"] = strewn(code.co_exceptiontable, r.randrange(1, 6))[:r.randrange(1, 30)]
        elif kind == 6: changes.update(co_stacksize=r.choice((0, 1, 2, 3, 1000, 2**20)), co_flags=code.co_flags ^ (1 << r.randrange(10)))
        else: changes.update(co_code=raw[:2 * r.randrange(1, len(raw) // 2)], co_consts=code.co_consts[:r.randrange(4)], co_names=code.co_names[:r.randrange(3)])
    return code.replace(**changes)
made = refused = 0
reasons = {}
slowest = 0
for n in range(COUNT):
    code = r.choice(sources).__code__
    try:
        code = mutate(code)
    except (ValueError, TypeError, SystemError, OverflowError, MemoryError):
        continue                    # CPython itself will not have it
    before = code._co_code_adaptive, code.co_exceptiontable, code.co_stacksize
    start = time.process_time()
    try:
        jit.compile(code)
        made += 1
    except ValueError as reason:
        refused += 1
        reasons[str(reason)] = reasons.get(str(reason), 0) + 1
    slowest = max(slowest, time.process_time() - start)
    jit.is_compiled(code), jit.never(code)
    assert before == (code._co_code_adaptive, code.co_exceptiontable, code.co_stacksize)
internal = {k: v for k, v in reasons.items() if "internal" in k}
print(made, refused, slowest, reasons, file=sys.stderr)
assert made > COUNT // 50 and refused > COUNT // 20, (made, refused, reasons)
assert not internal, internal
import resource
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1 << 20, "more than a gigabyte"
# What means something still works.
compiled(sample, leaf)
assert sample(3, 4, x=2)[0] == [3, 3, 3.5, 3], sample(3, 4, x=2)
print("survived")
""".replace("textwrap_dedent", "__import__('textwrap').dedent")


def mutants(seed, count, **options):
    source = MUTANTS.replace("SEED", str(seed)).replace("COUNT", str(count))
    return support.python(source, **options).strip()


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_mutated_code_objects(entries):
    """No crash, no panic, bounded time and memory."""
    assert mutants(7, 3000, entries=entries) == "survived"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(8))
def test_many_mutated_code_objects(seed):
    assert mutants(100 + seed, 40_000, timeout=3600) == "survived"


MEANINGFUL = """
import dis, types
def f(a, b):
    return [a, b]
def g(n):
    t = 0
    for i in range(n): t += i
    return t
def tried(x):
    try: return 1 // x
    except ZeroDivisionError: return "zero"
print(f(1, 2), g(5), tried(0))
def variant(function, **changes):
    return types.FunctionType(function.__code__.replace(**changes), globals(), function.__name__)
def attempt(h, *args):
    return kit.outcome(h, *args)[:70]
names = [variant(g, co_names=("len",)), variant(f, co_stacksize=500), variant(tried, co_exceptiontable=b""), variant(f, co_consts=(1, 2, 3)), variant(g, co_firstlineno=77),
         variant(g, co_linetable=b""), variant(f, co_flags=f.__code__.co_flags & ~1), variant(g, co_filename="", co_name="", co_qualname="")]
args = [(3,), (1, 2), (0,), (1, 2), (4,), (4,), (1, 2), (3,)]
nop = variant(f, co_code=bytes([dis.opmap["NOP"], 0]) * 300 + f.__code__.co_code)
wide = variant(f, co_code=bytes([dis.opmap["EXTENDED_ARG"], 0]) * 3 + f.__code__.co_code[:])
for turn in range(3):
    print([attempt(h, *a) for h, a in zip(names, args)], attempt(nop, 1, 2))
for h in names + [nop, wide]:
    if jit:
        try: jit.compile(h)
        except ValueError: pass
for turn in range(3):
    print([attempt(h, *a) for h, a in zip(names, args)], attempt(nop, 1, 2))
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_strange_but_meaningful_code(entries):
    support.same(MEANINGFUL, entries=entries)


SHAPES = """
def make(text, name="f"):
    space = {}
    exec(compile(text, "made", "exec"), space)
    return space[name]
many = ", ".join(f"a{i}" for i in range(300))
values = ", ".join(str(i) for i in range(300))
texts = {
    "wide call": f"def f():\\n    return g({values})\\ndef g({many}): return a0 + a299, a64, a63, a62",
    "wide star": f"def f():\\n    return g(*range(10), {values})\\ndef g(*a): return sum(a)",
    "wide keywords": "def f():\\n    return g(" + ", ".join(f"k{i}={i}" for i in range(260)) + ")\\ndef g(**k): return len(k), k['k200']",
    "wide list": f"def f():\\n    x = 1\\n    return [x, {values}], (x, {values}), {{x, {values}}}, {{x: 1, {', '.join(f'{i}: x' for i in range(300))}}}",
    "wide string": "def f():\\n    x = 1\\n    return f'" + "{x}-" * 300 + "'",
    "wide unpack": f"def f():\\n    {many} = range(300)\\n    return a0, a299",
    "many locals": "def f():\\n" + "".join(f"    v{i} = {i} * 2\\n" for i in range(2000)) + "    return v0 + v1999",
    "long": "def f(n=3):\\n    t = 0\\n    for k in range(n):\\n" + "".join(f"        t += k * {i}\\n        if t > 10 ** 9: t -= 1\\n" for i in range(2500)) + "    return t",
    "deep nesting": "def f(x=1):\\n    return " + "(" * 80 + "x" + "+ 1)" * 80,
    "many branches": "def f(x=150):\\n" + "".join(f"    if x == {i}: return {i} * 3\\n" for i in range(1500)) + "    return None",
    "many handlers": "def f(x=0):\\n    t = 0\\n" + "".join(f"    try: t += 1 // x\\n    except ZeroDivisionError as e: t += {i}\\n    finally: t += 1\\n" for i in range(200)) + "    return t",
    "await with many": f"async def f():\\n    return await g({values})\\nasync def g(*a): return sum(a)",
    "nested loops": "def f():\\n    t = 0\\n" + "".join("    " * (d + 1) + f"for i{d} in range(2):\\n" for d in range(15)) + "    " * 16 + "t += 1\\n    return t",
    "long method chain": "def f(s='a'):\\n    return s" + ".upper().lower()" * 400,
    "wide method": f"class C:\\n    def m(self, *a): return len(a)\\ndef f():\\n    return C().m({values})",
    "wide owned": "def f():\\n    return g(" + ", ".join(f"[{i}]" for i in range(120)) + ")\\ndef g(*a): return [x[0] for x in a][::30]",
    "wide raises": "def f():\\n    try: return g(" + ", ".join(f"[{i}]" for i in range(120)) + ")\\n    except TypeError as e: return str(e)\\ndef g(a): pass",
}
for name, text in texts.items():
    f = make(text)
    for turn in range(3):
        r = f()
        if hasattr(r, "send"): r = kit.drive(r)
    g = f.__globals__.get("g", f)
    compiled(f, g)
    for turn in range(3):
        again = f()
        if hasattr(again, "send"): again = kit.drive(again)
        assert again == r, (name, again, r)
    print(name, hash(repr(r)) % 1000, repr(r)[:60])
"""


@pytest.mark.parametrize("mode,entries", [("warm", "executor"), ("warm", "vectorcall"), ("first", "executor")])
def test_every_size_compiles(mode, entries):
    """Wide calls and literals, thousands of locals, branches and handlers: compiled, with the same results."""
    support.same(SHAPES, mode=mode, entries=entries)



PANIC = """
import sys
def victim(n): return n + 1
def other(n): return n * 2
for _ in range(5): victim(1), other(1)
for attempt in range(2):
    try:
        jit.compile(victim)
    except ValueError as reason:
        print(str(reason).split(" (")[0])
compiled(other)
print(victim(3), other(3), jit.is_compiled(victim), sum("internal error" in reason for reason in jit.stats()["refused"]))
"""


@pytest.mark.parametrize("stage", ["translate", "generate"])
def test_a_panic_is_caught_and_reported_once(stage, tmp_path):
    """A fault of the compiler itself (provoked by a switch for tests): the function stays interpreted, the program goes on."""
    report = tmp_path / "stderr"
    source = f"import os; os.dup2(os.open({str(report)!r}, os.O_CREAT | os.O_WRONLY), 2)\n" + PANIC
    out = support.python(source, _CENDRE_TEST_PANIC=f"{stage}:victim").splitlines()
    assert out[0].startswith("internal error: ") and out[-1] == "4 6 False 1", out
    said = report.read_text()
    assert said.count("internal error") == 1 and "victim" in said and "report" in said and "crates" in said, said


BELOW = """
def victim(n): return n + 1
for n in range(50): victim(n)
compiled(victim)
print(victim(3), flush=True)
try:
    victim("no number")
finally:
    print("not reached", flush=True)
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
def test_a_panic_below_machine_code_ends_the_process_with_a_report(entries, tmp_path):
    """Nobody could go on from there (provoked where a guard fails): it never unwinds into CPython, and says once what to send."""
    report = tmp_path / "stderr"
    source = f"import os; os.dup2(os.open({str(report)!r}, os.O_CREAT | os.O_WRONLY), 2)\n" + BELOW
    out = support.python(source, entries=entries, status=-signal.SIGABRT, _CENDRE_TEST_PANIC="leave:victim", **support.NO_EVENTS)
    said = report.read_text()
    assert out == "4\n" and said.count("internal error") == 1 and "Please report it" in said and "crates" in said, (out, said)


def test_code_without_resume():
    """As Cython makes it for its tracebacks: what stands behind it in memory, here the remains of other code, is not its own."""
    out = support.python("""
        import opcode
        def f(): pass
        NOP, RESUME = bytes([opcode.opmap["NOP"], 0]), bytes([opcode.opmap["RESUME"], 0])
        for n in range(1, 40):
            before = [f.__code__.replace(co_code=NOP * n + RESUME) for _ in range(300)]
            del before
            after = [f.__code__.replace(co_code=NOP * n) for _ in range(300)]
            assert all(c.co_code == NOP * n for c in after)
            assert not any(jit.is_compiled(c) for c in after)
        f()
        print("as it was")
    """, mode="first", CENDRE_WARMUP="3")
    assert out == "as it was\n"
