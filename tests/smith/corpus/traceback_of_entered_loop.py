# smith: {"entries": "vectorcall", "plan": {"how": "moment", "at": -1, "warmup": 0, "seed": 1, "gc": false, "blocks": false, "moments": [[16, "compile"]], "events": []}, "seed": 7000308, "environment": {}}
# A loop that is entered in the middle through monitoring, and an exception behind it: the frame was in the traceback twice.
def f0(k):
    for i in range(3):
        turn()
    return 'abc'[(0, -1):0]
def f1(k):
    try:
        for i in range(3):
            turn()
        return 'abc'[(0, -1):0]
    finally:
        log(k)
ARGUMENTS = {
    'f0': [lambda: (0,)] * 9,
    'f1': [lambda: (0,)] * 9,
}
def main(k):
    run(f0, ARGUMENTS['f0'][k])
    run(f1, ARGUMENTS['f1'][k])
