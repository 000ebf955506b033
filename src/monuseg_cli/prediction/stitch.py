"""Rows of maps -> nuclei, each once and whole, block by block."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.stains import density_from_8_bits
from monuseg_cli.nuclei.contours import Contours, trace
from monuseg_cli.nuclei.measure import Measurements, labelled_pixels, measure
from monuseg_cli.nuclei.params import PostprocessParams
from monuseg_cli.nuclei.postprocess import postprocess
from monuseg_cli.prediction.blend import UINT8_MAX

HALO_UM = 20.0
"""Width of what surrounds a block: a nucleus whose centre is in the block is seen whole if it reaches no farther."""

Inside = Callable[[NDArray[np.float64]], NDArray[np.bool_]]

_ROWS_AT_ONCE = 128  # of finished rows, which are copies
_NEW_SHARE = 0.5  # a nucleus is new where more than this share of its pixels is not painted yet


@dataclass(frozen=True)
class Nuclei:
    """Nuclei that were found; they are outlined and measured when that is asked for.

    Parameters
    ----------
    first : int
        Id of the first; they are numbered without gaps.
    centres : ndarray of shape (N, 2), float64
        Row and column of each, in the pixels of the maps.
    window : ndarray of shape (H, W), int32
        Label image of all of them, 1..N.
    probability, haematoxylin : ndarray of shape (H, W), float32 and uint8
        Of the same pixels: of belonging to a nucleus, and the density of haematoxylin in 8 bits.
    corner : ndarray of shape (2,), intp
        Row and column of the window's first pixel.
    """

    first: int
    centres: NDArray[np.float64]
    window: NDArray[np.int32]
    probability: NDArray[np.float32]
    haematoxylin: NDArray[np.uint8]
    corner: NDArray[np.intp]

    def __len__(self) -> int:
        """Count them."""
        return len(self.centres)

    @cached_property
    def contours(self) -> Contours:
        """Of all of them, in the pixels of the maps, with labels 1..N."""
        contours = trace(self.window)
        contours.points[:] += self.corner
        return contours

    @cached_property
    def measurements(self) -> Measurements:
        """Of all of them, in the pixels of the maps."""
        measurements = measure(self.window, self.contours, self.probability, density_from_8_bits(self.haematoxylin))
        measurements.centroids[:] += self.corner
        return measurements


@dataclass(frozen=True, slots=True)
class LabelRows:
    """Rows of the label image that will not change any more.

    Parameters
    ----------
    row : int
        The first of the rows.
    labels : ndarray of shape (R, W), int32
        Ids of nuclei; 0 background.
    """

    row: int
    labels: NDArray[np.int32]


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
        What the maps are; see `postprocess`.
    mpp : float
        Micrometres per pixel of the maps.
    params : PostprocessParams
        Of the post-processing.
    inside : callable, optional
        Tells which nuclei are wanted, by their centres (N, 2), row and column in pixels of the maps.
    block_px : tuple of int
        Height and width of the blocks, without the halo around them.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        classes: Sequence[str],
        mpp: float,
        params: PostprocessParams,
        inside: Inside | None = None,
        block_px: tuple[int, int] = (512, 2048),
    ) -> None:
        self._block_rows, self._block_cols = block_px
        self._inside = inside
        self._height, self._width = shape
        self._classes, self._mpp, self._params = classes, mpp, params
        self._halo = 2 * round(HALO_UM / mpp / 2)  # even, so that every block divides the same cells
        self._next_block = 0  # row of the image where the next blocks begin
        self._count = 0
        self._maps, self._haematoxylin, self._painted = _Rows(), _Rows(), _Rows()

    def add(self, maps: NDArray[np.uint8], haematoxylin: NDArray[np.uint8]) -> Iterator[Nuclei | LabelRows]:
        """Take the next rows: maps (C, R, W) and the density of haematoxylin (R, W), as `blended_rows` gives them.

        Gives nuclei as they are found, and after them the rows that they lie in, but for what may still be painted.
        """
        self._maps.append(maps.transpose(1, 2, 0))
        self._haematoxylin.append(haematoxylin)
        while self._next_block < self._height:
            end = min(self._next_block + self._block_rows, self._height)
            seen = min(end + self._halo, self._height)
            if self._maps.end < seen:
                return
            self._painted.append(np.zeros((seen - self._painted.end, self._width), dtype=np.int32))
            for col in range(0, self._width, self._block_cols):
                block = (self._next_block, end, col, min(col + self._block_cols, self._width))
                if found := self._postprocess_block(*block):
                    yield found
            self._next_block = end
            # Later blocks reach up by a halo into this one, and paint no farther up than that.
            row = self._painted.begin
            final = self._height if end == self._height else max(end - self._halo, row)
            for top in range(row, final, _ROWS_AT_ONCE):
                rows = slice(top, min(top + _ROWS_AT_ONCE, final))
                yield LabelRows(top, self._painted.read(rows, slice(0, self._width)))
            for kept in (self._maps, self._haematoxylin, self._painted):
                kept.forget(final)

    def _postprocess_block(self, top: int, bottom: int, left: int, right: int) -> Nuclei | None:
        """Find the nuclei of a block, given by its first and last row and column, and paint those that it keeps."""
        rows = slice(max(top - self._halo, self._painted.begin), min(bottom + self._halo, self._height))
        cols = slice(max(left - self._halo, 0), min(right + self._halo, self._width))
        corner = np.array((rows.start, cols.start))
        maps_uint8 = self._maps.read(rows, cols)
        if not (maps_uint8[..., 0] >= self._params.threshold * UINT8_MAX).any():
            return None
        maps = np.ascontiguousarray(maps_uint8.transpose(2, 0, 1), dtype=np.float32) / np.float32(UINT8_MAX)
        labels = postprocess(maps, self._classes, self._mpp, self._params)
        painted = self._painted.read(rows, cols)
        seen = _Candidates(labels, painted == 0)
        kept = seen.are_new
        if bottom < self._height:
            kept &= seen.centres[:, 0] < bottom - rows.start
        if right < self._width:
            kept &= seen.centres[:, 1] < right - cols.start
        if self._inside is not None:
            kept &= self._inside(seen.centres + corner)
        count = int(kept.sum())
        if not count:
            return None
        own = seen.number(kept)
        self._painted.write(rows, cols, np.where(own > 0, own + np.int32(self._count), painted))
        self._count += count
        return Nuclei(
            first=self._count - count + 1,
            centres=(seen.centres + corner)[kept],
            window=own,
            probability=maps[0],
            haematoxylin=self._haematoxylin.read(rows, cols),
            corner=corner,
        )


class _Candidates:
    """The nuclei that a block and its halo show, of which earlier blocks may have painted some.

    Parameters
    ----------
    labels : ndarray of shape (H, W), int32
        Labels 1..L.
    is_free : ndarray of shape (H, W), bool
        Where no earlier block has painted a nucleus.

    Attributes
    ----------
    centres : ndarray of shape (L + 1, 2), float64
        Row and column of each label's centre of mass; that of the background means nothing.
    are_new : ndarray of shape (L + 1,), bool
        Whether no earlier block has painted most of a nucleus; False for the background.
    """

    def __init__(self, labels: NDArray[np.int32], is_free: NDArray[np.bool_]) -> None:
        self._shape = labels.shape
        self._place, *coordinates = labelled_pixels(labels)
        self._label = labels.reshape(-1)[self._place]
        self._is_free = is_free.reshape(-1)[self._place]
        pixels = np.bincount(self._label, minlength=1)
        pixels[0] = 1
        sums = [np.bincount(self._label, weights=along + 0.5, minlength=1) for along in coordinates]
        self.centres = np.stack(sums, axis=1) / pixels[:, None]
        self.are_new = np.bincount(self._label, weights=self._is_free, minlength=1) > _NEW_SHARE * pixels

    def number(self, kept: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Paint the free pixels of the nuclei that are kept, with labels 1..N; (H, W)."""
        numbers = np.cumsum(kept, dtype=np.int32) * kept
        painted = np.zeros(self._shape, dtype=np.int32)
        painted.reshape(-1)[self._place] = numbers[self._label] * self._is_free
        return painted


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
