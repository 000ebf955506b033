"""Neighbours of nuclei, measured from the centres of all nuclei of a slide.

scipy.spatial and shapely are imported only where neighbourhoods are measured.
"""

import pickle
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.coordinates import Layout
from monuseg_cli.imaging.tiling import Box
from monuseg_cli.nuclei.columns import DENSITY_RADIUS_UM, NEIGHBOUR_RADII_UM
from monuseg_cli.nuclei.detections import Detections, rounded
from monuseg_cli.nuclei.polygons import Ring
from monuseg_cli.nuclei.rois import Roi


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


class Neighbourhoods:
    """Takes the centres of all nuclei, and then adds the columns of the group "neighbours".

    Parameters
    ----------
    layout : Layout
        Scale, and the part of the slide that was searched.
    rois : tuple of Roi
        Regions of interest, whose borders count.
    """

    def __init__(self, layout: Layout, rois: tuple[Roi, ...]) -> None:
        self._layout = layout
        self._outlines = [ring for roi in rois for polygon in roi.polygons for ring in polygon]
        self._centres: list[NDArray[np.float64]] = [np.empty((0, 2))]

    def add(self, found: Detections) -> None:
        """Take the centres of further nuclei."""
        self._centres.append(np.stack([found.columns["row_px"], found.columns["col_px"]], axis=1))

    def attach(self, parts: Iterable[Detections]) -> Iterator[Detections]:
        """Yield the nuclei that were added, in the same order, with their neighbourhoods."""
        centres = np.concatenate(self._centres)
        known = measure_neighbours(centres, self._layout.um_per_px, self._layout.region, self._outlines)
        begin = 0
        for found in parts:
            own = {name: values[begin : begin + len(found)] for name, values in known.items()}
            yield replace(found, columns=rounded({**found.columns, **own}))
            begin += len(found)


def with_neighbours(parts: Sequence[Detections], layout: Layout, rois: tuple[Roi, ...]) -> list[Detections]:
    """Return all nuclei of a slide with the columns of the group "neighbours"."""
    neighbourhoods = Neighbourhoods(layout, rois)
    for found in parts:
        neighbourhoods.add(found)
    return list(neighbourhoods.attach(parts))


class Waiting:
    """Nuclei that wait in a file without a name, which vanishes with the process. Use it in a ``with`` statement.

    Parameters
    ----------
    folder : Path, optional
        Where the file is; None: the usual place of temporary files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 # closed by __exit__
        self._count = 0

    def __enter__(self) -> "Waiting":
        """Return the nuclei themselves."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove the file."""
        self._file.close()

    def add(self, found: Detections) -> None:
        """Append nuclei."""
        pickle.dump(found, self._file, protocol=pickle.HIGHEST_PROTOCOL)
        self._count += 1

    def __iter__(self) -> Iterator[Detections]:
        """Iterate over the nuclei, in the order in which they were added."""
        self._file.seek(0)
        for _ in range(self._count):
            yield pickle.load(self._file)
