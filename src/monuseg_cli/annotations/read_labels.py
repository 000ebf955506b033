"""Masks, label images and annotations of other tools -> label images."""

import tokenize
from collections import Counter
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from monuseg_cli.annotations.label_values import number_nuclei
from monuseg_cli.annotations.label_warnings import CUT, doubts_of
from monuseg_cli.annotations.read_outlines import (
    OUTLINE_SUFFIXES,
    Outlines,
    Region,
    clip_box,
    read_outlines,
    require_nuclei,
    require_pixels,
)
from monuseg_cli.core.errors import InputError, MissingError, first_line
from monuseg_cli.core.home import RECORD_SUFFIX
from monuseg_cli.imaging.decoding import (
    DECODING_ERRORS,
    decoding,
    is_tiff,
    open_plain,
    open_tiff,
    require_moderate,
)
from monuseg_cli.imaging.orientation import ORIENTATION_TAG, Orientation
from monuseg_cli.imaging.tiling import Box
from monuseg_cli.imaging.to_rgb import ImageError
from monuseg_cli.nuclei.rasterise import Raster, rasterise

LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".npy", ".jpg", ".jpeg", ".bmp")
ANNOTATION_SUFFIXES = (*OUTLINE_SUFFIXES, *LABEL_SUFFIXES)
READING = "by type and class; parts and holes kept, also negative regions"
"""How annotations are interpreted. If this changes, masks that would differ are built again."""

COMMON_SUFFIXES = (".json", ".json.gz", ".zip", ".jpg", ".jpeg", ".bmp")
"""Files with these suffixes count as annotations only if an image has the same name."""


@dataclass(frozen=True, slots=True)
class Labels:
    """A label image, and how its file was interpreted.

    Parameters
    ----------
    labels : ndarray of shape (H, W), int32
        0 is background.
    regions : tuple of Region
        The annotated parts; empty: the whole image.
    left_out : mapping of str to int
        Number of objects that are not nuclei, by kind.
    note : str or None
        How the values of a mask were changed.
    """

    labels: NDArray[np.int32]
    regions: tuple[Region, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    note: str | None = None

    def doubts(self, mpp: float | None) -> dict[str, str]:
        """Return what is implausible about the labels, as `doubts_of` does, and whether their values were changed."""
        return doubts_of(self.labels, mpp) | ({CUT: self.note} if self.note else {})


def suffix_of(path: Path, suffixes: Collection[str]) -> str:
    """Return the longest of `suffixes` that the name of a file ends in, ignoring case; empty if there is none."""
    name = path.name.lower()
    if name.startswith(".") or name.endswith(RECORD_SUFFIX):
        return ""
    return max((suffix for suffix in suffixes if name.endswith(suffix)), key=len, default="")


def stem_of(path: Path, suffixes: Collection[str]) -> str:
    """Return the name of a file without the suffix that `suffix_of` returns."""
    return path.name[: len(path.name) - len(suffix_of(path, suffixes))]


def list_annotations(
    folder: Path, suffixes: Collection[str], images: Set[str] | None, common: Collection[str] = COMMON_SUFFIXES
) -> dict[str, list[Path]]:
    """List the annotations in a folder by stem, sorted.

    Parameters
    ----------
    folder : Path
        The folder.
    suffixes : collection of str
        Suffixes of annotations.
    images : set of str, optional
        Stems of the images; None: any.
    common : collection of str
        Files with these suffixes count only if an image has the same stem, and no other annotation does.
    """
    found: dict[str, list[Path]] = {}
    beside: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if (suffix := suffix_of(path, suffixes)) and not path.is_dir():
            (beside if suffix in common else found).setdefault(stem_of(path, suffixes), []).append(path)
    for stem, paths in beside.items():
        if images is None or not images.isdisjoint((stem, stem.removesuffix(".ome"))):
            found.setdefault(stem, paths)
    return dict(sorted(found.items()))


def read_label_image(path: Path) -> Labels:
    """Read a mask or a label image from a PNG, TIFF, NPY, BMP or JPEG file.

    Of a palette image, the indices are read; of several equal channels, one. An image that is stored rotated or
    mirrored is read upright.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If it cannot be read, or its values are not those of a mask or a label image; see `number_nuclei`.
    """
    if not path.is_file():
        message = f"no file {path}; check its name"
        raise MissingError(message)
    with decoding(path):
        if path.suffix.lower() == ".npy":
            pixels = _read_npy(path)
        elif is_tiff(path):
            pixels = _read_tiff(path)
        else:
            pixels = _read_plain(path)
        labels, note = number_nuclei(pixels)
    return Labels(labels, note=note)


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        stored = np.lib.format.open_memmap(path, mode="r")  # reads the header only
    except (*DECODING_ERRORS, EOFError, tokenize.TokenError) as error:
        if isinstance(error, OSError):
            raise
        message = f"not an NPY file of numbers, or damaged ({first_line(error)}); save it again with numpy.save"
        raise ImageError(message) from error
    require_moderate(stored.shape, stored.dtype.itemsize)
    return np.array(stored)


def _read_tiff(path: Path) -> NDArray[Any]:
    with open_tiff(path) as tiff:
        series = tiff.series[0]
        require_moderate(series.shape, np.dtype(series.dtype).itemsize)
        pixels, page = np.asarray(series.asarray()), tiff.pages.first
        stored = page.imagelength, page.imagewidth
        if pixels.shape[:2] == stored:
            pixels = Orientation(page.tags.valueof("Orientation", 1), stored).upright(pixels)
        return pixels


def _read_plain(path: Path) -> NDArray[Any]:
    with open_plain(path) as image:
        require_moderate(image.size[::-1], 1)
        orientation = Orientation(image.getexif().get(ORIENTATION_TAG, 1), (image.height, image.width))
        if image.format != "PNG" or image.mode == "P":  # Pillow reduces colour PNGs of 16 bits to 8
            return orientation.upright(np.asarray(image))
    return orientation.upright(np.asarray(imagecodecs.png_decode(path.read_bytes())))


def read_annotated(path: Path, shape: tuple[int, int], mpp: float | None) -> Outlines:
    """Read the outlines of an image, and check that they are in pixels of this image.

    Parameters
    ----------
    path : Path
        File that ends in one of `OUTLINE_SUFFIXES`.
    shape : tuple of int
        Height and width of the image.
    mpp : float or None
        Its micrometres per pixel; None if unknown.

    Returns
    -------
    Outlines
        Regions are clipped to the image.

    Raises
    ------
    MonusegError
        As `read_outlines` does.
    InputError
        If the coordinates look like micrometres, or a region is outside of the image.
    """
    outlines = read_outlines(path)
    require_pixels(path, outlines, shape, mpp)
    regions = []
    for region in outlines.regions:
        box = clip_box(region.box, shape)
        if box is None:
            message = (
                f"{path}: the region {region.name!r} is outside of its image of {shape[1]}x{shape[0]} pixels; {_MOVE}"
            )
            raise InputError(message)
        regions.append(Region(region.name, box))
    return replace(outlines, regions=tuple(regions))


def draw_annotated(
    path: Path, outlines: Outlines, shape: tuple[int, int], mpp: float | None, box: Box | None = None
) -> tuple[Outlines, Raster]:
    """Rasterise the outlines of an image, or of a part of it, after leaving out those as large as tissue.

    Parameters
    ----------
    path : Path
        The file of the outlines, for messages.
    outlines : Outlines
        From `read_annotated`.
    shape : tuple of int
        Height and width of the image.
    mpp : float or None
        Its micrometres per pixel; None if unknown.
    box : Box, optional
        The part of the image.

    Returns
    -------
    outlines : Outlines
        The outlines that are drawn.
    raster : Raster
        The size is that of the part, or of the image.

    Raises
    ------
    InputError
        If no outlines of a whole image are left.
    """
    if box is not None:
        outlines, shape = outlines.within(box), box[2:]
    raster = rasterise(outlines.nuclei, shape)
    drawn = outlines.without_tissue(raster.areas_px, shape, mpp)
    if box is None:
        require_nuclei(path, drawn)
    return drawn, raster if drawn is outlines else rasterise(drawn.nuclei, shape)


def read_labels_of(path: Path, shape: tuple[int, int], mpp: float | None = None) -> Labels:
    """Read a mask, a label image, or outlines of an image.

    Parameters
    ----------
    path : Path
        File that ends in one of `ANNOTATION_SUFFIXES`.
    shape : tuple of int
        Height and width of the image, for outlines.
    mpp : float, optional
        Its micrometres per pixel.

    Returns
    -------
    Labels
        The labels have the size of the file if it is a mask or a label image. Outside of annotated regions, they are 0.

    Raises
    ------
    MonusegError
        As `read_label_image` and `read_annotated` do.
    InputError
        If outlines are outside of the image.
    """
    if not suffix_of(path, OUTLINE_SUFFIXES):
        return read_label_image(path)
    annotated = read_annotated(path, shape, mpp)
    if not annotated.regions:
        outlines, raster = draw_annotated(path, annotated, shape, mpp)
        if outside := int((raster.areas_px == 0).sum()):
            size = f"{shape[1]}x{shape[0]} pixels"
            message = f"{path} has {outside} regions outside of {size}, so it is of another image; name the right one"
            raise InputError(message)
        return Labels(raster.labels, left_out=outlines.left_out)
    labels = np.zeros(shape, dtype=np.int32)
    left_out = Counter(annotated.left_out)
    for region in annotated.regions:
        outlines, raster = draw_annotated(path, annotated, shape, mpp, region.box)
        row, col, height, width = region.box
        numbered = np.where(raster.labels > 0, raster.labels + labels.max(), 0)
        labels[row : row + height, col : col + width] = numbered
        left_out |= Counter(outlines.left_out)
    return Labels(labels, annotated.regions, left_out)


_MOVE = "name the annotation of this image, or draw the region on it"
