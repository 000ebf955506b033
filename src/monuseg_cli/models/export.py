"""Export of weights to ONNX."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from monuseg_cli.core.atomic import writing
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.models.card import Card
from monuseg_cli.models.normalise import normalise
from monuseg_cli.models.weights import load_model

CARD_KEY = "monuseg_card"
MULTIPLE_PX = 32
_OPSET = 17
_EXAMPLE_PX = 64


@dataclass(frozen=True, slots=True)
class ExportResult:
    """The exported file, its size in bytes, and the names of its input and output."""

    path: Path
    bytes: int
    input: str
    output: str
    card: Card


class _Whole(nn.Module):
    """A network with its normalisation and sigmoid: from intensities to probabilities."""

    def __init__(self, model: nn.Module, card: Card) -> None:
        super().__init__()
        self.model, self.card = model, card

    def forward(self, image: Tensor) -> Tensor:
        maps: Tensor = self.model(normalise(image, self.card)).sigmoid()
        return maps


def export_onnx(weights: Path, path: Path, progress: Progress = SILENT) -> ExportResult:
    """Write a model as ONNX, for ONNX Runtime and other programs.

    The input ``image`` is (N, 3, H, W) float32, RGB within 0..1, H and W multiples of 32. The output ``maps`` is
    (N, C, H, W) float32 within 0..1, one map per class of the card. The card is stored in the file's metadata.

    Raises
    ------
    MissingError
        If the weights do not exist, or the package onnx is not installed.
    InputError
        If the weights are unusable, or the name does not end in .onnx.
    OutputError
        If the file cannot be written.
    """
    if path.suffix.lower() != ".onnx":
        message = f"cannot write {path}: the name must end in .onnx"
        raise InputError(message)
    try:
        import onnx
    except ImportError as error:
        message = "the package onnx is not installed: pip install 'monuseg-cli[export]'"
        raise MissingError(message) from error
    model, card = load_model(weights)
    progress.detail(f"{card.architecture} of {weights}, by onnx {onnx.__version__}, operators of version {_OPSET}")
    with writing(path) as part:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # tracer warnings: sizes are multiples of 32, so nothing is padded
            torch.onnx.export(
                _Whole(model, card).eval(),
                (torch.zeros(1, card.in_channels, _EXAMPLE_PX, _EXAMPLE_PX),),
                part,
                input_names=["image"],
                output_names=["maps"],
                dynamic_axes={name: {0: "images", 2: "height", 3: "width"} for name in ("image", "maps")},
                opset_version=_OPSET,
                dynamo=False,
            )
        graph = onnx.load(part)
        onnx.helper.set_model_props(graph, {CARD_KEY: card.to_json()})
        onnx.save(graph, part)
        size = part.stat().st_size
    return ExportResult(path, size, "image", "maps", card)
