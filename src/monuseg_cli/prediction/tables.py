"""Streaming writers of nuclei: GeoJSON for QuPath, CSV for other programs.

Each writer is a context manager that yields a function to append nuclei. Its file appears when the context ends without
an error.
"""

import csv
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.atomic import writing
from monuseg_cli.nuclei.contours import Contours
from monuseg_cli.prediction.stitch import Nuclei

NucleiWriter = Callable[[Nuclei], None]

CLASS_NAME = "Nucleus"
_CLASS_COLOUR = (0, 158, 115)
COLUMNS = (
    "id",
    "row_px",
    "col_px",
    "area_um2",
    "perimeter_um",
    "eccentricity",
    "solidity",
    "haematoxylin_mean",
    "probability",
)


class Frame:
    """The transform from the pixels of the maps to those of the slide.

    Parameters
    ----------
    origin : tuple of float
        Row and column, in pixels of level 0, of the top left corner of the maps' first pixel.
    step : tuple of float
        Pixels of level 0 per pixel of the maps, along rows and columns.
    mpp : float
        Micrometres per pixel of the maps.
    """

    def __init__(self, origin: tuple[float, float], step: tuple[float, float], mpp: float) -> None:
        self.mpp = mpp
        self._origin, self._step = np.array(origin), np.array(step)

    def to_slide_coords(self, points: NDArray[np.generic]) -> NDArray[np.float64]:
        """Transform points (N, 2), row and column, from the maps to level 0."""
        return np.asarray(points * self._step + self._origin, dtype=np.float64)


def rows_of(nuclei: Nuclei, frame: Frame) -> Iterator[tuple[int | float, ...]]:
    """Yield the measurements of each nucleus in the order of `COLUMNS`, rounded to a meaningful precision."""
    known = nuclei.measurements
    columns = (
        frame.to_slide_coords(known.centroids)[:, 0].round(2),
        frame.to_slide_coords(known.centroids)[:, 1].round(2),
        (known.area_px * frame.mpp**2).round(3),
        (known.perimeter_px * frame.mpp).round(3),
        known.eccentricity.round(4),
        known.solidity.round(4),
        known.haematoxylin.round(4),
        known.probability.round(4),
    )
    for number, values in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        yield nuclei.first + number, *values


@contextmanager
def nuclei_csv(path: Path, frame: Frame) -> Iterator[NucleiWriter]:
    """Write one row per nucleus: id, position, size, shape, stain, probability."""
    with writing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(COLUMNS)
        yield lambda nuclei: lines.writerows(rows_of(nuclei, frame))


@contextmanager
def nuclei_geojson(path: Path, frame: Frame, slide: str) -> Iterator[NucleiWriter]:
    """Write one feature per nucleus in QuPath's format: polygon, class, name (the id), measurements.

    Coordinates are x, y in pixels of level 0, so that the nuclei align with the slide.

    Parameters
    ----------
    path : Path
        Destination.
    frame : Frame
        Transform from the maps to the slide.
    slide : str
        Name of the slide, from which the UUIDs of the features are derived.
    """
    namespace = uuid.uuid5(uuid.NAMESPACE_URL, slide)
    with writing(path) as part, part.open("w", encoding="utf-8") as file:
        begun = False

        def add(nuclei: Nuclei) -> None:
            nonlocal begun
            for known, geometry in zip(rows_of(nuclei, frame), geometries(nuclei.contours, frame), strict=True):
                file.write(",\n" if begun else "\n")
                begun = True
                file.write(json.dumps(_feature(known, geometry, namespace), separators=(",", ":"), ensure_ascii=False))

        file.write('{"type":"FeatureCollection","features":[')
        yield add
        file.write("\n]}\n")


def _feature(known: tuple[int | float, ...], geometry: dict[str, object], namespace: uuid.UUID) -> dict[str, object]:
    number, _, _, area, perimeter, eccentricity, solidity, haematoxylin, probability = known
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(namespace, str(number))),
        "geometry": geometry,
        "properties": {
            "objectType": "detection",
            "name": str(number),
            "classification": {"name": CLASS_NAME, "color": _CLASS_COLOUR},
            "measurements": {
                "Area µm^2": area,
                "Perimeter µm": perimeter,
                "Eccentricity": eccentricity,
                "Solidity": solidity,
                "Hematoxylin: Mean": haematoxylin,
                "Probability": probability,
            },
        },
    }


def geometries(contours: Contours, frame: Frame) -> Iterator[dict[str, object]]:
    """Yield the outline of each nucleus as a GeoJSON geometry, closed, with x, y in pixels of level 0.

    It is a polygon, or a multipolygon if the nucleus' pixels are connected only at corners.

    Parameters
    ----------
    contours : Contours
        Contours of labels 1..N without gaps, in pixels of the maps.
    frame : Frame
        Transform from the maps to the slide.
    """
    placed = frame.to_slide_coords(contours.points)[:, ::-1]
    whole = placed.astype(np.int64)
    points = (whole if (whole == placed).all() else placed.round(3)).tolist()
    first = np.searchsorted(contours.labels, np.arange(1, contours.labels.max(initial=0) + 2))
    for begin, end in pairwise(first.tolist()):
        polygons: list[list[list[list[float]]]] = []
        holes: list[list[list[float]]] = []
        for ring in range(begin, end):
            line = points[contours.starts[ring] : contours.starts[ring + 1]]
            line.append(line[0])
            if contours.holes[ring]:
                holes.append(line)
            else:
                polygons.append([line])
        if len(polygons) == 1:
            yield {"type": "Polygon", "coordinates": polygons[0] + holes}
        else:
            if holes:
                _add_holes(polygons, holes)
            yield {"type": "MultiPolygon", "coordinates": polygons}


def _add_holes(polygons: list[list[list[list[float]]]], holes: list[list[list[float]]]) -> None:
    """Add each hole to the smallest polygon around it."""
    import shapely  # few nuclei are in several parts and have holes

    outer = np.array([shapely.Polygon(polygon[0]) for polygon in polygons])
    areas = shapely.area(outer)
    for hole in holes:
        around = shapely.covers(outer, shapely.Polygon(hole))
        polygons[int(np.where(around, areas, np.inf).argmin())].append(hole)
