"""The one place that imports the native module.

Invariant: every other file says `from cendre._native import native`. If the module cannot be loaded, or refuses this
Python's memory layout, the ImportError carries the sentence that says why.
"""

try:
    from cendre import _cendre as native
except ImportError as error:
    # "cannot import name" is what Python says when there is no file for this Python at all.
    if "cannot import name '_cendre'" not in str(error):
        raise
    from cendre._supported import SUPPORTED

    raise ImportError(f"cendre's native module is not built for this Python; {SUPPORTED}") from None

__all__ = ["native"]
