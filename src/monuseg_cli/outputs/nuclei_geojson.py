"""Nuclei as GeoJSON for QuPath, nucleus by nucleus."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

from monuseg_cli.classes.card import Colour
from monuseg_cli.nuclei.columns import Column
from monuseg_cli.nuclei.detections import REGION, Detections
from monuseg_cli.nuclei.shapes import first_points, simplify, to_geojson
from monuseg_cli.outputs.target import NucleiWriter, Target, open_text

CLASS_NAME = "Nucleus"
_CLASS_COLOUR = (0, 158, 115)


@contextmanager
def nuclei_geojson(
    target: Target,
    columns: Sequence[Column],
    slide: str,
    simplify_px: float | None = None,
    colours: Mapping[str, Colour] = MappingProxyType({}),
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
    labels = [_to_json(column.label) for column in measured]
    with open_text(target) as file:
        begun = False

        def add(found: Detections) -> None:
            nonlocal begun
            shapes = found.shapes if simplify_px is None else simplify(found.shapes, simplify_px)
            places = first_points(found.shapes).tolist()
            regions: Sequence[str | None] = found.regions or [None] * len(found)
            classes = found.classes or [CLASS_NAME] * len(found)
            stated = {
                name: _to_json({"name": name, "color": colours.get(name, _CLASS_COLOUR)}) for name in set(classes)
            }
            numbers = found.columns["id"].tolist()
            rows = found.rows(measured)
            for number, row, geometry, (x, y), region, name in zip(
                numbers, rows, to_geojson(shapes), places, regions, classes, strict=True
            ):
                values = zip(labels, row, strict=True)
                measurements = ",".join([f"{label}:{value}" for label, value in values if value is not None])
                identity = uuid.uuid5(namespace, f"{x:.3f} {y:.3f}")
                metadata = "" if region is None else f',"metadata":{_to_json({REGION: region})}'
                file.write(
                    f'{"," if begun else ""}\n{{"type":"Feature","id":"{identity}","geometry":{geometry},"properties":'
                    f'{{"objectType":"detection","name":"{number}","classification":{stated[name]},'
                    f'"measurements":{{{measurements}}}{metadata}}}}}'
                )
                begun = True

        file.write('{"type":"FeatureCollection","features":[')
        yield add
        file.write("\n]}\n")


def _to_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
