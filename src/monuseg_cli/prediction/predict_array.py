"""Prediction on one image in memory, with unrounded maps and without tissue detection, for evaluation."""

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.resample import RowsResized, resize_maps
from monuseg_cli.imaging.scaled_source import ArraySource
from monuseg_cli.prediction.blend import TileGrid, blended_rows, to_uint8
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.stain_adaptation import Adapt, match_stain, sample_stain
from monuseg_cli.prediction.stitch import LabelRows, Stitcher


def predict_array(
    image: NDArray[np.uint8], mpp: float, engine: Engine, adapt: Adapt = "auto"
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Find the nuclei of an image in memory, with the same result as `predict_slide`.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8
    mpp : float
        Micrometres per pixel of the image.
    engine : Engine
        Runs the network.
    adapt : {"auto", "off"}
        Whether the image's stain is matched to that of the training images.

    Returns
    -------
    maps : ndarray of shape (C, H, W), float32
        Within 0..1, one map per class of the card.
    labels : ndarray of shape (H, W), int32
        Labels 1..N without gaps; 0 background.
    """
    card = engine.card
    source = ArraySource(image, mpp / card.mpp)
    shape = (image.shape[0], image.shape[1])
    stitcher = Stitcher(source.shape, card.classes, mpp * shape[0] / source.shape[0], card.postprocess)
    resized = RowsResized(source.shape, shape)
    all_maps, all_labels = [], []
    match = match_stain(sample_stain(source).levels, card, adapt)
    grid = TileGrid(source.shape)
    for maps, haematoxylin in blended_rows(source, grid, engine, lambda *_: True, np.float32, match=match):
        all_maps.append(maps)
        for found in stitcher.add(to_uint8(maps), haematoxylin):
            if isinstance(found, LabelRows):
                all_labels.append(resized.add(found.labels))
    return resize_maps(np.concatenate(all_maps, axis=1), shape), np.concatenate(all_labels)
