"""Export of weights to ONNX."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from monuseg_cli.core.atomic import writing
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.extras import require_extra
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.models.card import Card
from monuseg_cli.models.probabilities import Probabilities
from monuseg_cli.models.weights import load_model

CARD_KEY = "monuseg_card"
LARGEST_PX = 2048
"""Largest side of a fixed size; the network runs once at that size while it is exported."""
OPSET = 17
"""Version of the operators."""

_EXAMPLE_PX = 64


@dataclass(frozen=True, slots=True)
class ExportResult:
    """The exported file, its size in bytes, and the names of its input and output.

    `size` is the fixed height and width of the images, or None if they may have any.
    """

    path: Path
    bytes: int
    input: str
    output: str
    size: tuple[int, int] | None
    card: Card


def export_onnx(
    weights: Path, path: Path, progress: Progress = SILENT, *, size: tuple[int, int] | None = None
) -> ExportResult:
    """Write a model as ONNX, for ONNX Runtime, OpenCV and other programs.

    The input ``image`` is (N, 3, H, W) float32, RGB within 0..1. The output ``maps`` is (N, C, H, W) float32 within
    0..1, one map per class of the card. The card is stored in the file's metadata.

    By default, N, H and W may be any numbers from 1. If H or W is not a multiple of what the network halves, its last
    row or column is repeated inside the graph, as in PyTorch, and the maps are cropped. Programs that must know all
    sizes when they read the file, as OpenCV 4 does, need `size`.

    Parameters
    ----------
    weights : Path
        Weights file of the model.
    path : Path
        File to write; its name ends in .onnx.
    progress : Progress
        Reports what is exported.
    size : (int, int), optional
        Fixed height and width of the images, in pixels of the model's scale; N is then 1.

    Raises
    ------
    MissingError
        If the weights do not exist, or the package onnx is not installed.
    InputError
        If the weights are unusable, the name does not end in .onnx, or the size is not within 1 and `LARGEST_PX`.
    OutputError
        If the file cannot be written.
    """
    if path.suffix.lower() != ".onnx":
        hint = "; `format=bioimageio` writes a .zip" if path.suffix.lower() == ".zip" else ""
        message = f"cannot write {path}: the name must end in .onnx{hint}"
        raise InputError(message)
    if size is not None and not (len(size) == 2 and all(1 <= side <= LARGEST_PX for side in size)):
        given = " and ".join(map(str, size))
        message = f"`size` takes a height and a width of 1 to {LARGEST_PX} px, not {given}; without it, all sizes fit"
        raise InputError(message)
    require_extra("export", "the export", onnx="onnx")
    import onnx

    model, card = load_model(weights)
    progress.detail(f"{card.architecture} of {weights}, by onnx {onnx.__version__}, operators of version {OPSET}")
    free = {0: "images", 2: "height", 3: "width"}
    with writing(path) as part:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # tracer warnings: padding is part of the trace, or the size is fixed
            torch.onnx.export(
                Probabilities(model, card, size),
                (torch.zeros(1, card.in_channels, *(size or (_EXAMPLE_PX, _EXAMPLE_PX))),),
                part,
                input_names=["image"],
                output_names=["maps"],
                dynamic_axes=None if size else {"image": free, "maps": free},
                opset_version=OPSET,
                dynamo=False,
            )
        graph = onnx.load(part)
        onnx.helper.set_model_props(graph, {CARD_KEY: card.to_json()})
        onnx.save(graph, part)
        written = part.stat().st_size
    return ExportResult(path, written, "image", "maps", size, card)
