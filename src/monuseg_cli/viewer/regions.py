"""Regions of a slide, with the number of nuclei in each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monuseg_cli.nuclei.polygons import Polygon
from monuseg_cli.nuclei.rois import Roi
from monuseg_cli.viewer.nucleus_set import NucleusSet

PER_MM2, PER_MEGAPIXEL = "per mm²", "per megapixel"
"""Units of densities, with and without a scale."""


@dataclass(frozen=True, slots=True)
class RegionCount:
    """A region, the number of nuclei with their centre in it, and its area.

    Parameters
    ----------
    name : str
        Name of the region.
    polygons : tuple of Polygon
        Its outline in pixels of level 0; empty: all that is shown.
    nuclei : int
        Number of nuclei.
    area : float
        Area in mm2, or in megapixels if the scale is not known.
    """

    name: str
    polygons: tuple[Polygon, ...]
    nuclei: int
    area: float

    @property
    def density(self) -> float:
        """Nuclei per mm2, or per megapixel."""
        return self.nuclei / self.area if self.area else 0.0


def to_area(pixels: float, mpp: float | None) -> float:
    """Return an area in mm2, or in megapixels if there is no scale, from one in pixels of level 0."""
    return pixels * (mpp / 1000) ** 2 if mpp else pixels / 1e6


def count_regions(rois: Sequence[Roi], nuclei: NucleusSet, mpp: float | None) -> tuple[RegionCount, ...]:
    """Count the nuclei with their centre in each region; a centre on an edge counts as in `Roi.contains`."""
    counts = []
    for roi in rois:
        points = np.concatenate([polygon[0] for polygon in roi.polygons])
        low, high = points.min(axis=0), points.max(axis=0)
        near = nuclei.centres[((nuclei.centres >= low) & (nuclei.centres <= high)).all(axis=1)]
        inside = int(roi.contains(near).sum()) if len(near) else 0
        counts.append(RegionCount(roi.name, roi.polygons, inside, to_area(roi.area_px, mpp)))
    return tuple(counts)
