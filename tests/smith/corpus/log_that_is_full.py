# smith: {"entries": "vectorcall", "plan": {"how": "sight", "at": 0, "warmup": 0, "seed": 209, "gc": false, "blocks": false, "moments": [[27, "watch on"], [47, "watch off"]], "events": ["PY_RETURN", "LINE", "RAISE", "PY_UNWIND", "CALL", "JUMP", "EXCEPTION_HANDLED"]}, "seed": null, "environment": {"CENDRE_CRANELIFT": "opt_level=none,regalloc_algorithm=single_pass"}}
# A log that reached its limit was cut at another place, for lines that are left away before logs are compared; smith took that for lost events.
class A0:

    def __init__(self, x, y):
        for unique_name_0 in range(6):

            def _g1():
                _w3 = 9
                while _w3:
                    _w3 -= 1
                    pass
            _g1()
            _g1()

def f1(a):
    for unique_name_1 in [0, 0, 0, 0]:
        A0(0, 0)
        match A0(0, 0):
            case A0():
                log()
                sum((0 for unique_name_2 in range(0)))
ARGUMENTS = {'f1': [lambda: (0,)]}

def main(k):
    run(f1, ARGUMENTS['f1'][0])
