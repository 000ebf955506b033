"""Choice of the engine that runs the network."""

import importlib.util
import platform
import shutil
from pathlib import Path
from typing import Literal, get_args

from monuseg_cli import __version__
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.models.card import Card
from monuseg_cli.models.devices import Device, pick_device
from monuseg_cli.prediction.engines.base import Engine

EngineName = Literal["auto", "torch", "openvino"]


def open_engine(
    weights: Path,
    card: Card,
    name: EngineName,
    device: Device,
    cache: Path,
    sha256: str,
    progress: Progress = SILENT,
) -> Engine:
    """Load a model into the engine of that name.

    ``"auto"`` takes OpenVINO if it is installed and the CPU is chosen or no GPU is in sight; otherwise PyTorch. PyTorch
    is imported only when needed.

    Parameters
    ----------
    weights : Path
        Weights file of the model.
    card : Card
        Card with the post-processing to use; the network is that of the file.
    name : {"auto", "torch", "openvino"}
        The engine.
    device : {"auto", "cpu", "cuda", "mps"}
        Device that runs the network.
    cache : Path
        Folder in which engines keep the converted model.
    sha256 : str
        SHA-256 of the weights file.
    progress : Progress
        Reports slow steps.

    Raises
    ------
    InputError
        If the engine is unknown or does not support the device, or the weights are unusable.
    MissingError
        If the engine is not installed.
    """
    if name not in get_args(EngineName):
        message = f"`engine` takes {', '.join(get_args(EngineName))}, not {name!r}"
        raise InputError(message)
    if name == "auto":
        name = (
            "openvino" if _has_openvino() and (device == "cpu" or (device == "auto" and not _sees_gpu())) else "torch"
        )
    if name == "torch":
        from monuseg_cli.models.weights import load_model
        from monuseg_cli.prediction.engines.torch import TorchEngine

        chosen = pick_device(device)
        model, _ = load_model(weights)
        return TorchEngine(model, card, chosen)
    if device not in ("auto", "cpu"):
        message = f"`engine=openvino` runs on the CPU here, not on {device}"
        raise InputError(message)
    if not _has_openvino():
        message = "OpenVINO is not installed: pip install 'monuseg-cli[fast]', or use `engine=torch`"
        raise MissingError(message)
    from monuseg_cli.prediction.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(weights, card, cache / "openvino" / f"{sha256[:32]}-{__version__}", progress)


def _has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


def _sees_gpu() -> bool:
    """Guess, without importing PyTorch, whether it would find a GPU."""
    is_apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    return is_apple or shutil.which("nvidia-smi") is not None
