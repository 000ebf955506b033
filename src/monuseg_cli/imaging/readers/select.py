"""The reader of a file, by its format."""

import errno
import os
from pathlib import Path

from monuseg_cli.imaging.decoding import open_tiff
from monuseg_cli.imaging.readers.base import Reader
from monuseg_cli.imaging.readers.formats import DICOM, MRXS, SPATIALDATA, VMS, Format, format_of_file
from monuseg_cli.imaging.readers.multifile import (
    dicom_files,
    is_mrxs_folder,
    is_spatialdata,
    is_zarr,
    require_mrxs_folder,
    require_placed_frames,
    require_vms_parts,
    slide_of_dicom_folder,
)
from monuseg_cli.imaging.readers.openslide import OpenSlideReader
from monuseg_cli.imaging.readers.plain import PlainReader
from monuseg_cli.imaging.readers.tiff import TiffReader
from monuseg_cli.imaging.to_rgb import ImageError

_XMP_TAG = 700
_TRESTLE_SOFTWARE = "MedScan"


def open_reader(path: Path) -> Reader:
    """Open a file, or a folder that is one slide, with the library for its format; call this within `decoding`.

    Raises
    ------
    OSError
        If it cannot be read.
    ImageError
        If its format is not supported, or a library or a part of the slide is missing.
    """
    if path.is_dir():
        return _open_folder(path)
    found = format_of_file(path)
    if found is None or found.library == "pillow":
        return PlainReader(path)
    if found.library is None:
        raise _unsupported(found)
    if found.library == "tifffile":
        wrapped = _needs_openslide(path)
        return OpenSlideReader(path, wrapped) if wrapped else TiffReader(path)
    return _open_slide(path, found)


def _unsupported(found: Format) -> ImageError:
    return ImageError(f"{found.name} is not read; {found.remedy}")


def _open_slide(path: Path, found: Format) -> Reader:
    if found is MRXS:
        require_mrxs_folder(path)
    elif found is VMS:
        require_vms_parts(path)
    elif found is DICOM:
        require_placed_frames(path)
    return OpenSlideReader(path, found.name)


def _open_folder(path: Path) -> Reader:
    if is_spatialdata(path):
        raise _unsupported(SPATIALDATA)
    if is_zarr(path):
        from monuseg_cli.imaging.readers.ome_zarr import OmeZarrReader

        return OmeZarrReader(path)
    if is_mrxs_folder(path):
        message = f"it is the folder of an MRXS; name {path.name}.mrxs beside it"
        raise ImageError(message)
    if dicom_files(path):
        return _open_slide(slide_of_dicom_folder(path), DICOM)
    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


def _needs_openslide(path: Path) -> str | None:
    """Return the format of a TIFF whose tiles overlap, so that its pages are not the image; None for others."""
    with open_tiff(path, whole=False) as tiff:
        page = tiff.pages.first
        if page.is_tiled and page.software.startswith(_TRESTLE_SOFTWARE):
            return "Trestle TIFF"
        xmp = page.tags.valueof(_XMP_TAG, b"")
        xmp = xmp.encode() if isinstance(xmp, str) else bytes(xmp or b"")
        return "Ventana BIF" if tiff.is_bif or b"<iScan" in xmp else None
