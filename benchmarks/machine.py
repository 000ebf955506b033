"""Resource use of a command, and the machine's peak rate."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

_EVERY_S = 0.02


def run(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> tuple[float, int]:
    """Run a command; return its seconds and the peak resident memory, in bytes, of it and its descendants."""
    peak, began = 0, time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:  # a pipe could fill, and the command would wait
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=env)
        while process.poll() is None:
            peak = max(peak, sum(map(_resident, _tree(process.pid))))
            time.sleep(_EVERY_S)
        seconds = time.perf_counter() - began
        if process.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(map(str, command))} failed:\n{said.read()[-2000:]}")
    return seconds, peak


def _tree(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(one for child in children for one in _tree(int(child)))]


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError):
        return 0


def cpu_seconds() -> float:
    """Return the CPU time of all child processes that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def matmul_rate() -> float:
    """Measure float32 operations per second in a matrix product of 2048 cubed."""
    one, other = torch.rand(2, 2048, 2048)
    one @ other
    began = time.perf_counter()
    for _ in range(3):
        one @ other
    return 3 * 2 * 2048**3 / (time.perf_counter() - began)
