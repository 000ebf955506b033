"""Scoring of a folder of predictions, by any program, against a folder of references."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.annotations.label_warnings import require_foreground, warn_doubts, warn_left_out
from monuseg_cli.annotations.read_labels import (
    ANNOTATION_SUFFIXES,
    COMMON_SUFFIXES,
    LABEL_SUFFIXES,
    Labels,
    list_annotations,
    read_label_image,
    read_labels_of,
    suffix_of,
)
from monuseg_cli.annotations.read_outlines import OUTLINE_SUFFIXES, Region, require_annotated_part
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.dataset.catalog import CATALOG, UNKNOWN_ORGAN
from monuseg_cli.evaluation.report import Report
from monuseg_cli.evaluation.results import (
    EvaluateResult,
    Stopwatch,
    build_evaluation,
    compare_evaluations,
    require_apart,
)
from monuseg_cli.evaluation.scores import ImageScores, count_image
from monuseg_cli.imaging.read_image import read_image
from monuseg_cli.imaging.readers.formats import SUFFIXES


@dataclass(frozen=True, slots=True)
class FoldersConfig:
    """Settings of `evaluate_folders`.

    Parameters
    ----------
    predictions : tuple of Path
        Folders of masks or label images; each is compared with the first.
    reference : Path
        Folder of masks, label images, Aperio XML or GeoJSON annotations of the same names.
    images : Path, optional
        Folder of the images, for the report.
    output : Path, optional
        Folder for the results; with several systems, it gets a subfolder per system and their comparison.
    report : Path, optional
        Write an HTML report here, which shows all systems side by side.
    plots : Path, optional
        Folder for the plots of the report, each as SVG and PDF.
    """

    predictions: tuple[Path, ...]
    reference: Path
    images: Path | None = None
    output: Path | None = None
    report: Path | None = None
    plots: Path | None = None


def evaluate_folders(config: FoldersConfig, progress: Progress = SILENT) -> EvaluateResult:
    """Score folders of predictions against a folder of references; files are matched by stem.

    A file that holds 0 and one other value is a mask, whose connected components (4 neighbours) are its nuclei; any
    other is a label image (see `monuseg_cli.annotations.label_values`). Where a reference has rectangles of class
    "Region*", each is scored by itself, and nothing outside of them counts. Scores of probabilities are not given.

    Raises
    ------
    MissingError
        If a folder does not exist.
    InputError
        If a prediction or image is missing, surplus or of another size than its reference, cannot be read, or looks
        like something other than nuclei; if a whole slide is outlined without a region.
    OutputError
        If the results cannot be written.
    """
    report = Report(config.report, config.plots)
    if config.output is not None and len(config.predictions) > 1:
        require_apart([folder.name for folder in config.predictions])
    there = [folder for folder in config.predictions if folder.is_dir()]
    stems = {stem for folder in there for stem in list_annotations(folder, LABEL_SUFFIXES, None)}
    references = _files(config.reference, ANNOTATION_SUFFIXES, stems)
    pictures = _files(config.images, tuple(SUFFIXES), common=()) if config.images else {}
    if config.images and (missing := sorted(references.keys() - pictures.keys())):
        message = f"{len(missing)} images are missing in {config.images}, the first: {missing[0]}"
        raise InputError(message)
    evaluations = []
    for folder in config.predictions:
        predictions = _files(folder, LABEL_SUFFIXES, references.keys())
        _require_same(folder, predictions, config.reference, references)
        report.begin_system()
        watch = Stopwatch()
        images: list[ImageScores] = []
        warnings = _Warnings()
        with progress.task(folder.name, len(references), "images") as task:
            for stem, path in references.items():
                progress.detail(f"scores {predictions[stem]} by {path}")
                pair = _read_pair(predictions[stem], path, warnings, watch)
                shown = pictures.get(stem) if report.shows_images else None
                picture = _read_picture(shown, predictions[stem], pair, watch)
                for name, window in _parts(stem, pair.truth.regions):
                    images.append(_score(stem, name, pair, picture, window, report, watch))
                task.advance()
        warnings.report(progress)
        output = config.output
        if output is not None and len(config.predictions) > 1:
            output = output / folder.name
        evaluations.append(build_evaluation(str(folder), "folder", images, watch, folder=output))
    return report.write(compare_evaluations(evaluations, config.output))


@dataclass(frozen=True, slots=True)
class _Pair:
    """A prediction's label image and its reference, of one size."""

    labels: NDArray[np.int32]
    truth: Labels


class _Warnings:
    """Collects warnings about the files of a folder, to report each kind once."""

    def __init__(self) -> None:
        self._left_out: dict[str, Mapping[str, int]] = {}
        self._doubts: list[tuple[str, Mapping[str, str]]] = []

    def add(self, path: Path, read: Labels) -> Mapping[str, str]:
        name = f"{path.parent.name}/{path.name}"
        doubts = read.doubts(None)
        self._left_out[name] = read.left_out
        self._doubts.append((name, doubts))
        return doubts

    def report(self, progress: Progress) -> None:
        warn_left_out(self._left_out, progress)
        warn_doubts(self._doubts, progress)


def _read_pair(prediction: Path, reference: Path, warnings: _Warnings, watch: Stopwatch) -> _Pair:
    with watch.on("read"):
        predicted = read_label_image(prediction)
        shape = (predicted.labels.shape[0], predicted.labels.shape[1])
        truth = read_labels_of(reference, shape)
        if truth.labels.shape != shape:
            sizes = f"{prediction} is {_size(predicted.labels)} pixels, its reference {reference} {_size(truth.labels)}"
            message = f"{sizes}; predict on the same image"
            raise InputError(message)
        if suffix_of(reference, OUTLINE_SUFFIXES):
            require_annotated_part(reference, truth.regions, int(truth.labels.max(initial=0)), shape)
        warnings.add(prediction, predicted)
        require_foreground(reference, truth.labels, warnings.add(reference, truth))
    return _Pair(predicted.labels, truth)


def _read_picture(picture: Path | None, prediction: Path, pair: _Pair, watch: Stopwatch) -> NDArray[np.uint8] | None:
    if picture is None:
        return None
    with watch.on("report"):
        pixels = read_image(picture)[0]
    if pixels.shape[:2] != pair.labels.shape:
        said = f"the image {picture} is of another size than its prediction, {_size(pair.labels)} pixels"
        message = f"{said}; name the image that was predicted on"
        raise InputError(message)
    return pixels


def _parts(stem: str, regions: Sequence[Region]) -> Iterator[tuple[str, tuple[slice, slice]]]:
    """Return the scored parts of an image, with their names: its regions, or all of it."""
    for number, region in enumerate(regions, start=1):
        row, col, height, width = region.box
        yield f"{stem}-region{number}", (slice(row, row + height), slice(col, col + width))
    if not regions:
        yield stem, (slice(None), slice(None))


def _score(
    stem: str,
    name: str,
    pair: _Pair,
    picture: NDArray[np.uint8] | None,
    window: tuple[slice, slice],
    report: Report,
    watch: Stopwatch,
) -> ImageScores:
    truth, labels = pair.truth.labels[window], pair.labels[window]
    with watch.on("score"):
        counts = count_image(truth, labels)
    organ = CATALOG[stem].organ if stem in CATALOG else UNKNOWN_ORGAN
    scores = ImageScores(name, "" if organ == UNKNOWN_ORGAN else organ, False, counts, counts.scores())
    if report:
        with watch.on("report"):
            report.add(scores, None if picture is None else picture[window], truth, labels, None)
    return scores


def _files(
    folder: Path, suffixes: Sequence[str], wanted: Set[str] | None = None, common: Sequence[str] = COMMON_SUFFIXES
) -> dict[str, Path]:
    """List the files of a folder by stem, in order, as `list_annotations` does."""
    if not folder.is_dir():
        message = f"no folder {folder}; check its name"
        raise MissingError(message)
    found = list_annotations(folder, suffixes, wanted, common)
    if not found:
        message = f"nothing to score in {folder} (looked for {', '.join(suffixes)})"
        raise InputError(message)
    if twice := [stem for stem, paths in found.items() if len(paths) > 1]:
        message = f"{folder} has several files named {twice[0]}; keep one of them"
        raise InputError(message)
    return {stem: path for stem, (path,) in found.items()}


def _require_same(folder: Path, predictions: dict[str, Path], reference: Path, references: dict[str, Path]) -> None:
    if missing := sorted(references.keys() - predictions.keys()):
        message = f"{len(missing)} predictions are missing in {folder}, the first: {missing[0]}"
        raise InputError(message)
    if surplus := sorted(predictions.keys() - references.keys()):
        message = f"{len(surplus)} predictions in {folder} have no reference in {reference}, the first: {surplus[0]}"
        raise InputError(message)


def _size(pixels: NDArray[np.int32]) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"
