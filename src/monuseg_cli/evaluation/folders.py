"""Any folder of predictions against any folder of references, whoever made them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.dataset.catalog import CATALOG, UNKNOWN_ORGAN
from monuseg_cli.evaluation.report import Page
from monuseg_cli.evaluation.results import (
    EvaluateResult,
    Stopwatch,
    build_evaluation,
    compare_evaluations,
    require_apart,
    require_one_for_report,
    write_page,
)
from monuseg_cli.evaluation.scores import ImageScores, count_image
from monuseg_cli.imaging.read import read_image
from monuseg_cli.imaging.readers.formats import SUFFIXES
from monuseg_cli.nuclei.read import ANNOTATION_SUFFIXES, LABEL_SUFFIXES, read_label_image, read_labels_of


@dataclass(frozen=True, slots=True)
class FoldersConfig:
    """What `evaluate_folders` does.

    Parameters
    ----------
    predictions : tuple of Path
        Folders of masks or label images; each is compared with the first.
    reference : Path
        Folder of masks, label images, Aperio XML or GeoJSON annotations of the same names.
    images : Path, optional
        Folder of the images themselves, for the report.
    output : Path, optional
        Folder for the results; of several systems, for a folder of each and for their comparison.
    report : Path, optional
        Where to write a page to look at, of one system.
    """

    predictions: tuple[Path, ...]
    reference: Path
    images: Path | None = None
    output: Path | None = None
    report: Path | None = None


def evaluate_folders(config: FoldersConfig, progress: Progress = SILENT) -> EvaluateResult:
    """Score folders of predictions against a folder of references, file by file of the same stem.

    A file that holds 0 and one other value is a mask, whose connected components (4 neighbours) are its nuclei; any
    other is a label image. Scores of probabilities are not given.

    Raises
    ------
    MissingError
        If a folder does not exist.
    InputError
        If a prediction or image is missing, surplus or of another size than its reference, or cannot be read.
    OutputError
        If the results cannot be written.
    """
    require_one_for_report(config.report, len(config.predictions))
    if config.output is not None and len(config.predictions) > 1:
        require_apart([folder.name for folder in config.predictions])
    references = _files(config.reference, ANNOTATION_SUFFIXES)
    pictures = _files(config.images, tuple(SUFFIXES)) if config.images else {}
    if config.images and (missing := sorted(references.keys() - pictures.keys())):
        message = f"{len(missing)} images are missing in {config.images}, the first: {missing[0]}"
        raise InputError(message)
    evaluations = []
    for folder in config.predictions:
        predictions = _files(folder, LABEL_SUFFIXES)
        _require_same(folder, predictions, config.reference, references)
        page = Page() if config.report else None
        watch = Stopwatch()
        images = []
        with progress.task(folder.name, len(references), "images") as task:
            for stem, path in references.items():
                progress.detail(f"scores {predictions[stem]} by {path}")
                images.append(_score(stem, predictions[stem], path, pictures.get(stem), page, watch))
                task.advance()
        output = config.output
        if output is not None and len(config.predictions) > 1:
            output = output / folder.name
        evaluations.append(build_evaluation(str(folder), "folder", images, watch, folder=output))
        if page and config.report:
            write_page(page, config.report, evaluations[-1])
    return compare_evaluations(evaluations, config.output)


def _score(
    stem: str, prediction: Path, reference: Path, picture: Path | None, page: Page | None, watch: Stopwatch
) -> ImageScores:
    with watch.on("read"):
        labels = read_label_image(prediction)
        truth = read_labels_of(reference, labels.shape)
        if truth.shape != labels.shape:
            sizes = f"{prediction} is {_size(labels)} pixels, its reference {reference} {_size(truth)}"
            message = f"{sizes}; predict on the same image"
            raise InputError(message)
    with watch.on("score"):
        counts = count_image(truth, labels)
    organ = CATALOG[stem].organ if stem in CATALOG else UNKNOWN_ORGAN
    scores = ImageScores(stem, "" if organ == UNKNOWN_ORGAN else organ, False, counts, counts.scores())
    if page:
        with watch.on("report"):
            pixels = read_image(picture)[0] if picture else None
            if pixels is not None and pixels.shape[:2] != labels.shape:
                said = f"the image {picture} is of another size than its prediction, {_size(labels)} pixels"
                message = f"{said}; name the image that was predicted on"
                raise InputError(message)
            page.add(scores, pixels, truth, labels, None)
    return scores


def _files(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """List the files of a folder by stem, in order."""
    if not folder.is_dir():
        message = f"no folder {folder}; check its name"
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
