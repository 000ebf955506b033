"""A first look: nuclei in a picture that is on every machine where monuseg is."""

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
"""Nothing states the picture's scale; at this one, nuclei of the colon's glands come out at 5 x 12 um, as they are."""

ABOUT = (
    "Glands of the colon, immunohistochemistry (brown DAB, blue haematoxylin), a picture that scikit-image ships. "
    "It is outside the training domain, which is H&E: nuclei are missed, above all among the brown."
)


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """What `demo` does.

    Parameters
    ----------
    folder : Path
        Where the picture, the mask and the overlay are written.
    weights : Path
        Weights file of the model.
    cache : Path
        Folder for what engines make of weights.
    """

    folder: Path
    weights: Path
    cache: Path


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The picture, the overlay to look at, and what was found; `about` says what the picture is, and is not."""

    picture: Path
    overlay: Path
    about: str
    prediction: Prediction
    card: Card


def demo(config: DemoConfig, progress: Progress = SILENT) -> DemoResult:
    """Find the nuclei of a picture that comes with scikit-image; nothing is fetched.

    Raises
    ------
    MissingError
        If scikit-image was installed without its picture.
    InputError
        If the weights cannot be used.
    OutputError
        If something cannot be written.
    """
    # skimage.data would fetch a picture that is not there; this one is part of the package, so it is read as a file.
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
