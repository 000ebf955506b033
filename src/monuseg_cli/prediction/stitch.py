"""Rows of maps -> nuclei, each once and whole, block by block."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.contours import Contours, trace
from monuseg_cli.measure import Measurements, measure
from monuseg_cli.nuclei import separate, without_gaps
from monuseg_cli.separation import Separation

BLOCK_ROWS_PX, BLOCK_COLS_PX = 768, 2048
"""Nuclei are separated in blocks of this size, and what surrounds them."""

HALO_UM = 20.0
"""Width of what surrounds a block: a nucleus whose centre is in the block is seen whole if it reaches no farther."""

Inside = Callable[[NDArray[np.float64]], NDArray[np.bool_]]

_STEPS = 255  # maps wait in 8 bits
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
        self._next_block = 0  # row of the image where the next blocks begin
        self._count = 0
        self._maps, self._haematoxylin, self._painted = _Rows(), _Rows(), _Rows()

    def add(self, maps: NDArray[np.float16], haematoxylin: NDArray[np.float16]) -> Iterator[Finished]:
        """Take the next rows: maps (C, R, W) within 0..1, and the density of haematoxylin (R, W)."""
        self._maps.append((maps * np.float16(_STEPS)).round().astype(np.uint8).transpose(1, 2, 0))
        self._haematoxylin.append(haematoxylin)
        while self._next_block < self._height:
            end = min(self._next_block + BLOCK_ROWS_PX, self._height)
            seen = min(end + self._halo, self._height)
            if self._maps.end < seen:
                return
            self._painted.append(np.zeros((seen - self._painted.end, self._width), dtype=np.int32))
            nuclei = tuple(
                found
                for col in range(0, self._width, BLOCK_COLS_PX)
                if (found := self._separate_block(self._next_block, end, col, min(col + BLOCK_COLS_PX, self._width)))
            )
            self._next_block = end
            # Later blocks reach up by a halo into this one, and paint no farther up than that.
            row = self._painted.begin
            final = self._height if end == self._height else max(end - self._halo, row)
            labels = self._painted.read(slice(row, final), slice(0, self._width))
            for rows in (self._maps, self._haematoxylin, self._painted):
                rows.forget(final)
            yield Finished(row, labels, nuclei)

    def _separate_block(self, top: int, bottom: int, left: int, right: int) -> Nuclei | None:
        """Separate the nuclei of a block, given by its first and last row and column, and paint those that it keeps."""
        rows = slice(max(top - self._halo, self._painted.begin), min(bottom + self._halo, self._height))
        cols = slice(max(left - self._halo, 0), min(right + self._halo, self._width))
        corner = np.array((rows.start, cols.start))
        steps = self._maps.read(rows, cols)
        if not (steps[..., 0] >= self._separation.threshold * _STEPS).any():
            return None
        maps = np.ascontiguousarray(steps.transpose(2, 0, 1), dtype=np.float32) / np.float32(_STEPS)
        labels = separate(maps, self._classes, self._mpp, self._separation)
        painted = self._painted.read(rows, cols)
        centres, known = _centres(labels, painted)
        kept = known < _SAME
        if bottom < self._height:
            kept &= centres[:, 0] < bottom - rows.start
        if right < self._width:
            kept &= centres[:, 1] < right - cols.start
        if self._inside is not None:
            kept &= self._inside(centres + corner)
        kept[0] = False
        number = np.cumsum(kept, dtype=np.int32) * kept
        own = without_gaps(np.where(painted == 0, number[labels], 0))
        count = int(own.max(initial=0))
        if not count:
            return None
        self._painted.write(rows, cols, np.where(own > 0, own + np.int32(self._count), painted))
        contours = trace(own)
        haematoxylin = self._haematoxylin.read(rows, cols).astype(np.float32)
        measurements = measure(own, contours, maps[0], haematoxylin)
        measurements.centroids[:] += corner
        contours.points[:] += corner
        self._count += count
        return Nuclei(self._count - count + 1, contours, measurements)


class _Rows:
    """Rows of an image, (R, W) or (R, W, C), that come at the bottom and are forgotten at the top.

    They are kept in the parts in which they come, so that none is copied until a window is read.

    Attributes
    ----------
    begin, end : int
        Rows of the image between which rows are kept.
    """

    def __init__(self) -> None:
        self.begin = self.end = 0
        self._parts: list[tuple[int, NDArray[Any]]] = []  # the first row of each

    def append(self, rows: NDArray[Any]) -> None:
        self._parts.append((self.end, rows))
        self.end += len(rows)

    def forget(self, before: int) -> None:
        parts = [(first, part) for first, part in self._parts if first + len(part) > before]
        self._parts = [
            (before, part[before - first :].copy()) if first < before else (first, part) for first, part in parts
        ]
        self.begin = before

    def read(self, rows: slice, cols: slice) -> NDArray[Any]:
        nothing = self._parts[0][1][:0, cols]
        return np.concatenate([nothing, *(part[inside, cols] for inside, part, _ in self._within(rows))])

    def write(self, rows: slice, cols: slice, values: NDArray[Any]) -> None:
        for inside, part, place in self._within(rows):
            part[inside, cols] = values[place]

    def _within(self, rows: slice) -> Iterator[tuple[slice, NDArray[Any], slice]]:
        """Give the parts that hold these rows: which of a part's rows, the part, and where they are among `rows`."""
        for first, part in self._parts:
            low, high = max(rows.start, first), min(rows.stop, first + len(part))
            if low < high:
                yield slice(low - first, high - first), part, slice(low - rows.start, high - rows.start)


def _centres(labels: NDArray[np.int32], painted: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the centre of each label 0..N, row and column (N + 1, 2), and the share of its pixels painted already."""
    rows, cols = np.nonzero(labels)
    label = labels[rows, cols]
    count = int(labels.max(initial=0)) + 1

    def mean(values: NDArray[np.generic]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(label, weights=values, minlength=count) / area, dtype=np.float64)

    area = np.maximum(np.bincount(label, minlength=count), 1)
    return np.stack([mean(rows + 0.5), mean(cols + 0.5)], axis=1), mean(painted[rows, cols] > 0)
