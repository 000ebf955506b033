"""Objects of GeoJSON files, as QuPath exports and `monuseg predict` writes them."""

import gzip
import io
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import is_special_file
from monuseg_cli.nuclei.rings import MAX_COORDINATE_PX, Polygon, Ring

LARGEST_UNPACKED_BYTES = 2**29
"""A compressed file that decompresses to more is refused."""

_FEWEST_POINTS = 3
_LARGEST_GAP_PX = 1.0
"""A line whose ends are closer than this is closed."""

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
    """

    name: str
    class_name: str
    object_type: str
    polygons: tuple[Polygon, ...]


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
    except (
        ValueError,
        OSError,
        EOFError,
        RecursionError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
    ) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        message = f"{path} is not GeoJSON ({reason}); {_REEXPORT}"
        raise InputError(message) from error
    found, left_out = [], Counter[str]()
    try:
        for number, content_of_feature in enumerate(_list_features(content), start=1):
            feature, lacks = _read_feature(content_of_feature, number)
            found += [feature] if feature else []
            left_out += Counter([lacks] if lacks else [])
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
        message = f"{path} is not GeoJSON of polygons ({type(error).__name__}: {error}); {_REEXPORT}"
        raise InputError(message) from error
    return GeoJson(tuple(found), left_out)


def _unpack(content: bytes) -> bytes:
    """Decompress gzip and zip, recognised by the first bytes; a zip must contain one GeoJSON file."""
    if content.startswith(b"\x1f\x8b"):
        with gzip.open(io.BytesIO(content)) as file:
            return _read_moderate(file.read(LARGEST_UNPACKED_BYTES + 1))
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inside = [
                entry
                for entry in archive.infolist()
                if entry.filename.lower().endswith((".geojson", ".json")) and "__MACOSX" not in entry.filename
            ]
            if len(inside) != 1:
                message = f"a zip of {len(inside)} GeoJSON files, expected one"
                raise ValueError(message)
            with archive.open(inside[0]) as file:
                return _read_moderate(file.read(LARGEST_UNPACKED_BYTES + 1))
    return content


def _read_moderate(content: bytes) -> bytes:
    if len(content) > LARGEST_UNPACKED_BYTES:
        message = f"it decompresses to more than {LARGEST_UNPACKED_BYTES >> 20} MiB"
        raise ValueError(message)
    return content


def _list_features(content: Any) -> list[Any]:
    if isinstance(content, dict):
        if "features" not in content and "type" not in content and content:
            message = "it has neither features nor a type"
            raise ValueError(message)
        content = content.get("features", [content] if content else []) or []
    if not isinstance(content, list):
        message = f"its features are {type(content).__name__}, not a list"
        raise TypeError(message)
    return content


def _read_feature(feature: Any, number: int) -> tuple[Feature | None, str]:
    """Read a feature; if it has no area, return None and its kind."""
    if feature is None:
        return None, "objects without a geometry"
    # In QuPath, a cell has a nucleus in addition to its own outline.
    geometry = feature.get("nucleusGeometry") or feature.get("geometry", feature)
    if not geometry or "type" not in geometry:
        return None, "objects without a geometry"
    polygons = tuple(_polygons_of(geometry, number))
    if not polygons:
        return None, _kind_without_area(geometry)
    properties = feature.get("properties") or {}
    kind = properties.get("objectType") or properties.get("object_type") or feature.get("id") or ""
    if feature.get("nucleusGeometry"):
        kind = "cell"
    name, class_name = properties.get("name"), _class_name(properties.get("classification"))
    return Feature(str(name or ""), class_name, _object_type(str(kind)), polygons), ""


def _class_name(classification: Any) -> str:
    """Read a class as the versions of QuPath write it: a name, an object with a name, or a list of parts."""
    if isinstance(classification, dict):
        names = classification.get("names")
        classification = classification.get("name") or (names if isinstance(names, list) else "")
    if isinstance(classification, list):
        return ": ".join(str(part) for part in classification)
    return str(classification or "")


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


def _polygons_of(geometry: Mapping[str, Any], number: int) -> Iterator[Polygon]:
    """Read all parts of a geometry that have an area."""
    kind = geometry["type"]
    if kind == "GeometryCollection":
        for part in geometry.get("geometries") or ():
            yield from _polygons_of(part, number)
        return
    coordinates = geometry.get("coordinates") or []
    if kind in ("LineString", "MultiLineString"):
        lines = coordinates if kind == "MultiLineString" else [coordinates]
        coordinates = [[line] for line in lines if _closes(_read_ring(line, number))]
    elif kind == "Polygon":
        coordinates = [coordinates]
    elif kind != "MultiPolygon":
        return
    for rings in coordinates:
        polygon = tuple(_read_ring(points, number) for points in rings)
        if polygon and len(polygon[0]) >= _FEWEST_POINTS:
            yield tuple(ring for ring in polygon if len(ring) >= _FEWEST_POINTS)


def _closes(line: Ring) -> bool:
    return len(line) > _FEWEST_POINTS and float(np.hypot(*(line[0] - line[-1]))) <= _LARGEST_GAP_PX


def _read_ring(points: list[list[float]], number: int) -> Ring:
    if not points:
        return np.empty((0, 2))
    ring = np.array(points, dtype=np.float64)[:, 1::-1]  # x, y -> row, column
    if ring.shape != (len(points), 2) or not np.isfinite(ring).all():
        message = f"feature {number} has points that are not two finite numbers"
        raise ValueError(message)
    if (np.abs(ring) > MAX_COORDINATE_PX).any():
        message = f"feature {number} has points farther than {MAX_COORDINATE_PX:.0f} px"
        raise ValueError(message)
    return ring


def _kind_without_area(geometry: Mapping[str, Any]) -> str:
    kind = str(geometry["type"])
    if kind in ("Point", "MultiPoint"):
        return "points"
    if kind in ("LineString", "MultiLineString"):
        return "open lines"
    if kind in ("Polygon", "MultiPolygon"):
        return "outlines with fewer than three points"
    if kind == "GeometryCollection":
        kinds = {_kind_without_area(part) for part in geometry.get("geometries") or ()}
        return kinds.pop() if len(kinds) == 1 else "objects without a geometry"
    return f"objects of type {kind[:40]}"
