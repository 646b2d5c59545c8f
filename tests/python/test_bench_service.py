"""`cendre bench service`: that the service answers what the checker knows, in each configuration, and that a wrong answer and a missing generator are told.

Nothing is timed here. h2load itself is used where it is installed.
"""
import json
import shutil
import sys
from pathlib import Path

import pytest

from cendre.bench import service
from cendre.bench.runner import RowFailed

sys.path.insert(0, str(service.PROGRAM))

import shop  # noqa: E402

PAGES = {n: shop.expected(n) for n in range(0, 400, 19)}
FEATURES = {feature.name: feature for feature in service.configurations()}


@pytest.mark.parametrize("kind, name", [("aiohttp", "plain"), ("aiohttp", "tasks-exact"), ("starlette", "full"), ("starlette", "tasks-off")])
def test_answers_are_right(kind, name):
    server = service.Server(kind, FEATURES[name])
    server.check(PAGES)
    assert server.resident() > 10 and server.processor_seconds() > 0
    stats = server.end()
    if name == "plain":
        assert stats is None
    else:
        # Without a policy it depends on how long the loop was seen running.
        assert not name.startswith("tasks") or stats["tasks"]["steps"] > 0


def test_a_wrong_answer_is_told():
    server = service.Server("aiohttp", FEATURES["plain"])
    with pytest.raises(RowFailed, match="page 3 is wrong"):
        server.check({3: "something else"})
    with pytest.raises(RowFailed, match="status 404"):
        server.check({"x/y": ""})
    server.end()


def test_no_generator(capsys):
    assert service.main(["--h2load", ""], None) == 1
    assert "nghttp2-client" in capsys.readouterr().err


class Quiet:
    def __call__(self, text):
        pass

    def done(self, text):
        self.said = text


def test_a_server_that_fails_is_told():
    progress = Quiet()
    assert service.main(["aiohttp", "--only", "full", "--h2load", "false", "--levels", ""], progress) == 1
    assert "FAILED" in progress.said and "h2load ended with status 1" in progress.said


@pytest.mark.skipif(not shutil.which("h2load"), reason="h2load is not installed")
def test_a_short_run(tmp_path, capsys):
    out, svg = tmp_path / "out.json", tmp_path / "out.svg"
    argv = ["aiohttp", "--only", "tasks-exact", "--rounds", "1", "--seconds", "0.5", "--warm-up", "0.5", "--levels", "20", "--json", str(out), "--svg", str(svg)]
    assert service.main(argv, Quiet()) == 0
    loads = json.loads(out.read_text())["aiohttp"]["loads"]
    assert set(loads) == {"maximum", "20"} and set(loads["20"]) == {"plain", "tasks-exact"}
    assert all(load["rate"] > 0 and load["high"] >= load["median"] > 0 for by in loads.values() for own in by.values() for load in own)
    assert "tasks exact" in capsys.readouterr().out and "<svg" in Path(svg).read_text()
