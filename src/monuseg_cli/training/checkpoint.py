"""Checkpoints for resuming a training, written atomically and read without executing code."""

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
_RENAMED = {"ranks": "world_size"}  # in states of earlier versions

# Raised by torch and pickle for states that are damaged, hostile or of another network.
_UNFIT = (OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, pickle.PickleError)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that the next epoch depends on, except the recipe and the data.

    It contains no random state: random numbers are derived for every epoch from the recipe's seed and the epoch's
    number.

    Parameters
    ----------
    epoch : int
        Number of finished epochs.
    model, optimizer, scaler : dict
        State dicts; that of the scaler is empty unless the training uses fp16.
    averaged : dict
        State dict of the moving average of the weights; empty without averaging.
    world_size : int
        Number of processes of the training; a different number would change the steps.
    data_sha256 : str
        SHA-256 of the training data's archive.
    cases_sha256 : str
        SHA-256 of all cases, by `monuseg_cli.training.provenance.hash_of_cases`; empty in states of earlier versions.
    """

    epoch: int
    model: dict[str, Any]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    averaged: dict[str, Any]
    world_size: int
    data_sha256: str
    cases_sha256: str = ""

    def save(self, run: Path) -> None:
        """Write the state to the run's folder atomically."""
        content = io.BytesIO()
        torch.save({name: getattr(self, name) for name in self.__slots__}, content)
        write_bytes(run / STATE_FILE, content.getvalue())

    @classmethod
    def load(cls, run: Path) -> "Checkpoint":
        """Read the state from the run's folder, onto the CPU.

        Raises
        ------
        InputError
            If the state is missing or damaged, or contains anything but tensors and plain values.
        """
        with fitting(run):
            content = torch.load(run / STATE_FILE, map_location="cpu", weights_only=True)
            state = cls(**{_RENAMED.get(name, name): value for name, value in content.items()})
            if not (isinstance(state.epoch, int) and isinstance(state.data_sha256, str) and state.epoch > 0):
                raise TypeError(state.epoch)
            return state


@contextmanager
def fitting(run: Path) -> Iterator[None]:
    """Convert errors of torch about a state that is damaged, or does not match the run, into an InputError.

    Raises
    ------
    InputError
        If the body raises any of them.
    """
    try:
        yield
    except _UNFIT as error:
        message = f"{run / STATE_FILE} is damaged or does not belong to this run; train again"
        raise InputError(message) from error
