# smith: {"entries": "executor", "plan": {"how": "all", "at": 0, "warmup": 0, "seed": 752, "gc": false, "blocks": false, "moments": [[50, "off"], [101, "compile some"]], "events": []}, "seed": null, "environment": {"CENDRE_CRANELIFT": "opt_level=none,regalloc_algorithm=single_pass", "CENDRE_FORCE_LEAVES": "64", "CENDRE_SEED": "7014056"}}
# `[*generator]` ended early when cendre was switched off meanwhile: the slot that the list had fetched forgot CPython's function.
def f0(a):

    def _g1():
        for unique_name_0 in range(6):
            log()
            yield 0
    [*_g1()]
ARGUMENTS = {'f0': [lambda: (0,)]}

def main(k):
    run(f0, ARGUMENTS['f0'][0])
