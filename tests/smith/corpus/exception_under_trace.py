# smith: {"entries": "executor", "plan": {"how": "all", "at": 0, "warmup": 0, "seed": 675, "gc": false, "blocks": false, "moments": [[43, "trace on"], [48, "trace off"]], "events": ["PY_START", "PY_RESUME", "CALL"]}, "seed": null, "environment": {"CENDRE_CRANELIFT": "opt_level=none,regalloc_algorithm=single_pass", "CENDRE_FORCE_LEAVES": "64", "CENDRE_SEED": "1524094"}}
# An exception that left machine code under sys.settrace told PY_THROW first.
class A0:

    def __init__(self, x, y):
        pass

    def m1(self, a, b):
        log()

async def f0(a):
    d = A0(0, 0).m1(0, 0) != 0
    log()
    if a < d:
        raise
    log()

async def f1(a, b):
    async with Manager(0):
        await f0(a=~a)
        log([await Step() for unique_name_0 in [0, 0]])
ARGUMENTS = {'f0': [lambda: (0,), lambda: (1,), lambda: (0,), lambda: (1,), lambda: (0,), lambda: (0,), 0, 0, 0], 'f1': [lambda: (0, 0), lambda: (-2, 0), lambda: (0, 0), lambda: (-2, 0), lambda: (0, 0), lambda: (0, 0), lambda: (0, 0), 0, 0]}

def main(k):
    run(f1, ARGUMENTS['f1'][k])
    run(f0, ARGUMENTS['f0'][k])