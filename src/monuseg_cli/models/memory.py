"""How the process gets its memory."""

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Have the C library keep what is freed for the next use, instead of giving it back to the system.

    A training step allocates and frees the same large tensors over and over; by default glibc maps and unmaps each of
    them, and the kernel clears every page of it every time. Returns whether the C library could be told: glibc can,
    others are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, _LARGEST))
