"""Post-processing of maps block by block, with each nucleus found once and whole."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.nuclei.labelled_nuclei import Nuclei
from monuseg_cli.nuclei.postprocess import postprocess
from monuseg_cli.nuclei.postprocess_params import PostprocessParams
from monuseg_cli.nuclei.runs import label_runs
from monuseg_cli.prediction.blend import UINT8_MAX

HALO_UM = 20.0
"""Width of the halo around a block: a nucleus with its centre in the block is seen whole if it extends no farther."""

Inside = Callable[[NDArray[np.float64]], NDArray[np.bool_]]

_ROWS_AT_ONCE = 128  # finished rows per copy
_NEW_SHARE = 0.5  # a nucleus is new if more than this share of its pixels is not painted yet


@dataclass(frozen=True, slots=True)
class LabelRows:
    """Finished rows of the label image.

    Parameters
    ----------
    row : int
        Index of the first row.
    labels : ndarray of shape (R, W), int32
        Ids of nuclei; 0 background.
    """

    row: int
    labels: NDArray[np.int32]


class Stitcher:
    """Turns maps, added from top to bottom, into rows of the label image and nuclei, in the same order.

    Post-processing runs block by block. A block keeps the nuclei with their centre in it, and paints them whole into
    the label image. Two blocks may see a nucleus at their border slightly differently, so that both would keep it, or
    neither. Therefore the later block skips nuclei that are painted already, and also keeps unpainted ones whose centre
    lies in an earlier block.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the maps.
    classes : sequence of str
        Meaning of each map; see `postprocess`.
    mpp : float
        Micrometres per pixel of the maps.
    params : PostprocessParams
        Parameters of the post-processing.
    inside : callable, optional
        Returns which nuclei to keep, from their centres (N, 2), row and column in pixels of the maps.
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
        self._halo = 2 * round(HALO_UM / mpp / 2)  # even, so that all blocks are aligned to the same 2x2 cells
        self._next_block = 0  # first row of the next blocks
        self._count = 0
        self._maps = [_Rows() for _ in classes]
        self._haematoxylin, self._painted = _Rows(), _Rows()

    def add(self, maps: NDArray[np.uint8], haematoxylin: NDArray[np.uint8]) -> Iterator[Nuclei | LabelRows]:
        """Add the next rows: maps (C, R, W) and the density of haematoxylin (R, W), as `blended_rows` yields them.

        Yields nuclei as they are found, then the rows of the label image that can no longer change.
        """
        for channel, rows_of_channel in zip(self._maps, maps, strict=True):
            channel.append(rows_of_channel)
        self._haematoxylin.append(haematoxylin)
        while self._next_block < self._height:
            end = min(self._next_block + self._block_rows, self._height)
            seen = min(end + self._halo, self._height)
            if self._haematoxylin.end < seen:
                return
            self._painted.append(np.zeros((seen - self._painted.end, self._width), dtype=np.int32))
            for col in range(0, self._width, self._block_cols):
                block = (self._next_block, end, col, min(col + self._block_cols, self._width))
                if found := self._postprocess_block(*block):
                    yield found
            self._next_block = end
            # Later blocks reach up into this one by a halo, and paint no farther up.
            row = self._painted.begin
            final = self._height if end == self._height else max(end - self._halo, row)
            for top in range(row, final, _ROWS_AT_ONCE):
                rows = slice(top, min(top + _ROWS_AT_ONCE, final))
                yield LabelRows(top, self._painted.read(rows, slice(0, self._width)))
            for kept in (*self._maps, self._haematoxylin, self._painted):
                kept.forget(final)

    def _postprocess_block(self, top: int, bottom: int, left: int, right: int) -> Nuclei | None:
        """Find the nuclei of the block rows `top` to `bottom`, columns `left` to `right`, and paint those it keeps."""
        rows = slice(max(top - self._halo, self._painted.begin), min(bottom + self._halo, self._height))
        cols = slice(max(left - self._halo, 0), min(right + self._halo, self._width))
        corner = np.array((rows.start, cols.start))
        if self._maps[0].read(rows, cols).max() < self._params.threshold * UINT8_MAX:
            return None
        shape = (rows.stop - rows.start, cols.stop - cols.start)
        maps = np.empty((len(self._maps), *shape), dtype=np.float32)
        for channel, of_channel in zip(self._maps, maps, strict=True):
            np.divide(channel.read(rows, cols), np.float32(UINT8_MAX), out=of_channel)
        labels = postprocess(maps, self._classes, self._mpp, self._params)
        painted = self._painted.read(rows, cols)
        seen = _Candidates(labels, painted)
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
        own = seen.paint(kept, self._count, painted)
        self._painted.write(rows, cols, painted)
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
    """The nuclei in a block and its halo, some of which earlier blocks may have painted.

    Parameters
    ----------
    labels : ndarray of shape (H, W), int32
        Labels 1..L.
    painted : ndarray of shape (H, W), int32
        Ids of the nuclei that earlier blocks have painted; 0 elsewhere.

    Attributes
    ----------
    centres : ndarray of shape (L + 1, 2), float64
        Row and column of each label's centre of mass; meaningless for the background.
    are_new : ndarray of shape (L + 1,), bool
        Whether most of a nucleus is unpainted by earlier blocks; False for the background.
    """

    def __init__(self, labels: NDArray[np.int32], painted: NDArray[np.int32]) -> None:
        self._runs = runs = label_runs(labels)
        count = int(runs.label.max(initial=0))
        self._label = runs.per_pixel(runs.label)
        self._is_free = painted.reshape(-1)[runs.places] == 0
        self.centres = runs.centres(count)
        free = np.bincount(self._label[self._is_free], minlength=count + 1)
        self.are_new = free > _NEW_SHARE * runs.areas(count)

    def paint(self, kept: NDArray[np.bool_], first: int, painted: NDArray[np.int32]) -> NDArray[np.int32]:
        """Paint the free pixels of the kept nuclei into `painted`, with ids after `first`; return them as 1..N."""
        numbers = (np.cumsum(kept, dtype=np.int32) * kept)[self._label] * self._is_free
        own = np.zeros(self._runs.shape, dtype=np.int32)
        own.reshape(-1)[self._runs.places] = numbers
        new = np.flatnonzero(numbers)
        painted.reshape(-1)[self._runs.places[new]] = numbers[new] + np.int32(first)
        return own


class _Rows:
    """A sliding buffer of image rows, (R, W) or (R, W, C): appended at the bottom, dropped at the top.

    Rows are kept in the arrays in which they arrive, so that nothing is copied until a window is read.

    Attributes
    ----------
    begin, end : int
        Range of the image rows in the buffer.
    """

    def __init__(self) -> None:
        self.begin = self.end = 0
        self._parts: list[tuple[int, NDArray[Any]]] = []  # first row, rows

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
        for inside, part, source in self._within(rows):
            part[inside, cols] = values[source]

    def _within(self, rows: slice) -> Iterator[tuple[slice, NDArray[Any], slice]]:
        """Yield the parts that contain these rows: the slice in the part, the part, and the slice in `rows`."""
        for first, part in self._parts:
            low, high = max(rows.start, first), min(rows.stop, first + len(part))
            if low < high:
                yield slice(low - first, high - first), part, slice(low - rows.start, high - rows.start)
