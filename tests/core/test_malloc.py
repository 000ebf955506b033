import ctypes
import subprocess
import sys

import pytest

FREE_BYTES = """
import ctypes, sys
import numpy as np
from monuseg_cli.core.malloc import return_freed_memory, keep_freed_memory

FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"

class MallocInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS.split()]

def free_bytes():
    "Return the bytes that were freed, but not returned to the system."
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = MallocInfo
    return mallinfo().fordblks
"""

AFTER_A_LARGE_ARRAY = """
if sys.argv[1] == "keep":
    assert keep_freed_memory()
before = free_bytes()
np.ones(8_000_000)  # 64 MB, freed at once
print(free_bytes() - before)
"""

AFTER_MANY_ARRAYS = """
if sys.argv[1] == "return":
    assert return_freed_memory()
np.ones(3_000_000)  # by default, arrays up to this size are taken from a heap from now on
before = free_bytes()
arrays, pins = [], []
for _ in range(10):
    arrays.append(np.ones(2_000_000))  # 16 MB
    pins.append(np.ones(12_000))
del arrays
print(free_bytes() - before)
"""

is_glibc = sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "mallinfo2")
pytestmark = pytest.mark.skipif(not is_glibc, reason="needs glibc 2.33 or newer")


def measure(code: str, how: str) -> int:
    command = [sys.executable, "-c", FREE_BYTES + code, how]
    return int(subprocess.run(command, capture_output=True, check=True).stdout)


def test_freed_memory_is_kept_for_reuse_on_request() -> None:
    assert measure(AFTER_A_LARGE_ARRAY, "keep") >= 48_000_000
    assert measure(AFTER_A_LARGE_ARRAY, "default") < 16_000_000


def test_freed_memory_is_returned_to_the_system_on_request() -> None:
    assert measure(AFTER_MANY_ARRAYS, "return") < 16_000_000
    assert measure(AFTER_MANY_ARRAYS, "default") >= 128_000_000
