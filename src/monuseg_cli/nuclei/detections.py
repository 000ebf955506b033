"""Nuclei as columns and polygons in pixels of the slide: what every table is written from.

shapely is imported only when polygons are needed.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.coordinates import Frame
from monuseg_cli.nuclei.columns import ALL_COLUMNS, NETWORK_COLUMNS, PROBABILITY, Column, Group
from monuseg_cli.nuclei.labelled_nuclei import Nuclei
from monuseg_cli.nuclei.shapes import Shapes, outline

REGION = "region"
"""Column with the regions of interest of each nucleus, where there are any."""

CLASS = "class"
"""Column with the class of each nucleus, where a classifier found it."""


@dataclass(frozen=True, slots=True)
class Detections:
    """Nuclei of a part of a slide, in the order of their ids.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (N,)
        Measurements by the names of `ALL_COLUMNS`, in the same order: int64 for whole numbers, float64 for the others,
        rounded to a meaningful precision; NaN where there is no value.
    shapes : ndarray of shape (N,), object
        Outlines that follow the edges of pixels; see `Shapes`.
    regions : sequence of str, optional
        Regions of interest of each nucleus; None if no regions are given.
    classes : sequence of str, optional
        Class of each nucleus; None without a classifier.
    """

    columns: Mapping[str, NDArray[Any]]
    shapes: Shapes
    regions: Sequence[str] | None = None
    classes: Sequence[str] | None = None

    @property
    def texts(self) -> dict[str, Sequence[str]]:
        """The columns of texts, in order, where there are any: class and regions of each nucleus."""
        known = {CLASS: self.classes, REGION: self.regions}
        return {name: texts for name, texts in known.items() if texts is not None}

    def __len__(self) -> int:
        """Return the number of nuclei."""
        return len(self.shapes)

    def rows(self, columns: Sequence[Column]) -> Iterator[tuple[int | float | None, ...]]:
        """Iterate over the measurements of each nucleus, None for those without a value."""
        return zip(*(_without_nan(self.columns[column.name]) for column in columns), strict=True)


def _without_nan(values: NDArray[Any]) -> list[int | float | None]:
    """Return values as a list, with None in place of NaN."""
    found: list[int | float | None] = values.tolist()
    for index in np.flatnonzero(np.isnan(values)):
        found[index] = None
    return found


def detect(
    nuclei: Nuclei, frame: Frame, regions: Sequence[str] | None = None, groups: Collection[Group] = ()
) -> Detections:
    """Measure and outline nuclei.

    Parameters
    ----------
    nuclei : Nuclei
        Nuclei in pixels of the maps.
    frame : Frame
        Transform from the maps to the slide.
    regions : sequence of str, optional
        Regions of interest of each nucleus.
    groups : collection of {"texture", "neighbours", "network"}
        Further measurements; neighbours are measured when all nuclei are known, see `Neighbourhoods`.
    """
    columns = measure_columns(nuclei, frame)
    if "texture" in groups:
        columns = rounded({**columns, **nuclei.texture})
    if "network" in groups:
        assert nuclei.network is not None
        columns = rounded({**columns, **dict(zip(NETWORK_COLUMNS, nuclei.network.T, strict=True))})
    return Detections(columns, outline(nuclei.contours, frame), regions)


def measure_columns(nuclei: Nuclei, frame: Frame) -> dict[str, NDArray[Any]]:
    """Return the columns of nuclei that are always measured; see `detect`."""
    known = nuclei.measurements
    centroids = frame.to_slide_coords(known.centroids)
    columns: dict[str, NDArray[Any]] = {
        "id": nuclei.first + np.arange(len(nuclei), dtype=np.int64),
        "row_px": centroids[:, 0],
        "col_px": centroids[:, 1],
        "area_um2": known.area_px * frame.mpp**2,
        "perimeter_um": known.perimeter_px * frame.mpp,
        "major_axis_um": known.major_axis_px * frame.mpp,
        "minor_axis_um": known.minor_axis_px * frame.mpp,
        "orientation_deg": known.orientation_deg,
        "circularity": known.circularity,
        "eccentricity": known.eccentricity,
        "solidity": known.solidity,
        "haematoxylin_mean": known.haematoxylin,
        "haematoxylin_std": known.haematoxylin_std,
    }
    if known.probability is not None:
        columns[PROBABILITY] = known.probability
    return rounded(columns)


def rounded(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return columns in the order of `ALL_COLUMNS`, rounded to their decimals."""
    known = {column.name: column.decimals for column in ALL_COLUMNS if column.name in columns}
    return {name: columns[name].round(decimals) if decimals else columns[name] for name, decimals in known.items()}
