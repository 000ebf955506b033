"""Square nuclei, as the search for nuclei passes them on."""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from monuseg_cli.nuclei.detections import Detections


def squares(
    centres: NDArray[np.float64],
    side: float = 10,
    first: int = 1,
    regions: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
) -> Detections:
    """Build a square nucleus around each centre (N, 2), row and column; its other measurements follow from its id."""
    rows, cols = centres.T
    ids = np.arange(first, first + len(centres))
    half = side / 2
    columns = {
        "id": ids,
        "row_px": rows,
        "col_px": cols,
        "area_um2": np.full(len(ids), side**2 / 16),
        "perimeter_um": np.full(len(ids), side),
        "major_axis_um": np.full(len(ids), side / 2),
        "minor_axis_um": np.full(len(ids), side / 2),
        "orientation_deg": np.full(len(ids), np.nan),
        "circularity": np.full(len(ids), 0.8),
        "eccentricity": (ids % 10) / 10,
        "solidity": np.ones(len(ids)),
        "haematoxylin_mean": (ids % 7) / 10,
        "haematoxylin_std": (ids % 3) / 10,
        "probability": np.full(len(ids), 0.9),
    }
    shapes = shapely.box(cols - half, rows - half, cols + half, rows + half)
    return Detections(columns, shapes, regions, classes)
