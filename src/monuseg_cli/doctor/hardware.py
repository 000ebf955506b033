"""Checks of cores, memory and devices."""

import os
import shutil
from pathlib import Path

from monuseg_cli.doctor.check import Check

_GIB = 2**30
_LITTLE_MEMORY = 2 * _GIB  # a slide of 10,000 x 10,000 pixels takes 1 GiB
_CGROUP = "sys/fs/cgroup"
_ROOT = Path("/")


def check_threads(root: Path = _ROOT) -> list[Check]:
    """Check the number of usable cores against the number of PyTorch threads; `root` contains ``sys`` and ``proc``."""
    usable = _usable_cores(root)
    try:
        import torch
    except Exception as error:  # reported in full with the packages
        return [Check("threads", f"{usable} cores, no PyTorch ({type(error).__name__})", "broken", "see torch above")]
    threads = torch.get_num_threads()
    set_to = f", OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}" if "OMP_NUM_THREADS" in os.environ else ""
    found = f"{usable} of {os.cpu_count()} cores may be used, PyTorch takes {threads} threads{set_to}"
    if threads > usable:
        return [Check("threads", found, "note", f"fewer threads are faster: set OMP_NUM_THREADS={usable}")]
    return [Check("threads", found)]


def _usable_cores(root: Path) -> int:
    """Return the number of cores that this process may use, by its affinity and its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read(root / _CGROUP / "cpu.max").partition(" ")
    return min(cores, max(int(quota) // int(period), 1)) if quota.isdigit() and period.isdigit() else cores


def check_memory(root: Path = _ROOT) -> list[Check]:
    """Check the total and the free memory; `root` contains ``sys`` and ``proc``."""
    total, free = _memory(root)
    if total is None:
        return [Check("memory", "unknown on this system")]
    found = f"{total / _GIB:.1f} GiB"
    if free is None:
        return [Check("memory", found)]
    found += f", {free / _GIB:.1f} GiB free"
    if free < _LITTLE_MEMORY:
        return [Check("memory", found, "note", "close other programs: a slide of 10,000 x 10,000 pixels takes 1 GiB")]
    return [Check("memory", found)]


def _memory(root: Path) -> tuple[int | None, int | None]:
    """Return the total and the free memory in bytes, within a container's limits; None if the system does not say."""
    lines = (line.partition(":") for line in _read(root / "proc" / "meminfo").splitlines())
    stated = {name: int(value.split()[0]) * 1024 for name, _, value in lines if value.split()}
    total, free = stated.get("MemTotal", _physical_memory()), stated.get("MemAvailable")
    limit, used = (_read(root / _CGROUP / name) for name in ("memory.max", "memory.current"))
    if limit.isdigit() and used.isdigit() and total is not None and free is not None:
        return min(total, int(limit)), max(min(free, int(limit) - int(used)), 0)
    return total, free


def _physical_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def check_devices() -> list[Check]:
    """Check which devices can run networks."""
    try:
        import torch
    except Exception as error:  # reported in full with the packages
        return [Check("devices", f"no PyTorch ({type(error).__name__})", "broken", "see torch above")]
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    names = ["cpu", *(f"cuda ({name})" for name in gpus), *(["mps"] if torch.backends.mps.is_available() else [])]
    if not gpus and shutil.which("nvidia-smi"):
        fix = "install PyTorch's build for CUDA, see https://pytorch.org/get-started/locally"
        return [
            Check("devices", f"{', '.join(names)}; there is an NVIDIA driver, but PyTorch sees no GPU", "note", fix)
        ]
    return [Check("devices", ", ".join(names))]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
