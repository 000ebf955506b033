"""Rings of points: their area, and several rings as one outline."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.float64]
"""Points (V, 2), row and column in pixels; the last joins the first, whether it repeats it or not."""

Polygon = tuple[Ring, ...]
"""The outer ring, then those of the holes."""


def signed_area(ring: Ring) -> float:
    """Compute the area of a ring by the shoelace formula; its sign tells the direction of the points."""
    moved = ring - ring[0]  # keeps digits that large coordinates would cost
    following = np.roll(moved, -1, axis=0)
    return float((moved[:, 0] * following[:, 1] - moved[:, 1] * following[:, 0]).sum()) / 2


def area_of(ring: Ring) -> float:
    """Compute the area of a ring, in square pixels; of an outline by `join_rings`, that of all its parts."""
    return abs(signed_area(ring))


def join_rings(polygons: Sequence[Polygon]) -> Ring:
    """Join the parts of one object, and their holes, into one outline.

    From the first point of the first part a line leads to each further ring and back by the same way, so that the line
    encloses nothing. Outer rings run in one direction and holes in the other: under the non-zero winding rule the
    outline covers what the polygons cover.

    Parameters
    ----------
    polygons : sequence of Polygon
        At least one.

    Returns
    -------
    ndarray of shape (V, 2), float64
        The ring itself, unchanged, where there is one without holes.
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
