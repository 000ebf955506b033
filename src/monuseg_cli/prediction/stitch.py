"""Rows of maps -> nuclei, each once and whole, block by block."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.contours import Contours, trace
from monuseg_cli.measure import Measurements, measure
from monuseg_cli.nuclei import separate, without_gaps
from monuseg_cli.separation import Separation

BLOCK_ROWS_PX, BLOCK_COLS_PX = 1024, 2048
"""Nuclei are separated in blocks of this size, and what surrounds them."""

HALO_UM = 20.0
"""Width of what surrounds a block: a nucleus whose centre is in the block is seen whole if it reaches no farther."""

Inside = Callable[[NDArray[np.float64]], NDArray[np.bool_]]

_SAME = 0.5  # share of its pixels from which on a nucleus is one that a block before has found


@dataclass(frozen=True, slots=True)
class Nuclei:
    """Nuclei that were found.

    Parameters
    ----------
    first : int
        Id of the first; they are numbered without gaps.
    contours : Contours
        Of all of them, in the pixels of the maps, with labels 1..N.
    measurements : Measurements
        Of all of them, in the pixels of the maps.
    """

    first: int
    contours: Contours
    measurements: Measurements

    def __len__(self) -> int:
        """Count them."""
        return len(self.measurements.area_px)


@dataclass(frozen=True, slots=True)
class Finished:
    """Rows of the label image that will not change any more, and the nuclei found since the last ones.

    Parameters
    ----------
    row : int
        The first of the rows.
    labels : ndarray of shape (R, W), int32
        Ids of nuclei; 0 background.
    nuclei : tuple of Nuclei
        Some may reach into rows that are not finished yet.
    """

    row: int
    labels: NDArray[np.int32]
    nuclei: tuple[Nuclei, ...]


class Stitcher:
    """Takes maps from top to bottom, and gives label images and nuclei in the same order.

    Nuclei are separated block by block. A block keeps the nuclei whose centre is in it, and paints them whole into the
    label image. Where two blocks see a nucleus at their border a little differently, both would keep it, or none: the
    later one leaves what is painted already, and keeps what lies before it and is not.

    Parameters
    ----------
    shape : tuple of int
        Height and width of all maps.
    classes : sequence of str
        What the maps are; see `separate`.
    mpp : float
        Micrometres per pixel of the maps.
    separation : Separation
        How nuclei are separated.
    inside : callable, optional
        Tells which nuclei are wanted, by their centres (N, 2), row and column in pixels of the maps.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        classes: Sequence[str],
        mpp: float,
        separation: Separation,
        inside: Inside | None = None,
    ) -> None:
        self._inside = inside
        self._height, self._width = shape
        self._classes, self._mpp, self._separation = classes, mpp, separation
        self._halo = round(HALO_UM / mpp)
        self._top = 0  # row of the image that the buffers begin with
        self._next_block = 0  # row of the image where the next blocks begin
        self._count = 0
        self._maps = np.empty((len(classes), 0, self._width), dtype=np.float16)
        self._haematoxylin = np.empty((0, self._width), dtype=np.float16)
        self._painted = np.empty((0, self._width), dtype=np.int32)

    def add(self, maps: NDArray[np.float16], haematoxylin: NDArray[np.float16]) -> Iterator[Finished]:
        """Take the next rows: maps (C, R, W) within 0..1, and the density of haematoxylin (R, W)."""
        self._maps = np.concatenate([self._maps, maps], axis=1)
        self._haematoxylin = np.concatenate([self._haematoxylin, haematoxylin])
        self._painted = np.concatenate([self._painted, np.zeros(haematoxylin.shape, dtype=np.int32)])
        seen = self._top + len(self._painted)
        while self._next_block < self._height:
            end = min(self._next_block + BLOCK_ROWS_PX, self._height)
            if seen < min(end + self._halo, self._height):
                return
            nuclei = tuple(
                found
                for col in range(0, self._width, BLOCK_COLS_PX)
                if (found := self._separate_block(self._next_block, end, col, min(col + BLOCK_COLS_PX, self._width)))
            )
            self._next_block = end
            # Later blocks reach up by a halo into this one, and paint no farther up than that.
            final = self._height if end == self._height else max(end - self._halo, self._top)
            row, labels = self._top, self._painted[: final - self._top]
            self._forget(final)
            yield Finished(row, labels, nuclei)

    def _forget(self, before: int) -> None:
        rows = before - self._top
        self._maps, self._haematoxylin = self._maps[:, rows:].copy(), self._haematoxylin[rows:].copy()
        self._painted, self._top = self._painted[rows:].copy(), before

    def _separate_block(self, top: int, bottom: int, left: int, right: int) -> Nuclei | None:
        """Separate the nuclei of a block, given by its first and last row and column, and paint those that it keeps."""
        first_row, first_col = max(top - self._halo, self._top), max(left - self._halo, 0)
        window = np.s_[first_row - self._top : bottom + self._halo - self._top, first_col : right + self._halo]
        if not (self._maps[0][window] >= self._separation.threshold).any():
            return None
        maps = self._maps[:, *window].astype(np.float32)
        labels = separate(maps, self._classes, self._mpp, self._separation)
        painted = self._painted[window]
        centres, known = _centres(labels, painted)
        kept = known < _SAME
        if bottom < self._height:
            kept &= centres[:, 0] < bottom - first_row
        if right < self._width:
            kept &= centres[:, 1] < right - first_col
        if self._inside is not None:
            kept &= self._inside(centres + np.array((first_row, first_col)))
        kept[0] = False
        number = np.cumsum(kept, dtype=np.int32) * kept
        own = np.where(painted == 0, number[labels], 0)
        own = without_gaps(own)
        count = int(own.max(initial=0))
        if not count:
            return None
        painted[own > 0] = own[own > 0] + self._count
        contours = trace(own)
        measurements = measure(own, contours, maps[0], self._haematoxylin[window].astype(np.float32))
        measurements.centroids[:] += (first_row, first_col)
        contours.points[:] += (first_row, first_col)
        self._count += count
        return Nuclei(self._count - count + 1, contours, measurements)


def _centres(labels: NDArray[np.int32], painted: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the centre of each label 0..N, row and column (N + 1, 2), and the share of its pixels painted already."""
    rows, cols = np.nonzero(labels)
    label = labels[rows, cols]
    count = int(labels.max(initial=0)) + 1

    def mean(values: NDArray[np.generic]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(label, weights=values, minlength=count) / area, dtype=np.float64)

    area = np.maximum(np.bincount(label, minlength=count), 1)
    return np.stack([mean(rows + 0.5), mean(cols + 0.5)], axis=1), mean(painted[rows, cols] > 0)
