"""`cendre bench coverage`: what of the standard library can be compiled, without running it.

Every code object of every module of the Python in use, its test package too, is given to the compiler: seen, compiled, refused by
reason. Bodies of modules and classes are run once and by design only entered in their loops; they are counted apart.
Invariant: files are taken in small groups by child processes, so that a crash or a hang is one line of the report and costs one file.
An internal error (a panic of the compiler that was caught) or a dead child is a finding: exit status 1.
"""
import argparse
import collections
import json
import os
import subprocess
import sys
import sysconfig
import types
import warnings
from pathlib import Path

OPTIMIZED = 0x0001          # CO_OPTIMIZED: code of a function, not of a module or class body
GROUP = 24                  # files a child
SECONDS = 600               # that a child may take
KINDS = ((0x200, "async generators"), (0x80, "coroutines"), (0x20, "generators"), (OPTIMIZED, "functions"), (0, "bodies of modules and classes"))


def library():
    """The files of the standard library, test package included if it is installed, sorted."""
    root = Path(sysconfig.get_path("stdlib"))
    skip = {"site-packages", "dist-packages", "__pycache__"}
    return root, sorted(p for p in root.rglob("*.py") if not skip & set(p.relative_to(root).parts))


def codes_of(code):
    """A code object and all inside it."""
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from codes_of(const)


def kind_of(code):
    """Which of KINDS."""
    return next(name for flag, name in KINDS if code.co_flags & flag == flag)


def child(files):
    """Compiles all code of these files; one JSON line a file on stdout."""
    import cendre
    import cendre.jit
    cendre.enable()
    warnings.simplefilter("ignore")
    for name in files:
        print(json.dumps({"file": name}), flush=True)
        seen, refused, skipped = collections.Counter(), [], None
        try:
            body = compile(Path(name).read_bytes(), name, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, OSError) as error:
            # Files of the test package that are no Python on purpose, a link to a file that is not installed.
            skipped = f"{type(error).__name__}: {error}"
        else:
            for code in codes_of(body):
                seen[kind_of(code)] += 1
                try:
                    cendre.jit.compile(code)
                except ValueError as reason:
                    refused.append((kind_of(code), code.co_qualname, code.co_firstlineno, str(reason)))
            del body, code
        print(json.dumps({"file": name, "seen": seen, "refused": refused, "skipped": skipped}), flush=True)


def run_group(files):
    """(answers of the child, the file at which it died or None, how)."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("CENDRE")}
    argv = [sys.executable, "-m", "cendre.bench.coverage", "--child", *map(str, files)]
    try:
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=SECONDS)
        out, how = done.stdout, None if done.returncode == 0 else f"status {done.returncode}: {done.stderr[-400:]}"
    except subprocess.TimeoutExpired as late:
        out, how = (late.stdout or b"").decode(), f"not done in {SECONDS} s"
    answers = [json.loads(line) for line in out.splitlines() if line.endswith("}")]
    finished = [a for a in answers if "seen" in a]
    died = answers[-1]["file"] if how and answers else None
    return finished, died, how


def measure(files, say):
    """The whole report as a dict."""
    total = {"files": 0, "not_python": 0, "seen": collections.Counter(), "refused": collections.Counter(), "examples": {}, "dead": []}
    waiting = list(files)
    while waiting:
        group, waiting = waiting[:GROUP], waiting[GROUP:]
        finished, died, how = run_group(group)
        for answer in finished:
            total["files"] += 1
            total["not_python"] += answer["skipped"] is not None
            total["seen"].update(answer["seen"])
            for kind, name, line, reason in answer["refused"]:
                total["refused"][f"{kind}: {reason}"] += 1
                total["examples"].setdefault(f"{kind}: {reason}", f"{answer['file']}:{line} {name}")
        if how:
            total["dead"].append((died or str(group[0]), how))
            done = {a["file"] for a in finished} | {died or str(group[0])}
            waiting = [f for f in group if str(f) not in done] + waiting
        say(f"{total['files']} of {len(files)} files, {sum(total['seen'].values())} code objects, {sum(total['refused'].values())} refused")
    return total


def text(total):
    """The report as text."""
    seen, refused = sum(total["seen"].values()), sum(total["refused"].values())
    out = [f"{total['files']} files ({total['not_python']} no Python), {seen} code objects seen, {seen - refused} compiled, {refused} refused"]
    for kind, n in total["seen"].items():
        lost = sum(k for reason, k in total["refused"].items() if reason.startswith(kind + ": "))
        out.append(f"  {kind:32} {n:7} seen {n - lost:7} compiled")
    for reason, n in total["refused"].most_common():
        out.append(f"  {n:6} {reason}\n         such as {total['examples'][reason]}")
    out.extend(f"DEAD at {file}: {how}" for file, how in total["dead"])
    return "\n".join(out)


def main(argv):
    """The command line; the exit status."""
    parser = argparse.ArgumentParser(prog="cendre bench coverage", description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", help="files, or folders of the standard library such as asyncio (default: all of it)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each Nth file only")
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.child:
        child(options.files)
        return 0
    root, files = library()
    if options.files:
        wanted = [Path(f) if Path(f).exists() else root / f for f in options.files]
        files = [p for w in wanted for p in ([w] if w.is_file() else [f for f in files if w in f.parents])]
    files = files[::max(1, options.every)]
    if not files:
        parser.error("no such files")
    terminal = sys.stderr.isatty()
    total = measure(files, lambda line: print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True) if terminal else None)
    print(("\n" if terminal else "") + text(total))
    if options.json:
        Path(options.json).write_text(json.dumps(total, indent=1) + "\n", encoding="utf-8")
    internal = any("internal error" in reason for reason in total["refused"])
    return 1 if total["dead"] or internal else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
