"""How the process gets its memory. Both can be told to glibc; other C libraries are left as they are."""

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_MMAP_MAX = -4
_LARGEST = 2**31 - 1
_GIVEN_BACK_BYTES = 4 << 20


def keep_freed_memory() -> bool:
    """Have the C library keep what is freed for the next use, instead of giving it back to the system.

    A training step allocates and frees the same large tensors over and over; by default glibc maps and unmaps each of
    them, and the kernel clears every page of it every time. Returns whether the C library could be told.
    """
    return _tell((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _LARGEST))


def give_back_freed_memory() -> bool:
    """Have the C library give freed arrays of 4 MiB and more back to the system at once.

    A slide goes by in arrays of all sizes; by default glibc keeps those of up to 32 MiB, in heaps that they tear to
    pieces. Returns whether the C library could be told.
    """
    return _tell((_M_MMAP_THRESHOLD, _GIVEN_BACK_BYTES), (_M_TRIM_THRESHOLD, _GIVEN_BACK_BYTES))


def _tell(*options: tuple[int, int]) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(bool(mallopt(option, value)) for option, value in options)
