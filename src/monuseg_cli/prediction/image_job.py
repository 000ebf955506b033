"""One image of a batch: skipped if done before, remade from kept nuclei, or predicted."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

from monuseg_cli import __version__
from monuseg_cli.core.errors import MonusegError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.imaging.decoding import decoding
from monuseg_cli.imaging.folder import files_of
from monuseg_cli.models.card import Card
from monuseg_cli.outputs.nuclei_spatialdata import require_replaceable
from monuseg_cli.outputs.plan import Outputs
from monuseg_cli.outputs.result import Prediction
from monuseg_cli.prediction.config import PredictConfig
from monuseg_cli.prediction.engines.base import Engine, EngineError
from monuseg_cli.prediction.engines.select import open_engine
from monuseg_cli.prediction.files_of_nuclei import FilesOfNuclei
from monuseg_cli.prediction.predict_slide import predict_slide
from monuseg_cli.prediction.record import describe_outputs, first_record, read_record, remove_records, write_records
from monuseg_cli.prediction.remake_outputs import KeptNuclei, find_kept, make_outputs

Action = Literal["predict", "remake", "skip", "refuse"]
"""What a run does with an image: see `monuseg_cli.prediction.dry_run.PlannedImage`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one image: a prediction, made earlier if the image was skipped, or an error."""

    outputs: Outputs
    prediction: Prediction | None = None
    error: MonusegError | None = None
    skipped: bool = False

    @property
    def status(self) -> str:
        """Return what became of the image: predicted, remade from kept nuclei, skipped since done before, or failed."""
        if self.error or not self.prediction:
            return "failed"
        return "skipped" if self.skipped else "remade" if self.prediction.made_from else "predicted"

    def summary(self) -> str:
        """Return a one-line summary."""
        if self.prediction:
            made = f", made from {self.prediction.made_from}" if self.prediction.made_from else ""
            found = f"{self.prediction.nuclei} nuclei, {self.prediction.seconds:.1f} s"
            return f"{self.outputs.image.name}, {found}{made}"
        return f"{self.outputs.image.name}, failed"


@dataclass(frozen=True, slots=True)
class Job:
    """Everything needed to predict on an image, in any process.

    Parameters
    ----------
    config : PredictConfig
        Settings of the prediction.
    card : Card
        Card of the model, with the post-processing to use.
    sha256 : str
        SHA-256 of the weights file.
    """

    config: PredictConfig
    card: Card
    sha256: str

    def run(
        self,
        outputs: Outputs,
        progress: Progress = SILENT,
        engine: Engine | None = None,
        files: FilesOfNuclei | None = None,
    ) -> Outcome:
        """Predict on an image unless it was done before.

        Parameters
        ----------
        outputs : Outputs
            The image, and the files to write.
        progress : Progress
            Receives messages.
        engine : Engine, optional
            Runs the network; by default, one is opened.
        files : FilesOfNuclei, optional
            Kept nuclei are looked for among these files; by default, among those that are there now.

        Raises
        ------
        EngineError
            If the engine cannot run the model, which is the same for all images. Other errors are in the outcome.
        """
        try:
            identity = self.identity(outputs)
            provenance = {**identity, **describe_outputs(outputs)}
            if not self.config.overwrite and (recorded := read_record(outputs, provenance)):
                progress.detail(f"{outputs.image} was done before, according to {first_record(outputs)}")
                return Outcome(outputs, recorded, skipped=True)
            self.require_replaceable(outputs)
            make = self._prepare(outputs, identity, progress, engine, files)
            remove_records(outputs)
            prediction = make()
            write_records(outputs, {**provenance, **self._machine()}, prediction)
        except EngineError:
            raise
        except MonusegError as error:
            return Outcome(outputs, error=error)
        return Outcome(outputs, prediction)

    def require_replaceable(self, outputs: Outputs) -> None:
        """Check that no output would delete a folder that is not one; see `nuclei_spatialdata.require_replaceable`.

        Raises
        ------
        OutputError
            If one would.
        """
        for store in outputs.stores:
            require_replaceable(store, self.config.overwrite)

    def _machine(self) -> dict[str, Any]:
        """Describe what the record states, but a later run may change: the nuclei are the same."""
        return {"threads": self.config.threads} if self.config.threads else {}

    def foresee(self, outputs: Outputs, progress: Progress = SILENT) -> Action:
        """Return what `run` would do with an image, unless its outputs cannot be written or its pixels not be read."""
        identity = self.identity(outputs)
        if not self.config.overwrite and read_record(outputs, {**identity, **describe_outputs(outputs)}):
            return "skip"
        return "remake" if self._find_kept(outputs, identity, progress) else "predict"

    def _find_kept(
        self, outputs: Outputs, identity: dict[str, Any], progress: Progress, files: FilesOfNuclei | None = None
    ) -> KeptNuclei | None:
        return None if self.config.overwrite else find_kept(outputs, identity, self.config.engine, progress, files)

    def _prepare(
        self,
        outputs: Outputs,
        identity: dict[str, Any],
        progress: Progress,
        engine: Engine | None,
        files: FilesOfNuclei | None,
    ) -> Callable[[], Prediction]:
        """Return what makes the outputs: from nuclei that are kept, or with the network, whose engine is opened."""
        settings = self.config.settings
        kept = self._find_kept(outputs, identity, progress, files)
        if kept:
            progress.info(f"{outputs.image.name}: made from {kept.path}, without the network")
            return partial(make_outputs, kept, outputs, settings, self.card, identity, progress)
        chosen = engine or self.engine(progress)
        return partial(predict_slide, outputs, settings, chosen, progress, identity, self.config.threads)

    def engine(self, progress: Progress) -> Engine:
        """Open the engine, once per process.

        Raises
        ------
        EngineError
            If the engine cannot run the model.
        """
        if self.has_engine:
            return _OPENED[0][1]
        key = (self.sha256, self.card.to_json(), self.config.engine, self.config.device, str(self.config.threads))
        if key not in _ENGINES:
            _ENGINES.clear()
            config = self.config
            _ENGINES[key] = open_engine(
                config.weights,
                self.card,
                config.engine,
                config.device,
                config.cache,
                self.sha256,
                progress,
                threads=config.threads,
            )
            name = type(_ENGINES[key]).__name__
            threads = f", threads: {config.threads}" if config.threads else ""
            progress.detail(
                f"{self.card.architecture} of {config.weights}, by {name}{threads}, SHA-256 {self.sha256[:12]}"
            )
        _OPENED[:] = [(self, _ENGINES[key])]
        return _ENGINES[key]

    @property
    def has_engine(self) -> bool:
        """Whether the engine is open in this process."""
        return bool(_OPENED) and _OPENED[0][0] is self

    def identity(self, outputs: Outputs) -> dict[str, Any]:
        """Describe everything that the nuclei of an image depend on, whatever is written of them."""
        with decoding(outputs.image):
            files = [file.stat() for file in files_of(outputs.image)]
        given = replace(self.config.settings, rois=(), classes=None)
        settings = {name: value for name, value in asdict(given).items() if name not in ("rois", "classes")}
        if self.config.settings.classes:
            settings["classes"] = self.config.settings.classes.sha256
        if not self.card.stain:
            settings["adapt"] = "off"  # nothing to adapt to
        settings = {name: value for name, value in settings.items() if value != _NEW_SETTINGS.get(name, ...)}
        image_rois = self.config.settings.rois
        rois = [[roi.name, [[ring.tolist() for ring in polygon] for polygon in roi.polygons]] for roi in image_rois]
        return {
            "monuseg": __version__,
            "image": {
                "name": outputs.image.name,
                "bytes": sum(file.st_size for file in files),
                "modified_ns": max((file.st_mtime_ns for file in files), default=0),
            },
            "model": {"architecture": self.card.architecture, "sha256": self.sha256, "licence": self.card.licence},
            "postprocess": asdict(self.card.postprocess),
            "settings": {**settings, "rois": rois},
        }


_NEW_SETTINGS: Mapping[str, Any] = {"series": None, "plane": None, "tta": False, "measurements": ()}
"""Settings that records of earlier versions do not have, with their defaults, which are not recorded."""

_ENGINES: dict[tuple[str, ...], Engine] = {}
_OPENED: list[tuple[Job, Engine]] = []
"""The job that last opened an engine: with many small images, its card would take longer to compare than to use."""
