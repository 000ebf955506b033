"""The Python interface for notebooks and pipelines: common tasks, on images in memory and on files.

For everything else, each stage is one function of a frozen config.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.annotations.label_values import number_nuclei
from monuseg_cli.classes.classes_file import NucleusClassifier, check_model, read_classes
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import DEFAULT_MODEL, Home
from monuseg_cli.core.progress import Lines, Progress
from monuseg_cli.evaluation.scores import Scores, count_image
from monuseg_cli.imaging.array_slide import ArraySlide, Picture, open_picture
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.to_rgb import ImageError
from monuseg_cli.measurement.given_nuclei import layout_of, read_windows, require_same_size
from monuseg_cli.measurement.measure_windows import measure_in_memory
from monuseg_cli.models.card import Card
from monuseg_cli.models.devices import Device
from monuseg_cli.models.weights import read_card
from monuseg_cli.nuclei.draw_outlines import draw_outlines
from monuseg_cli.nuclei.nucleus_table import NucleusTable
from monuseg_cli.nuclei.windows import LabelWindows
from monuseg_cli.outputs.plan import Format, OutputSpec, plan_outputs
from monuseg_cli.outputs.result import Prediction
from monuseg_cli.prediction.batch import with_overrides
from monuseg_cli.prediction.config import PredictConfig, SlideSettings, choose_measurements
from monuseg_cli.prediction.engines.base import Engine, with_card
from monuseg_cli.prediction.engines.select import EngineName, open_engine
from monuseg_cli.prediction.image_job import Job
from monuseg_cli.prediction.segment import Segmentation, segment
from monuseg_cli.prediction.stain_adaptation import Adapt

if TYPE_CHECKING:
    from monuseg_cli.training.train import TrainResult

__all__ = [
    "Model",
    "NucleusTable",
    "Scores",
    "Segmentation",
    "Slide",
    "draw_outlines",
    "evaluate",
    "load",
    "measure",
    "open_slide",
    "train",
]

Measurement = Literal["texture", "neighbours", "network", "all"]

LARGEST_PX = 2**27
"""Larger files are not predicted on in memory: their results are written to files."""


def load(
    model: str | Path = DEFAULT_MODEL,
    *,
    device: Device = "auto",
    engine: EngineName = "auto",
    home: str | Path | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> "Model":
    """Load a model once, for any number of images.

    Parameters
    ----------
    model : str or Path
        The name of a run or of weights in `home`, the folder of a run, or a weights file; ``"default"`` is the model
        in the package.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to compute.
    engine : {"auto", "torch", "openvino"}
        What runs the network; ``"auto"`` uses OpenVINO on a CPU if it is installed.
    home : str or Path, optional
        Folder of data, runs and models; None: the variable MONUSEG_HOME, or else the platform's folder for user data.
    threads : int, optional
        Threads of the network on the CPU, and of the post-processing that finds nuclei; None: the engine's own number,
        and all cores. PyTorch keeps it for the whole process.
    progress : Progress, optional
        Receives messages; None: lines on standard error. `monuseg_cli.core.progress.SILENT` drops them.

    Raises
    ------
    MissingError
        If the model does not exist, or the engine is not installed.
    InputError
        If the weights cannot be used, or the engine or device is unknown or not available.
    """
    place, shown = _home(home), Lines() if progress is None else progress
    return Model(place.find_weights(str(model)), place.cache, device, engine, threads, shown)


class Model:
    """A loaded model: weights, their card, and the engine that runs them. Use `load` to create one.

    Parameters
    ----------
    weights : Path
        Weights file.
    cache : Path
        Folder for the prepared models of engines.
    device, engine, threads
        See `load`.
    progress : Progress
        Receives messages.

    Attributes
    ----------
    card : Card
        Architecture, scale, post-processing, training data, scores and licence.
    """

    def __init__(
        self, weights: Path, cache: Path, device: Device, engine: EngineName, threads: int | None, progress: Progress
    ) -> None:
        self.card: Card = read_card(weights)
        self._sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
        self._engine = open_engine(weights, self.card, engine, device, cache, self._sha256, progress, threads=threads)
        self._weights, self._cache, self._engine_name, self._threads = weights, cache, engine, threads
        self._progress = progress

    def __repr__(self) -> str:
        """Return the weights file, the architecture, the scale and the licence."""
        return f"<Model {self._weights}: {self.card.architecture} at {self.card.mpp} um/px, {self.card.licence}>"

    def predict(
        self,
        image: Picture,
        mpp: float | Literal["estimate"] | None = None,
        *,
        threshold: float | None = None,
        min_area_um2: float | None = None,
        region: tuple[int, int, int, int] | None = None,
        tissue_mask: bool = True,
        skip_damaged: bool = False,
        adapt: Adapt = "auto",
        tta: bool = False,
        series: int | None = None,
        plane: int | None = None,
        measurements: Collection[Measurement] = (),
        classes: str | Path | None = None,
    ) -> Segmentation:
        """Find the nuclei of an image, the same as ``monuseg predict``, and return them.

        Parameters
        ----------
        image : ndarray of shape (H, W, 3), uint8, or PIL image, or path
            Red, green, blue. Other arrays are refused. A PIL image is converted as a file of its mode is.
        mpp : float or "estimate", optional
            Micrometres per pixel: about 0.25 at 40x, 0.5 at 20x. It may be omitted only if the image is a file that
            states it. ``"estimate"`` estimates it from the image, with the model in the package only.
        threshold : float, optional
            Pixels of at least this probability belong to nuclei; None: the value in the card.
        min_area_um2 : float, optional
            Smaller nuclei are dropped; None: the value in the card.
        region : tuple of int, optional
            First column, first row, width and height of the part to predict on, in pixels of full resolution.
        tissue_mask : bool
            Skip glass.
        skip_damaged : bool
            Treat tiles that cannot be read as glass.
        adapt : {"auto", "off"}
            Whether the stain of the image is matched to that of the training images.
        tta : bool
            Average the network over the eight orientations of each tile, which takes eight times as long.
        series, plane : int, optional
            Which image of a file, and which focal plane; see `open_slide`.
        measurements : collection of {"texture", "neighbours", "network", "all"}
            Further columns of the table of nuclei; texture needs scikit-image, the network's own features PyTorch.
            ``"all"`` stands for texture and neighbours.
        classes : str or Path, optional
            File of ``monuseg classify``: the table has the columns ``class`` and ``class_probability``.

        Raises
        ------
        MissingError
            If the file does not exist.
        InputError
            If the image or a setting cannot be used, or the scale is unknown.
        """
        groups, classifier = choose_measurements(measurements), _classifier(classes)
        settings = SlideSettings(
            mpp, region, tissue_mask, skip_damaged, adapt, (), series, plane, tta, groups, classifier
        )
        engine = self._with(threshold, min_area_um2)
        self._check(settings)
        with open_picture(image, skip_damaged, series, plane) as slide:
            _require_scale(slide, settings)
            _require_fitting_memory(slide, settings)
            return segment(slide, settings, engine, self._progress, self._threads)

    def predict_slide(
        self,
        image: str | Path,
        outputs: Sequence[str | Path],
        mpp: float | Literal["estimate"] | None = None,
        *,
        labels: bool = False,
        overlay: str | Path | None = None,
        probability: str | Path | None = None,
        report: str | Path | None = None,
        threshold: float | None = None,
        min_area_um2: float | None = None,
        region: tuple[int, int, int, int] | None = None,
        tissue_mask: bool = True,
        skip_damaged: bool = False,
        adapt: Adapt = "auto",
        tta: bool = False,
        series: int | None = None,
        plane: int | None = None,
        simplify: float | None = None,
        format: Format | None = None,
        measurements: Collection[Measurement] = (),
        classes: str | Path | None = None,
        overwrite: bool = False,
    ) -> Prediction:
        """Find the nuclei of a slide of any size, and write files, as ``monuseg predict`` does.

        A record beside the first file states how they were made. If all files exist and were made in the same way,
        nothing is computed, and the earlier result is returned. If a .parquet beside the files contains the nuclei,
        found in the same way, the files are made from it, and the network does not run.

        Parameters
        ----------
        image : str or Path
            An image file.
        outputs : sequence of str or Path
            Files to write; the suffix selects the content: .png (mask), .tif (mask, or labels), .geojson, .geojson.gz,
            .csv, .xlsx, .parquet, .zarr.
        mpp, threshold, min_area_um2, region, tissue_mask, skip_damaged, adapt, tta, series, plane, measurements
            See `predict`.
        classes
            See `predict`.
        labels : bool
            Write one integer per nucleus to a .tif, instead of a mask.
        overlay, probability : str or Path, optional
            Also write the image with outlines (.png), and the probability of nuclei (.tif) at the scale of the model.
        report : str or Path, optional
            Also write a report of the slide (.html).
        simplify : float, optional
            Simplify the outlines in GeoJSON by at most this distance, in pixels of full resolution.
        format : str, optional
            Format of the file if a folder is given: ``"png"``, ``"tif"``, ``"geojson"``, ``"geojson.gz"``, ``"csv"``,
            ``"parquet"``, ``"xlsx"`` or ``"zarr"``.
        overwrite : bool
            Compute and write again even if all files exist, or the nuclei do.

        Returns
        -------
        Prediction
            Files, size, scale, number of nuclei, area of tissue.

        Raises
        ------
        MissingError
            If the image does not exist.
        InputError
            If the image, a setting or the name of a file cannot be used, or the scale is unknown.
        OutputError
            If a file cannot be written.
        """
        path = Path(image).expanduser()
        results: Any = _name(outputs) if isinstance(outputs, str | Path) else tuple(map(_name, outputs))
        spec = OutputSpec(
            results, labels, _name(overlay), _name(probability), format=format, simplify=simplify, report=_name(report)
        )
        groups, classifier = choose_measurements(measurements), _classifier(classes)
        settings = SlideSettings(
            mpp, region, tissue_mask, skip_damaged, adapt, (), series, plane, tta, groups, classifier
        )
        engine = self._with(threshold, min_area_um2)
        self._check(settings)
        (plan,) = plan_outputs([path], spec)
        with Slide(path, skip_damaged, series, plane) as slide:
            _require_scale(slide, settings)
        config = PredictConfig(
            (path,),
            spec,
            self._weights,
            self._cache,
            settings,
            overwrite=overwrite,
            engine=self._engine_name,
            threads=self._threads,
        )
        outcome = Job(config, engine.card, self._sha256).run(plan, self._progress, engine)
        if outcome.error:
            raise outcome.error
        assert outcome.prediction
        return outcome.prediction

    def _check(self, settings: SlideSettings) -> None:
        """Warn of classes that were learned on nuclei of another model, or refuse them; see `check_model`."""
        if settings.classes:
            check_model(settings.classes, self._sha256, self._progress)

    def _with(self, threshold: float | None, min_area_um2: float | None) -> Engine:
        postprocess = with_overrides(self.card.postprocess, threshold, min_area_um2)
        return with_card(self._engine, replace(self.card, postprocess=postprocess))


def open_slide(
    path: str | Path, *, skip_damaged: bool = False, series: int | None = None, plane: int | None = None
) -> Slide:
    """Open an image file, to read its levels, its scale and regions of it; use it in a ``with`` statement.

    Parameters
    ----------
    path : str or Path
        An image or slide of any supported format.
    skip_damaged : bool
        Return white for tiles that cannot be read.
    series : int, optional
        Which image of the file, from 0; None: the largest scan.
    plane : int, optional
        Which focal plane, from 0; None: the one in focus according to the file, or else the middle one.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If it is not an image, is damaged, or the meaning of its pixels is unclear.
    """
    return Slide(Path(path).expanduser(), skip_damaged, series, plane)


def measure(
    image: Picture,
    labels: NDArray[Any] | str | Path,
    mpp: float | None = None,
    *,
    measurements: Collection[Measurement] = (),
    classes: str | Path | None = None,
    skip_damaged: bool = False,
    series: int | None = None,
    plane: int | None = None,
    progress: Progress | None = None,
) -> NucleusTable:
    """Measure nuclei that any tool found, as ``monuseg measure`` does, and return the table.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8, or PIL image, or path
        See `Model.predict`.
    labels : ndarray of shape (H, W), integer or bool, or path
        Its nuclei: a label image, or a mask, whose connected components (4 neighbours) are the nuclei; or a file of
        these, or of outlines (GeoJSON, Aperio XML).
    mpp : float, optional
        Micrometres per pixel; it may be omitted only if the image is a file that states it.
    measurements : collection of {"texture", "neighbours", "all"}
        Further columns; texture needs scikit-image.
    classes : str or Path, optional
        See `Model.predict`.
    skip_damaged, series, plane
        See `open_slide`.
    progress : Progress, optional
        Receives messages; None: lines on standard error.

    Raises
    ------
    MissingError
        If a file does not exist.
    InputError
        If the image, the labels or a setting cannot be used, or the scale is unknown.
    """
    told = Lines() if progress is None else progress
    settings = SlideSettings(
        mpp, skip_damaged=skip_damaged, measurements=choose_measurements(measurements), classes=_classifier(classes)
    )
    with open_picture(image, skip_damaged, series, plane) as slide:
        layout = layout_of(slide, settings)
        if isinstance(labels, str | Path):
            windows, _ = read_windows(Path(labels).expanduser(), layout, told)
        else:
            numbered = _label_image("labels", labels)
            require_same_size("labels", numbered.shape, slide.shape)
            windows = LabelWindows(numbered)
        return measure_in_memory(slide, windows, settings, layout, told)


def evaluate(labels: NDArray[Any], reference: NDArray[Any], probability: NDArray[Any] | None = None) -> Scores:
    """Compute the scores of a label image against a reference of the same image.

    Parameters
    ----------
    labels, reference : ndarray of shape (H, W), integer or bool
        Predicted and true nuclei: label images, or masks of 0 and one other value, whose connected components (4
        neighbours) are the nuclei; the same rule as for the files of ``monuseg evaluate``.
    probability : ndarray of shape (H, W), floating, optional
        Predicted probability within 0..1, for loss and soft Dice.

    Raises
    ------
    InputError
        If an array cannot be used, or the shapes differ.
    """
    found, truth = _label_image("labels", labels), _label_image("reference", reference)
    soft = None if probability is None else _probability(probability)
    for name, pixels in {"labels": found, "probability": soft}.items():
        if pixels is not None and pixels.shape != truth.shape:
            message = f"the {name} of shape {pixels.shape} and the reference of shape {truth.shape} are of two images"
            raise InputError(message)
    return count_image(truth, found, soft).scores()


def train(
    data: str | Path | None = None,
    *,
    recipe: str | Path = "default",
    init: str | Path | None = None,
    name: str | None = None,
    device: Device = "auto",
    home: str | Path | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> "TrainResult":
    """Train a model, as ``monuseg train`` does; ``load(result.run)`` loads it.

    Parameters
    ----------
    data : str or Path, optional
        Folder of your own images and annotations; None: MoNuSeg, as fetched by ``monuseg download``.
    recipe : str or Path
        Name of a recipe, such as ``"fine-tune"``, or a TOML file saved by a training.
    init : str or Path, optional
        Start from these weights, with their architecture; see `load`.
    name : str, optional
        Name of the run; None: the name of the architecture.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to compute.
    home : str or Path, optional
        See `load`; the run is saved there.
    progress : Progress, optional
        Receives a line per epoch; None: lines on standard error.
    **settings
        Settings that differ from the recipe; see `monuseg_cli.training.recipe.Recipe`.

    Raises
    ------
    MonusegError
        See `monuseg_cli.training.train.train`.
    InputError
        If a setting is unknown or cannot be used.
    """
    from monuseg_cli.training.finetune import adopt_architecture
    from monuseg_cli.training.recipe import Recipe
    from monuseg_cli.training.recipes import find_recipe
    from monuseg_cli.training.session import TrainConfig
    from monuseg_cli.training.train import train as run

    place, begun = _home(home), find_recipe(str(recipe))
    chosen = {"train": "" if data is None else str(data), **settings}
    if init is not None:
        begun = adopt_architecture(begun, read_card(place.find_weights(str(init))))
        chosen["init"] = str(init)
    config = TrainConfig(place, Recipe.from_dict({**begun.to_dict(), **chosen}), name, device=device)
    return run(config, Lines() if progress is None else progress)


def _classifier(path: str | Path | None) -> NucleusClassifier | None:
    return None if path is None else read_classes(Path(path).expanduser())


def _home(home: str | Path | None) -> Home:
    return Home.resolve(None if home is None else Path(home))


def _name(file: object) -> Any:
    """Return a path as a string, and anything else unchanged, for `OutputSpec` to check."""
    return str(file) if isinstance(file, Path) else file


def _require_scale(slide: Slide, settings: SlideSettings) -> None:
    if not (settings.mpp or slide.mpp):
        found = f"the scale of {slide.path} is {slide.mpp_source}"
        message = f"{found}; set `mpp`, in micrometres per pixel: about 0.25 at 40x, 0.5 at 20x, or to 'estimate'"
        raise InputError(message)


def _require_fitting_memory(slide: Slide, settings: SlideSettings) -> None:
    _, _, width, height = settings.region or (0, 0, *reversed(slide.shape))
    if height * width > LARGEST_PX and not isinstance(slide, ArraySlide):
        message = (
            f"{slide.path}: {width} x {height} pixels are too many to keep the result in memory; use predict_slide, "
            "which writes files, or a `region`"
        )
        raise InputError(message)


def _label_image(name: str, pixels: NDArray[Any]) -> NDArray[np.int32]:
    if not isinstance(pixels, np.ndarray):
        message = f"the {name} must be an array, not {type(pixels).__name__}"
        raise InputError(message)
    try:
        labels, note = number_nuclei(pixels)
    except ImageError as error:
        message = f"the {name}: {error}"
        raise InputError(message) from error
    if note:
        Lines().warn(f"the {name}: {note}")
    return labels


def _probability(pixels: NDArray[Any]) -> NDArray[np.float32]:
    if not isinstance(pixels, np.ndarray) or pixels.dtype.kind not in "fiu":
        message = "the probability must be an array of numbers"
        raise InputError(message)
    if not (pixels.min(initial=0) >= 0 and pixels.max(initial=0) <= 1):  # also True for NaN
        message = "the probability must be between 0 and 1"
        raise InputError(message)
    return pixels.astype(np.float32, copy=False)
