"""SpatialData stores, written and read by spatialdata itself."""

import warnings
from pathlib import Path
from typing import Any


def read_store(path: Path) -> Any:
    """Read a store."""
    with warnings.catch_warnings(action="ignore"):  # of the packages that spatialdata imports
        import spatialdata

        return spatialdata.read_zarr(path)


def write_store(path: Path, **attributes: Any) -> Path:
    """Write a store of somebody else: squares, without a table."""
    with warnings.catch_warnings(action="ignore"):
        import geopandas
        import shapely
        import spatialdata

        squares = spatialdata.models.ShapesModel.parse(geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 9, 9)]))
        spatialdata.SpatialData.init_from_elements({"squares": squares}, attrs=attributes).write(path)
    return path
