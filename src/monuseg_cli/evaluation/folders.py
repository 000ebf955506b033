"""Any folder of predictions against any folder of references, whoever made them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from monuseg_cli.dataset.annotations import read_annotation
from monuseg_cli.dataset.catalog import CATALOG, UNKNOWN_ORGAN
from monuseg_cli.dataset.masks import rasterise
from monuseg_cli.errors import InputError, MissingError
from monuseg_cli.evaluation.evaluate import EvaluateResult, Stopwatch, compare_all, finish
from monuseg_cli.evaluation.scores import ImageScores, count_image
from monuseg_cli.images import decoding, is_tiff
from monuseg_cli.progress import SILENT, Progress

PREDICTION_SUFFIXES = (".png", ".tif", ".tiff", ".npy")
REFERENCE_SUFFIXES = (*PREDICTION_SUFFIXES, ".xml")


@dataclass(frozen=True, slots=True)
class FoldersConfig:
    """What `evaluate_folders` does.

    Parameters
    ----------
    predictions : tuple of Path
        Folders of masks or label images; each is compared with the first.
    reference : Path
        Folder of masks, label images or Aperio XML annotations of the same names.
    output : Path, optional
        Folder for the results; of several systems, for a folder of each.
    """

    predictions: tuple[Path, ...]
    reference: Path
    output: Path | None = None


def evaluate_folders(config: FoldersConfig, progress: Progress = SILENT) -> EvaluateResult:
    """Score folders of predictions against a folder of references, file by file of the same stem.

    A file that holds 0 and one other value is a mask, whose connected components (4 neighbours) are its nuclei; any
    other is a label image. Scores of probabilities are not given.

    Raises
    ------
    MissingError
        If a folder does not exist.
    InputError
        If a prediction is missing, surplus or of another size than its reference, or a file cannot be read.
    OutputError
        If the results cannot be written.
    """
    references = _files(config.reference, REFERENCE_SUFFIXES)
    evaluations = []
    for folder in config.predictions:
        predictions = _files(folder, PREDICTION_SUFFIXES)
        _require_same(folder, predictions, config.reference, references)
        watch = Stopwatch()
        images = []
        with progress.task(folder.name, len(references), "images") as task:
            for stem, path in references.items():
                images.append(_score(stem, predictions[stem], path, watch))
                task.advance()
        output = config.output
        if output is not None and len(config.predictions) > 1:
            output = output / folder.name
        evaluations.append(finish(str(folder), "folder", images, watch, folder=output))
    return EvaluateResult(tuple(evaluations), compare_all(evaluations))


def _score(stem: str, prediction: Path, reference: Path, watch: Stopwatch) -> ImageScores:
    with watch.on("read"):
        labels = read_label_image(prediction)
        truth = _read_reference(reference, labels.shape)
        if truth.shape != labels.shape:
            message = f"{prediction} is {_size(labels)} pixels, its reference {reference} {_size(truth)}"
            raise InputError(message)
    with watch.on("score"):
        counts = count_image(truth, labels)
    organ = CATALOG[stem].organ if stem in CATALOG else UNKNOWN_ORGAN
    return ImageScores(stem, "" if organ == UNKNOWN_ORGAN else organ, False, counts, counts.scores())


def _read_reference(path: Path, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Read a reference; an annotation, which has no size of its own, is drawn at the prediction's."""
    if path.suffix.lower() != ".xml":
        return read_label_image(path)
    return rasterise(read_annotation(path).polygons, (shape[0], shape[1])).labels


def read_label_image(path: Path) -> NDArray[np.int32]:
    """Read a mask or a label image from a PNG, TIFF or NPY file.

    Returns
    -------
    ndarray of shape (H, W), int32
        0 is background; the connected components of a mask are numbered.

    Raises
    ------
    InputError
        If it cannot be read, is no single plane of whole numbers, or has negative ones.
    """
    with decoding(path):
        if path.suffix.lower() == ".npy":
            pixels = np.load(path, allow_pickle=False)
        elif is_tiff(path):
            pixels = tifffile.imread(path)
        else:
            pixels = imagecodecs.png_decode(path.read_bytes())
    pixels = np.squeeze(pixels)
    if pixels.ndim != 2 or not (np.issubdtype(pixels.dtype, np.integer) or pixels.dtype == np.bool_):
        message = f"{path} holds {pixels.dtype} of shape {pixels.shape}; a mask or label image is one plane of integers"
        raise InputError(message)
    values = np.unique(pixels)
    if values.size and (int(values[0]) < 0 or int(values[-1]) >= 2**31):
        message = f"{path} holds {values[0]} to {values[-1]}; labels are 0 to 2147483647"
        raise InputError(message)
    if len(values) <= 2 and (not values.size or values[0] == 0 or len(values) == 1):
        pixels, _ = ndimage.label(pixels != 0)
    return np.asarray(pixels, dtype=np.int32)


def _files(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """List the files of a folder by stem, in order."""
    if not folder.is_dir():
        message = f"no folder {folder}"
        raise MissingError(message)
    found = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in suffixes and path.name[0] != "."]
    if not found:
        message = f"nothing to score in {folder} (looked for {', '.join(suffixes)})"
        raise InputError(message)
    twice = [stem for stem, count in Counter(path.stem for path in found).items() if count > 1]
    if twice:
        message = f"{folder} has several files named {twice[0]}; keep one of them"
        raise InputError(message)
    return {path.stem: path for path in found}


def _require_same(folder: Path, predictions: dict[str, Path], reference: Path, references: dict[str, Path]) -> None:
    if missing := sorted(references.keys() - predictions.keys()):
        message = f"{len(missing)} predictions are missing in {folder}, the first: {missing[0]}"
        raise InputError(message)
    if surplus := sorted(predictions.keys() - references.keys()):
        message = f"{len(surplus)} predictions in {folder} have no reference in {reference}, the first: {surplus[0]}"
        raise InputError(message)


def _size(pixels: NDArray[np.int32]) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"
