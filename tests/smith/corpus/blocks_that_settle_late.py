# smith: {"entries": "vectorcall", "plan": {"how": "moment", "at": -1, "warmup": 0, "seed": 571, "gc": false, "blocks": true, "moments": [[55, "compile"]], "events": []}, "seed": 7033226, "environment": {"CENDRE_CRANELIFT": "opt_level=none,regalloc_algorithm=single_pass"}}
# A hundred runs pass until CPython's lists of free objects do not grow any more; smith took that for a leak.
G0 = 1.5
G1 = [2**62, -1]
class A0(Base):
    __slots__ = ('x', 'y')
    def __init__(self, x, y):
        self.x = x
        self.y = y
        b = len({})
    def __add__(self, o):
        return slice(256, (2**31))
    @classmethod
    def s1(cls, a):
        return 1e16 ** 2
    def m1(self, a):
        try:
            match (2**63-1):
                case -1:
                    match 9:
                        case {'key': int(q), **r} if a:
                            d = 4
                        case int(q):
                            log(q)
                            pass
                        case -1 if ('\U0001f40d' not in [0]):
                            pass
                case A0():
                    pass
        except ZeroDivisionError:
            pass
        except ArithmeticError as e_:
            handled()
            pass
        return ('long string of text')[:30]
class A1(Base):
    __slots__ = ('y', '__dict__')
    def __init__(self, x, y):
        self.x = x
        self.y = y
    def m0(self):
        return list(range(8 % 6))
async def f0():
    if False: raise AttributeError([5, 4, 3, 2, 1])
    a = N('1')
    d = (2.0**53)
    def _g2(k=3, **more):
        nonlocal a
        log(('\U0001f40d'.strip() + 'ab'))
        h = k
        return (lambda q, *, r=3: (r / 10))(q=-d)
    log(_g2((d if True else d)))
    log(_g2)
    async for y in Items(range(2)):
        for b in ('\U0001f40d' + 'ab')[:6]:
            match y:
                case A0():
                    y += (y & y)
                    y = await Ready((w := y))
                case _:
                    pass
def f1():
    def _g3(k=3, **more):
        if (k in k[0:-3]): return ('\U0001f40d'.join([('ab' or 'q')[0], 'long string of text']))[:30]
        try:
            h = A1(((9 / 1e300) - 255), min(0, 8))
            h = h
            l = (1 % -7)
            try:
                try:
                    if True: raise ExceptionGroup('g', [KeyError(1), Exception(N('in group'))])
                    del h.y
                    h.y = (l ^ l)
                except ArithmeticError:
                    pass
                else:
                    pass
            except* (LookupError, Error):
                pass
            else:
                pass
        except TypeError as e_:
            handled()
            pass
        finally:
            pass
        return (f"{ (A0(N('t'), 1000003) == A1(nan, 255)) } { (lambda q: False)(True) !s}")[:9]
    y = _g3(('\U0001f40d' or 'q')[0])
    a = _g3(f" { 4 !r} { 'key' !r}")
def f2(a):
    global G0
    b = c = y = (3.0 + 0)
    log(same(b, c, y))
    (1,)
    try:
        b = 1000003
        if False: raise ExceptionGroup('g', [LookupError(1), KeyError(N('in group'))])
        c = c
        log(c is c)
        for a in range(12):
            s = A1(-inf, A1(-inf, y).y)
    except (LookupError, Error) as e_:
        log(e_)
        c = N('4')
        log(same(b, y))
        del y
    finally:
        pass
ARGUMENTS = {
    'f0': [lambda: (), lambda: (), lambda: (), lambda: (), lambda: (), lambda: (), lambda: (), lambda: (), lambda: ()],
    'f1': [lambda: (), lambda: (), lambda: (), lambda: (), lambda: (), lambda: (), lambda: (), lambda: (), lambda: ()],
    'f2': [lambda: (sorted([1, 2, 3], reverse=True), ), lambda: ([5, 4, 3, 2, 1], ), lambda: (sorted([1, 2, 3], reverse=True), ), lambda: ([5, 4, 3, 2, 1], ), lambda: (sorted([1, 2, 3], reverse=True), ), lambda: ([len({8, -1} | {*[2**62, -1]})], ), lambda: (A1(-inf, (2**63)), ), lambda: (False, ), lambda: (1.5, )],
}
def main(k):
    run(f2, ARGUMENTS['f2'][k])
    run(f1, ARGUMENTS['f1'][k])
    run(f0, ARGUMENTS['f0'][k])
