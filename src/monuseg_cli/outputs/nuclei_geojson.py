"""Nuclei as GeoJSON for QuPath, nucleus by nucleus."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING

from monuseg_cli.nuclei.columns import Column
from monuseg_cli.nuclei.detections import REGION, Detections
from monuseg_cli.nuclei.shapes import first_points, simplify
from monuseg_cli.outputs.geojson_text import geometry_texts, uuid_texts
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
    labels = [f"{_text(str(column.label))}:" for column in measured]
    with open_text(target) as file:
        between = "\n"

        def add(found: Detections) -> None:
            nonlocal between
            shapes = found.shapes if simplify_px is None else simplify(found.shapes, simplify_px)
            places = (f"{x:.3f} {y:.3f}" for x, y in first_points(found.shapes).tolist())
            ends = [f',"metadata":{_text({REGION: region})}' for region in found.regions or ()] or [""] * len(found)
            classes = found.classes or [CLASS_NAME] * len(found)
            known_as = {name: _text({"name": name, "color": colours.get(name, _CLASS_COLOUR)}) for name in set(classes)}
            parts = zip(
                uuid_texts(namespace, places),
                geometry_texts(shapes),
                found.columns["id"].tolist(),
                classes,
                found.rows(measured),
                ends,
                strict=True,
            )
            for identity, geometry, number, name, row, end in parts:
                # Python and JSON write finite numbers in the same way.
                values = zip(labels, row, strict=True)
                known = ",".join([f"{label}{value!r}" for label, value in values if value is not None])
                file.write(
                    f'{between}{{"type":"Feature","id":"{identity}","geometry":{geometry},'
                    f'"properties":{{"objectType":"detection","name":"{number}","classification":{known_as[name]},'
                    f'"measurements":{{{known}}}{end}}}}}'
                )
                between = ",\n"

        file.write('{"type":"FeatureCollection","features":[')
        yield add
        file.write("\n]}\n")


def _text(content: object) -> str:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)
