"""Neighbourhoods of nuclei, from their centres.

scipy.spatial and shapely are imported only where neighbourhoods are measured.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.tiling import Box
from monuseg_cli.nuclei.columns import DENSITY_RADIUS_UM, NEIGHBOUR_RADII_UM
from monuseg_cli.nuclei.rings import Ring


def measure_neighbours(
    centres: NDArray[np.float64], um_per_px: float, box: Box, outlines: Sequence[Ring] = ()
) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
    """Compute distances between nuclei, their numbers and density, and their distance to the border.

    Nothing is known of nuclei beyond a border, and nothing is corrected for them: within 100 um of a border, counts and
    densities are too low, and the distance to the nearest nucleus can be too large.

    Parameters
    ----------
    centres : ndarray of shape (N, 2), float64
        Row and column of all nuclei, in pixels.
    um_per_px : float
        Micrometres per pixel.
    box : Box
        The part of the image that was searched for nuclei, in pixels.
    outlines : sequence of Ring
        Rings of the regions of interest, in pixels; empty: no regions.

    Returns
    -------
    dict of str to ndarray of shape (N,)
        The columns of the group "neighbours": int64 for numbers, else float64.
    """
    from scipy.spatial import cKDTree

    points = centres * um_per_px
    tree = cKDTree(points)
    nearest = tree.query(points, k=2)[0][:, 1] if len(points) > 1 else np.full(len(points), np.nan)
    within = {
        radius: np.asarray(tree.query_ball_point(points, radius, return_length=True), dtype=np.int64)
        for radius in (*NEIGHBOUR_RADII_UM, DENSITY_RADIUS_UM)
    }
    return {
        "nearest_um": nearest,
        **{f"neighbours_{radius}um": within[radius] - 1 for radius in NEIGHBOUR_RADII_UM},
        "density_per_mm2": within[DENSITY_RADIUS_UM] / (np.pi * (DENSITY_RADIUS_UM / 1000) ** 2),
        "border_um": _to_border(centres, box, outlines) * um_per_px,
    }


def _to_border(centres: NDArray[np.float64], box: Box, outlines: Sequence[Ring]) -> NDArray[np.float64]:
    """Compute the distance of points (N, 2) to the nearest side of a box or segment of a ring, in pixels."""
    begin, end = np.array(box[:2]), np.array(box[:2]) + box[2:]
    to_sides = np.minimum(centres - begin, end - centres).min(axis=1)
    if not outlines or not len(centres):
        return np.asarray(to_sides, dtype=np.float64)
    import shapely

    ends = np.concatenate([np.stack([ring, np.roll(ring, -1, axis=0)], axis=1) for ring in outlines])
    tree = shapely.STRtree(shapely.linestrings(ends))
    _, distances = tree.query_nearest(shapely.points(centres), return_distance=True, all_matches=False)
    return np.asarray(np.minimum(to_sides, distances), dtype=np.float64)
