# smith: {"entries": "executor", "plan": {"how": "all", "at": 3, "warmup": 0, "seed": 753, "gc": false, "blocks": false, "moments": [], "events": []}, "seed": 100223}
# Once `locals()` had taken the frame, the store to `a`, which dropped nothing, lost the number of `d` that was not in memory yet.
def f1(a, b, c):
    for d in range(2):
        a = 0
        log(d.__hash__())
        locals()
ARGUMENTS = {
    'f1': [lambda: (0, 0, 0)] * 9,
}
def main(k):
    run(f1, ARGUMENTS['f1'][k])
