"""Slides in several files: which files belong together, and which of them is opened."""

import configparser
import mmap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monuseg_cli.core.schema import parse_json
from monuseg_cli.imaging.decoding import DECODING_ERRORS
from monuseg_cli.imaging.readers.formats import DICOM, VMS_HEADS, format_of_file
from monuseg_cli.imaging.readers.openslide import CONVERT_HINT, EXTRA_HINT
from monuseg_cli.imaging.to_rgb import ImageError

_SLIDEDAT = "Slidedat.ini"
_ZARR_METADATA = (".zgroup", ".zattrs", "zarr.json", ".zarray")
_GROUP_ATTRIBUTES = {"zarr.json": "attributes", ".zattrs": None}
"""Where a group keeps its attributes: the file, and the key in it; Zarr 3, and 2."""

_SPATIALDATA, _OF_A_STORE = "spatialdata_attrs", "spatialdata_software_version"
_WHOLE_SLIDE_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"
_DICOM_SUFFIXES = (".dcm", ".dicom")
_SERIES_TAGS = ["SOPClassUID", "SeriesInstanceUID"]
_LARGEST_INDEX_BYTES = 1 << 20

# In little endian: the tags of pixels and of what differs from frame to frame, and a value of the organization type.
_PIXEL_DATA, _FRAME_GROUPS, _SPARSE = b"\xe0\x7f\x10\x00", b"\x00\x52\x30\x92", b"TILED_SPARSE"


def is_zarr(folder: Path) -> bool:
    """Return whether a folder is a Zarr store, or a group or array of one."""
    return any((folder / name).is_file() for name in _ZARR_METADATA)


def zarr_attributes(folder: Path) -> dict[str, Any]:
    """Read the attributes of a Zarr group, of either version, without zarr; none if they cannot be read."""
    for name, key in _GROUP_ATTRIBUTES.items():
        try:
            content = parse_json((folder / name).read_bytes())
        except (OSError, ValueError):
            continue
        found = content.get(key) if key and isinstance(content, dict) else content
        if isinstance(found, dict):
            return found
    return {}


def is_spatialdata(folder: Path) -> bool:
    """Return whether a folder is a SpatialData store, and not one of its elements, which have attributes of it, too."""
    stated = zarr_attributes(folder).get(_SPATIALDATA)
    return isinstance(stated, dict) and _OF_A_STORE in stated


def is_mrxs_folder(folder: Path) -> bool:
    """Return whether a folder contains the pixels of an MRXS."""
    return (folder / _SLIDEDAT).is_file()


def require_mrxs_folder(path: Path) -> None:
    """Check that the folder of an MRXS exists.

    Raises
    ------
    ImageError
        If it does not.
    """
    if not is_mrxs_folder(path.with_suffix("")):
        message = f"3DHISTECH MRXS without its folder {path.stem}, which contains the pixels; copy it next to the file"
        raise ImageError(message)


def vms_parts(path: Path) -> list[Path]:
    """List the files that are parts of a VMS or VMU, as named in it."""
    text = path.read_bytes()[:_LARGEST_INDEX_BYTES]
    if not text.startswith(VMS_HEADS):
        return []
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text.decode("utf-8", "replace"))
    except configparser.Error:
        return []
    values = [(key, value) for section in parser.sections() for key, value in parser.items(section)]
    named = [value.strip() for key, value in values if "file" in key or key == "macroimage"]
    return [path.parent / Path(name.replace("\\\\", "/")).name for name in named if name]


def require_vms_parts(path: Path) -> None:
    """Check that the parts of a VMS or VMU exist.

    Raises
    ------
    ImageError
        If one does not.
    """
    missing = [part.name for part in vms_parts(path) if not part.is_file()]
    if missing:
        message = f"Hamamatsu VMS whose part {missing[0]} is missing; copy all of its parts next to it"
        raise ImageError(message)


def dicom_files(folder: Path) -> list[Path]:
    """List the DICOM files of a folder, sorted by name: those with the suffix .dcm or .dicom, or none."""
    found = []
    for path in sorted(folder.iterdir()):
        may_be = path.suffix.lower() in _DICOM_SUFFIXES or not path.suffix[1:].isalpha()
        try:
            if may_be and path.is_file() and not path.name.startswith(".") and format_of_file(path) is DICOM:
                found.append(path)
        except DECODING_ERRORS:
            continue
    return found


def dicom_series(files: Sequence[Path]) -> dict[str, list[Path]]:
    """Group DICOM files by series; each series of whole-slide images is one slide.

    Raises
    ------
    ImageError
        If pydicom is not installed.
    """
    try:
        import pydicom
        from pydicom.errors import InvalidDicomError
    except ModuleNotFoundError as error:
        message = f"DICOM is read through pydicom and OpenSlide, which are not installed; {EXTRA_HINT}"
        raise ImageError(message) from error
    series: dict[str, list[Path]] = {}
    for path in files:
        try:
            with warnings.catch_warnings(action="ignore"):
                header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_SERIES_TAGS)
        except (InvalidDicomError, *DECODING_ERRORS):
            continue
        if header.get("SOPClassUID") == _WHOLE_SLIDE_CLASS:
            series.setdefault(str(header.get("SeriesInstanceUID", "")), []).append(path)
    return series


def require_placed_frames(path: Path) -> None:
    """Check that the DICOM files beside a file say where their frames are; OpenSlide crashes on those that do not.

    Raises
    ------
    ImageError
        If one of them says that its tiles are sparse, and nothing else.
    """
    for file in dicom_files(path.parent):
        with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            end = content.find(_PIXEL_DATA)
            is_sparse = content.find(_SPARSE, 0, end if end >= 0 else len(content)) >= 0
            if is_sparse and content.find(_FRAME_GROUPS) < 0:
                message = f"{file.name} does not say where its tiles are; {CONVERT_HINT}"
                raise ImageError(message)


def slide_of_dicom_folder(folder: Path) -> Path:
    """Return the file by which the slide in a folder of DICOM files is opened.

    Raises
    ------
    ImageError
        If the folder contains no whole slide, or several.
    """
    series = list(dicom_series(dicom_files(folder)).values())
    if not series:
        message = "it is a folder without a whole slide in DICOM; name an image"
        raise ImageError(message)
    if len(series) > 1:
        names = ", ".join(files[0].name for files in series)
        message = f"it is a folder of {len(series)} slides in DICOM; name a file of one: {names}"
        raise ImageError(message)
    return series[0][0]
