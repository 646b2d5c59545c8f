"""The soak (tests/soak) for a minute a policy; `make soak` runs it for ten. Every answer of the service is checked while guards fail."""
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).resolve().parents[1] / "soak"


@pytest.mark.long
@pytest.mark.parametrize("server", ["aiohttp", "starlette"])
@pytest.mark.parametrize("policy", ["none", "off", "exact", "eager"])
def test_soak(server, policy):
    done = subprocess.run([sys.executable, str(SOAK), "--server", server, "--policy", policy, "--seconds", "60"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_faults_are_found():
    """Each thing that may not be is told, and nothing else."""
    sys.path.insert(0, str(SOAK.parent))
    spec = importlib.util.spec_from_file_location("soak_command", SOAK / "__main__.py")
    command = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(command)

    def faults(memory=(10.0,) * 40, forced=5, faults=0, steps=9, wrong=(), right=7):
        soak = command.Soak(None, 1, 1)
        soak.memory, soak.wrong, soak.right = list(memory), list(wrong), right
        return soak.faults({"jit": {"left_forced": forced}, "tasks": {"faults": faults, "steps": steps}})
    assert faults() == []
    assert command.Soak(None, 1, 1).faults(None) == ["cendre was not on in the server"]
    for kind, words in (({"memory": range(40)}, "memory grew by 20.0 MiB"), ({"memory": (10.0,) * 5}, "too short"), ({"forced": 0}, "no guard"), ({"faults": 1}, "gave up"),
                        ({"steps": 0}, "did not work"), ({"wrong": ["page 3: status 500"]}, "page 3"), ({"right": 0}, "no answer")):
        found, = faults(**kind)
        assert words in found
