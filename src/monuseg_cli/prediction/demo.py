"""The demo: prediction on an H&E image that comes with the package."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.atomic import write_bytes
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.models.card import Card
from monuseg_cli.outputs.plan import OutputSpec
from monuseg_cli.outputs.result import Prediction
from monuseg_cli.prediction.batch import predict
from monuseg_cli.prediction.config import PredictConfig

_SAMPLE = Path(__file__).parent / "shipped" / "tissue.jpg"

ABOUT = (
    "Stratified epithelium and connective tissue, H&E, 0.499 um/px: a part of CMU-1 from OpenSlide's test data "
    "(openslide.org), CC0."
)


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """Settings of `demo`.

    Parameters
    ----------
    folder : Path
        Folder for the image and the outputs.
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
    """The sample image, what was written for it, and what was found; `about` says what the image is and whose."""

    image: Path
    mask: Path
    overlay: Path
    geojson: Path
    table: Path
    report: Path
    about: str
    prediction: Prediction
    card: Card


def read_sample() -> tuple[NDArray[np.uint8], float]:
    """Read the sample image: pixels (H, W, 3), and its scale in micrometres per pixel."""
    with Slide(_SAMPLE) as slide:
        assert slide.mpp is not None  # the file states it
        return slide.read_region(0, 0, 0, *slide.shape), slide.mpp


def demo(config: DemoConfig, progress: Progress = SILENT) -> DemoResult:
    """Find the nuclei in the sample image; write the image, a mask, an overlay, GeoJSON, a table and a report.

    Raises
    ------
    InputError
        If the weights are unusable.
    OutputError
        If a file cannot be written.
    """
    names = (_SAMPLE.name, "mask.png", "overlay.png", "nuclei.geojson", "nuclei.csv", "report.html")
    image, mask, overlay, geojson, table, report = (config.folder / name for name in names)
    write_bytes(image, _SAMPLE.read_bytes())
    result = predict(
        PredictConfig(
            images=(image,),
            outputs=OutputSpec((str(mask), str(geojson), str(table)), overlay=str(overlay), report=str(report)),
            weights=config.weights,
            cache=config.cache,
            overwrite=True,
        ),
        progress,
    )
    if result.failures:
        raise result.failures[0][1]
    return DemoResult(image, mask, overlay, geojson, table, report, ABOUT, result.predictions[0], result.card)
