"""Polygons -> a label image, by the pixel-centre rule."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RULE = "pixel centre, half-open; non-zero winding; smallest on top"
"""The rule that label images are made by; a change of it makes every mask anew."""


@dataclass(frozen=True, slots=True)
class Raster:
    """A rasterised annotation.

    Parameters
    ----------
    labels : ndarray of shape (H, W), int32
        Polygon i has label i + 1; 0 is background.
    areas_px : ndarray of shape (N,), int64
        Pixels of each polygon within the image, before overlaps are resolved.
    """

    labels: NDArray[np.int32]
    areas_px: NDArray[np.int64]


def rasterise(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> Raster:
    """Fill polygons into a label image.

    A pixel (r, c) belongs to a polygon when its centre (r + 0.5, c + 0.5) does: by the non-zero winding rule, so that
    an outline that runs over its own beginning has no hole there, and half-open on edges (top and left in, bottom and
    right out), so that polygons that share an edge share no pixel. Where polygons overlap the smaller one, by pixels
    before overlaps, lies on top; of equal ones the later. A polygon that covers no pixel's centre gets the one pixel
    that its mean vertex lies in. What lies outside the image is clipped.

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
    owner, row, first, stop = _spans(polygons, shape)
    areas = np.bincount(owner, weights=stop - first, minlength=len(polygons)).astype(np.int64)
    if len(tiny := _centre_pixels(polygons, areas, shape)):
        owner = np.concatenate([owner, tiny[:, 0]])
        row = np.concatenate([row, tiny[:, 1]])
        first = np.concatenate([first, tiny[:, 2]])
        stop = np.concatenate([stop, tiny[:, 2] + 1])
        areas[tiny[:, 0]] = 1
    # Largest first: where an index repeats in an assignment, the last value stays.
    paint_rank = np.empty(len(polygons), dtype=np.intp)
    paint_rank[np.argsort(-areas, kind="stable")] = np.arange(len(polygons))
    order = np.argsort(paint_rank[owner], kind="stable")
    lengths = (stop - first)[order]
    starts = (row * shape[1] + first)[order]
    pixels = np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    labels = np.zeros(shape, dtype=np.int32)
    labels.reshape(-1)[pixels] = np.repeat(owner[order] + 1, lengths)
    return Raster(labels, areas)


def _spans(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> tuple[NDArray[np.int64], ...]:
    """Find the runs of pixels inside each polygon: polygon, row, first column, column behind the last.

    A classic scanline fill, for all polygons at once: every edge is cut with the lines through pixel centres that it
    crosses, the cuts are sorted along each line, and the winding number is summed over them.
    """
    height, width = shape
    if not len(polygons):
        return (np.zeros(0, dtype=np.int64),) * 4
    begin = np.concatenate(polygons)
    end = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])
    owner = np.repeat(np.arange(len(polygons)), [len(polygon) for polygon in polygons])
    down = end[:, 0] > begin[:, 0]
    # Cutting each edge from its upper end makes the two sides of a shared edge agree to the last bit.
    upper = np.where(down[:, None], begin, end)
    lower = np.where(down[:, None], end, begin)
    top = np.ceil(upper[:, 0] - 0.5).clip(0, height).astype(np.int64)
    bottom = np.ceil(lower[:, 0] - 0.5).clip(0, height).astype(np.int64)
    crossings = bottom - top
    edge = np.repeat(np.arange(len(begin)), crossings)
    row = np.arange(crossings.sum()) + np.repeat(top - (np.cumsum(crossings) - crossings), crossings)
    size = (lower - upper)[edge]
    col = upper[edge, 1] + (row + 0.5 - upper[edge, 0]) * size[:, 1] / size[:, 0]
    order = np.lexsort((col, row, owner[edge]))
    edge, row, col = edge[order], row[order], col[order]
    winding = np.cumsum(np.where(down[edge], 1, -1))
    inside = np.flatnonzero(winding)  # the winding number returns to 0 at the end of every line of every polygon
    first = np.ceil(col[inside] - 0.5).clip(0, width).astype(np.int64)
    stop = np.ceil(col[inside + 1] - 0.5).clip(0, width).astype(np.int64)
    return owner[edge[inside]], row[inside], first, stop


def _centre_pixels(
    polygons: Sequence[NDArray[np.float64]], areas: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.int64]:
    """List polygon, row and column of the mean vertex for polygons without a pixel whose mean lies in the image."""
    empty: list[int] = np.flatnonzero(areas == 0).tolist()
    means = np.array([polygons[index].mean(axis=0) for index in empty]).reshape(-1, 2)
    found = np.column_stack([np.array(empty, dtype=np.int64), np.floor(means).astype(np.int64)])
    inside = ((found[:, 1:] >= 0) & (found[:, 1:] < shape)).all(axis=1)
    return found[inside]
