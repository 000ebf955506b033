"""The nuclei that belong to a slide: found by the records that predictions leave beside their outputs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monuseg_cli.core.home import RECORD_SUFFIX
from monuseg_cli.imaging.decoding import decoding
from monuseg_cli.imaging.folder import files_of
from monuseg_cli.nuclei.rois import Roi
from monuseg_cli.outputs.plan import TIFF_SUFFIXES
from monuseg_cli.viewer.read_nuclei import SUFFIXES


@dataclass(frozen=True, slots=True)
class Made:
    """A prediction on a slide, as its record describes it.

    Parameters
    ----------
    path : Path
        Its file of nuclei.
    about : str
        What made it: version, architecture, day.
    mpp : float or None
        Micrometres per pixel of level 0 that were used.
    tissue_mm2 : float or None
        Area of tissue.
    regions : tuple of Roi
        Regions of interest, or the part of the slide that was predicted on.
    in_regions_only : bool
        Whether nuclei outside of regions of interest were left out.
    series, plane : int or None
        Which image and focal plane were chosen.
    warnings : tuple of str
        Why the result is implausible.
    """

    path: Path
    about: str
    mpp: float | None
    tissue_mm2: float | None
    regions: tuple[Roi, ...]
    in_regions_only: bool
    series: int | None
    plane: int | None
    warnings: tuple[str, ...]


def find_prediction(slide: Path, folders: tuple[Path, ...] = ()) -> Made | None:
    """Find the latest prediction on a slide that has a file of nuclei, or a label image of the whole slide.

    Records are searched in the folder of the slide, in `folders`, and in the folders directly below these. A record
    belongs to the slide if name and size are the same.

    Parameters
    ----------
    slide : Path
        The slide.
    folders : tuple of Path
        Where else to search.
    """
    with decoding(slide):
        size = sum(file.stat().st_size for file in files_of(slide))
    found = []
    for record in _records((slide.absolute().parent, *folders)):
        try:
            content = json.loads(record.read_text(encoding="utf-8"))
            image = content["image"]
            if (image["name"], image["bytes"]) == (slide.name, size) and (made := _read(record, content)):
                found.append((record.stat().st_mtime, made))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue
    return max(found, key=lambda one: one[0])[1] if found else None


def _records(folders: tuple[Path, ...]) -> Iterator[Path]:
    """List the records in folders and in the folders directly below them."""
    for folder in dict.fromkeys(map(Path.resolve, folders)):
        try:
            below = sorted(path for path in folder.iterdir() if path.is_dir())
        except OSError:
            continue
        for place in (folder, *below):
            try:
                yield from sorted(path for path in place.iterdir() if path.name.endswith(RECORD_SUFFIX))
            except OSError:
                continue


def _read(record: Path, content: dict[str, Any]) -> Made | None:
    """Read a record; None if neither a file of nuclei nor a label image of the whole slide lies beside it."""
    beside = [record.parent / Path(name).name for name in content.get("beside", content["outputs"])]
    there = [path for suffix in SUFFIXES for path in beside if path.name.lower().endswith(suffix) and path.is_file()]
    found, settings = content["found"], content["settings"]
    if not there and content.get("labels") and not settings["region"]:
        there = [path for path in beside if path.name == _label_image(content["outputs"]) and path.is_file()]
    if not there:
        return None
    rois = tuple(
        Roi(name, tuple(tuple(np.array(ring, dtype=np.float64) for ring in polygon) for polygon in polygons))
        for name, polygons in settings["rois"]
    )
    if settings["region"] and not rois:
        left, top, width, height = settings["region"]
        bottom, right = top + height, left + width
        corners = np.array([(top, left), (top, right), (bottom, right), (bottom, left)], dtype=np.float64)
        rois = (Roi("Predicted region", ((corners,),)),)
    return Made(
        path=there[0],
        about=f"monuseg {content['monuseg']}, {content['model']['architecture']}",
        mpp=found["mpp"],
        tissue_mm2=found["tissue_mm2"],
        regions=rois,
        in_regions_only=bool(settings["rois"]),
        series=settings.get("series"),
        plane=settings.get("plane"),
        warnings=tuple(found.get("warnings", ())),
    )


def _label_image(outputs: list[str]) -> str | None:
    """Return the name of the label image among the outputs; another TIFF, of probabilities, comes after it."""
    return next((name for name in outputs if name.lower().endswith(TIFF_SUFFIXES)), None)
