"""The nuclei of an image that any tool found, read for measuring."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from monuseg_cli.annotations.label_warnings import MEDIAN, warn_doubts, warn_left_out
from monuseg_cli.annotations.read_labels import read_annotated, read_label_image, suffix_of
from monuseg_cli.annotations.read_outlines import OUTLINE_SUFFIXES, require_nuclei
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.progress import Progress
from monuseg_cli.imaging.coordinates import Layout
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.nuclei.polygons import area_of
from monuseg_cli.nuclei.windows import LabelWindows, NucleusWindows, OutlineWindows, boxes_of
from monuseg_cli.prediction.config import SlideSettings


def layout_of(slide: Slide, settings: SlideSettings) -> Layout:
    """Return the layout of a slide whose nuclei are measured at full resolution.

    Raises
    ------
    InputError
        If features of a network are to be measured, its scale is unknown, or its pixels are not square.
    """
    if "network" in settings.measurements:
        asks = f"{settings.classes.path} uses" if settings.classes else "`measurements=network` asks for"
        remedy = "train the classes without them" if settings.classes else "leave it out"
        message = f"{asks} features of a network, which nuclei of other tools do not have; {remedy}, or use predict"
        raise InputError(message)
    if settings.given_mpp is None:
        slide.require_square()
    mpp = settings.given_mpp or slide.mpp
    if mpp is None:
        message = f"{slide.path} states no credible scale ({slide.mpp_source}); set it with `mpp`"
        raise InputError(message)
    return Layout((0, 0, *slide.shape), slide.shape, mpp, mpp)


def read_windows(path: Path, layout: Layout, progress: Progress) -> tuple[NucleusWindows, Mapping[str, int]]:
    """Read the nuclei of an image, and what of the file is not a nucleus, by kind.

    Raises
    ------
    MonusegError
        As `read_label_image` and `read_annotated` do.
    InputError
        If the nuclei are of another image.
    """
    shape = layout.shape
    if not suffix_of(path, OUTLINE_SUFFIXES):
        read = read_label_image(path)
        require_same_size(str(path), read.labels.shape, shape)
        doubts = {kind: figure for kind, figure in read.doubts(layout.mpp).items() if kind != MEDIAN}
        warn_doubts([(path.name, doubts)], progress)
        return LabelWindows(read.labels), read.left_out
    annotated = read_annotated(path, shape, layout.mpp)
    outlines = annotated.within_regions()
    outside_regions = len(annotated.nuclei) - len(outlines.nuclei)
    if outside_regions:
        progress.warn(f"{path.name}: {outside_regions} nuclei are outside of the annotated regions, and left out")
    areas = np.array([round(area_of(ring)) for ring in outlines.nuclei], dtype=np.int64)
    outlines = outlines.without_tissue(areas, shape, layout.mpp)
    require_nuclei(path, outlines)
    warn_left_out({path.name: outlines.left_out}, progress)
    boxes = boxes_of(outlines.nuclei, shape)
    outside = int((boxes[:, 2:] <= boxes[:, :2]).any(axis=1).sum())
    if outside:
        size = f"{shape[1]}x{shape[0]} pixels"
        message = f"{path} has {outside} nuclei outside of {size}, so it is of another image; name the right one"
        raise InputError(message)
    left_out = {**outlines.left_out, "outside of the annotated regions": outside_regions}
    return OutlineWindows(outlines.nuclei, shape), {kind: count for kind, count in left_out.items() if count}


def require_same_size(name: str, found: tuple[int, ...], shape: tuple[int, int]) -> None:
    """Check that labels have the size of their image.

    Raises
    ------
    InputError
        If they have not.
    """
    if found != shape:
        message = (
            f"{name}: the labels are {found[1]}x{found[0]} pixels, the image is {shape[1]}x{shape[0]}; name the labels "
            "of this image"
        )
        raise InputError(message)
