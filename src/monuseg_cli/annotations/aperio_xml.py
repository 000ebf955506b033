"""Aperio XML -> polygons. Coordinates are x, y in the file, and row, column after reading."""

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

import numpy as np
import shapely
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import is_special_file
from monuseg_cli.nuclei.polygons import MAX_COORDINATE_PX, Polygon, area_of

MAX_VERTICES = 10_000_000
"""More vertices are refused; the largest official annotation has 10^5."""

REEXPORT_HINT = "export it again, or download it with: monuseg download"
"""The remedy for an annotation that cannot be used."""

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Annotation:
    """The outlines of one image.

    Parameters
    ----------
    polygons : tuple of ndarray of shape (V, 2), float64
        One per region of three or more vertices, in document order over all ``<Annotation>`` elements. Columns are
        row and column, in pixels, in the plane in which pixel (r, c) covers [r, r+1) x [c, c+1). Not closed: the
        last vertex joins the first.
    drawn_areas_px : ndarray of shape (N,), float64
        The attribute Area of each of these regions; NaN if it has none.
    layers, texts : tuple of str
        The name, else the description, of the ``<Annotation>`` that each of these regions is in, and its own attribute
        Text; empty if it has none.
    negative : ndarray of shape (N,), bool
        Whether each of these regions is marked as negative (NegativeROA): inside another outline, a hole of it.
    degenerate : int
        Number of regions that were left out, since they have fewer than three vertices.
    mpp : float or None
        Micrometres per pixel, the root's attribute MicronsPerPixel; None if absent or not a positive number.
    """

    polygons: tuple[NDArray[np.float64], ...]
    drawn_areas_px: NDArray[np.float64]
    layers: tuple[str, ...]
    texts: tuple[str, ...]
    negative: NDArray[np.bool_]
    degenerate: int
    mpp: float | None


class _Found(Exception):
    """Stops the parser early."""


class _Reader:
    """Collects the content of one document, and refuses what no annotation needs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mpp: float | None = None
        self.coordinates = array("d")
        self.starts: list[int] = []
        self.areas: list[float] = []
        self.layer_names: list[str] = [""]
        self.layers: list[int] = []
        self.texts: list[str] = []
        self.negative: list[bool] = []

    def refuse(self, what: str) -> NoReturn:
        message = f"{self.path}: {what}; {REEXPORT_HINT}"
        raise InputError(message)

    def doctype(self, *_: object) -> None:
        # Without a document type there are no entities, and so no expansion and no external files.
        self.refuse("document type declarations are refused, since they can define entities")

    def root(self, name: str, attributes: dict[str, str]) -> None:
        if name != "Annotations":
            self.refuse(f"not an Aperio annotation (the root is <{name}>, not <Annotations>)")
        self.mpp = _positive(attributes.get("MicronsPerPixel"))

    def element(self, name: str, attributes: dict[str, str]) -> None:
        if name == "Vertex":
            try:
                place = float(attributes["Y"]), float(attributes["X"])
            except KeyError as error:
                self.refuse(f"a vertex of region {len(self.starts)} has no {error}")
            except ValueError as error:
                self.refuse(f"a vertex of region {len(self.starts)} is not a number ({str(error)[:80]})")
            self.coordinates.extend(place)
            if len(self.coordinates) > 2 * MAX_VERTICES:
                self.refuse(f"more than {MAX_VERTICES} vertices")
        elif name == "Region":
            self.starts.append(len(self.coordinates) // 2)
            self.areas.append(_positive(attributes.get("Area")) or math.nan)
            self.layers.append(len(self.layer_names) - 1)
            self.texts.append(attributes.get("Text", "").strip())
            self.negative.append(attributes.get("NegativeROA", "").strip() == "1")
        elif name == "Annotation":
            self.layer_names.append(attributes.get("Name", "").strip())
        elif name == "Attribute" and attributes.get("Name") in ("Name", "Description"):
            layer = len(self.layer_names) - 1
            if not self.layer_names[layer] and layer not in self.layers[-1:]:  # not one of a region's own
                self.layer_names[layer] = attributes.get("Value", "").strip()

    def parse(self, below_root: Callable[[str, dict[str, str]], None]) -> None:
        def root_then_below(name: str, attributes: dict[str, str]) -> None:
            self.root(name, attributes)
            parser.StartElementHandler = below_root

        if is_special_file(self.path):
            self.refuse("not a regular file")
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self.doctype
        parser.StartElementHandler = root_then_below
        try:
            with self.path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    parser.Parse(chunk, False)
                parser.Parse(b"", True)
        except FileNotFoundError as error:
            message = f"no annotation {self.path}; {REEXPORT_HINT}"
            raise MissingError(message) from error
        except expat.ExpatError as error:
            what = "empty" if self.path.stat().st_size == 0 else f"not well-formed XML, or cut off ({error})"
            self.refuse(what)
        except InputError:
            raise
        except (LookupError, ValueError, OSError) as error:  # unknown encoding, a folder, no permission
            self.refuse((error.strerror if isinstance(error, OSError) else None) or str(error))


def _positive(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def read_mpp(path: Path) -> float | None:
    """Read the micrometres per pixel that the root of an Aperio XML states, without reading the rest.

    Raises
    ------
    InputError
        If the file is not an Aperio annotation.
    """
    reader = _Reader(path)

    def stop(*_: object) -> None:
        raise _Found

    with suppress(_Found):
        reader.parse(stop)
    return reader.mpp


def read_annotation(path: Path) -> Annotation:
    """Read every region of every ``<Annotation>`` of an Aperio XML file.

    Regions marked as negative (NegativeROA) are read like any other: MoNuSeg has 20 of them outside of other outlines,
    and all are nuclei.

    Parameters
    ----------
    path : Path
        The XML file.

    Returns
    -------
    Annotation
        Without polygons if the file contains no region.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If it is empty, truncated, not Aperio XML, has a document type declaration or more than `MAX_VERTICES` vertices,
        or a coordinate is not a finite number within `MAX_COORDINATE_PX`.
    """
    reader = _Reader(path)
    reader.parse(reader.element)
    vertices = np.array(reader.coordinates, dtype=np.float64).reshape(-1, 2)
    outside = ~(np.abs(vertices) <= MAX_COORDINATE_PX).all(axis=1)
    starts = np.array(reader.starts, dtype=np.intp)
    if outside.any():
        region = int(np.searchsorted(starts, int(outside.argmax()), side="right"))
        reader.refuse(f"a vertex of region {region} is not finite, or farther than {MAX_COORDINATE_PX:.0f} px")
    if len(starts) and starts[0] != 0:
        reader.refuse("there are vertices before the first region")
    counts = np.diff(starts, append=len(vertices))
    kept = counts >= 3
    regions = np.split(vertices, starts[1:]) if len(starts) else []
    return Annotation(
        polygons=tuple(region for region, keep in zip(regions, kept, strict=True) if keep),
        drawn_areas_px=np.array(reader.areas, dtype=np.float64)[kept],
        layers=tuple(reader.layer_names[layer] for layer, keep in zip(reader.layers, kept, strict=True) if keep),
        texts=tuple(text for text, keep in zip(reader.texts, kept, strict=True) if keep),
        negative=np.array(reader.negative, dtype=bool)[kept],
        degenerate=int((~kept).sum()),
        mpp=reader.mpp,
    )


def with_holes(annotation: Annotation) -> Iterator[tuple[int, Polygon]]:
    """Yield the regions, each with its holes.

    A negative region inside another region of its layer is a hole of the smallest one around it, unless that one is
    around other regions, too, like a tissue outline.

    Yields
    ------
    number : int
        Index into `Annotation.polygons`.
    polygon : Polygon
        The region, and its holes.
    """
    rings, layers = annotation.polygons, annotation.layers
    positive, negative = (np.flatnonzero(annotation.negative == value).tolist() for value in (False, True))
    holes: dict[int, list[int]] = {}
    if negative and positive:
        areas = [shapely.polygons(rings[number]) for number in positive]
        tree = shapely.STRtree(areas)
        centres = shapely.STRtree(shapely.points([rings[number].mean(axis=0) for number in positive]))
        for number in negative:
            points_inside = Counter(tree.query(shapely.points(rings[number]), predicate="within")[1].tolist())
            around = [at for at, count in points_inside.items() if count == len(rings[number])]
            around = [at for at in around if layers[positive[at]] == layers[number]]
            smallest = min(around, key=lambda at: area_of(rings[positive[at]]), default=None)
            if smallest is not None and len(centres.query(areas[smallest], predicate="contains")) <= 1:
                holes.setdefault(positive[smallest], []).append(number)
    cut = {number for numbers in holes.values() for number in numbers}
    for number, ring in enumerate(rings):
        if number not in cut:
            yield number, (ring, *(rings[hole] for hole in holes.get(number, ())))
