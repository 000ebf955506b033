"""Nuclei in GeoParquet, of monuseg or of other tools (https://geoparquet.org/releases/v1.1.0/)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from monuseg_cli.classes.card import Colour, read_colour
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.extras import require_extra
from monuseg_cli.core.schema import SchemaError
from monuseg_cli.outputs import nuclei_parquet
from monuseg_cli.viewer.nucleus_set import NucleusSet, pack_shapes

_NAMES = ("id", "name", "cell_id")
_CLASSES = ("class", "class_name", "classification")
_POSITIONS = ("row_px", "col_px")
_POLYGON, _MULTIPOLYGON = 3, 6  # types of shapely


def read_groups(path: Path) -> Iterator[tuple[NucleusSet, int, float]]:
    """Read nuclei, one row group at a time; columns of numbers are their measurements.

    Parameters
    ----------
    path : Path
        GeoParquet with polygons as WKB, x and y in pixels of level 0.

    Yields
    ------
    nuclei : NucleusSet
        The nuclei of a row group.
    others : int
        Number of rows that have no polygon.
    share : float
        Share of the row groups that have been read.

    Raises
    ------
    MissingError
        If the file does not exist, or pyarrow is not installed.
    InputError
        If it is not GeoParquet, or damaged.
    """
    require_extra("view", str(path), pyarrow="pyarrow")
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            geometry = json.loads((file.metadata.metadata or {})[b"geo"])["primary_column"]
            for number in range(file.num_row_groups):
                group = file.read_row_group(number)
                nuclei, others = _pack(group, shapely.from_wkb(group[geometry].to_numpy()), geometry)
                yield nuclei, others, (number + 1) / file.num_row_groups
    except FileNotFoundError as error:
        message = f"no nuclei {path}; check its name"
        raise MissingError(message) from error
    except (pyarrow.ArrowException, OSError, LookupError, ValueError, TypeError, shapely.GEOSException) as error:
        message = f"{path} is not GeoParquet with polygons, or is damaged ({type(error).__name__}); write it again"
        raise InputError(message) from error


def read_colours(path: Path) -> dict[str, Colour]:
    """Return the colours of classes that a GeoParquet of monuseg states; empty if it states none."""
    try:
        stated = nuclei_parquet.read_about(path)["classes"]["colours"]
        return {str(name): read_colour(colour) for name, colour in stated.items()}
    except (InputError, SchemaError, LookupError, TypeError, AttributeError):
        return {}


def _pack(group: Any, shapes: NDArray[np.object_], geometry: str) -> tuple[NucleusSet, int]:
    import pyarrow

    polygons = np.isin(shapely.get_type_id(shapes), (_POLYGON, _MULTIPOLYGON)) & ~shapely.is_empty(shapes)
    kept = group.filter(pyarrow.array(polygons))
    measurements = {
        field.name: kept[field.name].to_numpy().astype(np.float32)
        for field in kept.schema
        if (pyarrow.types.is_floating(field.type) or pyarrow.types.is_integer(field.type))
        and field.name not in (geometry, *_NAMES, *_POSITIONS)
    }
    names = _texts(kept, _NAMES) or [""] * len(kept)
    class_names = _texts(kept, _CLASSES) or [""] * len(kept)
    return pack_shapes(names, class_names, shapes[polygons], measurements), int((~polygons).sum())


def _texts(group: Any, columns: tuple[str, ...]) -> list[str]:
    """Return the texts of the first column of these that there is."""
    for name in columns:
        if name in group.column_names:
            return ["" if value is None else str(value) for value in group[name].to_pylist()]
    return []
