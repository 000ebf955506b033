"""Polygons -> label images, by the pixel-centre rule, in bounded memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.nuclei.runs import consecutive

RULE = "pixel centre, half-open; non-zero winding; smallest on top"
"""The rule of rasterisation. If it changes, all masks are built again."""

Polygon = NDArray[np.float64]

_MOST = 1 << 22
"""Number of crossings of edges with rows, or of pixels to paint, that are processed at a time."""

_UNIT_SQUARE = np.array([(0, 0), (0, 1), (1, 1), (1, 0)], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Raster:
    """A rasterised annotation.

    Parameters
    ----------
    labels : ndarray of shape (H, W), int32
        Polygon i has label i + 1; 0 is background.
    areas_px : ndarray of shape (N,), int64
        Number of pixels of each polygon within the image, before overlaps are resolved.
    """

    labels: NDArray[np.int32]
    areas_px: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Spans:
    """Runs of pixels inside polygons, in order of polygons; int64, one value per run.

    Parameters
    ----------
    owner : ndarray
        Index of the polygon.
    row, first, stop : ndarray
        Row, first column, and the column after the last.
    """

    owner: NDArray[np.int64]
    row: NDArray[np.int64]
    first: NDArray[np.int64]
    stop: NDArray[np.int64]


def rasterise(polygons: Sequence[Polygon], shape: tuple[int, int]) -> Raster:
    """Fill polygons into a label image.

    A pixel (r, c) belongs to a polygon if its centre (r + 0.5, c + 0.5) is inside. Inside is defined by the non-zero
    winding rule, so that an outline that overlaps its own start has no hole there. Edges are half-open (top and left
    in, bottom and right out), so that polygons with a common edge share no pixel. Where polygons overlap, the smaller
    one (in pixels, before overlaps) is on top; of equal ones, the later. A polygon that contains no pixel centre gets
    the pixel of its mean vertex. Polygons are clipped to the image.

    Parameters
    ----------
    polygons : sequence of ndarray of shape (V, 2), float64
        Row and column of each vertex, finite.
    shape : tuple of int
        Height and width of the image.

    Returns
    -------
    Raster
    """
    areas = np.zeros(len(polygons), dtype=np.int64)
    for spans in _spans(polygons, shape):
        np.add.at(areas, spans.owner, spans.stop - spans.first)
    drawn = list(polygons)
    for index, row, col in _centre_pixels(polygons, areas, shape):
        drawn[index] = _UNIT_SQUARE + np.array((row, col))
        areas[index] = 1
    # Largest first: later polygons are painted over earlier ones.
    order = np.argsort(-areas, kind="stable")
    order = order[areas[order] > 0]
    labels = np.zeros(shape, dtype=np.int32)
    for spans in _spans([drawn[index] for index in order], shape):
        _paint(labels, spans, order + 1)
    return Raster(labels, areas)


def _paint(labels: NDArray[np.int32], spans: _Spans, numbers: NDArray[np.int64]) -> None:
    """Write the number of the polygon of each span into the label image."""
    lengths = spans.stop - spans.first
    starts = spans.row * labels.shape[1] + spans.first
    for part in _parts(lengths):
        run = lengths[part]
        # If an index repeats in an assignment, the last value is kept.
        labels.reshape(-1)[consecutive(starts[part], run)] = np.repeat(numbers[spans.owner[part]], run)


def _parts(sizes: NDArray[np.int64]) -> Iterator[slice]:
    """Divide items into runs of at most `_MOST` in total; a larger item is a run by itself."""
    ends = np.cumsum(sizes)
    begin = 0
    while begin < len(sizes):
        before = ends[begin - 1] if begin else 0
        stop = max(int(np.searchsorted(ends, before + _MOST, side="right")), begin + 1)
        yield slice(begin, stop)
        begin = stop


def _spans(polygons: Sequence[Polygon], shape: tuple[int, int]) -> Iterator[_Spans]:
    """Compute the runs of pixels inside each polygon, some polygons at a time."""
    if not len(polygons):
        return
    rows = _first_centre(np.concatenate([polygon[:, 0] for polygon in polygons]), shape[0])
    lengths = np.array([len(polygon) for polygon in polygons])
    starts = np.cumsum(lengths) - lengths
    following = np.append(rows[1:], 0)
    following[starts + lengths - 1] = rows[starts]
    crossings = np.add.reduceat(np.abs(following - rows), starts)
    for part in _parts(crossings):
        if crossings[part].sum() > _MOST:
            yield _spans_of_crowded(polygons[part.start], part.start, shape)
        else:
            yield _spans_of_many(polygons[part], part.start, shape)


def _spans_of_many(polygons: Sequence[Polygon], number: int, shape: tuple[int, int]) -> _Spans:
    """Compute the runs of polygons, counted from `number`: a scanline fill of all polygons at once.

    Every edge is intersected with the lines through pixel centres. The intersections are sorted along each line, and
    the winding number is summed over them.
    """
    begin = np.concatenate(polygons)
    end = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])
    owner = np.repeat(np.arange(number, number + len(polygons)), [len(polygon) for polygon in polygons])
    edge, row, col, turn = _cuts(begin, end, shape)
    order = np.lexsort((col, row, owner[edge]))
    edge, row, col = edge[order], row[order], col[order]
    winding = np.cumsum(turn[order])
    inside = np.flatnonzero(winding)  # the winding number returns to 0 at the end of every line of every polygon
    first, stop = (_first_centre(col[cut], shape[1]) for cut in (inside, inside + 1))
    return _Spans(owner[edge[inside]], row[inside], first, stop)


def _spans_of_crowded(polygon: Polygon, number: int, shape: tuple[int, int]) -> _Spans:
    """Compute the runs of one polygon with very many edges, by summing the winding number over pixels."""
    winding = np.zeros((shape[0], shape[1] + 1), dtype=np.int32)
    end = np.roll(polygon, -1, axis=0)
    rows, following = (_first_centre(vertices[:, 0], shape[0]) for vertices in (polygon, end))
    for part in _parts(np.abs(following - rows)):
        _, row, col, turn = _cuts(polygon[part], end[part], shape)
        np.add.at(winding.reshape(-1), row * winding.shape[1] + _first_centre(col, shape[1]), turn)
    inside = np.pad(np.cumsum(winding[:, :-1], axis=1, dtype=np.int32) != 0, ((0, 0), (1, 1)))
    row, first = np.nonzero(inside[:, 1:] & ~inside[:, :-1])
    _, stop = np.nonzero(inside[:, :-1] & ~inside[:, 1:])
    return _Spans(np.full(len(row), number), row, first, stop)


def _cuts(
    begin: Polygon, end: Polygon, shape: tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64], NDArray[np.int32]]:
    """Intersect edges with the lines through pixel centres.

    Returns
    -------
    edge, row : ndarray of intp
        Edge and row of each intersection.
    col : ndarray of float64
        Its position along the line.
    turn : ndarray of int32
        Change of the winding number there: 1 if the edge goes down, else -1.
    """
    down = end[:, 0] > begin[:, 0]
    # Intersecting each edge from its upper end makes polygons that share the edge agree to the last bit.
    upper = np.where(down[:, None], begin, end)
    lower = np.where(down[:, None], end, begin)
    top, bottom = (_first_centre(vertices[:, 0], shape[0]) for vertices in (upper, lower))
    crossings = bottom - top
    edge = np.repeat(np.arange(len(begin)), crossings)
    row = consecutive(top, crossings)
    size = (lower - upper)[edge]
    col = upper[edge, 1] + (row + 0.5 - upper[edge, 0]) * size[:, 1] / size[:, 0]
    return edge, row, col, np.where(down[edge], np.int32(1), np.int32(-1))


def _first_centre(places: NDArray[np.float64], length: int) -> NDArray[np.int64]:
    """Return the first of `length` pixels whose centre is not before a position; `length` if there is none."""
    return np.ceil(places - 0.5).clip(0, length).astype(np.int64)


def _centre_pixels(polygons: Sequence[Polygon], areas: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return polygon, row and column of the mean vertex of polygons without a pixel, if it is inside the image."""
    empty: list[int] = np.flatnonzero(areas == 0).tolist()
    means = np.array([polygons[index].mean(axis=0) for index in empty]).reshape(-1, 2)
    found = np.column_stack([np.array(empty, dtype=np.int64), np.floor(means).astype(np.int64)])
    inside = ((found[:, 1:] >= 0) & (found[:, 1:] < shape)).all(axis=1)
    return found[inside]
