# smith: {"entries": "executor", "plan": {"how": "all", "at": 3, "warmup": 0, "seed": 454, "gc": false, "blocks": false, "moments": [[48, "trace on"], [54, "trace off"]], "events": ["PY_START", "RAISE", "JUMP", "EXCEPTION_HANDLED", "RERAISE"]}, "seed": null, "environment": {"CENDRE_CRANELIFT": "opt_level=none,regalloc_algorithm=single_pass"}}
# What lies on the stack of a frame that an exception ends goes before PY_UNWIND.
async def f1(a, b, c):
    for unique_name_0 in (0 for unique_name_1 in range(3)):
        for unique_name_2 in (turn(), 0):
            async with Manager(0):
                pass
ARGUMENTS = {'f1': [lambda: (0, 0, 0)]}

def main(k):
    run(f1, ARGUMENTS['f1'][0])