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
from monuseg_cli.prediction.engines.base import Engine, EngineError

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

    ``"auto"`` takes OpenVINO if it is installed and the CPU is chosen or no GPU is in sight; otherwise PyTorch. If
    OpenVINO cannot run the model, ``"auto"`` reports why, and takes PyTorch. PyTorch is imported only when needed.

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
        Reports slow steps, and an engine that was not the first choice.

    Raises
    ------
    EngineError
        If the chosen engine cannot run the model.
    InputError
        If the engine is unknown or does not support the device, or the weights are unusable.
    MissingError
        If the engine is not installed.
    """
    if name not in get_args(EngineName):
        message = f"`engine` takes {', '.join(get_args(EngineName))}, not {name!r}"
        raise InputError(message)
    if name == "auto" and _suits_openvino(device, progress):
        try:
            return _open_openvino(weights, card, cache, sha256, progress)
        except EngineError as error:
            progress.info(f"PyTorch runs the model: {error.reason}")
    if name in ("auto", "torch"):
        return _open_torch(weights, card, device)
    if device not in ("auto", "cpu"):
        message = f"`engine=openvino` runs on the CPU here, not on {device}"
        raise InputError(message)
    if not _has_openvino():
        message = "OpenVINO is not installed: pip install 'monuseg-cli[fast]', or use `engine=torch`"
        raise MissingError(message)
    return _open_openvino(weights, card, cache, sha256, progress)


def _open_torch(weights: Path, card: Card, device: Device) -> Engine:
    from monuseg_cli.models.weights import load_model
    from monuseg_cli.prediction.engines.torch import TorchEngine

    chosen = pick_device(device)
    model, _ = load_model(weights)
    return TorchEngine(model, card, chosen)


def _open_openvino(weights: Path, card: Card, cache: Path, sha256: str, progress: Progress) -> Engine:
    from monuseg_cli.prediction.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(weights, card, cache / "openvino" / f"{sha256[:32]}-{__version__}", progress)


def _suits_openvino(device: Device, progress: Progress) -> bool:
    """Decide whether OpenVINO is the first choice: on a CPU, where it is installed."""
    if device != "cpu" and (device != "auto" or _sees_gpu()):
        return False
    if not _has_openvino():
        progress.detail("PyTorch runs the model: OpenVINO is not installed (pip install 'monuseg-cli[fast]')")
        return False
    return True


def _has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


def _sees_gpu() -> bool:
    """Guess, without importing PyTorch, whether it would find a GPU."""
    is_apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    return is_apple or shutil.which("nvidia-smi") is not None
