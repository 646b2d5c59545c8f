# smith: {"entries": "vectorcall", "plan": {"how": "all", "at": -1, "warmup": 0, "seed": 35, "gc": false, "blocks": false, "moments": [[6, "compile"]], "events": []}, "seed": null, "environment": {"CENDRE_CRANELIFT": "opt_level=none,regalloc_algorithm=single_pass", "CENDRE_FORCE_LEAVES": "64", "CENDRE_SEED": "7010427"}}
# A loop that is entered in a comprehension through monitoring, and an exception behind it: the interpreter took the comprehension's handler, and crashed.
def f0():
    log()

def f1(a, /, b, c):
    while a:
        {0: 0 for unique_name_0 in range(1)}['']
    else:
        unique_name_1 = 0
        log()
ARGUMENTS = {'f0': [lambda: ()], 'f1': [0, 0, 0, 0, 0, lambda: (0, 0, 0), lambda: ('🐍', 0, 0), 0, 0]}

def main(k):
    run(f1, ARGUMENTS['f1'][k])
    run(f0, ARGUMENTS['f0'][0])
