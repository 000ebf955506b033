"""One training over several processes, as torchrun starts them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.rendezvous import rendezvous

from monuseg_cli.errors import MonusegError, TrainingError
from monuseg_cli.models.devices import Device, pick_device

_Result = TypeVar("_Result")
_CLAIM = "monuseg/error"


@dataclass(frozen=True, slots=True)
class World:
    """The processes of a training, seen from one of them.

    Parameters
    ----------
    device : torch.device
        Where this process computes.
    rank, ranks : int
        Number of this process, from 0, and of all.
    """

    device: torch.device
    rank: int = 0
    ranks: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one process that writes and prints."""
        return self.rank == 0

    def once(self, task: Callable[[], _Result]) -> _Result:
        """Do something in the first process alone, and give its result, or its error, in all."""
        if self.ranks == 1:
            return task()
        outcome: list[_Result | MonusegError | None] = [None]
        if self.is_first:
            try:
                outcome = [task()]
            except MonusegError as error:
                outcome = [error]
        distributed.broadcast_object_list(outcome)
        if isinstance(outcome[0], MonusegError):
            raise outcome[0]
        return outcome[0]  # type: ignore[return-value] # a task may give None as well

    def sum(self, values: Tensor) -> Tensor:
        """Add up a tensor over all processes."""
        if self.ranks == 1:
            return values
        total = values.to(self.device, copy=True)
        distributed.all_reduce(total)
        return total.to(values.device)

    def share(self, model: nn.Module) -> nn.Module:
        """Have the gradients of a model averaged over all processes, and its weights begin as the first one's."""
        if self.ranks == 1:
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
    with told_by_the_first():
        chosen = pick_device(device)
    if not distributed.is_torchelastic_launched():
        yield World(chosen)
        return
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(chosen)
    store, rank, ranks = next(rendezvous("env://"))
    backend = "nccl" if chosen.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=ranks)
    try:
        yield World(chosen, rank, ranks)
    except (MonusegError, RuntimeError, KeyboardInterrupt) as error:
        told = error if isinstance(error, MonusegError) else _of_the_others(error)
        if told is None:
            raise
        if not _is_first_to_tell(store):
            raise SystemExit(told.exit_code) from error
        raise told from error
    finally:
        distributed.destroy_process_group()


def _of_the_others(error: BaseException) -> TrainingError | None:
    """Say that another process ended, if that is what happened: its connection broke, or torchrun ended this one."""
    broken = isinstance(error, distributed.DistError) or "gloo" in str(error).lower()
    if not broken and not isinstance(error, KeyboardInterrupt):
        return None
    return TrainingError(
        "the training was stopped, or one of its processes died; the finished epochs are kept: start all processes "
        "again with --resume"
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
def told_by_the_first() -> Iterator[None]:
    """Have an error that all processes meet alike raised in the first of them; the others end with its exit code."""
    try:
        yield
    except MonusegError as error:
        if is_first():
            raise
        raise SystemExit(error.exit_code) from error
