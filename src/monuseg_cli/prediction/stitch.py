"""Post-processing of maps block by block, with each nucleus found once and whole."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.prefetch import in_threads
from monuseg_cli.core.stages import StageClock
from monuseg_cli.nuclei.labelled_nuclei import Nuclei
from monuseg_cli.nuclei.postprocess import postprocess
from monuseg_cli.nuclei.postprocess_params import PostprocessParams
from monuseg_cli.nuclei.runs import label_runs
from monuseg_cli.prediction.blend import UINT8_MAX

HALO_UM = 20.0
"""Width of the halo around a block: a nucleus with its centre in the block is seen whole if it extends no farther."""

Block = tuple[int, int, int, int]
"""First row, the row after the last, first column, and the column after the last."""

Inside = Callable[[NDArray[np.float64]], NDArray[np.bool_]]

_ROWS_AT_ONCE = 64  # finished rows per copy
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
    threads : int
        Number of blocks that are post-processed at once; the result does not depend on it.
    clock : StageClock, optional
        Counts the stage nuclei.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        classes: Sequence[str],
        mpp: float,
        params: PostprocessParams,
        inside: Inside | None = None,
        block_px: tuple[int, int] = (512, 2048),
        threads: int = 1,
        clock: StageClock | None = None,
    ) -> None:
        self._block_rows, self._block_cols = block_px
        self._inside, self._threads, self._clock = inside, threads, clock or StageClock("")
        self._height, self._width = shape
        self._classes, self._mpp, self._params = classes, mpp, params
        self._halo = 2 * round(HALO_UM / mpp / 2)  # even, so that all blocks are aligned to the same 2x2 cells
        self._next_block = 0  # first row of the next blocks
        self._count = 0
        self._maps = [_Rows() for _ in classes]
        self._haematoxylin, self._painted = _Rows(), _Rows()

    @property
    def has_several_blocks(self) -> bool:
        """Whether the maps are larger than a block."""
        return self._height > self._block_rows or self._width > self._block_cols

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
            starts = range(0, self._width, self._block_cols)
            blocks = [(self._next_block, end, col, min(col + self._block_cols, self._width)) for col in starts]
            label, keep = self._clock.timed("nuclei", self._postprocess_block), self._clock.timed("nuclei", self._keep)
            with closing(in_threads(label, blocks, min(self._threads, len(blocks)))) as labelled:
                for candidates in labelled:
                    if candidates and (found := keep(candidates)):
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

    def _postprocess_block(self, block: Block) -> "_Candidates | None":
        """Find the nuclei of a block and its halo; None if there is none. Nothing is changed by it."""
        top, bottom, left, right = block
        rows = slice(max(top - self._halo, self._painted.begin), min(bottom + self._halo, self._height))
        cols = slice(max(left - self._halo, 0), min(right + self._halo, self._width))
        if self._maps[0].read(rows, cols).max() < self._params.threshold * UINT8_MAX:
            return None
        labels = postprocess(self._read_maps(rows, cols), self._classes, self._mpp, self._params)
        return _Candidates(block, rows, cols, labels)

    def _read_maps(self, rows: slice, cols: slice) -> NDArray[np.float32]:
        maps = np.empty((len(self._maps), rows.stop - rows.start, cols.stop - cols.start), dtype=np.float32)
        for channel, of_channel in zip(self._maps, maps, strict=True):
            _from_uint8(channel.read(rows, cols), of_channel)
        return maps

    def _keep(self, seen: "_Candidates") -> Nuclei | None:
        """Paint the nuclei of a block that belong to it and that no earlier block has painted, and return them."""
        _, bottom, _, right = seen.block
        painted = self._painted.read(seen.rows, seen.cols)
        kept = seen.find_new(painted)
        if bottom < self._height:
            kept &= seen.centres[:, 0] < bottom - seen.rows.start
        if right < self._width:
            kept &= seen.centres[:, 1] < right - seen.cols.start
        if self._inside is not None:
            kept &= self._inside(seen.centres + seen.corner)
        count = int(kept.sum())
        if not count:
            return None
        own = seen.paint(kept, self._count, painted)
        self._painted.write(seen.rows, seen.cols, painted)
        self._count += count
        return Nuclei(
            first=self._count - count + 1,
            centres=(seen.centres + seen.corner)[kept],
            window=own,
            probability=_from_uint8(self._maps[0].read(seen.rows, seen.cols)),
            haematoxylin=self._haematoxylin.read(seen.rows, seen.cols),
            corner=seen.corner,
        )


def _from_uint8(maps: NDArray[np.uint8], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Return maps within 0..1, into `out` if it is given."""
    values: NDArray[np.float32] = np.divide(maps, np.float32(UINT8_MAX), out=out, dtype=np.float32)
    return values


class _Candidates:
    """The nuclei in a block and its halo, some of which earlier blocks may have painted.

    Parameters
    ----------
    block : Block
        The block, without its halo.
    rows, cols : slice
        The block with its halo.
    labels : ndarray of shape (H, W), int32
        Labels 1..L.

    Attributes
    ----------
    corner : ndarray of shape (2,), intp
        Row and column of the first pixel.
    centres : ndarray of shape (L + 1, 2), float64
        Row and column of each label's centre of mass; meaningless for the background.
    """

    def __init__(self, block: Block, rows: slice, cols: slice, labels: NDArray[np.int32]) -> None:
        self.block, self.rows, self.cols = block, rows, cols
        self.corner = np.array((rows.start, cols.start))
        self._runs = label_runs(labels)
        self._count = int(self._runs.label.max(initial=0))
        self.centres = self._runs.centres(self._count)

    def find_new(self, painted: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Return which nuclei are mostly unpainted in the ids of earlier blocks (H, W); False for the background."""
        self._is_free = painted.reshape(-1)[self._runs.places] == 0
        free = np.bincount(self._runs.per_pixel(self._runs.label)[self._is_free], minlength=self._count + 1)
        return np.asarray(free > _NEW_SHARE * self._runs.areas(self._count))

    def paint(self, kept: NDArray[np.bool_], first: int, painted: NDArray[np.int32]) -> NDArray[np.int32]:
        """Paint the free pixels of the kept nuclei into `painted`, with ids after `first`; return them as 1..N."""
        numbers = np.cumsum(kept, dtype=np.int32) * kept
        of_pixels = self._runs.per_pixel(numbers[self._runs.label]) * self._is_free
        own = np.zeros(self._runs.shape, dtype=np.int32)
        own.reshape(-1)[self._runs.places] = of_pixels
        new = np.flatnonzero(of_pixels)
        painted.reshape(-1)[self._runs.places[new]] = of_pixels[new] + np.int32(first)
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
