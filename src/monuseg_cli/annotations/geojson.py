"""Objects of GeoJSON files, as QuPath exports and `monuseg predict` writes them."""

import gzip
import io
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import is_special_file
from monuseg_cli.core.schema import SchemaError, read_as, require_mapping, show_value
from monuseg_cli.nuclei.polygons import MAX_COORDINATE_PX, Polygon, Ring

LARGEST_UNPACKED_BYTES = 2**29
"""A compressed file that decompresses to more is refused."""

_FEWEST_POINTS = 3
_LARGEST_GAP_PX = 1.0
"""A line whose ends are closer than this is closed."""

FILE_ERRORS = (
    ValueError,
    OSError,
    EOFError,
    RecursionError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
)
"""Exceptions from a file that cannot be decompressed or is not JSON."""

CONTENT_ERRORS = (ValueError, RecursionError)
"""Exceptions from JSON that is not GeoJSON."""

_REEXPORT = "export it from QuPath again"


@dataclass(frozen=True, slots=True)
class Feature:
    """One object: something annotated or detected.

    Parameters
    ----------
    name : str
        Its name; empty: none.
    class_name : str
        The name of its classification, several as in "Tumor: Positive"; empty: none.
    object_type : str
        "annotation", "detection", "cell", "tile", "tma_core" or "root", as named by QuPath; empty: not stated.
    polygons : tuple of Polygon
        At least one.
    measurements : mapping of str to float
        Its measurements by name, where they are numbers.
    colour : tuple of int, optional
        Red, green and blue of its class, 0..255; None: not stated.
    """

    name: str
    class_name: str
    object_type: str
    polygons: tuple[Polygon, ...]
    measurements: Mapping[str, float] = field(default_factory=dict)
    colour: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class GeoJson:
    """The content of a file: objects with an area, and the number of others, by kind."""

    features: tuple[Feature, ...]
    left_out: Mapping[str, int]


def read_geojson(path: Path) -> GeoJson:
    """Read a GeoJSON file: a feature, a list of features, or a collection; plain, gzipped, or in a zip file of QuPath.

    Polygons, multipolygons, closed lines, and collections of these have an area. Of a cell, only the nucleus is read.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If it is not GeoJSON, or one of its polygons is invalid.
    """
    if is_special_file(path):
        message = f"{path} is not a regular file; name a GeoJSON file"
        raise InputError(message)
    try:
        content = json.loads(_unpack(path.read_bytes()))
    except FileNotFoundError as error:
        message = f"no annotations {path}; check its name"
        raise MissingError(message) from error
    except FILE_ERRORS as error:
        raise not_geojson(path, error) from error
    found, left_out = [], Counter[str]()
    try:
        for number, content_of_feature in enumerate(list_features(content), start=1):
            feature, lacks = read_feature(content_of_feature, number)
            found += [feature] if feature else []
            left_out += Counter([lacks] if lacks else [])
    except CONTENT_ERRORS as error:
        raise not_geojson(path, error, of_polygons=True) from error
    return GeoJson(tuple(found), left_out)


def not_geojson(path: Path, error: Exception, *, of_polygons: bool = False) -> InputError:
    """Build the error for a file that cannot be read as GeoJSON, or whose features are not GeoJSON."""
    if of_polygons:
        return InputError(f"{path} is not GeoJSON of polygons ({error}); {_REEXPORT}")
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    return InputError(f"{path} is not GeoJSON ({reason}); {_REEXPORT}")


def _unpack(content: bytes) -> bytes:
    """Decompress gzip and zip, recognised by the first bytes; a zip must contain one GeoJSON file."""
    if content.startswith(b"\x1f\x8b"):
        with gzip.open(io.BytesIO(content)) as file:
            return _read_moderate(file.read(LARGEST_UNPACKED_BYTES + 1))
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(find_entry(archive)) as file:
            return _read_moderate(file.read(LARGEST_UNPACKED_BYTES + 1))
    return content


def find_entry(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the one GeoJSON file in a zip; raise ValueError if there is none, or more than one."""
    inside = [
        entry
        for entry in archive.infolist()
        if entry.filename.lower().endswith((".geojson", ".json")) and "__MACOSX" not in entry.filename
    ]
    if len(inside) != 1:
        message = f"a zip of {len(inside)} GeoJSON files, expected one"
        raise ValueError(message)
    return inside[0]


def _read_moderate(content: bytes) -> bytes:
    if len(content) > LARGEST_UNPACKED_BYTES:
        message = f"it decompresses to more than {LARGEST_UNPACKED_BYTES >> 20} MiB"
        raise ValueError(message)
    return content


def list_features(content: Any) -> list[Any]:
    """List the features of a file, from its JSON: a collection, also of bare geometries, a list or a single feature."""
    if isinstance(content, dict):
        if "features" not in content and "type" not in content and content:
            message = "has neither features nor a type"
            raise SchemaError(message)
        if content.get("type") == "GeometryCollection":
            return _require_list(content.get("geometries") or [], "geometries")
        content = content.get("features", [content] if content else []) or []
    return _require_list(content, "features")


def read_feature(feature: Any, number: int) -> tuple[Feature | None, str]:
    """Read a feature; if it has no area, return None and its kind."""
    if feature is None:
        return None, "objects without a geometry"
    where = f"feature {number}"
    feature = require_mapping(feature, where)
    # In QuPath, a cell has a nucleus in addition to its own outline.
    geometry = feature.get("nucleusGeometry") or feature.get("geometry", feature)
    if not geometry or "type" not in require_mapping(geometry, f"{where}, geometry"):
        return None, "objects without a geometry"
    polygons = tuple(_polygons_of(geometry, where))
    if not polygons:
        return None, _kind_without_area(geometry)
    properties = require_mapping(feature.get("properties") or {}, f"{where}, properties")
    kind = properties.get("objectType") or properties.get("object_type") or feature.get("id")
    if feature.get("nucleusGeometry"):
        kind = "cell"
    return Feature(
        name=_text(properties.get("name"), f"{where}, name"),
        class_name=_class_name(properties.get("classification"), f"{where}, classification"),
        object_type=_object_type(_text(kind, f"{where}, objectType")),
        polygons=polygons,
        measurements=_measurements(properties.get("measurements")),
        colour=_colour(properties.get("classification")),
    ), ""


def _colour(classification: Any) -> tuple[int, int, int] | None:
    """Read the colour of a class: a list of red, green and blue, or, before QuPath 0.4, one number of 32 bits."""
    if not isinstance(classification, dict):
        return None
    parts, packed = classification.get("color"), classification.get("colorRGB")
    if isinstance(packed, int) and not isinstance(packed, bool):
        parts = [packed >> 16 & 255, packed >> 8 & 255, packed & 255]
    if not isinstance(parts, list) or len(parts) != 3:
        return None
    if not all(isinstance(part, int) and 0 <= part <= 255 for part in parts):
        return None
    red, green, blue = map(int, parts)
    return red, green, blue


def _measurements(given: Any) -> dict[str, float]:
    """Read measurements as the versions of QuPath write them: an object, or a list of names and values."""
    if isinstance(given, list):
        given = {str(one.get("name")): one.get("value") for one in given if isinstance(one, dict)}
    if not isinstance(given, dict):
        return {}
    return {
        str(name): float(value)
        for name, value in given.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _text(value: Any, where: str) -> str:
    """Return a text or a number as text; empty for nothing."""
    if isinstance(value, int | float) and value:
        return show_value(value)
    return read_as(str, value or "", where)


def _class_name(classification: Any, where: str) -> str:
    """Read a class as the versions of QuPath write it: a name, an object with a name, or a list of parts."""
    if isinstance(classification, dict):
        names = classification.get("names")
        classification = classification.get("name") or (names if isinstance(names, list) else "")
    if isinstance(classification, list):
        return ": ".join(_text(part, where) for part in classification)
    return _text(classification, where)


def _object_type(kind: str) -> str:
    """Return the type of an object of QuPath, from its objectType or, before QuPath 0.3, its id."""
    for name, form in _OBJECT_IDS.items():
        if kind == form or kind.lower() == name:
            return name
    return ""


_OBJECT_IDS = {
    "annotation": "PathAnnotationObject",
    "detection": "PathDetectionObject",
    "cell": "PathCellObject",
    "tile": "PathTileObject",
    "tma_core": "TMACoreObject",
    "root": "PathRootObject",
}


def _polygons_of(geometry: Any, where: str) -> Iterator[Polygon]:
    """Read all parts of a geometry that have an area."""
    kind = require_mapping(geometry, f"{where}, geometry").get("type")
    if kind == "GeometryCollection":
        for part in _require_list(geometry.get("geometries") or [], f"{where}, geometries"):
            yield from _polygons_of(part, where)
        return
    coordinates = _require_list(geometry.get("coordinates") or [], f"{where}, coordinates")
    if kind in ("LineString", "MultiLineString"):
        lines = coordinates if kind == "MultiLineString" else [coordinates]
        coordinates = [[line] for line in lines if _closes(_read_ring(line, where))]
    elif kind == "Polygon":
        coordinates = [coordinates]
    elif kind != "MultiPolygon":
        return
    for rings in coordinates:
        polygon = tuple(_read_ring(points, where) for points in _require_list(rings, f"{where}, coordinates"))
        if polygon and len(polygon[0]) >= _FEWEST_POINTS:
            yield tuple(ring for ring in polygon if len(ring) >= _FEWEST_POINTS)


def _require_list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        message = f"must be a list, not {show_value(value)}"
        raise SchemaError(message, where)
    return value


def _closes(line: Ring) -> bool:
    return len(line) > _FEWEST_POINTS and float(np.hypot(*(line[0] - line[-1]))) <= _LARGEST_GAP_PX


def _read_ring(points: Any, where: str) -> Ring:
    if not _require_list(points, f"{where}, coordinates"):
        return np.empty((0, 2))
    try:
        read = np.array(points)
    except ValueError:  # points of different lengths
        read = np.empty(0)
    if read.ndim == 2 and read.shape[1] >= 2 and read.dtype.kind in "iuf":
        ring = read[:, 1::-1].astype(np.float64)  # x, y -> row, column
        if (np.abs(ring) > MAX_COORDINATE_PX).any():
            message = f"has points farther than {MAX_COORDINATE_PX:.0f} px"
            raise SchemaError(message, where)
        if not np.isnan(ring).any():
            return ring
    message = "has points that are not two finite numbers"
    raise SchemaError(message, where)


def _kind_without_area(geometry: Mapping[str, Any]) -> str:
    kind = _text(geometry.get("type"), "type")
    if kind in ("Point", "MultiPoint"):
        return "points"
    if kind in ("LineString", "MultiLineString"):
        return "open lines"
    if kind in ("Polygon", "MultiPolygon"):
        return "outlines with fewer than three points"
    if kind == "GeometryCollection":
        kinds = {_kind_without_area(part) for part in geometry.get("geometries") or ()}
        return kinds.pop() if len(kinds) == 1 else "objects without a geometry"
    return f"objects of type {kind[:40] if kind.isprintable() else ascii(kind[:40])}"
