"""The images in a folder, of all supported formats, each slide once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from monuseg_cli.core.home import RECORD_SUFFIX
from monuseg_cli.core.schema import parse_json
from monuseg_cli.imaging.decoding import DECODING_ERRORS
from monuseg_cli.imaging.readers.formats import DICOM, MRXS, SPATIALDATA, SUFFIXES, VMS, Format, format_of_file
from monuseg_cli.imaging.readers.multifile import (
    dicom_files,
    dicom_series,
    is_mrxs_folder,
    is_spatialdata,
    is_zarr,
    vms_parts,
)
from monuseg_cli.imaging.to_rgb import ImageError

_NAMED = 5
"""Number of unread files that are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class FolderImages:
    """The content of a folder.

    Parameters
    ----------
    images : tuple of Path
        The images, sorted by name: files, and folders that are one slide.
    unread : tuple of (Path, Format or None)
        The files and SpatialData stores that cannot be read, with their format if known; without hidden files, parts
        of slides in several files, and outputs and records of earlier predictions.
    """

    images: tuple[Path, ...]
    unread: tuple[tuple[Path, Format | None], ...]

    def describe_unread(self) -> str | None:
        """Return a line with the number and names of unread files; None if there are none."""
        of_formats = [f"{path.name} ({found.name})" for path, found in self.unread if found]
        unknown = [path.name for path, found in self.unread if not found]
        parts = [_counted(of_formats, "of formats that are not read"), _counted(unknown, "of no known format")]
        return "; ".join(part for part in parts if part) or None


def list_images(folder: Path) -> FolderImages:
    """List the images of a folder, without those in its subfolders.

    A folder of one DICOM series, and an OME-Zarr store, are images themselves; so are such subfolders.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    if is_zarr(folder):
        return FolderImages((folder,), ())
    outputs = _earlier_outputs(folder)
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and path.name not in outputs]
    files = [path for path in entries if path.is_file() or (path.is_symlink() and not path.exists())]
    formats = {path: _format_of(path) for path in files}
    parts = {part for path in files for part in _parts_of(path, formats[path])}
    dicom, other_dicom = _whole_slides([path for path in files if formats[path] is DICOM])
    images = [path for path in entries if path.is_dir() and path not in parts and is_slide_folder(path)]
    unread: list[tuple[Path, Format | None]] = [(path, DICOM) for path in other_dicom]
    unread += [(path, SPATIALDATA) for path in entries if path.is_dir() and is_spatialdata(path)]
    unread += [(path, None) for path in entries if path not in formats and not path.is_dir()]
    for path in files:
        found = formats[path]
        if path in parts or found is DICOM:
            continue
        if path.suffix.lower() in SUFFIXES or (found and found.library):
            images.append(path)
        elif not path.name.endswith(RECORD_SUFFIX):
            unread.append((path, found))
    if len(dicom) == 1 and not images:
        return FolderImages((folder,), tuple(unread))
    return FolderImages(tuple(sorted([*images, *dicom])), tuple(sorted(unread, key=lambda item: item[0])))


def stem_of(image: Path) -> str:
    """Return the name of an image without its suffix. Numbers after a dot, as in DICOM files, belong to the name."""
    name = image.name
    for suffix in (image.suffix, ".ome"):
        if suffix[1:2].isalpha() and name.lower().endswith(suffix.lower()):
            name = name[: -len(suffix)]
    return name


def files_of(image: Path) -> list[Path]:
    """List the files of an image: the file itself, and others that belong to it."""
    if image.is_dir():
        return sorted(path for path in image.rglob("*") if path.is_file())
    if _format_of(image) is MRXS and image.with_suffix("").is_dir():
        return [image, *sorted(path for path in image.with_suffix("").iterdir() if path.is_file())]
    return [image, *(part for part in _parts_of(image, _format_of(image)) if part.is_file())]


def _earlier_outputs(folder: Path) -> set[str]:
    """Return the names of files that earlier predictions wrote here, by their records."""
    names: set[str] = set()
    for record in folder.glob(f"*{RECORD_SUFFIX}"):
        try:
            content = parse_json(record.read_bytes())
        except (OSError, ValueError):
            continue
        outputs = content.get("beside", content.get("outputs")) if isinstance(content, dict) else None
        names |= {name for name in outputs if isinstance(name, str)} if isinstance(outputs, list) else set()
    return names


def _format_of(path: Path) -> Format | None:
    try:
        return format_of_file(path)
    except (ImageError, *DECODING_ERRORS):
        return None


def _parts_of(path: Path, found: Format | None) -> Iterable[Path]:
    """List what belongs to a file: the parts of a VMS, the folder of an MRXS, the macro of a Trestle."""
    if found is MRXS:
        return [path.with_suffix("")]
    if found is VMS:
        return vms_parts(path)
    return [path.with_suffix(".Full")] if found and found.library == "tifffile" else ()


def _whole_slides(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return one file of each DICOM slide (the first file if pydicom is missing), and the files that belong to none."""
    if not files:
        return [], []
    try:
        series = dicom_series(files)
    except ImageError:  # pydicom is not installed; opening the file raises the error
        return [files[0]], []
    used = {path for members in series.values() for path in members}
    return [members[0] for members in series.values()], [path for path in files if path not in used]


def is_slide_folder(folder: Path) -> bool:
    """Return whether a folder is one slide: a Zarr store, or a DICOM series."""
    if is_mrxs_folder(folder) or is_spatialdata(folder):
        return False
    if is_zarr(folder):
        return True
    try:
        return bool(dicom_files(folder))
    except OSError:
        return False


def _counted(names: Sequence[str], what: str) -> str | None:
    if not names:
        return None
    files = "1 file" if len(names) == 1 else f"{len(names)} files"
    listed = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"{files} {what}: {listed}"
