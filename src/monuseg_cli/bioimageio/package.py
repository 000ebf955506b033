"""Writing of a model as a package of bioimage.io."""

import hashlib
import io
import tempfile
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from monuseg_cli.bioimageio.description import FILES, HALO_PX, describe_package, title_of
from monuseg_cli.bioimageio.documentation import document
from monuseg_cli.bioimageio.yaml import to_yaml
from monuseg_cli.core.atomic import writing
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.imaging.resample import resize_image
from monuseg_cli.models.card import Card
from monuseg_cli.models.export import OPSET, export_onnx
from monuseg_cli.models.probabilities import Probabilities
from monuseg_cli.models.weights import load_model
from monuseg_cli.prediction.demo import read_sample

DESCRIPTION = "rdf.yaml"
SUFFIX = ".zip"
_TEST_PX = 256
_EXAMPLE_PX = 64


@dataclass(frozen=True, slots=True)
class PackageResult:
    """The package, its size in bytes, the names of the files in it, and the title and card of the model."""

    path: Path
    bytes: int
    files: tuple[str, ...]
    title: str
    card: Card


def export_package(
    weights: Path, path: Path, name: str, authors: Sequence[str], progress: Progress = SILENT
) -> PackageResult:
    """Write a model as a package of bioimage.io: a zip that its programs read.

    The package has the network as TorchScript and as ONNX, an example of input and output, documentation, a cover, and
    the card. Both forms of the network take RGB and return maps within 0..1, as `export_onnx` describes.

    Parameters
    ----------
    weights : Path
        Weights file of the model.
    path : Path
        File to write; its name ends in .zip.
    name : str
        Name of the model.
    authors : sequence of str
        Names of those who made the model.
    progress : Progress
        Reports what is exported.

    Raises
    ------
    MissingError
        If the weights do not exist, or the package onnx is not installed.
    InputError
        If the weights are unusable, the name does not end in .zip, or no author is named.
    OutputError
        If the file cannot be written.
    """
    if path.suffix.lower() != SUFFIX:
        message = f"cannot write {path}: the name of a package must end in {SUFFIX}"
        raise InputError(message)
    if isinstance(authors, str) or not authors or not all(author.strip() for author in authors):
        message = "a package states who made the model; name them in `author`"
        raise InputError(message)
    model, card = load_model(weights)
    network = Probabilities(model, card).eval()
    image = example_image(card.mpp)
    maps = _run(network, image)
    files: dict[str, bytes] = {
        FILES.onnx: _to_onnx(weights, progress),
        FILES.torchscript: _to_torchscript(network),
        FILES.test_input: _to_npy(image.transpose(2, 0, 1)[None]),
        FILES.test_output: _to_npy(maps[None]),
        FILES.sample_input: bytes(imagecodecs.png_encode(image)),
        FILES.sample_output: _to_tiff(maps),
        FILES.cover: bytes(imagecodecs.png_encode(_cover(image, maps[0]))),
        FILES.documentation: document(card, title_of(name), halo_px=HALO_PX).encode(),
        FILES.card: card.to_json().encode(),
        FILES.licence: f"Licence: {card.licence}.\n\nData: {card.attribution}.\n\n{card.use}\n".encode(),
    }
    description = describe_package(
        card,
        name,
        authors,
        {file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
        opset=OPSET,
        pytorch=torch.__version__.split("+")[0],
        timestamp=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    files = {DESCRIPTION: to_yaml(description).encode(), **files}
    written = _write(path, files)
    return PackageResult(path, written, tuple(files), title_of(name), card)


def example_image(mpp: float) -> NDArray[np.uint8]:
    """Cut an example from the sample image of the package, at the scale of a model.

    Parameters
    ----------
    mpp : float
        Scale of the model, in micrometres per pixel.

    Returns
    -------
    ndarray of shape (256, 256, 3), uint8
        If the sample is too small for that scale, the whole sample, at a finer one.
    """
    pixels, sample_mpp = read_sample()
    side = min(round(_TEST_PX * mpp / sample_mpp), *pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return resize_image(pixels[top : top + side, left : left + side], (_TEST_PX, _TEST_PX))


@torch.inference_mode()
def _run(network: Probabilities, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)[None])).float() / 255
    maps: NDArray[np.float32] = network(pixels)[0].numpy()
    return maps


def _to_onnx(weights: Path, progress: Progress) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return export_onnx(weights, Path(folder) / FILES.onnx, progress).path.read_bytes()


def _to_torchscript(network: Probabilities) -> bytes:
    """Trace a network for images of any number and size."""
    content = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # padding is part of the trace; PyTorch prefers formats that Java cannot read
        example = torch.zeros(1, 3, _EXAMPLE_PX, _EXAMPLE_PX)
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call] # torch's
        torch.jit.save(torch.jit.freeze(traced), content)
    return content.getvalue()


def _to_npy(values: NDArray[np.generic]) -> bytes:
    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(values), allow_pickle=False)
    return content.getvalue()


def _to_tiff(maps: NDArray[np.float32]) -> bytes:
    content = io.BytesIO()
    tifffile.imwrite(content, maps, photometric="minisblack", metadata={"axes": "CYX"}, imagej=True)
    return content.getvalue()


def _cover(image: NDArray[np.uint8], nuclei: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Draw an image and the map of its nuclei side by side, (H, 2 W, 3)."""
    grey = np.repeat(np.round(nuclei * 255).astype(np.uint8)[..., None], 3, axis=2)
    return np.ascontiguousarray(np.concatenate([image, grey], axis=1))


def _write(path: Path, files: Mapping[str, bytes]) -> int:
    with writing(path) as part:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as package:
            for name, content in files.items():
                package.writestr(name, content)
        return part.stat().st_size
