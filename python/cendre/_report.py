"""What cendre did in a process: collected from the native module, handed to another process, shown as text.

A *report* is a plain dict that JSON can hold:

    {"pid": ..., "argv": [...], "owner": bool, "stats": {...}, "tasks": {...}, "sites": [...], "unknown": [...], "functions": [...]}

where `functions` is what `cendre.jit.functions()` returns and `sites` what `tasks_sites` says of each gather and create_task. With `CENDRE_EXPLAIN=path` each process appends its report
as one line when it ends through Python's own exit. The first process, the *owner*, empties the file when it starts;
its children know by `_CENDRE_EXPLAIN_OWNER` in their environment that they are not the first.

Invariant: reporting never changes a program's outcome; what goes wrong here is one line on stderr.
"""

import os
import sys

_OWNER = "_CENDRE_EXPLAIN_OWNER"


def collect():
    """The report of this process up to now."""
    from cendre import _cendre as native

    ours = os.path.dirname(__file__) + os.sep  # With threshold 0 this very code is seen as well.
    return {
        "pid": os.getpid(),
        "argv": list(getattr(sys, "argv", [])),
        "owner": os.environ.get(_OWNER) == str(os.getpid()),
        "stats": native.stats(),
        "tasks": native.tasks_stats(),
        "sites": native.tasks_sites(),
        "unknown": sorted(getattr(sys.modules.get("cendre.aio._stock"), "unknown", ())),
        "functions": [f for f in native.functions() if not f["file"].startswith(ours)],
    }


def write_at_exit(path):
    """Appends this process's report to `path` when it ends."""
    import atexit

    from cendre import _cendre as native

    native.tasks_record(True)
    path = os.path.abspath(path)
    os.environ["CENDRE_EXPLAIN"] = path  # A child may start in another folder.
    if _OWNER not in os.environ:
        with open(path, "wb"):
            pass  # Now, so that a path that cannot be written is said before the program runs.
        os.environ[_OWNER] = str(os.getpid())
    atexit.register(_append, path)
    os.register_at_fork(after_in_child=lambda: _report_from_worker(path))


def _append(path):
    import json

    try:
        line = json.dumps(collect()).encode() + b"\n"
        # One write to a file opened for appending: lines of processes that end together do not mix.
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            while line:
                line = line[os.write(fd, line):]
        finally:
            os.close(fd)
    except Exception as error:
        print(f"cendre: no report in {path}: {error}", file=sys.stderr)


def _report_from_worker(path):
    """After a fork by multiprocessing, whose children clear what `atexit` holds and end without it."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(
            _append, lambda append: util.Finalize(None, append, (path,), exitpriority=-1000)
        )


def read(path):
    """The reports in a file, the owner's first."""
    import json

    with open(path, "rb") as lines:
        reports = [json.loads(line) for line in lines]
    return sorted(reports, key=lambda report: not report["owner"])


def text(reports, colour=False):
    """Reports as text for a person: for each process a summary, then its functions, the busiest first.

    Helper processes in which nothing was seen (multiprocessing starts some) are left out.
    """
    shown = [report for at, report in enumerate(reports) if at == 0 or report["functions"]]
    return "\n".join("".join(line + "\n" for line in _process(report, _Paint(colour))) for report in shown)


class _Paint:
    """Terminal colours, or none of them."""

    def __init__(self, on):
        self.on = on

    def __call__(self, code, words):
        return f"\x1b[{code}m{words}\x1b[0m" if self.on else words

    def title(self, words):
        return self("1", words)

    def good(self, words):
        return self("32", words)

    def bad(self, words):
        return self("33", words)

    def dim(self, words):
        return self("2", words)


def _number(n):
    return f"{n:,}".replace(",", " ")


def _times(n):
    return "once" if n == 1 else f"{_number(n)} times"


def _process(report, paint):
    functions = report["functions"]
    leaves = sum(count for f in functions for _, _, count in f["leaves"])
    awaits = [site for f in functions for site in f["awaits"]]
    states = {}
    for f in functions:
        states[f["state"]] = states.get(f["state"], 0) + 1
    order = sorted(states, key=lambda state: (state != "compiled", state))

    yield paint.title(f"cendre: {' '.join(report['argv']) or 'python'} (process {report['pid']})")
    seen = ", ".join(f"{_number(states[state])} {state}" for state in order)
    yield f"  functions seen: {_number(len(functions))}" + (f" ({seen})" if seen else "")
    stats = report["stats"]
    if stats.get("entries") == "vectorcall" and stats.get("entries_reason"):
        yield f"  compiled code is entered by vectorcall and monitoring: {stats['entries_reason']}"
    yield f"  compiled code was left for the interpreter {_times(leaves)}" if leaves else \
        "  compiled code was never left for the interpreter"
    if awaits:
        yield "  awaited calls: " + _await(*(sum(site[i] for site in awaits) for i in (1, 2, 3, 4)), ":")
    yield from _tasks(report.get("tasks") or {}, paint)
    for name in report.get("unknown") or ():
        yield (f"  asyncio.{name} is not the function that cendre knows (it was patched, or this is another release of Python): its own Python code runs")
    yield from _sites(report.get("sites") or [], paint)

    cold = 0
    for f in sorted(functions, key=_busiest):
        if f["state"] == "cold" and not f["leaves"] and not f["awaits"]:
            cold += 1
            continue
        yield ""
        yield from _function(f, paint)
    if cold:
        yield ""
        yield paint.dim(f"{_number(cold)} more were seen and never got hot")


# Counter -> what it means that children were not run early at so many awaits, and what can be done.
_NOT_EARLY = {
    "queue_empty": "nothing was ready to run",
    "queue_other": "something else was next in the loop's queue: policy `exact` overtakes nobody",
    "iteration_over": "a timer was due, the loop was being stopped, or its sockets had to be looked at (the budget)",
    "no_children": "policy `family` runs the task's own children, and none had to be started",
    "children_wait": "a child waits for something (the others ran)",
    "budget_used": "as much had run early already as the budget allows between two other tasks",
    "future_failed": "what was awaited failed or was cancelled",
    "frames_between": "a coroutine was driven by hand (send, or an iterator of the program's) between the await and the task",
    "context_entered": "another context than the task's was current",
    "tools_watch": "a debugger, profiler or coverage tool watches",
    "nested_too_deep": "too many children waited for each other, or the stack was short",
    "other_future": "not an ordinary future or task of asyncio was awaited",
    "not_in_step": "no task of asyncio's own kind was running",
    "not_in_queue_run": "the loop's own iteration was not running natively (debug mode, or a loop of another kind)",
    "debug_mode": "asyncio's debug mode is on",
    "faults": "an internal fault (please report it)",
}


def _tasks(tasks, paint):
    if not tasks.get("steps"):
        return
    yield (f"  tasks: {_number(tasks['steps'])} steps; {_number(tasks['awaits'])} waits for pending futures, of which "
           f"{_number(tasks['resumed_in_place'])} went on in place; {_number(tasks['children_early'])} children and "
           f"{_number(tasks['callbacks_early'])} callbacks ran early")
    for name, words in _NOT_EARLY.items():
        if tasks.get(name):
            yield paint.dim(f"    {_times(tasks[name])} not (or no further): {words}")


# What can be done about it, at one site.
_ADVICE = {
    "queue_other": "await what is independent of other tasks before they are made, or use policy `family`",
    "budget_used": "a larger budget= (other tasks then wait longer)",
    "iteration_over": "a larger budget= lets children run early for longer",
    "frames_between": "await the coroutine instead of driving it",
    "context_entered": "await outside of Context.run",
    "tools_watch": "run without the tool",
    "nested_too_deep": "gather on fewer levels",
    "not_in_queue_run": "switch debug mode off, or use asyncio's own loop",
    "debug_mode": "switch debug mode off",
}


def _sites(sites, paint):
    """Fan-outs, those with the most children first."""
    for file, name, line, kind, calls, handed_on, children, at_once, waits, in_place, why in sorted(
            sites, key=lambda site: (-site[6], site[0], site[2])):
        if not calls and not children:
            continue  # The program's main task, which `run_until_complete` makes.
        # Without a call of the function by name it was `ensure_future` that made the tasks.
        what = f"{kind}: {_number(calls)} {'call' if calls == 1 else 'calls'}, " if calls else "ensure_future, wait, as_completed or shield: "
        yield (f"  {paint.title(_where(file, line))} in {name}: {what}"
               f"{_number(children)} {'child' if children == 1 else 'children'}, of which {_number(at_once)} ended in {'its' if children == 1 else 'their'} first step")
        if waits:
            yield f"    the task waited after it {_times(waits)}, {_number(in_place)} of them without suspending"
        if handed_on:
            yield paint.dim(f"    {_times(handed_on)} left to asyncio's own code: names, contexts, a task factory, other awaitables than "
                            "coroutines and pending futures, a tool that watches, or no loop of a policy")
        for reason, n in sorted(why.items(), key=lambda item: -item[1]):
            advice = f" ({_ADVICE[reason]})" if reason in _ADVICE else ""
            yield paint.dim(f"    {_times(n)} suspended: {_NOT_EARLY.get(reason, reason)}{advice}")


def _busiest(f):
    return (-f.get("calls", 0), -f.get("samples", 0), f["file"], f["line"], f["name"])


def _function(f, paint):
    yield f"{paint.title(f['name'])}  {paint.dim(_where(f['file'], f['line']))}"
    counts = [f"{_number(f[key])} {key[:-1] if f[key] == 1 else key}{where}"
              for key, where in (("calls", " in machine code"), ("samples", "")) if f.get(key)]
    if f.get("compiles", 0) > 1:
        counts.append(f"compiled {_times(f['compiles'])} in all")
    if f.get("raises"):
        counts.append(f"raised {_times(f['raises'])}")
    state = paint.good("compiled") if f["state"] == "compiled" else paint.bad(
        f"not compiled: {f['reason']}" if f["reason"] else f["state"])
    yield "    " + "; ".join([state, *counts])
    for line, reason, count in sorted(f["leaves"], key=lambda leave: (-leave[2], leave[0])):
        yield f"    line {line}: left {_times(count)}: {reason}"
    for line, *counts in sorted(f["awaits"]):
        yield f"    line {line}: await: " + _await(*counts, " calls,")


def _await(calls, finished, suspended, other, behind):
    words = f"{_number(calls)}{behind} {_number(finished)} finished at once, {_number(suspended)} suspended"
    return words + (f", {_number(other)} gave what is no coroutine" if other else "")


def _where(file, line):
    # Only what lies below the current folder gets shorter: "../../.." helps nobody.
    near = os.path.relpath(file) if os.path.isabs(file) else file
    return f"{file if near.startswith('..') else near}:{line}"
