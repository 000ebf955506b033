"""The evaluation protocol of the baseline's notebooks, for a like-for-like comparison with its four figures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError
from monuseg_cli.imaging.tiling import grid
from monuseg_cli.metrics.pixel import PixelCounts, SoftCounts, count_pixels, count_soft
from monuseg_cli.prediction.engines.base import Engine


@dataclass(frozen=True, slots=True)
class WindowProtocol:
    """The windows that are scored, and how many of them F1 is pooled over; by default those of the notebooks.

    Parameters
    ----------
    window_px, stride_px : int
        Side of a window, and the step from one to the next.
    batch : int
        Number of windows whose pixels F1 is pooled over, before it is averaged.
    """

    window_px: int = 256
    stride_px: int = 128
    batch: int = 32


BASELINE = WindowProtocol()


@dataclass(frozen=True, slots=True)
class NotebookScores:
    """The baseline's figures, as its notebooks computed them.

    Parameters
    ----------
    windows : int
        Number of windows.
    loss : float
        Mean binary cross-entropy over all pixels.
    accuracy : float
        Fraction of pixels that are correct at threshold 0.5.
    soft_dice : float
        Soft Dice (smooth = 1) of each window, averaged over windows.
    f1 : float
        F1 at threshold 0.5, pooled over the pixels of each batch of 32 windows, averaged over batches by their size.
    """

    windows: int
    loss: float
    accuracy: float
    soft_dice: float
    f1: float


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """The counts of one window."""

    pixels: PixelCounts
    soft: SoftCounts


def count_windows(
    image: NDArray[np.uint8], reference: NDArray[np.int32], engine: Engine, protocol: WindowProtocol = BASELINE
) -> list[WindowCounts]:
    """Run a network over the windows of one image separately, and count the pixels of each.

    Windows have 256 px and a stride of 128 px, in row-major order. Windows that would reach beyond the image are
    dropped, so the last 104 of 1000 px are never seen.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8
    reference : ndarray of shape (H, W), int32
        True label image.
    engine : Engine
        Runs the network.
    protocol : WindowProtocol
        Size and step of the windows.

    Raises
    ------
    InputError
        If no window fits into the image.
    """
    corners = grid(reference.shape[:2], protocol.window_px, protocol.stride_px, "drop")
    if not corners:
        height, width = reference.shape
        message = f"an image of {width}x{height} pixels, smaller than the protocol's windows of {protocol.window_px}"
        raise InputError(message)
    windows = [np.s_[row : row + protocol.window_px, col : col + protocol.window_px] for row, col in corners]
    counted = []
    for window, maps in zip(windows, engine.run(image[window] for window in windows), strict=True):
        truth = reference[window] > 0
        counted.append(WindowCounts(count_pixels(truth, maps[0] >= 0.5), count_soft(truth, maps[0])))
    return counted


def score_windows(windows: Sequence[WindowCounts], protocol: WindowProtocol = BASELINE) -> NotebookScores:
    """Compute the scores of windows in the given order, which must be by case id, then row, then column.

    Raises
    ------
    ValueError
        If there are no windows.
    """
    if not windows:
        message = "no window to score"
        raise ValueError(message)
    pixels, soft = PixelCounts(), SoftCounts()
    f1 = 0.0
    for first in range(0, len(windows), protocol.batch):
        batch = windows[first : first + protocol.batch]
        together = PixelCounts()
        for window in batch:
            together, soft = together + window.pixels, soft + window.soft
        pixels = pixels + together
        f1 += together.f1 * len(batch)
    return NotebookScores(
        windows=len(windows),
        loss=soft.cross_entropy,
        accuracy=pixels.accuracy,
        soft_dice=sum(window.soft.dice() for window in windows) / len(windows),
        f1=f1 / len(windows),
    )
