"""Rings of points: their area, and the union of several rings as one outline."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.float64]
"""Points (V, 2), row and column in pixels; the last point connects to the first, which it may repeat."""

MAX_COORDINATE_PX = 1e7
"""Larger coordinates are refused: no slide is that large."""

Polygon = tuple[Ring, ...]
"""The outer ring, then the holes."""


def signed_area(ring: Ring) -> float:
    """Compute the area of a ring by the shoelace formula; its sign depends on the direction of the points."""
    moved = ring - ring[0]  # large coordinates would reduce the precision
    following = np.roll(moved, -1, axis=0)
    return float((moved[:, 0] * following[:, 1] - moved[:, 1] * following[:, 0]).sum()) / 2


def area_of(ring: Ring) -> float:
    """Compute the area of a ring, or of an outline by `join_rings`, in square pixels."""
    return abs(signed_area(ring))


def join_rings(polygons: Sequence[Polygon]) -> Ring:
    """Join the parts of one object, and their holes, into one outline.

    A line leads from the first point of the first part to each further ring and back, so that it encloses no area.
    Outer rings and holes have opposite directions, so that the outline covers the same area as the polygons by the
    non-zero winding rule.

    Parameters
    ----------
    polygons : sequence of Polygon
        At least one.

    Returns
    -------
    ndarray of shape (V, 2), float64
        The ring itself if there is only one, without holes.
    """
    if len(polygons) == 1 and len(polygons[0]) == 1:
        return polygons[0][0]
    rings = []
    for outer, *holes in polygons:
        rings += [_directed(outer, 1), *(_directed(hole, -1) for hole in holes)]
    home = rings[0][:1]
    return np.concatenate([part for ring in rings for part in (ring, ring[:1], home)])


def _directed(ring: Ring, sign: int) -> Ring:
    return ring if signed_area(ring) * sign >= 0 else ring[::-1]
