"""Slides of formats, and with metadata, that are not read, or are read in one of several ways."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
import tifffile
import zarr

from robustness.conftest import Says
from support.ome_zarr import write_ome_zarr
from support.scanners import jpeg_bytes, write_bif, write_dicom, write_mrxs, write_vms
from support.spatial import write_store
from support.tissue import draw_tissue

PICTURE, _ = draw_tissue(80, seed=6)
SCAN = np.tile(PICTURE, (10, 10, 1))[:768, :768]
PLANES = np.ascontiguousarray(np.moveaxis(PICTURE, -1, 0))
TAGS: dict[str, Any] = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}
OME = (
    '<?xml version="1.0"?>{}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
    '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="80" SizeY="80" SizeC="3" SizeZ="1" SizeT="1">'
    '<Channel ID="Channel:0:0" SamplesPerPixel="3"/><TiffData/></Pixels></Image></OME>'
)
Make = Callable[[Path], object]


def content(head: bytes) -> Make:
    return lambda path: path.write_bytes(head + bytes(2000))


def tiff(*pages: np.ndarray[Any, Any], ome: bool = False, **options: Any) -> Make:
    """Write a TIFF of several pages; an option that is a list has a value for each."""

    def make(path: Path) -> None:
        with tifffile.TiffWriter(path, ome=ome) as file:
            for number, pixels in enumerate(pages):
                given = {key: value[number] if isinstance(value, list) else value for key, value in options.items()}
                file.write(pixels, **{"photometric": "rgb", "metadata": None, **given})

    return make


def planes(*names: str) -> Make:
    metadata = {"axes": "CYX", "Channel": {"Name": list(names)}, "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    return tiff(PLANES, ome=True, photometric="minisblack", metadata=metadata)


def lacking_a_part(path: Path) -> None:
    write_vms(path, SCAN, PICTURE)
    path.with_suffix(".jpg").unlink()


def empty_store(path: Path) -> None:
    zarr.open_group(path, mode="w", zarr_format=2)


def damaged_chunk(path: Path) -> None:
    write_ome_zarr(path, PLANES, "cyx")
    (path / "0" / "c" / "0" / "0" / "0").write_bytes(b"damaged")


def other_metadata(path: Path) -> None:
    write_ome_zarr(path, PLANES, "cyx")
    group = zarr.open_group(path)
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"datasets": "a"}]}


def sparse_without_places(path: Path) -> None:
    """What OpenSlide itself crashes on."""
    write_dicom(path, SCAN, PICTURE)
    file = path / "1.2.3.4.0.dcm"
    data = pydicom.dcmread(file)
    data.DimensionOrganizationType = "TILED_SPARSE"
    data.save_as(file, enforce_file_format=True)


def rgb_stack(path: Path) -> None:
    metadata = {"axes": "ZYX", "unit": "micron", "Labels": ["Red", "Green", "Blue"]}
    tifffile.imwrite(path, PLANES, imagej=True, resolution=(4, 4), metadata=metadata)


def folder_of_notes(path: Path) -> None:
    path.mkdir()
    for number in range(7):
        (path / f"note {number}.txt").touch()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        pytest.param("a.mrxs", lambda path: path.write_bytes(jpeg_bytes(PICTURE)), id="bare MRXS"),
        pytest.param("a.vms", lacking_a_part, id="VMS without a part"),
        pytest.param("a.vsi", tiff(PICTURE), id="VSI"),
        pytest.param("a.isyntax", content(b'<DataObject ObjectType="DPUfsImport">'), id="iSyntax"),
        pytest.param("a.jpg", content(b"\0\0\0\x18ftypheic"), id="HEIC"),
        pytest.param("a.tif", content(b"\0\0\0\x0cjP  \r\n\x87\n"), id="JP2"),
        pytest.param("a.czi", content(b"ZISRAWFILE"), id="CZI"),
        pytest.param("a.zarr", empty_store, id="empty Zarr"),
        pytest.param("a.zarr", write_store, id="SpatialData"),
        pytest.param("a.zarr", damaged_chunk, id="damaged chunk"),
        pytest.param("a.zarr", other_metadata, id="other metadata"),
        pytest.param("dicom", sparse_without_places, id="tiles without places"),
        pytest.param("slides", folder_of_notes, id="folder of notes"),
        pytest.param("a.ome.tif", planes("DAPI", "FITC", "Cy5"), id="stains"),
        pytest.param("a.tif", tiff(PICTURE, PICTURE, description=["Label", "Macro"]), id="label and macro"),
        pytest.param("a.tif", tiff(PICTURE, resolution=(40000, 20000), resolutionunit="CENTIMETER"), id="not square"),
        pytest.param(
            "a.ome.tif",
            tiff(PICTURE, description=OME.format("").replace("<TiffData/>", '<TiffData IFD="7"/>')),
            id="planes beyond the file",
        ),
        pytest.param(
            "a.ome.tif", tiff(PICTURE, description=OME.format('<!DOCTYPE OME [<!ENTITY a "b">]>')), id="entities in OME"
        ),
    ],
)
def test_slides_that_are_refused(says: Says, weights: Path, tmp_path: Path, name: str, make: Make) -> None:
    make(tmp_path / name)
    says("predict", tmp_path / name, "-o", tmp_path / "out" / "m.png", "--model", weights, "--engine", "torch")


@pytest.mark.parametrize("option", ["--series", "--plane"])
def test_images_that_are_not_in_the_file(says: Says, tmp_path: Path, option: str) -> None:
    tiff(PICTURE)(tmp_path / "a.tif")
    says("slide-info", tmp_path / "a.tif", option, 3)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        pytest.param("a.mrxs", lambda path: write_mrxs(path, SCAN), id="MRXS"),
        pytest.param("a.bif", lambda path: write_bif(path, SCAN, PICTURE, 0), id="BIF"),
    ],
)
def test_slides_without_the_extra(
    says: Says, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, make: Make
) -> None:
    make(tmp_path / name)
    monkeypatch.setitem(sys.modules, "openslide", None)
    says("slide-info", tmp_path / name)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        pytest.param("a.tif", tiff(PICTURE.astype(np.uint16) * 4, **TAGS), id="10 bits"),
        pytest.param(
            "a.png", lambda path: path.write_bytes(imagecodecs.png_encode(PICTURE.astype(np.uint16) * 16)), id="PNG"
        ),
        pytest.param("a.tif", tiff(PICTURE // 8, **TAGS), id="dark"),
        pytest.param("a.ome.tif", planes("Blue", "Green", "Red"), id="planes"),
        pytest.param("a.tif", rgb_stack, id="RGB stack"),
        pytest.param("a.tif", tiff(np.dstack([PICTURE, PICTURE[..., 0]]), extrasamples=["unspecified"]), id="a fourth"),
        pytest.param("a.tif", tiff(PICTURE[..., ::-1], **TAGS), id="BGR"),
        pytest.param("a.tif", tiff(PICTURE[:40], PICTURE, tile=(16, 16), **TAGS), id="two scans"),
    ],
)
def test_slides_that_mean_something_all_the_same(
    says: Says, weights: Path, tmp_path: Path, name: str, make: Make
) -> None:
    make(tmp_path / name)
    says("predict", tmp_path / name, "-o", tmp_path / "m.png", "--model", weights, "--engine", "torch")
