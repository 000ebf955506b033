"""Traced outlines of nuclei -> the rows of the label image that they were traced in."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.coordinates import Frame, Layout
from monuseg_cli.imaging.resample import RowsResized
from monuseg_cli.nuclei.detections import Detections
from monuseg_cli.nuclei.runs import consecutive
from monuseg_cli.nuclei.shapes import ragged

_ROWS_AT_ONCE = 128


def label_rows(groups: Iterable[Detections], tops: Sequence[float], layout: Layout) -> Iterator[NDArray[np.int32]]:
    """Paint nuclei from top to bottom, with memory for some rows and for the groups that reach into them.

    The outlines follow the edges of pixels of the maps, so the label image is the same as the one they were traced in.

    Parameters
    ----------
    groups : iterable of Detections
        All nuclei.
    tops : sequence of float
        The smallest y of each group.
    layout : Layout
        Where the maps lie on the slide.

    Yields
    ------
    ndarray of shape (R, W), int32
        The next rows of the label image, at the scale of level 0.
    """
    frame, coming = layout.frame, iter(groups)
    height, width = layout.map_shape
    rows_of_tops = frame.to_map_coords(np.stack([tops, np.zeros(len(tops))], axis=1))[:, 0]
    # A group is needed at the first row that it, or a later group, reaches up to.
    needed = np.minimum.accumulate(rows_of_tops[::-1])[::-1].tolist()
    edges = waiting = np.empty((0, 4), dtype=np.int32)
    resized = RowsResized(layout.map_shape, layout.shape)
    for top in range(0, height, _ROWS_AT_ONCE):
        bottom = min(top + _ROWS_AT_ONCE, height)
        while needed and needed[0] < bottom:
            needed.pop(0)
            waiting = np.concatenate([waiting, _vertical_edges(next(coming), frame)])
            waiting = waiting[np.argsort(waiting[:, 0])]
        begun = int(np.searchsorted(waiting[:, 0], bottom))
        edges, waiting = np.concatenate([edges, waiting[:begun]]), waiting[begun:]
        yield resized.add(_fill(edges, top, bottom, width))
        edges = edges[edges[:, 1] > bottom]


def _vertical_edges(found: Detections, frame: Frame) -> NDArray[np.int32]:
    """List the vertical edges of all outlines: first row, row after the last, column, change of the label (E, 4).

    From left to right, the label begins at an edge that runs upwards, and ends at one that runs downwards, since a
    nucleus is on the right-hand side of its outline.
    """
    points, rings, polygons, nuclei = ragged(found.shapes)
    corners = np.rint(frame.to_map_coords(points[:, ::-1])).astype(np.int32)
    nucleus = np.repeat(np.arange(len(found)), np.diff(rings[polygons[nuclei]]))
    label = found.columns["id"][nucleus[:-1]].astype(np.int32)
    begin, end = corners[:-1], corners[1:]
    vertical = (begin[:, 1] == end[:, 1]) & (begin[:, 0] != end[:, 0])
    vertical[rings[1:-1] - 1] = False  # from one ring to the next
    rows = np.stack([begin[:, 0], end[:, 0]], axis=1)
    change = np.where(begin[:, 0] > end[:, 0], label, -label)
    edges = np.column_stack([rows.min(axis=1), rows.max(axis=1), begin[:, 1], change])
    return np.asarray(edges[vertical], dtype=np.int32)


def _fill(edges: NDArray[np.int32], top: int, bottom: int, width: int) -> NDArray[np.int32]:
    """Paint the rows `top` to `bottom`: at each pixel, the sum of all changes on its left."""
    first, last = np.maximum(edges[:, 0], top), np.minimum(edges[:, 1], bottom)
    counts = np.maximum(last - first, 0)
    edge = np.repeat(np.arange(len(edges)), counts)
    rows = consecutive(first - top, counts)
    changes = np.zeros((bottom - top, width + 1), dtype=np.int32)
    np.add.at(changes.reshape(-1), rows * (width + 1) + edges[edge, 2], edges[edge, 3])
    labels: NDArray[np.int32] = np.cumsum(changes, axis=1, dtype=np.int32)[:, :width]
    return labels
