# smith: {"entries": "executor", "plan": {"how": "all", "at": 3, "warmup": 0, "seed": 300, "gc": false, "blocks": false, "moments": [[25, "watch on"], [29, "watch off"]], "events": ["PY_START", "PY_RETURN", "RAISE", "RERAISE", "PY_THROW"]}, "seed": null, "environment": {"CENDRE_CRANELIFT": "opt_level=none,regalloc_algorithm=single_pass", "CENDRE_FORCE_LEAVES": "64", "CENDRE_SEED": "1528906"}}
# An awaited call that ended when a tool had come told RAISE of the StopIteration.
def f0(a):
    log()

async def f1(a):
    log()

async def f2():
    0
    await f1(0)
    0
ARGUMENTS = {'f0': [lambda: (0,)], 'f1': [lambda: (0,)], 'f2': [lambda: ()]}

def main(k):
    run(f2, ARGUMENTS['f2'][0])
    run(f1, ARGUMENTS['f1'][0])
    run(f0, ARGUMENTS['f0'][0])