"""Files of regions of interest, drawn in QuPath and exported as GeoJSON."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path

from monuseg_cli.annotations.geojson import Feature, read_geojson
from monuseg_cli.annotations.object_classes import describe_left_out, why_not_roi
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.nuclei.rois import Roi, without_crossings


def read_rois(path: Path, progress: Progress = SILENT) -> tuple[Roi, ...]:
    """Read the regions of interest in a GeoJSON file.

    Objects that are not regions (`monuseg_cli.annotations.object_classes.why_not_roi`), points and open lines are left
    out; a warning counts them by kind. For an outline that crosses itself, everything inside it belongs to the region,
    as in QuPath.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If the file is not GeoJSON, has no region, or has one without an area.
    """
    content = read_geojson(path)
    left_out = Counter(content.left_out)
    regions: list[Feature] = []
    for feature in content.features:
        if reason := why_not_roi(feature.class_name, feature.object_type):
            left_out[reason] += 1
        else:
            regions.append(feature)
    others = describe_left_out(left_out)
    if not regions:
        only = f", only {others}" if others else ""
        message = f"{path} has no region{only}; draw an area in QuPath, and export it as GeoJSON"
        raise InputError(message)
    if others:
        used = f"{len(regions)} region{'s are' if len(regions) > 1 else ' is'} used"
        progress.warn(f"not regions, left out: {others}; in {path}, of which {used}")
    return make_rois(regions, path)


def make_rois(features: Sequence[Feature], path: Path) -> tuple[Roi, ...]:
    """Build regions of interest from objects of a file; names that occur again get a number.

    Raises
    ------
    InputError
        If one has no area.
    """
    rois: list[Roi] = []
    for feature in features:
        name = feature.name or feature.class_name or f"region {len(rois) + 1}"
        rois.append(Roi(_unique(name, {roi.name for roi in rois}), feature.polygons))
    try:
        return tuple(map(without_crossings, rois))
    except ValueError as error:
        message = f"{path}: {error}; delete it in QuPath and export the file again"
        raise InputError(message) from error


def _unique(name: str, taken: set[str]) -> str:
    """Return a name, with a number if it is taken: Tumor, Tumor (2)."""
    numbered = (f"{name} ({number})" for number in count(2))
    return next(one for one in chain([name], numbered) if one not in taken)
