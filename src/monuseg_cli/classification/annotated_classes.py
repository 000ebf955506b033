"""Classes that a person gave to nuclei in QuPath: regions drawn around nuclei, or nuclei with a class each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from monuseg_cli.annotations.geojson import Feature, read_geojson
from monuseg_cli.annotations.object_classes import FOUND, describe_left_out
from monuseg_cli.classes.card import LONGEST_NAME, Colour, is_class_name
from monuseg_cli.classes.features import RADIUS_UM
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.nuclei.rois import Roi, polygons_of, to_geometry, without_crossings
from monuseg_cli.outputs.nuclei_geojson import CLASS_NAME

BLOCK_UM = 250
"""Nuclei that have classes of their own, outside of any region, are grouped by squares of this side."""

_NO_CLASS = -1
_HOW = "give regions or nuclei a class in QuPath, and export them as GeoJSON"


@dataclass(frozen=True, slots=True)
class ClassAnnotations:
    """The objects of a file that have a class.

    Parameters
    ----------
    shapes : ndarray of shape (M,), object
        Their geometries, with rows as x; regions come before nuclei.
    names : sequence of str
        Their classes.
    regions : int
        How many of them are regions; the others are nuclei.
    frames : ndarray of shape (R,), object
        Regions without a class of their own, which group the nuclei in them.
    colours : mapping of str to tuple of int
        Colours of classes, where the file states them.
    """

    shapes: NDArray[np.object_]
    names: Sequence[str]
    regions: int
    frames: NDArray[np.object_]
    colours: Mapping[str, Colour]

    def around(self, um_per_px: float) -> tuple[Roi, ...]:
        """Return the parts of the slide in which nuclei must be known: the objects and the neighbourhood of each."""
        whole = shapely.union_all(shapely.buffer(self.shapes, RADIUS_UM / um_per_px))
        return (Roi("annotations", polygons_of(whole)),)

    def assign(self, centres: NDArray[np.float64], um_per_px: float) -> "Assigned":
        """Find the class and the group of nuclei, from their centres (N, 2) in pixels.

        The group is the region around a nucleus; of objects that are nuclei, the region without a class around it, or
        else a square of `BLOCK_UM`. Nuclei in objects of several classes have none.
        """
        known = sorted(set(self.names))
        points = shapely.points(centres)
        place, shape = shapely.STRtree(self.shapes).query(points, predicate="within")
        order = np.lexsort((shape, place))
        place, shape = place[order], shape[order]
        codes = np.array([known.index(name) for name in self.names], dtype=np.int64)[shape]
        lowest, highest = np.full(len(centres), len(known)), np.full(len(centres), _NO_CLASS)
        np.minimum.at(lowest, place, codes)
        np.maximum.at(highest, place, codes)
        is_unclear = (highest != _NO_CLASS) & (lowest != highest)
        kept = np.flatnonzero((highest != _NO_CLASS) & ~is_unclear)
        first = shape[np.searchsorted(place, kept)]
        is_empty = np.bincount(shape, minlength=len(self.shapes)) == 0
        groups = [
            f"region {index + 1}" if index < self.regions else self._group_of(centres[nucleus], um_per_px)
            for nucleus, index in zip(kept.tolist(), first.tolist(), strict=True)
        ]
        return Assigned(
            index=kept,
            names=[known[code] for code in highest[kept].tolist()],
            groups=groups,
            unclear=int(is_unclear.sum()),
            empty_regions=Counter(np.array(self.names)[: self.regions][is_empty[: self.regions]].tolist()),
            empty_nuclei=int(is_empty[self.regions :].sum()),
        )

    def _group_of(self, centre: NDArray[np.float64], um_per_px: float) -> str:
        for number, frame in enumerate(self.frames, start=1):
            if shapely.contains_xy(frame, *centre):
                return f"frame {number}"
        row, col = (centre * um_per_px // BLOCK_UM).astype(int).tolist()
        return f"square {row}, {col}"


@dataclass(frozen=True, slots=True)
class Assigned:
    """Nuclei with a class.

    Parameters
    ----------
    index : ndarray of shape (N,), intp
        Which nuclei.
    names : sequence of str
        Their classes.
    groups : sequence of str
        Their groups, which are held out as a whole.
    unclear : int
        Number of nuclei left out since they lie in objects of several classes.
    empty_regions : mapping of str to int
        Number of regions without any nucleus, by class.
    empty_nuclei : int
        Number of annotated nuclei where no nucleus was found.
    """

    index: NDArray[np.intp]
    names: Sequence[str]
    groups: Sequence[str]
    unclear: int
    empty_regions: Mapping[str, int]
    empty_nuclei: int


def read_class_annotations(path: Path, progress: Progress = SILENT) -> ClassAnnotations:
    """Read the objects of a GeoJSON file that have a class.

    Left out, with a line that counts them: classes that end with a star, which QuPath ignores; nuclei without a class,
    or of the class "Nucleus", which is that of nuclei without one; tiles, cores, points and lines; regions without a
    class, unless there are nuclei with classes for them to group.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If it is not GeoJSON, or no object in it has a class.
    """
    content = read_geojson(path)
    left_out = Counter(content.left_out)
    regions: list[Feature] = []
    nuclei: list[Feature] = []
    frames: list[Feature] = []
    for feature in content.features:
        name, is_nucleus = feature.class_name.strip(), feature.object_type in FOUND
        if feature.object_type in ("tile", "tma_core", "root"):
            left_out[f"objects of type {feature.object_type}"] += 1
        elif not is_nucleus and name.rstrip("* ").lower() in ("", "region"):
            frames.append(feature)
        elif is_nucleus and name in ("", CLASS_NAME):
            left_out["nuclei without a class"] += 1
        elif name.endswith("*"):
            left_out[f"class {name[:60]}"] += 1
        else:
            _require_name(path, name)
            (nuclei if is_nucleus else regions).append(feature)
    if frames and not nuclei:
        left_out["regions without a class"] += len(frames)
    others = describe_left_out(left_out)
    if not regions and not nuclei:
        message = f"{path} has no object with a class{f', only {others}' if others else ''}; {_HOW}"
        raise InputError(message)
    if others:
        progress.info(f"left out of {path}: {others}")
    given = [*regions, *nuclei]
    return ClassAnnotations(
        shapes=_geometries(given, path),
        names=[feature.class_name.strip() for feature in given],
        regions=len(regions),
        frames=_geometries(frames, path),
        colours={feature.class_name.strip(): feature.colour for feature in given if feature.colour},
    )


def _require_name(path: Path, name: str) -> None:
    if not is_class_name(name):
        message = (
            f"{path}: the name of a class must be printable, and have at most {LONGEST_NAME} characters; rename it"
        )
        raise InputError(message)


def _geometries(features: Sequence[Feature], path: Path) -> NDArray[np.object_]:
    shapes = np.empty(len(features), dtype=object)
    for number, feature in enumerate(features):
        try:
            shapes[number] = to_geometry(without_crossings(Roi(feature.class_name, feature.polygons)).polygons)
        except ValueError as error:
            message = f"{path}: {error}; delete it in QuPath and export the file again"
            raise InputError(message) from error
    return shapes
