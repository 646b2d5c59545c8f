# smith: {"entries": "executor", "plan": {"how": "all", "at": 2, "warmup": 0, "seed": 1, "gc": false, "blocks": false, "moments": [], "events": []}, "seed": 10074}
# The locals of a function or generator that ends were dropped from the first to the last.
def f0(a, b):
    c = N('c')
    d = N('d')
def f1(a, b):
    yield 0
def f2(a, b):
    f0(N('x'), b)
    f0(a, N('y'))
ARGUMENTS = {
    'f0': [lambda: (N('a'), N('b'))] * 9,
    'f1': [lambda: (N('a'), N('b'))] * 9,
    'f2': [lambda: (N('a'), N('b'))] * 9,
}
def main(k):
    run(f0, ARGUMENTS['f0'][k])
    run(f1, ARGUMENTS['f1'][k])
    run(f2, ARGUMENTS['f2'][k])
