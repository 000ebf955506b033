"""Distributed training over several processes, started by torchrun."""

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
    """The processes of a training, as seen from one of them.

    Parameters
    ----------
    device : torch.device
        Device of this process.
    rank, world_size : int
        Rank of this process, and number of processes.
    """

    device: torch.device
    rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is rank zero, the process that writes and prints."""
        return self.rank == 0

    def on_rank_zero(self, task: Callable[[], _Result]) -> _Result:
        """Run `task` on rank zero only, and return its result, or raise its error, on all ranks."""
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
        """Sum a tensor over all processes."""
        if self.world_size == 1:
            return values
        total = values.to(self.device, copy=True)
        distributed.all_reduce(total)
        return total.to(values.device)

    def sync_buffers(self, module: nn.Module) -> None:
        """Broadcast a module's buffers, such as the statistics of batch norm, from rank zero."""
        if self.world_size > 1:
            for buffer in module.buffers():
                distributed.broadcast(buffer, 0)

    def wrap_ddp(self, model: nn.Module) -> nn.Module:
        """Wrap a model so that its initial weights are those of rank zero and its gradients are averaged over ranks."""
        if self.world_size == 1:
            return model
        return nn.parallel.DistributedDataParallel(
            model, device_ids=[self.device] if self.device.type == "cuda" else None
        )


@contextmanager
def joined(device: Device) -> Iterator[World]:
    """Join the processes that torchrun started; without torchrun, yield a world of one process.

    An error is raised in one process only, so that it is reported once; the others end with its exit code.

    Raises
    ------
    TrainingError
        If another process ended before the training did.
    InputError
        If the device is not available.
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
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's must not arrive before the error is reported
        reported = error if isinstance(error, _FAILURES) else _of_the_others(error)
        if reported is None:
            raise
        if not _is_first_to_report(store):
            raise SystemExit(getattr(reported, "exit_code", MonusegError.exit_code)) from error
        raise reported from error
    finally:
        distributed.destroy_process_group()


def _own_device(device: torch.device) -> torch.device:
    """Return the device of this process: on CUDA, the GPU of its local rank."""
    if device.type == "mps":
        message = "mps cannot be shared by several processes; use `device=cpu`, or one process"
        raise InputError(message)
    if device.type != "cuda":
        return device
    local, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if local >= count:
        message = f"torchrun started more processes here than there are GPUs; use --nproc-per-node={count}"
        raise InputError(message)
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def _of_the_others(error: BaseException) -> TrainingError | None:
    """Return an error if another process ended: its connection broke, or torchrun stopped this one."""
    broken = isinstance(error, distributed.DistError) or "gloo" in str(error).lower()
    if not broken and not isinstance(error, KeyboardInterrupt):
        return None
    return TrainingError(
        "the training was stopped, or one of its processes died; the finished epochs are kept: start all processes "
        "again with `resume`"
    )


def _is_first_to_report(store: Any) -> bool:
    try:
        return bool(store.add(_CLAIM, 1) == 1)
    except RuntimeError:  # the process that hosts the store is gone
        return True


def is_first() -> bool:
    """Whether this is the process that prints, also outside of a training."""
    return os.environ.get("RANK", "0") == "0" or not distributed.is_torchelastic_launched()


@contextmanager
def raise_on_rank_zero() -> Iterator[None]:
    """Raise an error that all processes of a machine meet in one of them only; the others end with its exit code."""
    try:
        yield
    except MonusegError as error:
        if os.environ.get("LOCAL_RANK", "0") == "0" or not distributed.is_torchelastic_launched():
            raise
        raise SystemExit(error.exit_code) from error
