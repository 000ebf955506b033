"""The description of a package: the content of its rdf.yaml."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from monuseg_cli import __version__
from monuseg_cli.bioimageio.citations import publications_of, spdx_of
from monuseg_cli.models.card import Card

FORMAT_VERSION = "0.5.3"
"""Version of the format; programs that read a later 0.5 read it, too."""

HALO_PX = 64
_SMALLEST_PX, _STEP_PX = 192, 32
_LONGEST_NAME = 64
_TAGS = (
    *("nuclei", "tissue", "pathology", "H&E", "2d", "whole-slide-imaging", "transmission-light-microscopy"),
    *("semantic-segmentation", "instance-segmentation", "pytorch", "unet"),
)


@dataclass(frozen=True, slots=True)
class Files:
    """The names of the files of a package that its description refers to."""

    onnx: str = "weights.onnx"
    torchscript: str = "weights.pt"
    test_input: str = "test_input.npy"
    test_output: str = "test_output.npy"
    sample_input: str = "sample_input.png"
    sample_output: str = "sample_output.tif"
    cover: str = "cover.png"
    documentation: str = "README.md"
    card: str = "card.json"
    licence: str = "LICENCE.md"


FILES = Files()


def title_of(name: str) -> str:
    """Return the title of a model: 5 to 64 of the characters that the format allows."""
    return f"Nuclei in HE tissue - {re.sub(r'[^A-Za-z0-9_+() -]+', '-', name).strip('-')}"[:_LONGEST_NAME].strip()


def describe_package(
    card: Card,
    name: str,
    authors: Sequence[str],
    hashes: Mapping[str, str],
    *,
    opset: int,
    pytorch: str,
    timestamp: str,
) -> dict[str, Any]:
    """Describe a model in version 0.5 of the format of bioimage.io.

    Parameters
    ----------
    card : Card
        Card of the model.
    name : str
        Name of the model.
    authors : sequence of str
        Names of those who made the model.
    hashes : mapping of str to str
        SHA-256 of the files of the package, by name.
    opset : int
        Version of the operators of the ONNX file.
    pytorch : str
        Version of PyTorch that wrote the TorchScript file.
    timestamp : str
        When the package was written, in ISO 8601.

    Returns
    -------
    dict
        The content of rdf.yaml.
    """

    def file(name: str) -> dict[str, str]:
        return {"source": name, "sha256": hashes[name]}

    return {
        "type": "model",
        "format_version": FORMAT_VERSION,
        "name": title_of(name),
        "description": _summary(card),
        "timestamp": timestamp,
        "authors": [{"name": author} for author in authors],
        "cite": publications_of(card),
        "license": spdx_of(card.licence) or file(FILES.licence),
        "tags": [*_TAGS, card.architecture],
        "documentation": FILES.documentation,
        "covers": [FILES.cover],
        "attachments": [file(FILES.card)],
        "inputs": [_input(card, file)],
        "outputs": [_output(card, file)],
        "weights": {
            "torchscript": {**file(FILES.torchscript), "pytorch_version": pytorch},
            "onnx": {**file(FILES.onnx), "opset_version": opset, "parent": "torchscript"},
        },
        "config": {
            "monuseg": {
                "version": __version__,
                "mpp": card.mpp,
                "classes": list(card.classes),
                "postprocess": asdict(card.postprocess),
                "licence": card.licence,
                "attribution": card.attribution,
                "use": card.use,
            }
        },
    }


def _summary(card: Card) -> str:
    maps = "a map" if len(card.classes) == 1 else "maps"
    return (
        f"Finds nuclei in H&E-stained tissue: {maps} of {' and '.join(card.classes)} within 0..1, by "
        f"{card.architecture}. Resample the image to {card.mpp} um/px first. Post-processing, which separates touching "
        f"nuclei, is not included. {card.use}"
    )


def _input(card: Card, file: Any) -> dict[str, Any]:
    return {
        "id": "image",
        "description": f"H&E-stained tissue, RGB of 0 to 255, {card.mpp} um/px",
        "axes": [
            {"type": "batch"},
            {"type": "channel", "channel_names": ["red", "green", "blue"]},
            *(_space(card, side, {"min": _SMALLEST_PX, "step": _STEP_PX}) for side in "yx"),
        ],
        "data": {"type": "uint8", "range": [0, 255]},
        "preprocessing": [
            {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
            {"id": "scale_linear", "kwargs": {"gain": 1 / 255, "offset": 0.0}},
            {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
        ],
        "test_tensor": file(FILES.test_input),
        "sample_tensor": file(FILES.sample_input),
    }


def _output(card: Card, file: Any) -> dict[str, Any]:
    return {
        "id": "maps",
        "description": "A map within 0..1 per class",
        "axes": [
            {"type": "batch"},
            {"type": "channel", "channel_names": list(card.classes)},
            *(
                {**_space(card, side, {"tensor_id": "image", "axis_id": side, "offset": 0}), "halo": HALO_PX}
                for side in "yx"
            ),
        ],
        "data": {"type": "float32", "range": [0.0, 1.0]},
        "test_tensor": file(FILES.test_output),
        "sample_tensor": file(FILES.sample_output),
    }


def _space(card: Card, side: str, size: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "space", "id": side, "unit": "micrometer", "scale": card.mpp, "size": size}
