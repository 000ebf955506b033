"""The state to go on from, written atomically and read without executing anything."""

import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from monuseg_cli.core.atomic import write_bytes
from monuseg_cli.core.errors import InputError

STATE_FILE = "state.pt"
_RENAMED = {"ranks": "world_size"}  # in states that an earlier version wrote

# What torch and pickle raise for states that are damaged, hostile or of another network.
_UNFIT = (OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, pickle.PickleError)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that the next epoch depends on, beside the recipe and the data.

    Random numbers are no part of it: they are drawn anew for every epoch from the recipe's seed and the epoch's number.

    Parameters
    ----------
    epoch : int
        Number of epochs that are finished.
    model, optimizer, scaler : dict
        Their state dicts; the scaler's, of mixed precision in fp16, is empty without.
    averaged : dict
        State dict of the moving average of the weights; empty where the recipe asks for none.
    world_size : int
        Number of processes that share the training: with another number its steps would be others.
    data_sha256 : str
        Hash of the archive that was trained on.
    """

    epoch: int
    model: dict[str, Any]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    averaged: dict[str, Any]
    world_size: int
    data_sha256: str

    def save(self, run: Path) -> None:
        """Write the state to the run's folder, whole or not at all."""
        content = io.BytesIO()
        torch.save({name: getattr(self, name) for name in self.__slots__}, content)
        write_bytes(run / STATE_FILE, content.getvalue())

    @classmethod
    def load(cls, run: Path) -> "Checkpoint":
        """Read the state from the run's folder, onto the CPU.

        Raises
        ------
        InputError
            If there is none, it is damaged, or holds anything but tensors and plain values.
        """
        with fitting(run):
            content = torch.load(run / STATE_FILE, map_location="cpu", weights_only=True)
            state = cls(**{_RENAMED.get(name, name): value for name, value in content.items()})
            if not (isinstance(state.epoch, int) and isinstance(state.data_sha256, str) and state.epoch > 0):
                raise TypeError(state.epoch)
            return state


@contextmanager
def fitting(run: Path) -> Iterator[None]:
    """Turn what torch raises for a state that is damaged, or does not fit the run, into one clear error.

    Raises
    ------
    InputError
        For all of it.
    """
    try:
        yield
    except _UNFIT as error:
        message = f"{run / STATE_FILE} is damaged or does not belong to this run; train again"
        raise InputError(message) from error
