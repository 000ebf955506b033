"""Choice of the device that runs the network, and of its threads."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Literal, get_args

from monuseg_cli.core.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

Device = Literal["auto", "cpu", "cuda", "mps"]

MAX_THREADS = 1024


def pick_device(name: str) -> torch.device:
    """Return the device of that name; ``"auto"`` takes the first available of CUDA, MPS and the CPU.

    Raises
    ------
    InputError
        If the name is unknown, or this machine or this build of torch has no such device.
    """
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(candidate for candidate in ("cuda", "mps", "cpu") if available[candidate])
    if name not in available:
        message = f"unknown device {name!r}; choose from: {', '.join(get_args(Device))}"
        raise InputError(message)
    if not available[name]:
        message = f"torch finds no {name} device here; use `device=auto`"
        raise InputError(message)
    return torch.device(name)


def require_threads(threads: int | None) -> None:
    """Check a number of threads; None is that of the library.

    Raises
    ------
    InputError
        If it is not a whole number from 1 to `MAX_THREADS`.
    """
    if threads is None:
        return
    if isinstance(threads, bool) or not isinstance(threads, numbers.Integral) or not 1 <= threads <= MAX_THREADS:
        message = f"`threads` takes a whole number from 1 to {MAX_THREADS}, not {threads!r}"
        raise InputError(message)


def limit_threads(threads: int | None) -> None:
    """Set the number of threads that PyTorch uses on the CPU, in this process; None changes nothing.

    Raises
    ------
    InputError
        If it is not a whole number from 1 to `MAX_THREADS`.
    """
    require_threads(threads)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def to_device(model: nn.Module, device: torch.device) -> None:
    """Move a model to a device, with its weights in channels-last order, which makes convolutions faster."""
    import torch

    model.to(device)
    model.to(memory_format=torch.channels_last)
