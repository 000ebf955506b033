"""The command `classify`: a classifier of nuclei, trained on those that were given classes."""

import hashlib
import importlib.metadata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from monuseg_cli import __version__
from monuseg_cli.classes.card import ClassesCard, Colour, FoundBy, units_of
from monuseg_cli.classes.classes_file import SUFFIX, fill_missing, save_classes
from monuseg_cli.classes.features import RADIUS_UM, compute_features, feature_names, groups_used, is_of_network
from monuseg_cli.classification.annotated_classes import Assigned, ClassAnnotations, read_class_annotations
from monuseg_cli.classification.cross_validation import cross_validate, median_of
from monuseg_cli.classification.examples import build_examples, describe_classes, require_enough
from monuseg_cli.classification.fit import CANDIDATES
from monuseg_cli.classification.known_nuclei import KnownNuclei, find_slide_nuclei, read_nuclei_file
from monuseg_cli.core.atomic import require_writable
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.extras import require_extra
from monuseg_cli.core.home import resolve_links
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.imaging.folder import is_slide_folder, stem_of
from monuseg_cli.models.weights import read_card
from monuseg_cli.outputs.plan import OutputSpec
from monuseg_cli.prediction.config import PredictConfig, SlideSettings
from monuseg_cli.prediction.engines.select import EngineName
from monuseg_cli.prediction.image_job import Job


@dataclass(frozen=True, slots=True)
class ClassifyConfig:
    """Settings of `classify`.

    Parameters
    ----------
    images : tuple of Path
        The slides.
    annotations : tuple of Path
        GeoJSON of the classes on each slide, in the same order; or one folder, with a file named after each slide.
    output : Path
        The file of classes to write.
    weights : Path
        Weights file of the model that finds the nuclei.
    cache : Path
        Folder in which engines keep the converted model.
    nuclei : tuple of Path
        The nuclei of each slide, in the same order; empty: kept by a prediction beside the slide or the output, or
        predicted.
    settings : SlideSettings
        Scale and measurements; texture and the network's features are used if they are measured.
    engine : {"auto", "torch", "openvino"}
        Engine that runs the network.
    """

    images: tuple[Path, ...]
    annotations: tuple[Path, ...]
    output: Path
    weights: Path
    cache: Path
    nuclei: tuple[Path, ...] = ()
    settings: SlideSettings = field(default_factory=SlideSettings)
    engine: EngineName = "auto"


@dataclass(frozen=True, slots=True)
class ClassifyResult:
    """Result of `classify`: the file of classes, and its card."""

    output: Path
    card: ClassesCard


@dataclass(frozen=True, slots=True)
class _SlideExamples:
    """The annotated nuclei of one slide."""

    features: np.ndarray[tuple[int, int], np.dtype[np.float64]]
    names: Sequence[str]
    groups: Sequence[str]
    um_per_px: float
    found_by: FoundBy | None


def classify(config: ClassifyConfig, progress: Progress = SILENT) -> ClassifyResult:
    """Train a classifier of nuclei on those that a person gave classes to, and write it.

    Raises
    ------
    MissingError
        If a file does not exist, or scikit-learn is not installed.
    InputError
        If a file cannot be used, or a class has too few examples.
    OutputError
        If the classifier cannot be written.
    """
    require_extra("classes", "classify", sklearn="scikit-learn")
    annotation_files = _require_files(config)
    given = [read_class_annotations(path, progress) for path in annotation_files]
    drawn = Counter(name for annotations in given for name in annotations.names)
    found = [_read_slide(config, place, annotations, progress) for place, annotations in enumerate(given)]
    if "network" in config.settings.measurements and _found_by(found) is None:
        message = "the nuclei are of several models, whose features cannot be mixed; find all of them with one `model`"
        raise InputError(message)
    examples = build_examples(
        np.concatenate([one.features for one in found]),
        [name for one in found for name in one.names],
        [(place, group) for place, one in enumerate(found) for group in one.groups],
    )
    require_enough(examples, drawn, progress)
    groups = config.settings.measurements
    of_network = np.array([is_of_network(name) for name in feature_names(groups)])
    kind, validation = cross_validate(examples, progress, of_network if of_network.any() else None)
    fill = median_of(examples.features)
    model = CANDIDATES[kind](fill_missing(examples.features, fill), examples.classes)
    colours: dict[str, Colour] = {}
    for annotations in reversed(given):
        colours |= annotations.colours
    card = ClassesCard(
        model=model.kind,
        classes=describe_classes(examples, colours),
        features=feature_names(groups),
        units=units_of(feature_names(groups)),
        measurements=groups_used(groups),
        radius_um=float(RADIUS_UM),
        images=tuple(image.name for image in config.images),
        mpp=tuple(one.um_per_px for one in found),
        found_by=_found_by(found),
        validation=validation,
        versions={"monuseg": __version__, "scikit-learn": importlib.metadata.version("scikit-learn")},
    )
    save_classes(config.output, card, model, fill)
    return ClassifyResult(config.output, card)


def _require_files(config: ClassifyConfig) -> list[Path]:
    """Check all names before anything is computed, and return the file of annotations of each slide."""
    if config.output.suffix.lower() != SUFFIX:
        message = f"cannot write {config.output}: a file of classes needs a name that ends in {SUFFIX}"
        raise InputError(message)
    _require_slides(config.images)
    files = list(config.annotations)
    if len(files) == 1 and files[0].is_dir():
        files = [_file_of(files[0], image) for image in config.images]
    if len(files) != len(config.images):
        message = (
            f"{len(config.images)} slides and {len(files)} files of `annotations`: give one for each slide, in "
            "the same order, or a folder with a file named after each slide"
        )
        raise InputError(message)
    if twice := _find_twice(files):
        message = f"{twice} would be used for several slides; give a file of `annotations` for each, in the same order"
        raise InputError(message)
    if config.nuclei and len(config.nuclei) != len(config.images):
        message = f"{len(config.images)} slides and {len(config.nuclei)} files of `nuclei`: give one for each slide"
        raise InputError(message)
    for path in (*config.images, *config.nuclei):
        if not path.exists():
            message = f"no file {path}; check its name"
            raise MissingError(message)
    if resolve_links(config.output) in {resolve_links(path) for path in (*config.images, *files, *config.nuclei)}:
        message = f"{config.output} is an input, and would be replaced; choose another `output`"
        raise InputError(message)
    require_writable(config.output)
    return files


def _require_slides(images: Sequence[Path]) -> None:
    for image in images:
        if image.is_dir() and not is_slide_folder(image):
            message = f"{image} is a folder; name the slides in it that are annotated"
            raise InputError(message)
    if twice := _find_twice(images):
        message = f"{twice} is named twice; name each slide once, with all of its annotations in one file"
        raise InputError(message)


def _find_twice(paths: Sequence[Path]) -> Path | None:
    """Return the first path that names the file of an earlier one: its nuclei would be held out and trained on."""
    known: set[Path] = set()
    for path in paths:
        if (file := resolve_links(path)) in known:
            return path
        known.add(file)
    return None


def _file_of(folder: Path, image: Path) -> Path:
    stem = stem_of(image)
    for suffix in (".geojson", ".geojson.gz", ".geojson.zip", ".json"):
        if (path := folder / f"{stem}{suffix}").is_file():
            return path
    message = f"no {stem}.geojson in {folder}; export the annotations of {image.name} to it"
    raise MissingError(message)


def _read_slide(
    config: ClassifyConfig, place: int, annotations: ClassAnnotations, progress: Progress
) -> _SlideExamples:
    """Find the nuclei of a slide, and their classes."""
    image = config.images[place]
    if config.nuclei:
        known = read_nuclei_file(config.nuclei[place], image, config.settings, progress)
    else:
        known = _find_nuclei(config, image, annotations, progress)
    assigned = annotations.assign(known.centres, known.um_per_px)
    if assigned.unclear:
        progress.warn(f"{image.name}: {assigned.unclear} nuclei lie in objects of several classes, and are left out")
    _warn_empty(image.name, annotations, assigned, progress)
    features = compute_features(known.columns, known.um_per_px, config.settings.measurements)
    return _SlideExamples(features[assigned.index], assigned.names, assigned.groups, known.um_per_px, known.found_by)


def _warn_empty(name: str, annotations: ClassAnnotations, assigned: Assigned, progress: Progress) -> None:
    """Warn of annotated objects in which no nucleus was found, which say nothing."""
    if assigned.empty_regions:
        number = sum(assigned.empty_regions.values())
        classes = ", ".join(f"{one} ({count})" for one, count in sorted(assigned.empty_regions.items()))
        progress.warn(f"{name}: no nucleus was found in {number} of {annotations.regions} regions: {classes}")
    if assigned.empty_nuclei:
        number = len(annotations.names) - annotations.regions
        progress.warn(
            f"{name}: {assigned.empty_nuclei} of {number} annotated nuclei are not among those that were found"
        )


def _find_nuclei(config: ClassifyConfig, image: Path, annotations: ClassAnnotations, progress: Progress) -> KnownNuclei:
    card = read_card(config.weights)
    spec = OutputSpec((str(config.output),))
    predict = PredictConfig((image,), spec, config.weights, config.cache, config.settings, engine=config.engine)
    job = Job(predict, card, hashlib.sha256(config.weights.read_bytes()).hexdigest())
    folders = tuple(dict.fromkeys((config.output.parent, image.parent)))
    return find_slide_nuclei(image, annotations, job, folders, progress)


def _found_by(found: Sequence[_SlideExamples]) -> FoundBy | None:
    """Return the model that found all of the nuclei; None if there is no such model."""
    models = {one.found_by for one in found}
    return models.pop() if len(models) == 1 else None
