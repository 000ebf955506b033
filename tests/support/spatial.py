"""SpatialData stores, written and read by spatialdata itself."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_store(path: Path) -> Any:
    """Read a store."""
    with warnings.catch_warnings(action="ignore"):  # of the packages that spatialdata imports
        import spatialdata

        return spatialdata.read_zarr(path)


def write_store(path: Path, image: NDArray[np.uint8] | None = None, **attributes: Any) -> Path:
    """Write a store of somebody else: squares, and an image (H, W, 3) if there is one, without a table."""
    with warnings.catch_warnings(action="ignore"):
        import geopandas
        import shapely
        import spatialdata
        from spatialdata.models import Image2DModel, ShapesModel

        elements = {"squares": ShapesModel.parse(geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 9, 9)]))}
        if image is not None:
            elements["he"] = Image2DModel.parse(np.moveaxis(image, -1, 0), dims=("c", "y", "x"), c_coords=list("rgb"))
        spatialdata.SpatialData.init_from_elements(elements, attrs=attributes).write(path)
    return path
