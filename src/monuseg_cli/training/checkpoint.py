"""Checkpoints for resuming a training, written atomically, read without executing code, and checked before use."""

import io
import math
import pickle
import struct
import warnings
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from monuseg_cli.core.atomic import write_bytes
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.schema import (
    FROM_0,
    FROM_1,
    POSITIVE,
    SchemaError,
    read_as,
    require_in,
    require_mapping,
    show_value,
)

STATE_FILE = "state.pt"
_RENAMED = {"ranks": "world_size"}  # in states of earlier versions

# Raised by torch and pickle for files that are damaged or hostile.
_UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    pickle.PickleError,
)

_BY_RECIPE = ("params", "betas", "eps", "weight_decay", "amsgrad", "maximize")
"""Settings of AdamW that decide its steps, except the learning rate; the others only say how they are computed."""


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

    epoch: Annotated[int, FROM_1]
    model: dict[str, Any]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    averaged: dict[str, Any]
    world_size: Annotated[int, FROM_1]
    data_sha256: str
    cases_sha256: str = ""

    def save(self, run: Path) -> None:
        """Write the state to the run's folder atomically."""
        content = io.BytesIO()
        torch.save({name: getattr(self, name) for name in self.__slots__}, content)
        write_bytes(run / STATE_FILE, content.getvalue())

    @classmethod
    def load(cls, run: Path) -> "Checkpoint":
        """Read the state from the run's folder, onto the CPU; `restore` checks what it contains.

        Raises
        ------
        InputError
            If the state is missing or damaged, or contains anything but tensors and plain values.
        """
        path = run / STATE_FILE
        try:
            with zipfile.ZipFile(path) as archive:
                if changed := archive.testzip():  # torch does not compare the checksums
                    message = f"has a part, {changed}, with another checksum"
                    raise SchemaError(message)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what torch notes about kinds of tensors that are refused anyway
                content = require_mapping(torch.load(path, map_location="cpu", weights_only=True))
            return read_as(cls, {_RENAMED.get(name, name): value for name, value in content.items()})
        except SchemaError as error:
            raise _damaged(run, str(error)) from error
        except _UNREADABLE as error:
            raise _damaged(
                run, "not a whole file that torch wrote, or one with more than tensors and values"
            ) from error


def restore(
    state: Checkpoint,
    run: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    averaged: nn.Module | None,
    steps: int,
    learning_rate: float,
) -> None:
    """Load a state into the parts of a training, after all of it was checked against them.

    Settings of the optimizer are not taken from the state: they follow from the recipe, and must be the same there.

    Parameters
    ----------
    state : Checkpoint
        State of the run.
    run : Path
        Folder of the run.
    model, optimizer, scaler, averaged
        As set up by the recipe; `averaged` is None without a moving average. Modified in place.
    steps : int
        Number of steps in the epochs of the state.
    learning_rate : float
        Learning rate of the last of them, by the history.

    Raises
    ------
    InputError
        If a value is missing, has another type, shape or setting than this training, is not finite, or is out of range.
    """
    with_fp16 = scaler.is_enabled()
    try:
        _check_weights(state.model, model.state_dict(), "model")
        averages = averaged.state_dict() if averaged else {}
        _check_weights(state.averaged, averages, "averaged")
        if averaged and int(state.averaged["n_averaged"]) != steps:
            message = f"must be {steps}, not {int(state.averaged['n_averaged'])}"
            raise SchemaError(message, "averaged.n_averaged")
        settings = optimizer.state_dict()["param_groups"]
        moments = _check_optimizer(state.optimizer, settings, learning_rate)
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        _check_moments(moments, parameters, steps, with_fp16)
        _check_scaler(state.scaler, scaler.state_dict())
    except SchemaError as error:
        raise _damaged(run, str(error)) from error
    model.load_state_dict(state.model)
    optimizer.load_state_dict({"state": moments, "param_groups": settings})
    scaler.load_state_dict(state.scaler)
    if averaged:
        averaged.load_state_dict(state.averaged)


def _damaged(run: Path, reason: str) -> InputError:
    remedy = f"bring it back from a copy, or start from the weights of the run with `init={run.name}`"
    return InputError(f"{run / STATE_FILE} is damaged, or is not of this run: {reason}; {remedy}")


def _check_names(values: Mapping[Any, Any], expected: Collection[Any], field: str) -> None:
    for name in expected:
        if name not in values:
            message = f"lacks {show_value(name)}"
            raise SchemaError(message, field)
    for name in values:
        if name not in expected:
            message = f"has {show_value(name)}, which is not of this training"
            raise SchemaError(message, field)


def _check_weights(weights: Mapping[str, Any], expected: Mapping[str, Tensor], field: str) -> None:
    """Check tensors against those of the same names; statistics and counts must not be negative."""
    _check_names(weights, expected, field)
    for name, tensor in expected.items():
        is_counted = name.endswith(("running_var", "num_batches_tracked", "n_averaged"))
        _check_tensor(weights[name], tensor, f"{field}.{name}", least=0 if is_counted else -math.inf)


def _check_tensor(value: Any, expected: Tensor, field: str, least: float = -math.inf) -> None:
    if type(value) is not Tensor or value.layout is not torch.strided:
        message = f"must be a tensor, not {show_value(value) if not isinstance(value, Tensor) else 'of that kind'}"
        raise SchemaError(message, field)
    if value.shape != expected.shape or value.dtype != expected.dtype:
        shapes = [f"{list(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}" for tensor in (expected, value)]
        message = f"must be {shapes[0]}, not {shapes[1]}"
        raise SchemaError(message, field)
    if not bool(torch.isfinite(value).all()):
        message = "has values that are not finite numbers"
        raise SchemaError(message, field)
    if not bool((value >= least).all()):
        message = f"has values below {least}"
        raise SchemaError(message, field)


def _check_optimizer(
    content: dict[str, Any], settings: list[dict[str, Any]], learning_rate: float
) -> Mapping[Any, Any]:
    """Check the settings of the optimizer against those by the recipe; return the state of each parameter."""
    _check_names(content, ("state", "param_groups"), "optimizer")
    groups, moments = content["param_groups"], content["state"]
    if not isinstance(groups, list) or len(groups) != len(settings) or not isinstance(moments, dict):
        message = f"must have {len(settings)} group of parameters, and a state of each"
        raise SchemaError(message, "optimizer")
    for index, (group, by_recipe) in enumerate(zip(groups, settings, strict=True)):
        field = f"optimizer.param_groups[{index}]"
        expected = {**{name: by_recipe[name] for name in _BY_RECIPE}, "lr": learning_rate}
        for name, value in expected.items():
            if name not in require_mapping(group, field) or not _is_same(group[name], value):
                message = f"must be {value}, not {show_value(group.get(name))}"
                raise SchemaError(message, f"{field}.{name}")
    return moments


def _is_same(value: Any, expected: Any) -> bool:
    if isinstance(expected, tuple | list):
        fits = isinstance(value, tuple | list) and len(value) == len(expected)
        return fits and all(_is_same(*pair) for pair in zip(value, expected, strict=True))
    return isinstance(value, bool | int | float) and value == expected


def _check_moments(moments: Mapping[Any, Any], parameters: Sequence[Tensor], steps: int, with_fp16: bool) -> None:
    """Check the moments of each parameter, and how many steps they are of; fp16 skips some, possibly all."""
    if with_fp16 and not moments:
        return
    _check_names(moments, range(len(parameters)), "optimizer.state")
    for index, parameter in enumerate(parameters):
        field = f"optimizer.state[{index}]"
        values = require_mapping(moments[index], field)
        _check_names(values, ("step", "exp_avg", "exp_avg_sq"), field)
        _check_tensor(values["step"], torch.zeros(()), f"{field}.step", least=1)
        taken = float(values["step"])
        if taken > steps or not taken.is_integer() or (taken != steps and not with_fp16):
            message = f"must be {steps}, not {taken:g}"
            raise SchemaError(message, f"{field}.step")
        _check_tensor(values["exp_avg"], parameter, f"{field}.exp_avg")
        _check_tensor(values["exp_avg_sq"], parameter, f"{field}.exp_avg_sq", least=0)


def _check_scaler(content: dict[str, Any], expected: dict[str, Any]) -> None:
    """Check the state of the gradient scaler, whose scale and count of steps change during a training."""
    _check_names(content, expected, "scaler")
    for name, value in expected.items():
        allowed = {"scale": POSITIVE, "_growth_tracker": FROM_0}.get(name)
        if allowed is None and not _is_same(content[name], value):
            message = f"must be {value}, not {show_value(content[name])}"
            raise SchemaError(message, f"scaler.{name}")
        if allowed is not None:
            require_in(allowed, read_as(type(value), content[name], f"scaler.{name}"), f"scaler.{name}")
