"""How a program is run under cendre: what is compiled when, and what happens meanwhile.

Invariant: a plan is plain data that JSON can hold, made of decisions, so that it is shrunk and saved together with its program.
"""

HOW = ("all", "all", "all", "all", "some", "some", "sight", "sight", "moment")
EVENTS = ("PY_START", "PY_RESUME", "PY_RETURN", "PY_YIELD", "LINE", "RAISE", "PY_UNWIND", "CALL", "JUMP", "EXCEPTION_HANDLED", "RERAISE", "PY_THROW")


def make(choices):
    """A plan."""
    below = choices.below
    how = HOW[below(len(HOW))]
    plan = {"how": how, "at": (3, 2, 4, 5, 0, 1, 3, 6)[below(8)], "warmup": (0, 1, 2, 3, 5, 8)[below(6)], "seed": below(1000), "gc": False,
            "blocks": False, "moments": [], "events": []}
    extra = below(20)
    if how == "moment":
        plan["moments"].append((1 + below(60), "compile"))
        plan["at"] = -1
    if extra == 19:
        plan["gc"] = True
    elif extra >= 16:
        plan["blocks"] = True
    elif extra == 15:
        plan["moments"].append((1 + below(100), ("never", "off and on", "off", "compile some", "collect")[below(5)]))
        plan["moments"].append((1 + below(150), ("compile", "on", "compile some")[below(3)]))
    elif extra == 14:
        start = 1 + below(80)
        tool = ("watch", "watch", "trace", "profile")[below(4)]
        plan["moments"] += [(start, tool + " on"), (start + 1 + below(20), tool + " off")]
        plan["events"] = [e for e in EVENTS if below(3) == 0] or ["LINE"]
    return plan
