"""What the real uvloop answers to policies for tasks: refused with a sentence, and the program runs on. `tests/aio/test_command.py` has it with a stand-in.

Standard library only, since it is called by the command line of the suites.
"""

import os
import subprocess

PROGRAM = """
import asyncio, uvloop, cendre.aio
async def child(n):
    await asyncio.sleep(0)
    return n
async def main():
    return await asyncio.gather(*[child(i) for i in range(3)]), type(asyncio.get_running_loop()).__module__, cendre.aio.policy()
print(uvloop.run(main()))
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    print(runner.run(main()))
loop = uvloop.new_event_loop()
try:
    cendre.aio.install(loop, policy="exact")
except TypeError as error:
    print(error)
loop.close()
"""
REASON = "uvloop.Loop keeps its queue where it cannot be reached, so policy '{}' cannot work there: use asyncio's own loop, or asyncio.eager_task_factory"
ANSWER = "([0, 1, 2], 'uvloop', None)\n" * 2 + REASON.format("exact") + "\n"


def faults(python):
    """Sentences about what is not as it should be, with the interpreter of the environment."""
    found = []
    for policy in (None, "off", "exact", "family", "eager"):
        env = {k: v for k, v in os.environ.items() if not k.startswith("CENDRE")} | {"CENDRE": "1"} | ({"CENDRE_TASKS": policy} if policy else {})
        done = subprocess.run([python, "-c", PROGRAM], env=env, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
        said = f"cendre: {REASON.format(policy)} (the loop runs as ever)\n" if policy else ""
        if (done.returncode, done.stdout, done.stderr) != (0, ANSWER, said):
            found.append(f"uvloop with policy {policy}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return found
