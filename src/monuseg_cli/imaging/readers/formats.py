"""The format of a file, by its first bytes or its suffix, and the library that reads it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from monuseg_cli.core.home import is_special_file
from monuseg_cli.imaging.readers.openslide import CONVERT_HINT
from monuseg_cli.imaging.to_rgb import ImageError

Library = Literal["tifffile", "pillow", "openslide"]

_HEAD_BYTES = 4096
_DICOM_AT = 128
_SAVE_HINT = "save it as PNG or TIFF"


@dataclass(frozen=True, slots=True)
class Format:
    """The format of a file.

    Parameters
    ----------
    name : str
        Its name.
    library : str or None
        The library that reads it; None if it is not supported.
    remedy : str
        What to do with a file of an unsupported format.
    """

    name: str
    library: Library | None
    remedy: str = ""


_TIFF = Format("TIFF", "tifffile")
_PLAIN = Format("picture", "pillow")
MRXS = Format("3DHISTECH MRXS", "openslide")
DICOM = Format("DICOM", "openslide")
VMS = Format("Hamamatsu VMS", "openslide")
SPATIALDATA = Format("SpatialData", None, "name the folder of an image in it, such as images/NAME")
VMS_HEADS = (b"[Virtual Microscope Specimen]", b"[Uncompressed Virtual Microscope Specimen]")


def _starts(*heads: bytes, at: int = 0) -> Callable[[bytes], bool]:
    return lambda content: content[at:].startswith(heads)


_BY_CONTENT: tuple[tuple[Format, Callable[[bytes], bool]], ...] = (
    (_TIFF, _starts(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    (_PLAIN, _starts(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")),
    (_PLAIN, lambda content: content.startswith(b"BM") and content[6:10] == bytes(4)),
    (_PLAIN, lambda content: content.startswith(b"RIFF") and content[8:12] == b"WEBP"),
    (DICOM, _starts(b"DICM", at=_DICOM_AT)),
    (VMS, _starts(*VMS_HEADS)),
    (Format("Zeiss CZI", "openslide"), _starts(b"ZISRAWFILE")),
    (
        Format("Philips iSyntax", None, CONVERT_HINT),
        lambda content: b"DPUfsImport" in content and content.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"),
    ),
    (
        Format("HEIC or AVIF", None, _SAVE_HINT),
        lambda content: content[4:8] == b"ftyp" and content[8:12].lower() in _HEIF_BRANDS,
    ),
    (Format("JPEG 2000 (JP2)", None, _SAVE_HINT), _starts(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")),
    (Format("JPEG XL", None, _SAVE_HINT), _starts(b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x0a")),
    (Format("JPEG XR", None, _SAVE_HINT), _starts(b"II\xbc")),
    (Format("GIF", None, _SAVE_HINT), _starts(b"GIF8")),
    (Format("Photoshop PSD", None, _SAVE_HINT), _starts(b"8BPS")),
    (Format("PDF", None, _SAVE_HINT), _starts(b"%PDF")),
    (Format("Olympus ETS", None, f"it is a part of a VSI; {CONVERT_HINT}"), _starts(b"SIS\0")),
    (Format("Leica LIF", None, CONVERT_HINT), lambda content: content[:4] == b"p\0\0\0" and content[8:9] == b"*"),
    (Format("Nikon ND2", None, CONVERT_HINT), _starts(b"\xda\xce\xbe\n")),
    (Format("HDF5", None, CONVERT_HINT), _starts(b"\x89HDF\r\n\x1a\n")),
    (Format("OLE container (Zeiss ZVI, Olympus OIB)", None, CONVERT_HINT), _starts(b"\xd0\xcf\x11\xe0")),
    (Format("KFBio KFB", None, CONVERT_HINT), _starts(b"KFB")),
    (
        Format("Hamamatsu NDPIS", None, "it lists channels of fluorescence; name one of its NDPI files"),
        _starts(b"[NanoZoomer Digital Pathology"),
    ),
    (Format("zip archive", None, "unpack it"), _starts(b"PK\x03\x04")),
    (Format("gzip archive", None, "unpack it"), _starts(b"\x1f\x8b")),
)
_HEIF_BRANDS: tuple[bytes, ...] = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis")
_BY_SUFFIX = {
    ".vsi": Format("Olympus VSI", None, f"its scan lies in .ets files in the folder beside it; {CONVERT_HINT}"),
    ".mrxs": MRXS,
    ".sdpc": Format("Sqray SDPC", None, CONVERT_HINT),
    ".isyntax": Format("Philips iSyntax", None, CONVERT_HINT),
    ".i2syntax": Format("Philips iSyntax", None, CONVERT_HINT),
    ".svslide": Format("Sakura SVSLIDE", "openslide"),
}


SCANNERS = frozenset(
    {"SVS", "NDPI", "SCN", "Philips TIFF", "QPTIFF", "Trestle TIFF", "Ventana BIF", "Sakura SVSLIDE"}
    | {MRXS.name, DICOM.name, VMS.name, "Zeiss CZI"}
)
"""Formats that slide scanners write, as named by the readers."""

SUFFIXES = frozenset(
    {".tif", ".tiff", ".btf", ".tf2", ".tf8", ".svs", ".ndpi", ".scn", ".qptiff", ".bif", ".mrxs", ".vms", ".vmu"}
    | {".svslide", ".dcm", ".czi", ".png", ".jpg", ".jpeg", ".bmp", ".webp"}
)
"""Files in a folder with these suffixes count as images whatever their content, so that damaged ones are reported."""


def format_of_file(path: Path) -> Format | None:
    """Return the format of a file; None if it is unknown.

    Raises
    ------
    OSError
        If it cannot be read.
    ImageError
        If it is not a regular file, such as a pipe.
    """
    if is_special_file(path):
        message = "it is not a regular file; name an image"
        raise ImageError(message)
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return (_BY_SUFFIX.get(path.suffix.lower()) if head else None) or next(
        (known for known, is_so in _BY_CONTENT if is_so(head)), None
    )
