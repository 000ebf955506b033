"""Many images -> their nuclei: one after the other, none twice, and one's failure stops no other."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from monuseg_cli import __version__
from monuseg_cli.core.atomic import remove, write_json
from monuseg_cli.core.errors import InputError, MonusegError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.imaging.read import decoding
from monuseg_cli.models.card import Card
from monuseg_cli.models.devices import Device
from monuseg_cli.models.weights import read_card
from monuseg_cli.nuclei.params import Separation
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.engines.select import EngineName, open_engine
from monuseg_cli.prediction.outputs import Outputs, Wanted, find_images, plan_outputs
from monuseg_cli.prediction.slide import Prediction, SlideSettings, predict_slide

RECORD_SUFFIX = ".monuseg.json"
"""Of the file beside a slide's first output that says how it was made; it is written last."""


@dataclass(frozen=True, slots=True)
class PredictConfig:
    """What `predict` does.

    Parameters
    ----------
    images : tuple of Path
        Image files, or folders of which every image is taken.
    wanted : Wanted
        What is written, and where.
    weights : Path
        Weights file of the model.
    cache : Path
        Folder for what engines make of weights, to be found there the next time.
    settings : SlideSettings
        How each slide is predicted on.
    threshold, min_area_um2 : float, optional
        In place of the card's.
    part, parts : int
        Of all images, taken in turn, only those of this part are predicted on, 1 to `parts`.
    again : bool
        Also predict on images whose outputs are there, made in the same way.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to compute.
    engine : {"auto", "torch", "openvino"}
        What runs the network.
    scheduler : str, optional
        Address of a Dask scheduler whose workers predict, an image each at a time; they must see the same files.
    """

    images: tuple[Path, ...]
    wanted: Wanted
    weights: Path
    cache: Path
    settings: SlideSettings = field(default_factory=SlideSettings)
    threshold: float | None = None
    min_area_um2: float | None = None
    part: int = 1
    parts: int = 1
    again: bool = False
    device: Device = "auto"
    engine: EngineName = "auto"
    scheduler: str | None = None


@dataclass(frozen=True, slots=True)
class PredictResult:
    """What came of a prediction.

    Parameters
    ----------
    weights : Path
        Weights file of the model.
    card : Card
        The model's, with the post-processing that was used.
    predictions : tuple of Prediction
        Of the images that were predicted on now.
    there : tuple of Outputs
        Of the images that were done before, in the same way.
    failures : tuple of (Path, MonusegError)
        The images that failed, and why.
    """

    weights: Path
    card: Card
    predictions: tuple[Prediction, ...]
    there: tuple[Outputs, ...]
    failures: tuple[tuple[Path, MonusegError], ...]


def predict(config: PredictConfig, progress: Progress = SILENT) -> PredictResult:
    """Find the nuclei of one or more images and write them.

    An image that states another scale than the model's is resampled for the model, and the result is brought back to
    the pixels of the image. An image whose outputs are there, made in the same way, is left as it is.

    Raises
    ------
    MissingError
        If an image or the weights do not exist.
    InputError
        If an option, the weights or the outputs' names cannot be used; nothing is written then.
    """
    if not 1 <= config.part <= config.parts:
        message = f"--part {config.part} of --num-parts {config.parts}: parts are counted from 1"
        raise InputError(message)
    plans = plan_outputs(find_images(config.images), config.wanted)[config.part - 1 :: config.parts]
    card = read_card(config.weights)
    card = replace(card, separation=_changed(card.separation, config))
    job = Job(config, card, hashlib.sha256(config.weights.read_bytes()).hexdigest())
    coming: Iterator[Outcome] = (job.run(outputs, progress) for outputs in plans)
    if config.scheduler:
        from monuseg_cli.prediction.dask import run_on_cluster

        coming = run_on_cluster(config.scheduler, job, plans, progress)
    outcomes = []
    for number, outcome in enumerate(coming, start=1):
        outcomes.append(outcome)
        if len(plans) > 1 and not outcome.was_there:
            progress.info(f"{number} of {len(plans)}: {outcome.told()}")
    return PredictResult(
        weights=config.weights,
        card=card,
        predictions=tuple(outcome.prediction for outcome in outcomes if outcome.prediction),
        there=tuple(outcome.outputs for outcome in outcomes if outcome.was_there),
        failures=tuple((outcome.outputs.image, outcome.error) for outcome in outcomes if outcome.error),
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an image: a prediction, or an error, or nothing where it was done before."""

    outputs: Outputs
    prediction: Prediction | None = None
    error: MonusegError | None = None

    @property
    def was_there(self) -> bool:
        """Whether there was nothing to do."""
        return self.prediction is None and self.error is None

    def told(self) -> str:
        """Say in a line what was done."""
        if self.prediction:
            return f"{self.outputs.image.name}, {self.prediction.nuclei} nuclei, {self.prediction.seconds:.1f} s"
        return f"{self.outputs.image.name}, failed"


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that is needed to predict on an image, in whatever process.

    Parameters
    ----------
    config : PredictConfig
        What was asked for.
    card : Card
        The model's, with the post-processing that was asked for.
    sha256 : str
        Of the weights file.
    """

    config: PredictConfig
    card: Card
    sha256: str

    def run(self, outputs: Outputs, progress: Progress = SILENT) -> Outcome:
        """Predict on an image, unless it was done before."""
        try:
            how = self._how(outputs)
            if not self.config.again and _is_done(outputs, how):
                progress.detail(f"{outputs.image} was done before, says {_record(outputs)}")
                return Outcome(outputs)
            if _record(outputs).exists():
                remove(_record(outputs))
            prediction = predict_slide(outputs, self.config.settings, self._engine(progress), progress)
            write_json(_record(outputs), {**how, "found": _plain(prediction)})
        except MonusegError as error:
            return Outcome(outputs, error=error)
        return Outcome(outputs, prediction)

    def _engine(self, progress: Progress) -> Engine:
        """Open the engine, once for all images of a process."""
        key = (self.sha256, self.card.to_json(), self.config.engine, self.config.device)
        if key not in _ENGINES:
            _ENGINES.clear()
            config = self.config
            _ENGINES[key] = open_engine(
                config.weights, self.card, config.engine, config.device, config.cache, self.sha256, progress
            )
            name = type(_ENGINES[key]).__name__
            progress.detail(f"{self.card.architecture} of {config.weights}, by {name}, SHA-256 {self.sha256[:12]}")
        return _ENGINES[key]

    def _how(self, outputs: Outputs) -> dict[str, Any]:
        """Describe everything that an image's outputs depend on."""
        with decoding(outputs.image):
            image = outputs.image.stat()
        settings = self.config.settings
        rois = [[roi.name, [[ring.tolist() for ring in polygon] for polygon in roi.polygons]] for roi in settings.rois]
        return {
            "monuseg": __version__,
            "image": {"name": outputs.image.name, "bytes": image.st_size, "modified_ns": image.st_mtime_ns},
            "model": {"architecture": self.card.architecture, "sha256": self.sha256, "licence": self.card.licence},
            "separation": asdict(self.card.separation),
            "settings": {**{name: value for name, value in asdict(settings).items() if name != "rois"}, "rois": rois},
            "outputs": [path.name for path in outputs.files],
            "labels": outputs.labels,
        }


_ENGINES: dict[tuple[str, ...], Engine] = {}


def _changed(separation: Separation, config: PredictConfig) -> Separation:
    """Put the user's values in place of the card's."""
    wanted = {"threshold": config.threshold, "min_area_um2": config.min_area_um2}
    try:
        return replace(separation, **{name: value for name, value in wanted.items() if value is not None})
    except ValueError as error:
        message = f"--{str(error).replace('_', '-')}"
        raise InputError(message) from error


def _record(outputs: Outputs) -> Path:
    first = outputs.files[0]
    return first.with_name(first.name + RECORD_SUFFIX)


def _is_done(outputs: Outputs, how: dict[str, Any]) -> bool:
    try:
        record = json.loads(_record(outputs).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    if not isinstance(record, dict) or not all(path.is_file() for path in outputs.files):
        return False
    return all(record.get(name) == value for name, value in json.loads(json.dumps(how)).items())


def _plain(prediction: Prediction) -> dict[str, Any]:
    return {name: value for name, value in asdict(prediction).items() if name != "outputs"}
