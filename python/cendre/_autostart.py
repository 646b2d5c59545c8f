"""Switches cendre on at the start of a process, where more is to do than the short way of `cendre._start` does.

That is: some `CENDRE_*` variable is set, or something is wrong. This runs in `site`, before the program, where an
exception would be shown as an error of Python's own start.

Invariant: whatever is wrong, the process goes on without cendre, with one line on stderr that says why. Only where
`cendre run` asked for the switch (`CENDRE=run`) does nonsense in a variable end the process, with status 2; for the
children of that process it is an ordinary `CENDRE=1`.
"""

import os
import sys

from cendre import _cendre, _config


def start():
    """Reads the environment and switches cendre on if it asks for that."""
    by_command = os.environ.get("CENDRE") == "run"
    if by_command:
        os.environ["CENDRE"] = "1"
    try:
        if not _config.is_on():
            return
        config = _config.from_environ()
        for line in _config.misspelt():
            _say(f"cendre: {line}")
    except ValueError as error:
        if by_command:
            _say(f"cendre run: {error}")
            os._exit(2)  # Python cannot exit yet: it has not finished starting.
        _say(f"cendre: {error} (this process runs without cendre)")
        return
    try:
        config, policy = _config.split(config)
        path = _config.explain_path()
        config["explain"] = bool(path)
        _cendre.enable(config)
        if policy == "stock":
            _cendre.tasks_take_parts(False)
        elif policy:
            from cendre import _tasks

            _tasks.at_import(policy)
        if path:
            from cendre import _report

            _report.write_at_exit(path)
    except Exception as error:
        if by_command and isinstance(error, ValueError):
            _say(f"cendre run: {error}")  # Nonsense that only the native module can tell.
            os._exit(2)
        _say(f"cendre: {error} (this process runs without cendre)")


def _say(line):
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    except Exception:
        pass  # No stderr to say it on.
