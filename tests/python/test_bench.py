"""`cendre bench` and the main job's driver: right results are told from wrong ones, and the arithmetic is right.

Invariant: nothing here depends on how fast anything is. What the rows mean: docs/benchmarks.md.
"""
import asyncio
import importlib.util
import json
import os
import random
import subprocess
import sys
import xml.dom.minidom
from pathlib import Path

import pytest

from cendre.bench import __main__ as command
from cendre.bench import estimate, frameworks, plot, registry, report, results, runner, tasks

ROOT = Path(__file__).resolve().parents[2]


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


worker = load(runner.WORKER, "bench_worker")
main_job = load(ROOT / "scripts" / "main_job.py", "main_job")
PROGRAMS = sorted({row.program for row in registry.ROWS if row.program})


@pytest.mark.parametrize("pieces", [False, True])
@pytest.mark.parametrize("program", [name for name in PROGRAMS if name != "suite"])
def test_every_row_gives_its_expected_result(program, pieces):
    rows = [row.name for row in registry.ROWS if row.program == program and row.pieces == pieces]
    if not rows:
        assert pieces
        return
    arguments = ["--program", program, "--seconds", "0.001", "--minimum", "2", *(["--pieces"] if pieces else [])]
    for row in rows:
        arguments += ["--row", row]
    answer = runner.call_worker(arguments, registry.PLAIN, 0, 120)
    assert list(answer["rows"]) == rows
    for timed in answer["rows"].values():
        assert timed["operations"] > 0 and len(timed["rounds"]) >= 2
    assert "stats" not in answer


def test_rows_of_the_suite_prove_their_work():
    pytest.importorskip("pyperformance")
    arguments = ["--program", "suite", "--row", "richards", "--row", "nbody", "--seconds", "0.001", "--minimum", "1"]
    assert set(runner.call_worker(arguments, registry.PLAIN, 0, 120)["rows"]) == {"richards", "nbody"}


def test_a_wrong_result_is_an_error():
    with pytest.raises(AssertionError, match="round 0 gave 5, expected 6"):
        worker.time_rounds(lambda n: n, 5, lambda n: n + 1, 0, 1)
    with pytest.raises(AssertionError, match="expected 1"):
        worker.time_rounds(lambda n: True, 1, lambda n: 1, 0, 1)
    with pytest.raises(AssertionError, match="the whole call"):
        worker.time_pieces(lambda pieces: sum(pieces), 3, lambda count: 3 * count + 1, 0, 2)


def test_pieces_are_counted():
    seen = []

    def once(pieces):
        seen.append(1)
        return sum(pieces)

    rounds = worker.time_pieces(once, 3, lambda count: 3 * count, 0, 4)
    assert len(rounds) == 4 and seen == [1]
    assert all(b[0] >= a[0] + a[1] - 1e-9 for a, b in zip(rounds, rounds[1:]))


def test_a_crash_is_told():
    broken = registry.Feature("full", "broken", {"PYTHONHOME": str(ROOT / "no" / "such" / "folder")})
    with pytest.raises(runner.RowFailed, match="status 1"):
        runner.call_worker(["--program", "calls", "--row", "fib"], broken, 0, 60)
    row = next(row for row in registry.ROWS if row.name == "fib")
    settings = runner.Settings(repeat=1, cold=0.01, warm=0.01)
    reasons = {"plain": None, "full": None}
    result = results.measure(row, [registry.PLAIN, broken], reasons, settings, {}, lambda text: None)
    assert result.failed and "status 1" in result.missing["full"] and result.plain > 0
    assert "FAILED" in report.ratio_table([result], [registry.PLAIN, broken])[1][0]


def test_processes_of_a_block_run_in_turns(monkeypatch):
    events = []
    start, ended = runner.Worker.start_turn, runner.Worker.turn_ended

    def noted_start(self):
        events.append(("start", self.feature.name))
        return start(self)

    def noted_end(self, deadline):
        more = ended(self, deadline)
        if more:
            # Waits until the process has stopped: it does not run on after its turn.
            assert os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT).si_code == os.CLD_STOPPED
        return more

    monkeypatch.setattr(runner.Worker, "start_turn", noted_start)
    monkeypatch.setattr(runner.Worker, "turn_ended", noted_end)
    arguments = ["--program", "calls", "--row", "fib", "--seconds", "0.3"]
    broken = registry.Feature("broken", "broken", {"PYTHONHOME": str(ROOT / "no" / "such" / "folder")})
    answers = runner.call_in_turns(arguments, [registry.PLAIN, broken, registry.HOOKS], 0, 120)
    assert set(answers) == {"plain", "broken", "hooks"}
    assert isinstance(answers["broken"], runner.RowFailed)
    for name in ("plain", "hooks"):
        assert answers[name]["rows"]["fib"]["rounds"]
        # Six slices or fewer: a slice lasts at least as long as it should.
        assert 1 <= events.count(("start", name)) <= 7
    assert [name for _, name in events[:2]] == ["plain", "hooks"]


def test_the_clock_stands_still_while_others_run():
    now = [0.0]
    here, there = os.pipe(), os.pipe()
    clock = worker.Clock(lambda: now[0], (here[0], there[1]))
    os.write(here[1], b"..")
    clock.take_turn()
    assert os.read(there[0], 9) == b"."
    now[0] = worker.SLICE / 2
    clock.take_turn()                       # too early: nobody is told
    assert clock() == worker.SLICE / 2
    now[0] = worker.SLICE * 2
    # The clock is read before the turn is given, and an other second later after it.
    ticks = iter([now[0], now[0], now[0] + 1.0, now[0] + 1.0])
    clock.source = lambda: next(ticks)
    clock.take_turn()
    assert os.read(there[0], 9) == b"."
    assert clock.waited == 1.0
    for descriptor in (*here, *there):
        os.close(descriptor)


def test_a_plain_process_has_nothing_of_ours_in_its_environment(monkeypatch):
    monkeypatch.setenv("CENDRE", "1")
    monkeypatch.setenv("_CENDRE_EXPLAIN_OWNER", "1")
    for given in (runner.environment({}, 3), main_job.plain_environment()):
        assert not [name for name in given if "CENDRE" in name]
    assert runner.environment(registry.FULL.environment, 3)["CENDRE"] == "1"


def test_interval_of_constant_samples_is_the_ratio():
    found = estimate.speedup([[3.0] * 9] * 4, [[1.5] * 7] * 4, "warm")
    assert (found.median, found.low, found.high) == (2.0, 2.0, 2.0)


def test_interval_holds_the_truth_and_is_repeatable():
    rng = random.Random(7)
    plain = [[rng.gauss(6, 0.1) for _ in range(30)] for _ in range(9)]
    other = [[rng.gauss(2, 0.1) for _ in range(30)] for _ in range(9)]
    found = estimate.speedup(plain, other, "warm")
    assert found.low < found.high and found.low <= found.median <= found.high
    assert abs(found.median - 3) < 0.1 and found.low > 2.8 and found.high < 3.2
    assert found == estimate.speedup(plain, other, "warm")


def test_blocks_are_compared_with_each_other_only():
    # the machine gets ten times slower from block to block; the ratio in each is 2
    plain = [[2.0 * 10**i] * 5 for i in range(5)]
    other = [[1.0 * 10**i] * 5 for i in range(5)]
    found = estimate.speedup(plain, other, "cold")
    assert (found.low, found.high) == (2.0, 2.0)


def test_split_by_the_start_of_a_round():
    assert estimate.split([(0.0, 0.6), (0.6, 0.6), (1.2, 0.5)], 1.0) == ([0.6, 0.6], [0.5])
    assert estimate.split([(0.0, 3.0)], 1.0) == ([3.0], [3.0])
    assert estimate.split([(0.0, 0.6), (0.6, 3.0), (3.6, 2.0), (5.6, 0.5)], 1.0, 5.0) == ([0.6, 3.0], [0.5])
    assert estimate.split([(0.0, 0.6), (0.6, 2.0)], 1.0, 5.0) == ([0.6, 2.0], [2.0])


def test_phases_of_pyperformance_are_those_of_the_goals():
    """Cold is the first second, warm what comes after five; a shorter look keeps them apart."""
    rows = {row.name: row for row in registry.ROWS}
    assert runner.Settings().phases(rows["async_tree-io"]) == (1.0, 5.0, 10.0)
    assert runner.Settings().phases(rows["fib"]) == (1.0, 1.0, 2.5)
    assert runner.Settings(cold=7.0).phases(rows["richards"])[:2] == (7.0, 7.0)


def test_goals():
    figure = estimate.Estimate(0.97, 0.9, 1.02)
    assert registry.Goal("not below", 1.0).met(figure) and not registry.Goal("not below", 1.03).met(figure)
    assert not registry.Goal("at least", 1.0).met(figure) and registry.Goal("at least", 0.97).met(figure)
    assert registry.Goal("at most", 1.0).met(figure) and not registry.Goal("at most", 0.9).met(figure)


def test_select():
    assert [row.name for row in registry.select(["await-against-call"])] == [
        "await-never", "call-two-deep", "await-against-call"]
    assert len(registry.select(["async_tree-*"])) == 16
    assert len({row.name for row in registry.ROWS}) == len(registry.ROWS)
    with pytest.raises(registry.NoSuchRow):
        registry.select(["fib", "fibb"])


def test_command_line(tmp_path, capsys):
    wanted = ["fib", "await-against-call", "--cold", "0.02", "--warm", "0.02", "--repeat", "2", "--feature", "full"]
    status = command.main([*wanted, "--json", str(tmp_path / "o.json"), "--svg", str(tmp_path / "o.svg")])
    said = capsys.readouterr()
    document = json.loads((tmp_path / "o.json").read_text())
    rows = {row["name"]: row for row in document["rows"]}
    assert list(rows) == ["await-never", "call-two-deep", "await-against-call", "fib"]
    assert rows["fib"]["plain"] > 0 and len(rows["fib"]["samples"]["plain"]["warm"]) == 2
    # with the native module there is a figure, without it a reason; never neither
    for row in rows.values():
        assert ("full/warm" in row["figures"]) != ("full" in row["missing"]), row
    assert status == 0, said.out
    assert "\nfib " in said.out and "\x1b" not in said.out
    drawn = xml.dom.minidom.parse(str(tmp_path / "o.svg"))
    assert drawn.documentElement.tagName == "svg"


def test_command_line_refuses():
    for wrong in (["fibb"], ["--repeat", "0"], ["--feature", "plain"], ["--nonsense"]):
        with pytest.raises(SystemExit) as stop:
            command.main(wrong)
        assert stop.value.code == 2


def test_plot_shows_each_feature():
    row = next(row for row in registry.ROWS if row.name == "fib")
    figures = {(f.name, "warm"): estimate.Estimate(2.5, 2.0, 3.0) for f in registry.FEATURES[1:]}
    text = plot.draw([results.Result(row, unit="ns/call", plain=30.0, figures=figures)], registry.FEATURES)
    for feature in registry.FEATURES[1:]:
        assert text.count(f'<circle class="{feature.name}"') == 2  # the legend's and the row's
    assert text.count('class="full cold"') == 1  # the legend's only
    figures["full", "cold"] = estimate.Estimate(0.5, 0.4, 0.6)
    text = plot.draw([results.Result(row, unit="ns/call", plain=30.0, figures=figures)], registry.FEATURES)
    assert text.count('class="full cold"') == 2 and ">0.5×<" in text


def test_main_job_compares_bytes():
    main_job.compare("x", b"one\ntwo\n", b"one\ntwo\n")
    with pytest.raises(main_job.JobFailed, match=r"(?s)-two.*\+tow"):
        main_job.compare("x", b"one\ntwo\n", b"one\ntow\n")
    with pytest.raises(main_job.JobFailed, match="differ"):
        main_job.compare("x", b"one\n", b"one\r\n")


def test_main_job_reads_reports(tmp_path):
    path = tmp_path / "report"
    assert main_job.read_explain(path)[2]
    path.write_text("")
    assert "empty" in main_job.read_explain(path)[2]
    path.write_text("nonsense\n")
    assert "cannot be read" in main_job.read_explain(path)[2]
    child = {"owner": False, "stats": {"compiled": 1}, "functions": []}
    own = {"owner": True, "stats": {"compiled": 2, "awaited_calls": 10, "awaited_finished": 5, "awaited_suspended": 1,
                                     "awaited_declined": 4, "awaited_other": 3},
           "functions": [{"name": "leaf", "state": "compiled"}, {"name": "cold", "state": "cold"}]}
    path.write_text(json.dumps(child) + "\n" + json.dumps(own) + "\n")
    stats, functions, missing = main_job.read_explain(path)
    assert missing is None and stats["compiled"] == 2
    said = "\n".join(main_job.describe(stats, functions))
    assert "2 functions" in said and "leaf" in said and "cold" not in said
    assert "8 (80.0 %), 3 of them for what is no coroutine" in said and "all the same  1 " in said


@pytest.mark.parametrize("example", ["summit.py", "graphql_service.py"])
def test_examples_are_deterministic(example):
    if example.startswith("graphql"):
        pytest.importorskip("graphql")
    outputs = {
        subprocess.run([sys.executable, str(ROOT / "examples" / example), "5"], env=runner.environment({}, seed),
                       capture_output=True, check=True).stdout
        for seed in (1, 2)
    }
    assert len(outputs) == 1 and b"requests  5" in outputs.pop()


def test_cases_of_micro_give_the_same_again():
    """What plain and compiled are compared by must not depend on how often a case has run."""
    from cendre.bench.programs import micro

    cases = micro.load()
    assert len(cases) > 100
    for name, case in cases.items():
        assert repr(case(40)) == repr(case(40)), name


def test_micro_compares_results(monkeypatch):
    answers = iter([{"times": {"a": 4e-8, "b": 1e-8}, "results": {"a": "1", "b": "2"}}, {"times": {"a": 2e-8, "b": 2e-8}, "results": {"a": "1", "b": "3"}}])
    from cendre.bench import micro

    monkeypatch.setattr(runner, "call_worker", lambda *a: next(answers))
    times, wrong = micro.measure(["a", "b"], 1, lambda text: None)
    assert wrong == ["b"]
    assert [(round(ratio, 3), name) for ratio, name, _, _ in micro.table(times)] == [(0.5, "b"), (2.0, "a")]


def test_suite_collects_what_a_benchmark_would_time(tmp_path, monkeypatch):
    from cendre.bench.programs import whole_suite

    pytest.importorskip("pyperf")
    (tmp_path / "bm_mine").mkdir()
    (tmp_path / "bm_mine" / "run_benchmark.py").write_text(
        "import pyperf\npyperf.done = done = getattr(pyperf, 'done', [])\ndef work(n, x):\n    done.append((n, x))\n    return 0.5\n"
        "if __name__ == '__main__':\n    runner = pyperf.Runner()\n    runner.argparser.add_argument('--size', type=int, default=3)\n"
        "    args = runner.parse_args()\n    runner.bench_time_func('timed', work, args.size)\n    runner.bench_func('called', work, 7, 8)\n")
    (tmp_path / "bm_mine" / "pyproject.toml").write_text("[project]\nname = 'mine'\n")
    (tmp_path / "bm_mine" / "bm_mine_large.toml").write_text("[tool.pyperformance]\nname = 'mine_large'\nextra_opts = ['--size', '9']\n")
    monkeypatch.setattr(whole_suite, "folder", lambda: tmp_path)
    monkeypatch.setattr(whole_suite.Collector, "made", [])
    monkeypatch.setattr(sys, "argv", ["test"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    import pyperf

    monkeypatch.setattr(pyperf, "Runner", pyperf.Runner)
    monkeypatch.setattr(pyperf, "done", [], raising=False)
    calls = whole_suite.collect("mine")
    assert sorted(calls) == ["called", "timed"]
    assert [call() for call in calls.values()] == [0.5, 0.5]
    assert whole_suite.names() == ["mine", "mine_large"]
    whole_suite.Collector.made.clear()
    assert whole_suite.collect("mine_large")["timed"]() == 0.5
    assert sys.modules["pyperf"].done == [(1, 3), (7, 8), (1, 9)]
    with pytest.raises(whole_suite.Missing):
        whole_suite.collect("none")


@pytest.mark.parametrize("factory", [None, asyncio.eager_task_factory])
def test_every_row_of_tasks_ends(factory):
    with asyncio.Runner() as runner:
        runner.get_loop().set_task_factory(factory)
        for function, arguments, _ in tasks.ROWS.values():
            runner.run(function(*arguments))


def test_tasks_command(tmp_path, capsys):
    out = tmp_path / "figures.json"
    assert command.main(["async", "--only", "4 deep, 10 %", "--rounds", "1", "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert set(figures.pop("memory")) == set() and list(figures) == ["awaits 4 deep, 10 % wait"]
    assert set(figures["awaits 4 deep, 10 % wait"]) == set(tasks.CONFIGURATIONS)
    assert "tasks family" in capsys.readouterr().out


@pytest.mark.parametrize("name", frameworks.FRAMEWORKS)
def test_every_row_of_frameworks_runs(name):
    for module in frameworks.FRAMEWORKS[name][0]:
        pytest.importorskip(module)
    for how in frameworks.ROWS.values():
        assert frameworks.program(name, *how)(0.001) > 0


def test_frameworks_command(tmp_path, capsys, monkeypatch):
    out = tmp_path / "figures.json"
    monkeypatch.setitem(frameworks.FRAMEWORKS, "trio", (("no_such_module",), ()))
    arguments = ["--only", "trio", "--only", "by hand", "--rounds", "1", "--seconds", "0.001", "--warm-up", "0.001", "--json", str(out)]
    assert command.main(["frameworks", *arguments]) == 0
    figures = json.loads(out.read_text())
    assert list(figures) == ["by hand"] and list(figures["by hand"]) == list(frameworks.ROWS)
    assert all(set(f) == {"plain", "CENDRE=1"} for f in figures["by hand"].values())
    assert "trio: left out, since no_such_module is not installed" in capsys.readouterr().out
