# smith: {"entries": "executor", "plan": {"how": "all", "at": 2, "warmup": 0, "seed": 1, "gc": false, "blocks": false, "moments": [], "events": []}, "seed": 0}
# A coroutine object that was used again for an awaited call had its stack pointer at its first local: the locals were never dropped,
# and what it borrowed was not made its own when it suspended.
async def f0(a):
    c = N('c')
    d = N('d')
    log(a)
async def f1(a):
    c = [a, N('e')]
    await Step(c)
    return c, a
async def f2(a):
    for i in range(3):
        await f0(a)
        log(await f1([a, i]))
ARGUMENTS = {
    'f0': [lambda: (N('a'),)] * 9,
    'f1': [lambda: (N('a'),)] * 9,
    'f2': [lambda: (N('b'),)] * 9,
}
def main(k):
    run(f2, ARGUMENTS['f2'][k])
