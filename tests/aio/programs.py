"""Random async programs as plain data: tuples, names and small numbers. `world.py` runs them.

A program is the body of its main coroutine: a tuple of operations `(name, arguments...)`; an argument that is a body is a tuple
again. Invariant: a program ends under any scheduling (there are no loops but bounded ones), and what it does depends on the order in
which steps and callbacks run and on nothing else. `choose` is a `random.Random`, Hypothesis's or an ordinary one.
"""

ERRORS = ("ValueError", "KeyError", "LookupError", "CancelledError", "TimeoutError", "RuntimeError", "Base")
DELAYS = (0.0, 0.0, 0.1, 0.2, 0.5, 1.0)
SLOTS = 4       # futures, events, locks, queues ... of each kind

# name -> (weight, how deep it nests, arguments)
LEAVES = {
    "log": 3, "sleep": 4, "sleep0": 5, "return": 1, "raise": 2, "await_task": 4, "fut_wait": 4, "fut_set": 4, "fut_raise": 1,
    "fut_cancel": 1, "event_wait": 2, "event_set": 2, "event_clear": 1, "put": 2, "get": 2, "cancel": 3, "cancel_self": 1,
    "uncancel": 1, "wait": 3, "gather_tasks": 2, "shield_task": 2, "call_soon": 2, "call_later": 1, "done_callback": 2,
    "remove_callback": 1, "set_context": 1, "get_context": 1, "look": 2, "interrupt": 1, "stop": 1, "acquire": 1, "release": 1,
    "notify": 1, "condition_wait": 1, "cancel_handle": 1, "call_soon_fut_set": 2, "task_of_fut": 1, "set_name": 1, "drop": 1,
    "exception_of": 1, "barrier": 1, "busy": 2,
}
NODES = {
    "spawn": 8, "spawn_context": 1, "gather": 8, "group": 6, "lock": 2, "semaphore": 2, "shield": 2, "timeout": 3, "wait_for": 3,
    "as_completed": 2, "agen": 3, "call": 4, "try": 6, "finally": 2, "driven": 1, "driven_context": 1, "context_manager": 1,
    "wait_new": 2, "eager": 1, "anext": 1, "handling": 2, "for_each": 1, "throwing_generator": 1, "shared_context": 1, "own_context": 1,
}

# With these alone every task ends, and none can notice of another but what it waits for: whatever the order of tasks, the same happens in each.
APART = {
    "log", "sleep", "sleep0", "return", "set_context", "get_context", "gather", "group", "shield", "call", "try", "finally", "context_manager",
    "handling", "for_each", "throwing_generator", "busy",
}


def _pick(choose, weights, only):
    names = [name for name in weights if only is None or name in only]
    return choose.choices(names, [weights[name] for name in names])[0]


def program(choose, size=14, only=None):
    """A program of about this many operations; `only`: of these."""
    left = [choose.randint(3, size)]
    return body(choose, left, 0, top=True, only=only)


def body(choose, left, depth, top=False, only=None):
    """A few operations; `left` holds how many more the program may get."""
    n = choose.randint(1, 5 if top else 3)
    out = []
    for _ in range(n):
        if left[0] <= 0:
            break
        left[0] -= 1
        out.append(operation(choose, left, depth, only))
    if not out:
        out.append(("log",))
    return tuple(out)


def operation(choose, left, depth, only=None):
    """One operation."""
    if depth >= 5 or choose.random() < 0.45:
        return leaf(choose, only)
    name = _pick(choose, NODES, only)
    more = depth + 1

    def sub():
        return body(choose, left, more, only=only)

    def subs(most=4):
        return tuple(sub() for _ in range(choose.randint(0, most)))

    if name == "gather":
        return name, subs(), choose.random() < 0.3
    if name == "group":
        return name, subs(), sub()
    if name in ("lock", "semaphore"):
        return name, choose.randrange(SLOTS), sub()
    if name in ("timeout", "wait_for"):
        return name, choose.choice(DELAYS), sub()
    if name == "as_completed":
        return name, subs(3), choose.random() < 0.3
    if name == "wait_new":
        return name, subs(3), choose.choice(("FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"))
    if name == "agen":
        return name, subs(2), sub(), choose.randint(0, 3)
    if name == "try":
        return name, sub(), choose.choice((*ERRORS, "Exception", "BaseException")), sub()
    if name in ("finally", "context_manager"):
        return name, sub(), sub()
    if name == "for_each":
        return name, choose.randint(1, 3), sub()
    return name, sub()


def leaf(choose, only=None):
    """An operation without a body."""
    name = _pick(choose, LEAVES, only)
    if name in ("sleep", "call_later", "busy"):
        return name, choose.choice(DELAYS)
    if name == "raise":
        return name, choose.choice(ERRORS)
    if name == "interrupt":
        return name, choose.choice(("KeyboardInterrupt", "SystemExit"))
    if name in ("wait", "gather_tasks"):
        picks = tuple(choose.randrange(8) for _ in range(choose.randint(1, 3)))
        return name, picks, choose.choice(("FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED")), choose.choice((None, *DELAYS))
    return name, choose.randrange(8)
