# smith: {"entries": "executor", "plan": {"how": "all", "at": 0, "warmup": 0, "seed": 104, "gc": false, "blocks": false, "moments": [[70, "watch on"], [81, "watch off"]], "events": ["LINE", "EXCEPTION_HANDLED"]}, "seed": null, "environment": {}}
# The traceback entry of a call stood one unit behind it where a tool heard of exceptions.
class A0:

    def __init__(self, x, y):

        def _g1():
            log()
            turn()
        _g1()
        _g1()
        return 0

async def f0(a, b):
    A0(0, 0)

def f1(a):
    drive(f0(a=0, b=0))
ARGUMENTS = {'f0': [lambda: (0, 0)], 'f1': [lambda: (0,)]}

def main(k):
    run(f1, ARGUMENTS['f1'][0])
    run(f0, ARGUMENTS['f0'][0])