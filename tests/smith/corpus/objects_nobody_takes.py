# smith: {"entries": "executor", "plan": {"how": "all", "at": 5, "warmup": 0, "seed": 318, "gc": false, "blocks": true, "moments": [], "events": []}, "seed": 7000135, "environment": {}}
# blocks: a run leaves [3, 2, 2, 2, 2] blocks, under CPython [2, 1, 1, 1, 1]
G0 = -1
G1 = (2**31)
class A0(Base):
    def __init__(self, x, y):
        self.x = x
        self.y = y
    def __radd__(self, o):
        if isinstance(o, float): return o
        return o
    @property
    def p1(self):
        return False
async def f0(a):
    global G0
    d, (t, a) = 4, (1, 2)
    del d
    t = ('\U0001f40d'.title() + ('%s|%r' % ((-1 + -1), '\xe9t\xe9')))
    d = tuple((((10**20) - 256) for j in list(dict(a=len({1: 2, 3: 4}), b=5e-324))[:6]))
    return (0 % (2 + -1))
def f1():
    b = ((1,) == (0, 1, 2, 3))
    s = b
    a = [5, 4, 3, 2, 1]
    s = s
    b = divmod(G1, (a + [1, 2, 3])[1])
async def f2(a, /, b, c):
    log(await f0(a=(3, 'x', 2.0)), slice(c, 8))
    t, d = (b + f"{ True }p={ True }"), (c - None)
    with Manager('c1'):
        t = (t if {'a': 1, 'b': 2.5, 'key': 3} else f"p={ (c + G0) :>8}{ b :>8}p={ (c <= 257) }")
        for x in (a and [*(1, 2)])[:6]:
            y = (('a' + (t[x] if (x / (2.0**53)) else b[c])))[:9]
            b = t
    with Manager('c2', False) as c, Manager('c3'):
        pass
ARGUMENTS = {
    'f0': [lambda: ((3, 'x', 2.0), ), lambda: ((1,), ), lambda: ((3, 'x', 2.0), ), lambda: ((1,), ), lambda: ((3, 'x', 2.0), ), lambda: ((), ), lambda: (([0] + [2**62, -1]), ), lambda: (1.5, ), lambda: ({**{}, '\xe9t\xe9': -5}, )],
    'f1': [lambda: (), lambda: (), lambda: (), lambda: (), lambda: (), lambda: (), lambda: (), lambda: (), lambda: ()],
    'f2': [lambda: ([5, 4, 3, 2, 1], 'ab', 4, ), lambda: (([0] if (0, 1, 2, 3) else [2**62, -1]), 'key', 256, ), lambda: ([5, 4, 3, 2, 1], 'ab', 4, ), lambda: (([0] if (0, 1, 2, 3) else [2**62, -1]), 'key', 256, ), lambda: ([5, 4, 3, 2, 1], 'ab', 4, ), lambda: ([(-(2**30)) for i in [1.0, 2.5, -0.0]], '12', -2, ), lambda: ([0], True, 3, ), lambda: (5e-324, '', 5, ), lambda: (0.1, 'ab', (2**60), )],
}
def main(k):
    run(f2, ARGUMENTS['f2'][k])
    run(f1, ARGUMENTS['f1'][k])
    run(f0, ARGUMENTS['f0'][k])
