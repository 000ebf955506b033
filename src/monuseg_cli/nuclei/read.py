"""Masks, label images and annotations as other tools write them -> label images."""

import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.imaging.decoding import (
    DECODING_ERRORS,
    decoding,
    first_line,
    is_tiff,
    open_plain,
    open_tiff,
    require_moderate,
)
from monuseg_cli.imaging.tiling import Box
from monuseg_cli.imaging.to_rgb import ImageError
from monuseg_cli.nuclei.aperio import Annotation, read_annotation
from monuseg_cli.nuclei.geojson import Feature, read_features
from monuseg_cli.nuclei.rasterise import rasterise

LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".npy")
OUTLINE_SUFFIXES = (".geojson", ".xml")
"""Files of outlines, which have no size of their own."""

ANNOTATION_SUFFIXES = (*OUTLINE_SUFFIXES, *LABEL_SUFFIXES)
REGION_CLASS = "region*"
"""The class, in lower case, of what is no nucleus but a part of a slide that is annotated; it is QuPath's own."""

_MOST_OUTSIDE_RECTANGLE = 0.02


def read_label_image(path: Path) -> NDArray[np.int32]:
    """Read a mask or a label image from a PNG, TIFF or NPY file.

    Returns
    -------
    ndarray of shape (H, W), int32
        0 is background; the connected components of a mask are numbered.

    Raises
    ------
    MissingError
        If there is no such file.
    InputError
        If it cannot be read, is no single plane of whole numbers, or has negative ones.
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
            pixels = _read_png(path)
    while pixels.ndim > 2 and 1 in (pixels.shape[0], pixels.shape[-1]):
        pixels = pixels[0] if pixels.shape[0] == 1 else pixels[..., 0]
    if pixels.ndim != 2 or not (np.issubdtype(pixels.dtype, np.integer) or pixels.dtype == np.bool_):
        message = f"{path} holds {pixels.dtype} of shape {pixels.shape}; what can be scored is one plane of integers"
        raise InputError(message)
    values = np.unique(pixels)
    if values.size and (int(values[0]) < 0 or int(values[-1]) >= 2**31):
        message = f"{path} holds {values[0]} to {values[-1]}; number its nuclei within 0 to 2147483647"
        raise InputError(message)
    if len(values) <= 2 and (not values.size or values[0] == 0 or len(values) == 1):
        pixels, _ = ndimage.label(pixels != 0)
    return np.asarray(pixels, dtype=np.int32)


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        stored = np.lib.format.open_memmap(path, mode="r")  # of which nothing is read yet
    except (*DECODING_ERRORS, EOFError, tokenize.TokenError) as error:
        if isinstance(error, OSError):
            raise
        message = f"no NPY of numbers, or damaged ({first_line(error)}); save it anew, with numpy.save"
        raise ImageError(message) from error
    require_moderate(stored.shape, stored.dtype.itemsize)
    return np.array(stored)


def _read_tiff(path: Path) -> NDArray[Any]:
    with open_tiff(path) as tiff:
        series = tiff.series[0]
        require_moderate(series.shape, np.dtype(series.dtype).itemsize)
        return np.asarray(series.asarray())


def _read_png(path: Path) -> NDArray[Any]:
    with open_plain(path) as image:
        require_moderate(image.size[::-1], 1)
    return np.asarray(imagecodecs.png_decode(path.read_bytes()))


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a slide that is annotated: the name that it was given, and where it is."""

    name: str
    box: Box


def read_regions(path: Path) -> tuple[Region, ...]:
    """Read which parts of a slide are annotated: the rectangles of class "Region*" in a GeoJSON file.

    Returns
    -------
    tuple of Region
        None where the file is another one, or has no such rectangle: then all of the image is annotated.

    Raises
    ------
    MissingError
        If there is no such file.
    InputError
        If it cannot be read, or a region is no upright rectangle.
    """
    if path.suffix.lower() != ".geojson":
        return ()
    regions = []
    for feature in read_features(path):
        if _is_region(feature):
            points = feature.polygons[0][0]
            low, high = points.min(axis=0), points.max(axis=0)
            on_edge = np.minimum(np.abs(points - low), np.abs(points - high)) <= _MOST_OUTSIDE_RECTANGLE * (high - low)
            if len(feature.polygons) > 1 or not on_edge.all():
                message = (
                    f"{path}: the region {feature.name!r} is no upright rectangle; draw it with the rectangle tool"
                )
                raise InputError(message)
            (row, col), (height, width) = np.rint(low).astype(int).tolist(), np.rint(high - low).astype(int).tolist()
            regions.append(Region(feature.name, (row, col, height, width)))
    return tuple(regions)


def read_outlines(path: Path, box: Box | None = None) -> Annotation:
    """Read the outlines of nuclei from an Aperio XML or a GeoJSON file.

    Of a GeoJSON file every part of a polygon is a nucleus, without its holes; rectangles of class "Region*" are none.

    Parameters
    ----------
    path : Path
        File that ends in one of `OUTLINE_SUFFIXES`.
    box : Box, optional
        The part of the image that is meant: the outlines that reach into it are given in its own rows and columns.

    Raises
    ------
    MissingError
        If there is no such file.
    InputError
        If it cannot be read.
    """
    if path.suffix.lower() == ".xml":
        return read_annotation(path)
    nuclei = [polygon[0] for feature in read_features(path) if not _is_region(feature) for polygon in feature.polygons]
    if box is not None:
        corner, beyond = np.array(box[:2]), np.array(box[:2]) + box[2:]
        nuclei = [
            ring - corner for ring in nuclei if (ring.max(axis=0) > corner).all() and (ring.min(axis=0) < beyond).all()
        ]
    return Annotation(tuple(nuclei), np.full(len(nuclei), np.nan), degenerate=0, mpp=None)


def _is_region(feature: Feature) -> bool:
    return feature.class_name.lower() == REGION_CLASS


def read_labels_of(path: Path, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Read a mask, a label image, or outlines, which have no size of their own, of an image.

    Parameters
    ----------
    path : Path
        File that ends in one of `ANNOTATION_SUFFIXES`.
    shape : tuple of int
        Height and width of the image, at which outlines are drawn.

    Returns
    -------
    ndarray of shape (H, W), int32
        Not of `shape` where a file is of another size.

    Raises
    ------
    InputError
        As `read_label_image` does, and if outlines cannot be read, or lie outside of the image.
    """
    if path.suffix.lower() in OUTLINE_SUFFIXES:
        raster = rasterise(read_outlines(path).polygons, (shape[0], shape[1]))
        if outside := int((raster.areas_px == 0).sum()):
            size = f"{shape[1]}x{shape[0]} pixels"
            message = f"{path} has {outside} regions outside of {size}, so it is of another image; name its own"
            raise InputError(message)
        return raster.labels
    return read_label_image(path)
