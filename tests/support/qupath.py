"""What QuPath makes of a GeoJSON file and of a label image, by the rules of its own readers.

The rules are those of QuPath 0.5 (https://github.com/qupath/qupath, ``qupath-core/src/main/java/qupath``):
``lib/io/PathIO.java`` (what is a file of objects), ``lib/io/QuPathTypeAdapters.java`` (objects and measurements),
``lib/io/GsonTools.java`` (classifications), ``lib/io/ROITypeAdapters.java`` (geometries, by the Java Topology Suite),
and ``lib/analysis/images/ContourTracing.java`` (label images).
"""

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

_EXTENSIONS = (".json", ".geojson")
_TYPES = {"detection", "annotation", "cell", "tile", "tmaCore", "root"}
_FEWEST_POINTS = 4  # of a LinearRing


@dataclass(frozen=True)
class PathObject:
    """An object of QuPath."""

    kind: str
    identity: uuid.UUID | None
    name: str | None
    class_name: str | None
    colour: tuple[int, ...] | None
    roi: Any
    measurements: dict[str, float]
    metadata: dict[str, str]


def read_objects(path: Path) -> list[PathObject]:
    """Read the objects of a file as ``PathIO.readObjects`` does, which skips what is no object in silence."""
    if not path.name.lower().endswith(_EXTENSIONS):
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["type"] == "FeatureCollection"
    return [_object(feature) for feature in content["features"]]


def _object(feature: dict[str, Any]) -> PathObject:
    properties = feature.get("properties", {})
    kind = properties.get("objectType", properties.get("object_type", properties.get("type", "unknown")))
    classification = properties.get("classification")
    name, colour = None, None
    if isinstance(classification, str):
        name = classification
    elif classification is not None:
        # An object must have both: PathClassTypeAdapter raises an error for a name without a colour.
        name = classification["name"] if "name" in classification else ": ".join(classification["names"])
        colour = tuple(classification["color"])
        assert len(colour) in (1, 3, 4)
        assert all(isinstance(part, int) and 0 <= part <= 255 for part in colour)
    measurements = properties.get("measurements", {})
    if isinstance(measurements, list):
        measurements = {one["name"]: one["value"] for one in measurements}
    metadata = properties.get("metadata", {})
    return PathObject(
        kind=kind if kind in _TYPES else "annotation",
        identity=_uuid(feature.get("id")),
        name=properties.get("name"),
        class_name=name,
        colour=colour,
        roi=_geometry(feature["geometry"]),
        measurements={name: float(value) for name, value in measurements.items()},
        metadata={name: str(value) for name, value in metadata.items() if not isinstance(value, dict | list)},
    )


def _uuid(text: str | None) -> uuid.UUID | None:
    """Read an id; one that is no UUID is left out, and QuPath makes another."""
    try:
        return uuid.UUID(text)
    except (TypeError, ValueError):
        return None


def _geometry(geometry: dict[str, Any]) -> Any:
    coordinates = geometry["coordinates"]
    if geometry["type"] == "Polygon":
        return _polygon(coordinates)
    assert geometry["type"] == "MultiPolygon"
    return shapely.MultiPolygon([_polygon(part) for part in coordinates])


def _polygon(rings: list[list[list[float]]]) -> Any:
    """Build a polygon; the Java Topology Suite raises an error for a ring that is not closed, or has too few points."""
    for ring in rings:
        assert len(ring) >= _FEWEST_POINTS
        assert ring[0] == ring[-1]
    return shapely.Polygon(rings[0], rings[1:])


def trace_labels(labels: NDArray[np.integer[Any]]) -> dict[str, Any]:
    """Trace labels as ``ContourTracing.labelsToDetections`` does: along the edges of pixels, the label as the name."""
    found = {}
    for label in np.unique(labels[labels > 0]).tolist():
        rows, cols = np.nonzero(labels == label)
        found[str(label)] = shapely.union_all(shapely.box(cols, rows, cols + 1, rows + 1))
    return found
