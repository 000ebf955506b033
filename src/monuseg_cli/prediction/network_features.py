"""The network's own features of nuclei: channels of its encoder, averaged over the pixels of each nucleus.

The encoder runs on cells of a fixed grid, each with a margin, and a nucleus gets the features of the cell that contains
its centre. So they do not depend on the tiles of the network, nor on the blocks in which nuclei are found.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.scaled_source import Source
from monuseg_cli.imaging.stains import StainMatch
from monuseg_cli.nuclei.columns import NETWORK_FEATURES
from monuseg_cli.nuclei.labelled_nuclei import Nuclei

CELL_PX = (512, 1024)
"""Height and width of a cell, two of which are a block of nuclei; multiples of 32, as the margin is."""

MARGIN_PX = 96
"""Width of the margin around a cell: what the encoder sees beyond it, and how far its nuclei may extend."""

_MULTIPLE = 32


class Encode(Protocol):
    """Computes features of pixels; see `monuseg_cli.prediction.engines.encoder.Encoder`."""

    def __call__(self, pixels: NDArray[np.uint8], channels: int) -> tuple[NDArray[np.float32], int]:
        """Return the first channels of the features (C, H', W'), and the pixels of the image per pixel of them."""


class NetworkFeatures:
    """Measures the features of the nuclei of an image.

    Parameters
    ----------
    source : Source
        The image at the network's scale; several threads may read it at once.
    match : StainMatch or None
        What is applied to the input of the network.
    encode : Encode
        Computes features.
    """

    def __init__(self, source: Source, match: StainMatch | None, encode: Encode) -> None:
        self._source, self._match, self._encode = source, match, encode
        self._ends = -(-np.array(source.shape) // _MULTIPLE) * _MULTIPLE

    def measure(self, nuclei: Nuclei) -> NDArray[np.float64]:
        """Return the features of nuclei (N, NETWORK_FEATURES); NaN where the encoder has fewer channels."""
        found = np.full((len(nuclei), NETWORK_FEATURES), np.nan)
        places = np.argwhere(nuclei.window)
        labels = nuclei.window[tuple(places.T)] - 1
        places += nuclei.corner
        cells = (nuclei.centres // CELL_PX).astype(np.intp)
        for cell in np.unique(cells, axis=0):
            own = (cells == cell).all(axis=1)
            is_own = own[labels]
            means = self._means(cell, places[is_own], labels[is_own])
            found[own, : means.shape[1]] = means
        return found

    def _means(
        self, cell: NDArray[np.intp], places: NDArray[np.intp], labels: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        """Compute the features of the nuclei of a cell, in the order of their labels (P,), from their pixels (P, 2)."""
        begin = np.maximum(cell * CELL_PX - MARGIN_PX, 0)
        end = np.minimum((cell + 1) * CELL_PX + MARGIN_PX, self._ends)
        top, left, height, width = np.concatenate([begin, end - begin]).tolist()
        pixels = self._source.read(top, left, height, width)
        features, step = self._encode(self._match.apply(pixels) if self._match else pixels, NETWORK_FEATURES)
        inside = (places - begin).clip(0, end - begin - 1) // step  # what is farther off has the features of the edge
        return _mean_by_label(features, np.ravel_multi_index(tuple(inside.T), features.shape[1:]), labels)


def _mean_by_label(
    features: NDArray[np.float32], places: NDArray[np.intp], labels: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Average features (C, H, W) over the flat places (P,) of each label (P,); return (L, C), in ascending order."""
    flat = features.reshape(len(features), -1)
    keys, counts = np.unique(labels.astype(np.int64) * flat.shape[1] + places, return_counts=True)
    label, place = np.divmod(keys, flat.shape[1])
    _, first = np.unique(label, return_index=True)
    totals = np.add.reduceat(flat[:, place].T.astype(np.float64) * counts[:, None], first)
    return totals / np.add.reduceat(counts, first)[:, None]
