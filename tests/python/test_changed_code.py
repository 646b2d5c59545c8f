"""A function whose `__code__` is replaced while compiled callers run: whoever calls it next gets the new code, however the call is made.

Direct calls pin the callee's body, bound calls its parameters, slots of classes the methods behind them, awaited calls and generators the code that they
build from; each of them has to notice, in the very round in which the code changes, and when it changes between the look-up and the call.
"""
import pytest

import support

SNIPPET = r"""
TEXT = '''
def old(x, y=1, *, z=0): return ("old", x, y, z)
def new(x, y=1, *, z=0): return ("new", x, y, z)
def oldnum(x): return x + 1
def newnum(x): return x + 1000
def oldgen(x):
    yield "old"; yield x
def newgen(x):
    yield "new"; yield x
async def oldco(x): return "old", x
async def newco(x): return "new", x
async def oldag(x):
    yield "old", x
async def newag(x):
    yield "new", x
class C:
    def __init__(self, v=0): self.v = ("init", v)
    def m(self, x, y=1): return ("oldm", x, y)
    def __add__(self, o): return "oldadd"
    def __getitem__(self, k): return "olditem"
    def __len__(self): return 3
    def __eq__(self, o): return True
    def __next__(self): return "oldnext"
    def __iter__(self): return self
    def __bool__(self): return True
    def __setitem__(self, k, v): self.v = ("oldset", v)
    def __contains__(self, x): return True
    def __lt__(self, o): return "oldlt"
    def __call__(self, x): return "oldcall"
    def __enter__(self): return "olde"
    def __exit__(self, *a): return False
    def __await__(self):
        return "oldawait"
        yield
    @property
    def p(self): return "oldp"
    @staticmethod
    def s(x): return "olds"
    @classmethod
    def k(cls, x): return "oldk"
class D:
    def __init__(self, v=0): self.v = ("INIT", v)
    def m(self, x, y=1): return ("newm", x, y)
    def __add__(self, o): return "newadd"
    def __getitem__(self, k): return "newitem"
    def __len__(self): return 4
    def __eq__(self, o): return False
    def __next__(self): return "newnext"
    def __iter__(self): return self
    def __bool__(self): return False
    def __setitem__(self, k, v): self.v = ("newset", v)
    def __contains__(self, x): return False
    def __lt__(self, o): return "newlt"
    def __call__(self, x): return "newcall"
    def __enter__(self): return "newe"
    def __exit__(self, *a): return False
    def __await__(self):
        return "newawait"
        yield
    @property
    def p(self): return "newp"
    @staticmethod
    def s(x): return "news"
    @classmethod
    def k(cls, x): return "newk"
def switch_all():
    for a, b in ((old,new),(oldnum,newnum),(oldgen,newgen),(oldco,newco),(oldag,newag)):
        a.__code__ = b.__code__
    for n, f in vars(D).items():
        if type(f).__name__ == "function": vars(C)[n].__code__ = f.__code__
        elif isinstance(f, property): vars(C)[n].fget.__code__ = f.fget.__code__
        elif isinstance(f, (staticmethod, classmethod)): vars(C)[n].__func__.__code__ = f.__func__.__code__
def drive(c):
    try:
        c.send(None)
    except StopIteration as e: return e.value
    return "suspended"
def calls(n, at, how):
    out = []
    c = C()
    for i in range(n):
        if i == at: how()
        out.append((old(i), old(i, 2), old(x=i, z=3), old(*[i]), oldnum(i) + 1, list(oldgen(i)), C(i).v if i < n else 0, c.m(i), c.m(i, y=4), c + i, c[i], len(c), c == i,
                    next(c), bool(c), i in c, c < i, c(i), c.p, c.s(i), c.k(i), C.m(c, i), 1 if c else 2, not c))
        c[i] = i
        out.append(c.v)
        with c as w: out.append(w)
        for q in c:
            out.append(q)
            break
        g = map(old, [i]); out.append(list(g))
    return out
async def awaits(n, at, how):
    out = []
    c = C()
    for i in range(n):
        if i == at: how()
        out.append((await oldco(i), await oldco(x=i), await c, [v async for v in oldag(i)]))
        async for v in oldag(i): out.append(v)
        x = oldco(i)
        out.append(await x)
    return out
def middle(n, at, how):
    # The switch comes between the look-up and the call.
    out = []
    c = C()
    for i in range(n):
        h = how if i == at else (lambda: None)
        out.append((old(i, h()), oldnum((h(), i)[1]) + 1, c.m(i, h()), list(oldgen((i, h()))), old(i, z=h()), C((i, h())).v))
    return out
def recursive(n, at, how):
    if n == at: how()
    return n if n <= 0 else [oldnum(n), old(n), recursive(n - 1, at, how), oldnum(n), old(n)]
'''


def functions(namespace):
    for v in list(namespace.values()):
        if type(v).__name__ == "function":
            yield v
    for v in vars(namespace["C"]).values():
        v = v.fget if isinstance(v, property) else getattr(v, "__func__", v)
        if type(v).__name__ == "function":
            yield v


for at in (0, 3, 7):
    for name in ("calls", "awaits", "middle", "recursive"):
        namespace = {}
        exec(TEXT, namespace)
        f = namespace[name]
        run = (lambda *a: namespace["drive"](f(*a))) if name == "awaits" else f
        for _ in range(12):
            run(8, -1, None)
        if how == "asked":
            compiled(*functions(namespace))
        print(name, at, run(8, -1, None))
        print(name, at, run(8, at, namespace["switch_all"]))
        print(name, at, run(8, -1, None))
        assert jit is None or jit.is_compiled(f) or how != "asked"
"""


@pytest.mark.parametrize("entries", support.ENTRIES)
@pytest.mark.parametrize("how", ["asked", "first"])
def test_the_next_call_gets_the_new_code(entries, how):
    """Compiled when warm, and at first sight."""
    snippet = f"how = {how!r}\n" + SNIPPET
    support.same(snippet, mode="warm" if how == "asked" else "first", entries=entries)


def test_guards_that_fail_meanwhile():
    support.same("how = 'asked'\n" + SNIPPET, CENDRE_FORCE_LEAVES="7", CENDRE_SEED="5")
