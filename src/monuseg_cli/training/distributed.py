"""One training over several processes, as torchrun starts them."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.rendezvous import rendezvous

from monuseg_cli.core.errors import InputError, MonusegError, TrainingError
from monuseg_cli.models.devices import Device, pick_device

_Result = TypeVar("_Result")
_CLAIM = "monuseg/error"
_FAILURES = (MonusegError, OSError, MemoryError)


@dataclass(frozen=True, slots=True)
class World:
    """The processes of a training, seen from one of them.

    Parameters
    ----------
    device : torch.device
        Where this process computes.
    rank, world_size : int
        Number of this process, from 0, and of all.
    """

    device: torch.device
    rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one process that writes and prints."""
        return self.rank == 0

    def on_rank_zero(self, task: Callable[[], _Result]) -> _Result:
        """Do something in the first process alone, and give its result, or its error, in all."""
        if self.world_size == 1:
            return task()
        outcome: list[_Result | Exception | None] = [None]
        if self.is_first:
            try:
                outcome = [task()]
            except _FAILURES as error:
                outcome = [error]
        distributed.broadcast_object_list(outcome)
        if isinstance(outcome[0], _FAILURES):
            raise outcome[0]
        return outcome[0]  # type: ignore[return-value] # a task may give None as well

    def sum(self, values: Tensor) -> Tensor:
        """Add up a tensor over all processes."""
        if self.world_size == 1:
            return values
        total = values.to(self.device, copy=True)
        distributed.all_reduce(total)
        return total.to(values.device)

    def sync_buffers(self, module: nn.Module) -> None:
        """Give a module's buffers, such as the statistics of norms, the first process' values in all."""
        if self.world_size > 1:
            for buffer in module.buffers():
                distributed.broadcast(buffer, 0)

    def wrap_ddp(self, model: nn.Module) -> nn.Module:
        """Have the gradients of a model averaged over all processes, and its weights begin as the first one's."""
        if self.world_size == 1:
            return model
        return nn.parallel.DistributedDataParallel(
            model, device_ids=[self.device] if self.device.type == "cuda" else None
        )


@contextmanager
def joined(device: Device) -> Iterator[World]:
    """Join the processes that torchrun started; alone where it did not.

    An error is raised in one process only, so that it is told once; the others end with its exit code.

    Raises
    ------
    TrainingError
        If another process ended before the training did.
    InputError
        If there is no such device.
    """
    with raise_on_rank_zero():
        chosen = pick_device(device)
    if not distributed.is_torchelastic_launched():
        yield World(chosen)
        return
    with raise_on_rank_zero():
        chosen = _own_device(chosen)
    try:
        store, rank, world_size = next(rendezvous("env://"))
        backend = "nccl" if chosen.type == "cuda" else "gloo"
        distributed.init_process_group(backend, store=store, rank=rank, world_size=world_size)
    except RuntimeError as error:
        message = f"the processes of the training could not find each other ({error})"
        raise TrainingError(message) from error
    try:
        yield World(chosen, rank, world_size)
    except (*_FAILURES, RuntimeError, KeyboardInterrupt) as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's, which must not come before what is to be told
        told = error if isinstance(error, _FAILURES) else _of_the_others(error)
        if told is None:
            raise
        if not _is_first_to_tell(store):
            raise SystemExit(getattr(told, "exit_code", MonusegError.exit_code)) from error
        raise told from error
    finally:
        distributed.destroy_process_group()


def _own_device(device: torch.device) -> torch.device:
    """Give the device that is this process' own."""
    if device.type == "mps":
        message = "mps cannot be shared by several processes; use `device=cpu`, or one process"
        raise InputError(message)
    if device.type != "cuda":
        return device
    local, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if local >= there:
        message = f"torchrun started more processes here than there are GPUs; use --nproc-per-node={there}"
        raise InputError(message)
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def _of_the_others(error: BaseException) -> TrainingError | None:
    """Say that another process ended, if that is what happened: its connection broke, or torchrun ended this one."""
    broken = isinstance(error, distributed.DistError) or "gloo" in str(error).lower()
    if not broken and not isinstance(error, KeyboardInterrupt):
        return None
    return TrainingError(
        "the training was stopped, or one of its processes died; the finished epochs are kept: start all processes "
        "again with `resume`"
    )


def _is_first_to_tell(store: Any) -> bool:
    try:
        return bool(store.add(_CLAIM, 1) == 1)
    except RuntimeError:  # the process that kept the store is gone, so nobody can be asked
        return True


def is_first() -> bool:
    """Tell whether this is the one process that prints, also outside of a training."""
    return os.environ.get("RANK", "0") == "0" or not distributed.is_torchelastic_launched()


@contextmanager
def raise_on_rank_zero() -> Iterator[None]:
    """Have an error that all processes of a machine meet raised in one of them; the others end with its exit code."""
    try:
        yield
    except MonusegError as error:
        if os.environ.get("LOCAL_RANK", "0") == "0" or not distributed.is_torchelastic_launched():
            raise
        raise SystemExit(error.exit_code) from error
