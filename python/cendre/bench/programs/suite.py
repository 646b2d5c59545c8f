"""Rows from pyperformance: its own benchmark files, imported from the installed package and run unchanged.

Each `load` gives (function of n, n, number of operations, check): the check sees a round's result and raises when it
is wrong, and a second check that runs once after the timed rounds proves that the code timed does its work (the energy
of the n-body system, the eigenvalue of spectral_norm, the number of leaves of the tree).
Read `docs/benchmarks.md` for what each row means; `worker.py` for how a program is run.
"""
import asyncio
import contextlib
import importlib.util
import io
import math
from pathlib import Path


class Missing(Exception):
    """pyperformance (or pyperf, which its files import) is not installed."""


def load_benchmark(name):
    """The module of one of pyperformance's benchmarks."""
    try:
        import pyperf  # noqa: F401  (the files import it; asked here for the message)
        import pyperformance
    except ImportError as error:
        raise Missing(f"needs pyperformance and pyperf in this environment ({error})") from None
    path = Path(pyperformance.__file__).parent / "data-files" / "benchmarks" / f"bm_{name}" / "run_benchmark.py"
    if not path.is_file():
        raise Missing(f"this pyperformance has no benchmark {name}")
    spec = importlib.util.spec_from_file_location(f"bm_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def close(value, expected, tolerance):
    """Raises unless the two are the same up to the tolerance."""
    if not abs(value - expected) <= tolerance:
        raise AssertionError(f"{value!r} is not {expected!r}")


def richards():
    bench = load_benchmark("richards").Richards()
    # run() compares the known counts of held tasks and queued packets and says so by its result
    return bench.run, 1, 1, lambda n: True, None


def deltablue():
    module = load_benchmark("deltablue")

    def run(n):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            for _ in range(n):
                module.delta_blue(100)
        return said.getvalue()

    # it prints a line for every constraint that did not hold
    return run, 10, 10, lambda n: "", None


def nbody():
    module = load_benchmark("nbody")
    start = [(list(r), list(v)) for r, v, _ in module.SYSTEM]

    def run(n):
        module.bench_nbody(1, module.DEFAULT_REFERENCE, n)

    def verify():
        for (r, v, _), (r0, v0) in zip(module.SYSTEM, start, strict=True):
            r[:], v[:] = r0, v0
        module.offset_momentum(module.BODIES["sun"])
        close(module.report_energy(), -0.169075164, 5e-10)
        module.advance(0.01, 1000)
        close(module.report_energy(), -0.169087605, 5e-10)

    return run, 8000, 8000, lambda n: None, verify


def spectral_norm():
    module = load_benchmark("spectral_norm")

    def run(n):
        module.bench_spectral_norm(n)

    def verify():
        u = [1] * 100
        for _ in range(10):
            v = module.eval_AtA_times_u(u)
            u = module.eval_AtA_times_u(v)
        value = math.sqrt(sum(a * b for a, b in zip(u, v)) / sum(b * b for b in v))
        close(value, 1.274219991, 5e-10)

    return run, 1, 1, lambda n: None, verify


def async_tree(variant, groups):
    module = load_benchmark("async_tree")
    runner = asyncio.Runner()
    leaves = module.NUM_RECURSE_BRANCHES ** module.NUM_RECURSE_LEVELS

    def run(n):
        for _ in range(n):
            # A new tree a round: it seeds the random numbers and has an empty cache, so every round is the same work.
            runner.run(module.BENCHMARKS[variant](use_task_groups=groups).run())

    def verify():
        tree = module.BENCHMARKS[variant](use_task_groups=groups)
        work, count = tree.workload_func, 0

        async def counted():
            nonlocal count
            count += 1
            return await work()

        tree.workload_func = counted
        runner.run(tree.run())
        close(count, leaves, 0)

    return run, 1, leaves, lambda n: None, verify


PLAIN = {"richards": richards, "deltablue": deltablue, "nbody": nbody, "spectral_norm": spectral_norm}


def workload(name):
    """The program of a row: (function of n, n, number of operations, expected result, check after the rounds)."""
    if name in PLAIN:
        return PLAIN[name]()
    if name.startswith("async_tree-"):
        variant = name.removeprefix("async_tree-")
        return async_tree(variant.removesuffix("_tg"), variant.endswith("_tg"))
    raise LookupError(name)
