"""Unsupported formats are named, with a remedy."""

import errno
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from monuseg_cli.core.errors import InputError
from monuseg_cli.imaging.readers.formats import format_of_file
from monuseg_cli.imaging.slide import Slide

CONVERT = r"convert it to OME-TIFF, with QuPath or bfconvert"
SAVE = "save it as PNG or TIFF"
ISYNTAX = b'<DataObject ObjectType="DPUfsImport">\n\t<Attribute Name="DICOM_MANUFACTURER"/>'


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.isyntax", ISYNTAX, f"Philips iSyntax is not read; {CONVERT}"),
        ("a.xml", b"\xef\xbb\xbf\r\n" + ISYNTAX, f"Philips iSyntax is not read; {CONVERT}"),
        ("a.heic", b"\0\0\0\x18ftypheic" + bytes(99), f"HEIC or AVIF is not read; {SAVE}"),
        ("a.jpg", b"\0\0\0\x18ftypmif1" + bytes(99), f"HEIC or AVIF is not read; {SAVE}"),
        ("a.jp2", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99), rf"JPEG 2000 \(JP2\) is not read; {SAVE}"),
        ("a.j2k", b"\xff\x4f\xff\x51" + bytes(99), rf"JPEG 2000 \(JP2\) is not read; {SAVE}"),
        ("a.jxl", b"\xff\x0a" + bytes(99), f"JPEG XL is not read; {SAVE}"),
        ("a.gif", b"GIF89a" + bytes(99), f"GIF is not read; {SAVE}"),
        ("a.pdf", b"%PDF-1.7" + bytes(99), f"PDF is not read; {SAVE}"),
        ("a.ets", b"SIS\0" + bytes(99), f"Olympus ETS is not read; it is a part of a VSI; {CONVERT}"),
        ("a.lif", b"p\0\0\0\x10\0\0\0*" + bytes(99), f"Leica LIF is not read; {CONVERT}"),
        ("a.nd2", b"\xda\xce\xbe\n" + bytes(99), f"Nikon ND2 is not read; {CONVERT}"),
        ("a.ims", b"\x89HDF\r\n\x1a\n" + bytes(99), f"HDF5 is not read; {CONVERT}"),
        ("a.sdpc", b"SQ" + bytes(99), f"Sqray SDPC is not read; {CONVERT}"),
        ("a.kfb", b"KFB\0" + bytes(99), f"KFBio KFB is not read; {CONVERT}"),
        ("a.ndpis", b"[NanoZoomer Digital Pathology Image Set]", "Hamamatsu NDPIS is not read; it lists channels"),
        ("a.zip", b"PK\x03\x04" + bytes(99), "zip archive is not read; unpack it"),
    ],
)
def test_formats_that_are_not_read_are_named_with_a_remedy(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: {said}") as caught:
        Slide(tmp_path / name)
    assert "damaged" not in str(caught.value)


def test_the_overview_in_a_vsi_is_not_read_as_the_slide(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.vsi", np.zeros((8, 8, 3), np.uint8), photometric="rgb", metadata=None)
    with pytest.raises(
        InputError, match=r"a\.vsi: Olympus VSI is not read; its scan lies in \.ets files in the folder"
    ):
        Slide(tmp_path / "a.vsi")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_images_are_recognised_by_their_content(tmp_path: Path, kind: str) -> None:
    Image.new("RGB", (9, 8)).save(tmp_path / "a", kind)
    found = format_of_file(tmp_path / "a")
    assert found is not None
    assert found.library == "pillow"
    with Slide(tmp_path / "a") as slide:
        assert (slide.kind, slide.shape) == (kind, (8, 9))


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"RIFF....WAVE", b"\0" * 300])
def test_other_content_is_of_no_known_format(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert format_of_file(tmp_path / "a") is None
    with pytest.raises(InputError, match="a: not an image, or damaged"):
        Slide(tmp_path / "a")


def test_a_folder_without_images_is_not_an_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path.name}: Is a directory") as caught:
        Slide(tmp_path)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EISDIR
