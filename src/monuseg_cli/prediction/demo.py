"""The demo: prediction on an image that is installed together with monuseg."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from monuseg_cli.core.atomic import write_bytes
from monuseg_cli.core.errors import MissingError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.models.card import Card
from monuseg_cli.prediction.batch import predict
from monuseg_cli.prediction.config import PredictConfig, SlideSettings
from monuseg_cli.prediction.outputs import OutputSpec
from monuseg_cli.prediction.slide import Prediction

_PACKAGE, _PICTURE = "skimage", "data/ihc.png"
_MPP = 0.5
"""Assumed, since the image states no scale: with it, nuclei of the colon's glands measure 5 x 12 um, as expected."""

ABOUT = (
    "Glands of the colon, immunohistochemistry (brown DAB, blue haematoxylin), a picture that scikit-image ships. "
    "It is outside the training domain, which is H&E: nuclei are missed, above all among the brown."
)


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """Settings of `demo`.

    Parameters
    ----------
    folder : Path
        Folder for the picture, the mask and the overlay.
    weights : Path
        Weights file of the model.
    cache : Path
        Folder in which engines keep the converted model.
    """

    folder: Path
    weights: Path
    cache: Path


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The picture, the overlay, and the prediction; `about` describes the picture and its limits."""

    picture: Path
    overlay: Path
    about: str
    prediction: Prediction
    card: Card


def demo(config: DemoConfig, progress: Progress = SILENT) -> DemoResult:
    """Find the nuclei of a picture that ships with scikit-image; nothing is downloaded.

    Raises
    ------
    MissingError
        If scikit-image was installed without its picture.
    InputError
        If the weights are unusable.
    OutputError
        If a file cannot be written.
    """
    # skimage.data would download a missing picture; this one is part of the package, so it is read as a file.
    source = resources.files(_PACKAGE) / _PICTURE
    try:
        content = source.read_bytes()
    except FileNotFoundError as error:
        message = f"scikit-image lacks its picture {source}: pip install --force-reinstall scikit-image"
        raise MissingError(message) from error
    picture, mask, overlay = (config.folder / name for name in ("picture.png", "mask.png", "overlay.png"))
    write_bytes(picture, content)
    result = predict(
        PredictConfig(
            images=(picture,),
            outputs=OutputSpec((str(mask),), overlay=str(overlay)),
            weights=config.weights,
            cache=config.cache,
            settings=SlideSettings(mpp=_MPP),
            overwrite=True,
        ),
        progress,
    )
    if result.failures:
        raise result.failures[0][1]
    return DemoResult(picture, overlay, ABOUT, result.predictions[0], result.card)
