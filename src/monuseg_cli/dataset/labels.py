"""Masks, label images and annotations as other tools write them -> label images."""

import tokenize
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monuseg_cli.dataset.annotations import read_annotation
from monuseg_cli.dataset.rasterise import rasterise
from monuseg_cli.errors import InputError, MissingError
from monuseg_cli.images import (
    DECODING_ERRORS,
    ImageError,
    decoding,
    first_line,
    is_tiff,
    open_plain,
    open_tiff,
    require_moderate,
)

LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".npy")
ANNOTATION_SUFFIX = ".xml"


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


def read_labels_of(path: Path, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Read a mask, a label image or an Aperio XML annotation, which has no size of its own, of an image.

    Parameters
    ----------
    path : Path
        File that ends in one of `LABEL_SUFFIXES` or in .xml.
    shape : tuple of int
        Height and width of the image, at which an annotation is drawn.

    Returns
    -------
    ndarray of shape (H, W), int32
        Not of `shape` where a file is of another size.

    Raises
    ------
    InputError
        As `read_label_image` does, and if an annotation cannot be read, or has regions outside of the image.
    """
    if path.suffix.lower() == ANNOTATION_SUFFIX:
        raster = rasterise(read_annotation(path).polygons, (shape[0], shape[1]))
        if outside := int((raster.areas_px == 0).sum()):
            size = f"{shape[1]}x{shape[0]} pixels"
            message = f"{path} has {outside} regions outside of {size}, so it is of another image; name its own"
            raise InputError(message)
        return raster.labels
    return read_label_image(path)
