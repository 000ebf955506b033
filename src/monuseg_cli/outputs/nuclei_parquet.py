"""Nuclei in GeoParquet: written in row groups as they are found, and read back in the same way.

The format is GeoParquet 1.1 (https://geoparquet.org/releases/v1.1.0/): polygons as WKB, with a column of bounding
boxes, so that a part of a slide is found by the statistics of the row groups. There is no coordinate reference system:
x and y are pixels of level 0, and y points down. The metadata key `ABOUT` states, as JSON, what the file was made of.

pyarrow is imported only here, and only when a file is written or read.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from monuseg_cli.core.atomic import writing
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.extras import is_installed, require_extra
from monuseg_cli.nuclei.columns import ALL_COLUMNS, Column
from monuseg_cli.nuclei.detections import CLASS, REGION, Detections
from monuseg_cli.nuclei.shapes import Shapes
from monuseg_cli.outputs.target import NucleiWriter

SUFFIX = ".parquet"
ABOUT = "monuseg"
ROWS_PER_GROUP = 50_000
"""Nuclei that are kept in memory when a file is written or read."""

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_POLYGONS = {3: "Polygon", 6: "MultiPolygon"}  # by the number of the type in shapely


def has_pyarrow() -> bool:
    """Whether pyarrow is installed."""
    return is_installed("pyarrow")


def require_pyarrow() -> None:
    """Check that pyarrow is installed; else raise a MissingError."""
    require_extra("tables", "a .parquet", pyarrow="pyarrow")


@contextmanager
def nuclei_parquet(
    path: Path,
    columns: Sequence[Column],
    about: Mapping[str, Any],
    texts: Sequence[str] = (),
    rows_per_group: int = ROWS_PER_GROUP,
) -> Iterator[NucleiWriter]:
    """Write one row per nucleus: outline, bounding box, measurements, then its texts.

    Parameters
    ----------
    path : Path
        Destination.
    columns : sequence of Column
        The measurements; null where there is no value.
    about : mapping
        What the file is made of, as JSON; read when the context ends, so that it can be completed until then.
    texts : sequence of str
        Columns of texts, by the names of `Detections.texts`.
    rows_per_group : int
        Number of nuclei in a row group.
    """
    import pyarrow
    import pyarrow.parquet

    schema = _schema(columns, texts)
    with (
        writing(path) as part,
        part.open("wb") as stream,  # which pyarrow would leave open on a full disk
        pyarrow.parquet.ParquetWriter(stream, schema, compression="zstd", use_dictionary=list(texts)) as file,
    ):
        waiting = schema.empty_table()
        extent = _Extent()

        def add(found: Detections) -> None:
            nonlocal waiting
            extent.add(found.shapes)
            waiting = pyarrow.concat_tables([waiting, _table(found, columns, texts, schema)])
            while len(waiting) >= rows_per_group:
                file.write_table(waiting.slice(0, rows_per_group), row_group_size=rows_per_group)
                waiting = waiting.slice(rows_per_group)

        yield add
        if len(waiting):
            file.write_table(waiting, row_group_size=rows_per_group)
        file.add_key_value_metadata({"geo": json.dumps(extent.describe()), ABOUT: json.dumps(about)})


def _schema(columns: Sequence[Column], texts: Sequence[str]) -> Any:
    import pyarrow

    fields: list[tuple[str, Any]] = [
        ("geometry", pyarrow.binary()),
        ("bbox", pyarrow.struct([(side, pyarrow.float64()) for side in _SIDES])),
        *((column.name, pyarrow.int64() if column.is_whole else pyarrow.float64()) for column in columns),
        *((name, pyarrow.string()) for name in texts),
    ]
    return pyarrow.schema(fields)


def _table(found: Detections, columns: Sequence[Column], texts: Sequence[str], schema: Any) -> Any:
    import pyarrow
    import shapely

    sides = shapely.bounds(found.shapes).T
    arrays = [
        pyarrow.array(shapely.to_wkb(found.shapes, byte_order=1), pyarrow.binary()),
        pyarrow.StructArray.from_arrays([pyarrow.array(side) for side in sides], names=_SIDES),
        *(pyarrow.array(found.columns[column.name], from_pandas=True) for column in columns),  # null in place of NaN
        *(pyarrow.array(found.texts[name], pyarrow.string()) for name in texts),
    ]
    return pyarrow.table(arrays, schema=schema)


class _Extent:
    """What GeoParquet states of a column of geometries: their types, and the box around all of them."""

    def __init__(self) -> None:
        self._types: set[int] = set()
        self._box: list[float] | None = None

    def add(self, shapes: Shapes) -> None:
        import shapely

        self._types |= set(np.unique(shapely.get_type_id(shapes)).tolist())
        left, top, right, bottom = shapely.total_bounds(shapes).tolist()
        before = self._box or [left, top, right, bottom]
        self._box = [min(before[0], left), min(before[1], top), max(before[2], right), max(before[3], bottom)]

    def describe(self) -> dict[str, Any]:
        geometry: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": [name for number, name in _POLYGONS.items() if number in self._types],
            "crs": None,
            "covering": {"bbox": {side: ["bbox", side] for side in _SIDES}},
        }
        if self._box:
            geometry["bbox"] = self._box
        return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}


def read_about(path: Path) -> dict[str, Any]:
    """Read what a file is made of.

    Raises
    ------
    MissingError
        If pyarrow is not installed.
    InputError
        If it is not a file of nuclei that `nuclei_parquet` wrote.
    """
    require_pyarrow()
    import pyarrow
    import pyarrow.parquet

    try:
        found = (pyarrow.parquet.read_metadata(path).metadata or {})[ABOUT.encode()]
        about = json.loads(found)
    except (pyarrow.ArrowException, OSError, LookupError, ValueError, RecursionError) as error:
        message = f"{path} is not a file of nuclei that monuseg wrote, or is damaged"
        raise InputError(message) from error
    if not isinstance(about, dict):
        message = f"{path} does not state what it is made of; delete it, and predict again"
        raise InputError(message)
    return about


def read_nuclei(path: Path) -> Iterator[Detections]:
    """Read nuclei, one row group at a time.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    import pyarrow
    import pyarrow.parquet
    import shapely

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                group = file.read_row_group(number)
                yield Detections(
                    columns={
                        column.name: group[column.name].to_numpy()
                        for column in ALL_COLUMNS
                        if column.group is None or column.name in group.column_names
                    },
                    shapes=shapely.from_wkb(group["geometry"].to_numpy()),
                    regions=group[REGION].to_pylist() if REGION in group.column_names else None,
                    classes=group[CLASS].to_pylist() if CLASS in group.column_names else None,
                )
    except (pyarrow.ArrowException, OSError, LookupError, ValueError, shapely.GEOSException) as error:
        message = f"{path} is damaged ({type(error).__name__}); delete it, and predict again"
        raise InputError(message) from error


def read_tops(path: Path) -> list[float]:
    """Read the smallest y of each row group, from the statistics of the column of bounding boxes.

    Raises
    ------
    InputError
        If the file does not state it.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        metadata = pyarrow.parquet.read_metadata(path)
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        tops = [
            group.column(place).statistics.min
            for group in groups
            for place in range(group.num_columns)
            if group.column(place).path_in_schema == "bbox.ymin"
        ]
    except (pyarrow.ArrowException, OSError, AttributeError) as error:
        message = f"{path} is damaged ({type(error).__name__}); delete it, and predict again"
        raise InputError(message) from error
    if len(tops) != len(groups):
        message = f"{path} does not state where its nuclei are; delete it, and predict again"
        raise InputError(message)
    return tops
