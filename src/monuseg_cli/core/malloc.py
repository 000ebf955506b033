"""Tuning of the memory allocator; it applies to glibc, other C libraries are left unchanged."""

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_MMAP_MAX = -4
_LARGEST = 2**31 - 1
_RETURNED_BYTES = 4 << 20


def keep_freed_memory() -> bool:
    """Make the C library keep freed memory for reuse instead of returning it to the system.

    A training step allocates and frees the same large tensors over and over. By default glibc maps and unmaps each of
    them, and the kernel clears every page each time. Returns whether the setting was accepted.
    """
    return _mallopt((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _LARGEST))


def return_freed_memory() -> bool:
    """Make the C library return freed arrays of 4 MiB and more to the system at once.

    A slide is processed in arrays of all sizes. By default glibc keeps those of up to 32 MiB, in heaps that become
    fragmented. Returns whether the setting was accepted.
    """
    return _mallopt((_M_MMAP_THRESHOLD, _RETURNED_BYTES), (_M_TRIM_THRESHOLD, _RETURNED_BYTES))


def _mallopt(*options: tuple[int, int]) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(bool(mallopt(option, value)) for option, value in options)
