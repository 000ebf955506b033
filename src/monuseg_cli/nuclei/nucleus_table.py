"""All nuclei of an image in memory, as a table with outlines, for Python."""

import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.errors import MissingError
from monuseg_cli.core.suggest import did_you_mean
from monuseg_cli.nuclei.columns import CLASS_PROBABILITY, Column
from monuseg_cli.nuclei.detections import CLASS, Detections
from monuseg_cli.nuclei.shapes import to_geojson

if TYPE_CHECKING:
    import pandas


class NucleusTable:
    """Table of nuclei and their measurements, with the columns, units and values of the CSV file.

    ``table["area_um2"]`` is a column, and ``len(table)`` the number of nuclei.

    Parameters
    ----------
    parts : sequence of Detections
        The nuclei of all parts of the image, in the order of their ids.
    columns : sequence of Column
        What is known of each nucleus.
    """

    def __init__(self, parts: Sequence[Detections], columns: Sequence[Column]) -> None:
        none = {column.name: np.empty(0, dtype=np.int64 if column.is_whole else np.float64) for column in columns}
        self._columns = {
            name: np.concatenate([empty, *(part.columns[name] for part in parts)]) for name, empty in none.items()
        }
        if CLASS_PROBABILITY in self._columns:
            names = [name for part in parts for name in part.classes or ()]
            self._columns[CLASS] = np.array(names, dtype=object)
        self._parts = tuple(parts)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        """All columns by name, each an ndarray of shape (N,)."""
        return MappingProxyType(self._columns)

    def __len__(self) -> int:
        """Return the number of nuclei."""
        return len(self._columns["id"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column, an ndarray of shape (N,).

        Raises
        ------
        KeyError
            If the column does not exist.
        """
        try:
            return self._columns[name]
        except KeyError:
            message = (
                f"no column {name!r}{did_you_mean(str(name), self._columns)}; there are {', '.join(self._columns)}"
            )
            raise KeyError(message) from None

    def __iter__(self) -> Iterator[dict[str, int | float | str]]:
        """Iterate over the nuclei, each as a dict of its measurements; NaN where there is no value."""
        for values in zip(*(column.tolist() for column in self._columns.values()), strict=True):
            yield dict(zip(self._columns, values, strict=True))

    def geometries(self) -> list[dict[str, object]]:
        """Return the outline of each nucleus as a GeoJSON geometry, as in the GeoJSON file.

        Coordinates are x, y in pixels of the whole image. ``shapely.geometry.shape`` converts them.
        """
        return [json.loads(geometry) for part in self._parts for geometry in to_geojson(part.shapes)]

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the columns as a data frame.

        Raises
        ------
        MissingError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            message = "pandas is not installed: pip install pandas"
            raise MissingError(message) from error
        return pandas.DataFrame(self._columns)

    def __repr__(self) -> str:
        """Return the number of nuclei, and the columns."""
        return f"<{type(self).__name__} of {len(self)} nuclei: {', '.join(self._columns)}>"
