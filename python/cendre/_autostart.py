"""Switches cendre on at the start of a process; imported by `cendre_autostart.pth` when `CENDRE` is set.

Invariant: whatever is wrong, the process goes on without cendre, with one line on stderr that says why. This runs in
`site`, before the program: an exception here would be shown as an error of Python's own start.
"""

import sys


def _is_main_interpreter():
    # Subinterpreters run `site` too; cendre works in the main one, and is silently absent from the others.
    import _interpreters

    return _interpreters.get_current()[0] == _interpreters.get_main()[0]


def start():
    """Reads the environment and switches cendre on if it asks for that."""
    try:
        from cendre import _config

        if not _config.is_on():
            return
        config = _config.from_environ()
        from cendre._native import native

        native.enable(config)
        path = _config.explain_path()
        if path:
            from cendre import _report

            _report.write_at_exit(path)
    except Exception as error:
        if isinstance(error, ImportError) and not _is_main_interpreter():
            return
        try:
            print(f"cendre: {error} (this process runs without cendre)", file=sys.stderr)
        except Exception:
            pass  # No stderr to say it on.


start()
