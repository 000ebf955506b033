"""The nuclei of a small picture, predicted inside its upper and its lower half."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from conftest import Told
from monuseg_cli.core.home import Home
from monuseg_cli.nuclei.rois import Roi
from monuseg_cli.outputs.plan import OutputSpec
from monuseg_cli.prediction.batch import predict
from monuseg_cli.prediction.config import PredictConfig, SlideSettings
from support.tissue import draw_tissue

SIDE, MPP = 150, 0.4
PICTURE, _ = draw_tissue(SIDE, seed=4)
_ROWS = {"top": (0, SIDE / 2), "bottom": (SIDE / 2, SIDE)}
HALVES = tuple(
    Roi(name, ((np.array([(first, 0), (first, SIDE), (last, SIDE), (last, 0)], dtype=np.float64),),))
    for name, (first, last) in _ROWS.items()
)


def predict_halves(home: Home, image: Path, *outputs: Path, **asked: Any) -> None:
    """Predict on the picture with the run ``unet-se``; `asked` are other settings than the usual ones."""
    if not image.exists():  # a second file would be another image
        Image.fromarray(PICTURE).save(image)
    weights = home.find_weights("unet-se")
    settings = SlideSettings(**{"mpp": MPP, "tissue_only": False, "rois": HALVES, **asked})
    spec = OutputSpec(tuple(map(str, outputs)))
    result = predict(PredictConfig((image,), spec, weights, weights.parent, settings, engine="torch"), Told())
    assert not result.failures, result.failures
