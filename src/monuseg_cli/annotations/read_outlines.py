"""GeoJSON or Aperio XML -> outlines of nuclei, and the regions in which all nuclei are outlined."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from monuseg_cli.annotations.aperio_xml import read_annotation, with_holes
from monuseg_cli.annotations.geojson import read_geojson
from monuseg_cli.annotations.object_classes import FOUND, Meaning, describe_left_out, meaning_of
from monuseg_cli.core.errors import InputError
from monuseg_cli.imaging.tiling import Box
from monuseg_cli.nuclei.polygons import Polygon, Ring, area_of, join_rings

GEOJSON_SUFFIXES = (".geojson", ".geojson.gz", ".geojson.zip", ".json", ".json.gz", ".zip")
OUTLINE_SUFFIXES = (*GEOJSON_SUFFIXES, ".xml")
"""Suffixes of files with outlines, which do not state the size of the image."""

WHOLE_SLIDE_PX = 25_000_000
"""In larger images, it is not credible that every nucleus is outlined."""

SMALL_SLIDE_PX = 4_000_000
"""In images between these sizes, the format and the number of outlines decide."""

_FEWEST_PER_MM2 = 200
"""Tissue has a few thousand nuclei per mm2."""

AROUND = "outlines around other objects"
DEGENERATE = "outlines with fewer than three points"

MPP_AT_40X = 0.25
_LARGEST_MPP_TO_JUDGE = 0.7
"""At coarser scales, micrometres and pixels are too similar to be distinguished."""

_FILLED, _FILLED_TIMES = 0.6, 4
_OVERHANG = 0.1
"""Outlines of nuclei at the edge extend beyond the image by at most this fraction of it."""

USUAL_UM2 = (5.0, 500.0)
"""Smallest and largest area that a nucleus usually has."""

_TISSUE_SHARE, _LARGE_SHARE = 0.05, 0.25
"""An outline that covers a larger fraction of its image, and is larger than a nucleus, is tissue."""

_AROUND_TIMES = 4
"""An outline counts as around others only if it has at least this many times their area."""

_MANY_INSIDE = 5
"""Around so many others, a drawn outline is no nucleus, even if its class says so; a nucleus may have some nucleoli."""

_SPECK_PX = 5.0
"""Smaller outlines are accidental."""

_FEWEST_TO_JUDGE = 3
_MOST_OUTSIDE_RECTANGLE = 0.02


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a slide in which every nucleus is outlined: its name and position."""

    name: str
    box: Box


@dataclass(frozen=True, slots=True)
class Outlines:
    """The content of a file of outlines.

    Parameters
    ----------
    nuclei : tuple of ndarray of shape (V, 2), float64
        The outline of each nucleus, by `join_rings`; row and column in pixels.
    certain : ndarray of shape (N,), bool
        Whether the type or class of each nucleus states that it is one.
    drawn_areas_px : ndarray of shape (N,), float64
        The area of each that is stated in the file; NaN if none.
    regions : tuple of Region
        The annotated parts; empty: the whole image.
    left_out : mapping of str to int
        Number of objects that are not nuclei, by kind, in the plural.
    """

    nuclei: tuple[Ring, ...]
    certain: NDArray[np.bool_]
    drawn_areas_px: NDArray[np.float64]
    regions: tuple[Region, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)

    def within(self, box: Box) -> "Outlines":
        """Select the nuclei that intersect a part of the image, in coordinates of this part."""
        corner, beyond = np.array(box[:2]), np.array(box[:2]) + box[2:]
        inside = [(ring.max(axis=0) > corner).all() and (ring.min(axis=0) < beyond).all() for ring in self.nuclei]
        kept = self._keep(np.array(inside, dtype=bool))
        return replace(kept, nuclei=tuple(ring - corner for ring in kept.nuclei))

    def within_regions(self) -> "Outlines":
        """Select the nuclei whose centre, the mean of their vertices, is in a region; all if there are no regions."""
        if not self.regions or not self.nuclei:
            return self
        centres = np.array([ring.mean(axis=0) for ring in self.nuclei])
        boxes = np.array([region.box for region in self.regions])
        corners, beyond = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
        inside = ((centres[:, None] >= corners) & (centres[:, None] < beyond)).all(axis=2)
        return self._keep(inside.any(axis=1))

    def without_tissue(self, areas_px: NDArray[np.int64], shape: tuple[int, int], mpp: float | None) -> "Outlines":
        """Leave out outlines as large as tissue: more than 5 % of the image, and larger than a nucleus at its scale.

        Parameters
        ----------
        areas_px : ndarray of shape (N,), int64
            Number of pixels of each nucleus within the image.
        shape : tuple of int
            Height and width of the image.
        mpp : float or None
            Its micrometres per pixel; None: an outline must be larger than a nucleus at 80x, or cover a quarter of the
            image and be larger than a nucleus at 40x.
        """

        def least_px(share: float, mpp: float) -> float:
            return max(share * math.prod(shape), USUAL_UM2[1] / mpp**2)

        least = (
            least_px(_TISSUE_SHARE, mpp)
            if mpp
            else min(least_px(_TISSUE_SHARE, MPP_AT_40X / 2), least_px(_LARGE_SHARE, MPP_AT_40X))
        )
        tissue = (areas_px > least) & ~self.certain
        if not tissue.any():
            return self
        return self._keep(~tissue, "outlines the size of tissue")

    def _keep(self, kept: NDArray[np.bool_], reason: str = "") -> "Outlines":
        left_out = Counter(self.left_out)
        if reason:
            left_out[reason] += int((~kept).sum())
        return Outlines(
            nuclei=tuple(ring for ring, keep in zip(self.nuclei, kept, strict=True) if keep),
            certain=self.certain[kept],
            drawn_areas_px=self.drawn_areas_px[kept],
            regions=self.regions,
            left_out=left_out,
        )


@dataclass(frozen=True, slots=True)
class _Object:
    kind: Meaning
    ring: Ring
    drawn_area_px: float
    was_found: bool  # by a program, as a detection or a cell


def clip_box(box: Box, shape: tuple[int, int]) -> Box | None:
    """Return the part of a box that is inside an image; None if there is none."""
    row, col = max(box[0], 0), max(box[1], 0)
    height, width = min(box[0] + box[2], shape[0]) - row, min(box[1] + box[3], shape[1]) - col
    return (row, col, height, width) if height > 0 and width > 0 else None


def read_outlines(path: Path) -> Outlines:
    """Read the outlines of nuclei, and the annotated regions, from an Aperio XML or a GeoJSON file.

    All parts and holes of a nucleus are kept. Objects whose type or class is not that of nuclei
    (`monuseg_cli.annotations.object_classes`), outlines around others, and objects without an area are left out, and
    counted.

    Parameters
    ----------
    path : Path
        File that ends in one of `OUTLINE_SUFFIXES`.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If it cannot be read, a region is not an upright rectangle, or it contains objects, but no nucleus or region.
    """
    objects: list[_Object] = []
    regions: list[Region] = []
    left_out: Counter[str] = Counter()

    def add(name: str, class_name: str, object_type: str, polygons: Sequence[Polygon], area_px: float) -> None:
        meaning = meaning_of(class_name, object_type)
        if meaning.kind == "other":
            left_out[meaning.reason] += 1
        elif meaning.kind == "region":
            regions.append(_region(path, name, polygons))
        else:
            objects.append(_Object(meaning.kind, join_rings(polygons), area_px, object_type in FOUND))

    if path.suffix.lower() == ".xml":
        annotation = read_annotation(path)
        left_out[DEGENERATE] += annotation.degenerate
        for number, polygon in with_holes(annotation):
            layer, text = annotation.layers[number], annotation.texts[number]
            add(text or layer, layer or text, "", (polygon,), float(annotation.drawn_areas_px[number]))
    else:
        content = read_geojson(path)
        left_out.update(content.left_out)
        for feature in content.features:
            add(feature.name, feature.class_name, feature.object_type, feature.polygons, math.nan)
    outlines = _leave_out_parents(objects, tuple(regions), +left_out)
    if not outlines.regions:
        require_nuclei(path, outlines)
    return outlines


def require_nuclei(path: Path, outlines: Outlines) -> None:
    """Check that a file that contains other objects contains nuclei, too.

    Raises
    ------
    InputError
        If it does not.
    """
    if not outlines.nuclei and outlines.left_out.keys() - {DEGENERATE}:
        message = (
            f"{path} contains no nuclei, only {describe_left_out(outlines.left_out)}; export the outlines of the "
            "nuclei, or change their class"
        )
        raise InputError(message)


def require_pixels(path: Path, outlines: Outlines, shape: tuple[int, int], mpp: float | None) -> None:
    """Check that outlines are in pixels, not in micrometres.

    They look like micrometres if all are within the size of the image in micrometres, and nuclei would be much too
    small if these were pixels. If outlines fill exactly this size, rather small nuclei suffice.

    Parameters
    ----------
    path : Path
        The file of the outlines, for the message.
    outlines : Outlines
        In coordinates of the whole image.
    shape : tuple of int
        Height and width of the image.
    mpp : float or None
        Its micrometres per pixel; None: 40x and 20x are tried.

    Raises
    ------
    InputError
        If they are not.
    """
    if len(outlines.nuclei) < _FEWEST_TO_JUDGE:
        return
    points = np.concatenate(outlines.nuclei)
    area = float(np.median([area_of(ring) for ring in outlines.nuclei]))
    fractional = float((points != np.rint(points)).any(axis=1).mean()) > 0.5
    for scale in (mpp,) if mpp else (MPP_AT_40X, 2 * MPP_AT_40X):
        size_um = np.array(shape) * scale
        low, high = points.min(axis=0), points.max(axis=0)
        fills = fractional and bool((high >= _FILLED * size_um).all())
        if (
            scale < _LARGEST_MPP_TO_JUDGE
            and bool((low >= -_OVERHANG * size_um).all() and (high <= (1 + _OVERHANG) * size_um).all())
            and USUAL_UM2[0] <= area <= USUAL_UM2[1]
            and area * scale**2 < USUAL_UM2[0] * (_FILLED_TIMES if fills else 1)
        ):
            message = (
                f"the coordinates in {path} look like micrometres: all are within {size_um[1]:.4g} x {size_um[0]:.4g}, "
                f"the size of the image in um, and as pixels the median nucleus would cover {area * scale**2:.2g} um2; "
                f"divide them by {scale:.4g} um/px, or export them in pixels, as QuPath does"
            )
            raise InputError(message)


def require_annotated_part(
    path: Path,
    regions: Sequence[Region],
    nuclei: int,
    shape: tuple[int, int],
    mpp: float | None = None,
    is_slide: bool = False,
) -> None:
    """Check that the outlines on a whole slide come with a region, since not all nuclei of a slide can be outlined.

    Parameters
    ----------
    path : Path
        The file of the outlines, for the message.
    regions : sequence of Region
        The annotated regions.
    nuclei : int
        Number of outlined nuclei; in an image of moderate size, a low density shows that not all are outlined.
    shape : tuple of int
        Height and width of the image.
    mpp : float, optional
        Its micrometres per pixel; None: 40x is assumed.
    is_slide : bool
        Whether the format of the image is that of a slide.

    Raises
    ------
    InputError
        If there is none.
    """
    pixels = math.prod(shape)
    if regions or pixels <= SMALL_SLIDE_PX:
        return
    per_mm2 = nuclei / (pixels * ((mpp or MPP_AT_40X) / 1000) ** 2)
    if is_slide or pixels > WHOLE_SLIDE_PX or per_mm2 < _FEWEST_PER_MM2:
        message = (
            f"{path} outlines nuclei on a whole slide of {shape[1]}x{shape[0]} pixels, without regions in which all "
            'are outlined; draw a rectangle of class "Region*" around each completely annotated part'
        )
        raise InputError(message)


def _region(path: Path, name: str, polygons: Sequence[Polygon]) -> Region:
    points = polygons[0][0]
    low, high = points.min(axis=0), points.max(axis=0)
    on_edge = np.minimum(np.abs(points - low), np.abs(points - high)) <= _MOST_OUTSIDE_RECTANGLE * (high - low)
    if len(polygons) > 1 or not on_edge.all():
        message = f"{path}: the region {name!r} is not an upright rectangle; draw it with the rectangle tool"
        raise InputError(message)
    (row, col), (height, width) = np.rint(low).astype(int).tolist(), np.rint(high - low).astype(int).tolist()
    return Region(name, (row, col, height, width))


def _leave_out_parents(objects: Sequence[_Object], regions: tuple[Region, ...], left_out: Counter[str]) -> Outlines:
    """Leave out drawn outlines around other objects: around one certain nucleus, or several outlines.

    One whose class says that it is a nucleus must be around `_MANY_INSIDE`.
    """
    rings = [thing.ring for thing in objects]
    areas = np.array([area_of(ring) for ring in rings])
    certain = np.array([thing.kind == "nucleus" for thing in objects], dtype=bool)
    was_found = np.array([thing.was_found for thing in objects], dtype=bool)
    outlines = Outlines(tuple(rings), certain, np.array([thing.drawn_area_px for thing in objects]), regions, left_out)
    is_around = np.zeros(len(rings), dtype=bool)
    # Only an outline several times as large as the smallest object can be around others.
    candidates = np.flatnonzero(~was_found & (areas > 0) & (areas >= _AROUND_TIMES * areas.min(initial=math.inf)))
    if len(candidates):
        points = shapely.points([ring.mean(axis=0) for ring in rings])
        tree = shapely.STRtree(points)
        for index in candidates:
            inside = tree.query(shapely.polygons(rings[index]), predicate="contains")
            is_smaller = (areas[inside] * _AROUND_TIMES <= areas[index]) & (areas[inside] >= _SPECK_PX)
            inside = inside[is_smaller & (inside != index)]
            is_parent = len(inside) >= 2 or certain[inside].any()
            is_around[index] = len(inside) >= _MANY_INSIDE if certain[index] else is_parent
    return outlines._keep(~is_around, AROUND) if is_around.any() else outlines
