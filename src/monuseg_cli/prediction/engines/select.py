"""Choice of the engine that runs the network."""

import platform
import shutil
from pathlib import Path
from typing import Literal, get_args

from monuseg_cli import __version__
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.extras import is_installed
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.models.card import Card
from monuseg_cli.models.devices import Device, limit_threads, pick_device, require_threads
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
    *,
    threads: int | None = None,
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
    threads : int, optional
        Threads of the network on the CPU; by default, the library's number.

    Raises
    ------
    EngineError
        If the chosen engine cannot run the model.
    InputError
        If the engine is unknown or does not support the device, or the weights are unusable.
    MissingError
        If the engine is not installed.
    """
    require_threads(threads)
    if choose_engine(name, device, progress) == "torch":
        return _open_torch(weights, card, device, threads)
    try:
        return _open_openvino(weights, card, cache, sha256, progress, threads)
    except EngineError as error:
        if name != "auto":
            raise
        progress.info(f"PyTorch runs the model: {error.reason}")
        return _open_torch(weights, card, device, threads)


def choose_engine(name: EngineName, device: Device, progress: Progress = SILENT) -> Literal["openvino", "torch"]:
    """Return which engine `open_engine` tries first, without loading it.

    Raises
    ------
    InputError
        If the engine is unknown or does not support the device, or this machine has no such device.
    MissingError
        If the engine is not installed.
    """
    if name not in get_args(EngineName):
        message = f"`engine` takes {', '.join(get_args(EngineName))}, not {name!r}"
        raise InputError(message)
    if name == "auto" and _suits_openvino(device, progress):
        return "openvino"
    if name in ("auto", "torch"):
        if device not in ("auto", "cpu"):
            pick_device(device)
        return "torch"
    if device not in ("auto", "cpu"):
        message = f"`engine=openvino` runs on the CPU here, not on {device}"
        raise InputError(message)
    if not is_installed("openvino"):
        message = "OpenVINO is not installed: pip install 'monuseg-cli[fast]', or use `engine=torch`"
        raise MissingError(message)
    return "openvino"


def _open_torch(weights: Path, card: Card, device: Device, threads: int | None) -> Engine:
    from monuseg_cli.models.weights import load_model
    from monuseg_cli.prediction.engines.torch import TorchEngine

    limit_threads(threads)
    chosen = pick_device(device)
    model, _ = load_model(weights)
    return TorchEngine(model, card, chosen)


def _open_openvino(
    weights: Path, card: Card, cache: Path, sha256: str, progress: Progress, threads: int | None
) -> Engine:
    from monuseg_cli.prediction.engines.openvino import OpenVinoEngine

    folder = cache / "openvino" / f"{sha256[:32]}-{__version__}"
    return OpenVinoEngine(weights, card, folder, progress, threads=threads)


def _suits_openvino(device: Device, progress: Progress) -> bool:
    """Decide whether OpenVINO is the first choice: on a CPU, where it is installed."""
    if device != "cpu" and (device != "auto" or _sees_gpu()):
        return False
    if not is_installed("openvino"):
        progress.detail("PyTorch runs the model: OpenVINO is not installed (pip install 'monuseg-cli[fast]')")
        return False
    return True


def _sees_gpu() -> bool:
    """Guess, without importing PyTorch, whether it would find a GPU."""
    is_apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    return is_apple or shutil.which("nvidia-smi") is not None
