"""Nuclei as GeoJSON for QuPath, nucleus by nucleus."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from monuseg_cli.nuclei.columns import Column
from monuseg_cli.nuclei.detections import REGION, Detections
from monuseg_cli.nuclei.shapes import first_points, geometries, simplify
from monuseg_cli.outputs.target import NucleiWriter, Target, open_text

if TYPE_CHECKING:
    from monuseg_cli.classes.card import Colour

CLASS_NAME = "Nucleus"
_CLASS_COLOUR = (0, 158, 115)


@contextmanager
def nuclei_geojson(
    target: Target,
    columns: Sequence[Column],
    slide: str,
    simplify_px: float | None = None,
    colours: "Mapping[str, Colour]" = MappingProxyType({}),
) -> Iterator[NucleiWriter]:
    """Write one feature per nucleus in QuPath's format: polygon, class, name (the id), measurements, regions.

    Coordinates are x, y in pixels of level 0, so that the nuclei align with the slide.

    Parameters
    ----------
    target : Path or binary stream
        Destination; a path that ends in .gz is compressed with gzip.
    columns : sequence of Column
        What is written of each nucleus; those without a label are left out.
    slide : str
        Name of the slide. The UUIDs of the features are derived from it and from the position of each nucleus, so that
        they are unique in all regions of the slide, and the same in every file.
    simplify_px : float, optional
        See `simplify`.
    colours : mapping of str to tuple of int
        Colour of each class; nuclei without classes are of the class "Nucleus".
    """
    namespace = uuid.uuid5(uuid.NAMESPACE_URL, slide)
    measured = [column for column in columns if column.label]
    labels = [str(column.label) for column in measured]
    with open_text(target) as file:
        begun = False

        def add(found: Detections) -> None:
            nonlocal begun
            shapes = found.shapes if simplify_px is None else simplify(found.shapes, simplify_px)
            places = first_points(found.shapes).tolist()
            regions: Sequence[str | None] = found.regions or [None] * len(found)
            classes = found.classes or [CLASS_NAME] * len(found)
            numbers = found.columns["id"].tolist()
            rows = found.rows(measured)
            for number, row, geometry, (x, y), region, name in zip(
                numbers, rows, geometries(shapes), places, regions, classes, strict=True
            ):
                known = {label: value for label, value in zip(labels, row, strict=True) if value is not None}
                known_as = {"name": name, "color": colours.get(name, _CLASS_COLOUR)}
                identity = uuid.uuid5(namespace, f"{x:.3f} {y:.3f}")
                feature = _feature(number, known, geometry, identity, region, known_as)
                file.write(",\n" if begun else "\n")
                begun = True
                file.write(json.dumps(feature, separators=(",", ":"), ensure_ascii=False))

        file.write('{"type":"FeatureCollection","features":[')
        yield add
        file.write("\n]}\n")


def _feature(
    number: int,
    measurements: Mapping[str, int | float],
    geometry: dict[str, object],
    identity: uuid.UUID,
    region: str | None,
    classification: Mapping[str, object],
) -> dict[str, object]:
    properties: dict[str, Any] = {
        "objectType": "detection",
        "name": str(number),
        "classification": classification,
        "measurements": measurements,
    }
    if region is not None:
        properties["metadata"] = {REGION: region}
    return {"type": "Feature", "id": str(identity), "geometry": geometry, "properties": properties}
