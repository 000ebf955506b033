import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource, sys
import numpy as np
from monuseg_cli.core.malloc import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def use():
    np.ones(8_000_000)  # 64 MB, touched and freed
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_freed_memory_is_used_again_without_a_page_fault() -> None:
    faults = {
        how: int(subprocess.run([sys.executable, "-c", COUNT_FAULTS, how], capture_output=True, check=True).stdout)
        for how in ("keep", "give back")
    }
    assert faults["keep"] < 0.5 * faults["give back"]


COUNT_KEPT = """
import os, sys
from pathlib import Path
import numpy as np
from monuseg_cli.core.malloc import give_back_freed_memory
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
if sys.argv[1] == "give back":
    assert give_back_freed_memory()
np.ones(3_000_000)  # by default, arrays up to this size are taken from a heap from now on
before = resident()
arrays, pins = [], []
for _ in range(10):
    arrays.append(np.ones(2_000_000))  # 16 MB
    pins.append(np.ones(12_000))
del arrays
print(resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_freed_memory_is_given_back() -> None:
    kept = {
        how: int(subprocess.run([sys.executable, "-c", COUNT_KEPT, how], capture_output=True, check=True).stdout)
        for how in ("keep", "give back")
    }
    assert kept["give back"] < 0.5 * kept["keep"]
