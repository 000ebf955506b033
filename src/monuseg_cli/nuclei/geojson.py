"""Polygons of GeoJSON files, as QuPath exports and `monuseg predict` writes them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import is_special_file

_FEWEST_POINTS = 3

Polygon = tuple[NDArray[np.float64], ...]
"""Rings of points (V, 2), row and column in pixels of level 0: the outer one, then holes."""


@dataclass(frozen=True, slots=True)
class Feature:
    """What was drawn, or found, in one place.

    Parameters
    ----------
    name : str
        The name that it was given; empty: none.
    class_name : str
        The name of its classification; empty: none.
    polygons : tuple of Polygon
        At least one.
    """

    name: str
    class_name: str
    polygons: tuple[Polygon, ...]


def read_features(path: Path) -> tuple[Feature, ...]:
    """Read the polygons of a GeoJSON file: of a feature, of a list of them, or of a collection.

    Raises
    ------
    MissingError
        If there is no such file.
    InputError
        If it is no GeoJSON, or a polygon of it cannot be used.
    """
    if is_special_file(path):
        message = f"{path} is no regular file; name a GeoJSON file"
        raise InputError(message)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        message = f"no annotations {path}; check its name"
        raise MissingError(message) from error
    except (ValueError, OSError, RecursionError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        message = f"{path} is no GeoJSON ({reason}); export it from QuPath anew"
        raise InputError(message) from error
    listed = content.get("features", [content]) if isinstance(content, dict) else content
    try:
        found = [_read_feature(feature, number) for number, feature in enumerate(listed, start=1)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"{path} is no GeoJSON of polygons ({type(error).__name__}: {error}); export it from QuPath anew"
        raise InputError(message) from error
    return tuple(feature for feature in found if feature)


def _read_feature(feature: dict[str, Any], number: int) -> Feature | None:
    # A cell of QuPath has its nucleus beside its own outline.
    geometry = feature.get("nucleusGeometry") or feature.get("geometry", feature)
    if geometry["type"] not in ("Polygon", "MultiPolygon"):
        return None
    coordinates = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    polygons = tuple(tuple(_read_ring(points, number) for points in rings) for rings in coordinates)
    if not all(polygons):
        message = f"feature {number} has a polygon without a ring"
        raise ValueError(message)
    properties = feature.get("properties") or {}
    class_name = (properties.get("classification") or {}).get("name") or ""
    return Feature(str(properties.get("name") or ""), str(class_name), polygons)


def _read_ring(points: list[list[float]], number: int) -> NDArray[np.float64]:
    ring = np.array(points, dtype=np.float64)[:, 1::-1]  # x, y -> row, column
    if len(ring) < _FEWEST_POINTS or not np.isfinite(ring).all():
        message = f"feature {number} has a ring of {len(ring)} points, or one that is not finite"
        raise ValueError(message)
    return ring
