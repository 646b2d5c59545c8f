# smith: {"entries": "executor", "plan": {"how": "all", "at": 3, "warmup": 0, "seed": 967, "gc": false, "blocks": false, "moments": [[11, "compile"]], "events": []}, "seed": null, "environment": {"CENDRE_CRANELIFT": "opt_level=none,regalloc_algorithm=single_pass", "CENDRE_FORCE_LEAVES": "64", "CENDRE_SEED": "7016462"}}
# Leaving between two items of a list that is unpacked leaked the first one.
def f0(a):
    with Manager(0):
        log()
        match [getattr(0, '', 0), N(0)]:
            case [q, r]:
                log()
                log(bool())
ARGUMENTS = {'f0': [lambda: (0,)]}

def main(k):
    run(f0, ARGUMENTS['f0'][0])
