import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from monuseg_cli.imaging.folder import files_of, list_images
from support.ome_zarr import write_ome_zarr
from support.scanners import TILE, write_dicom, write_mrxs, write_trestle, write_vms
from support.spatial import write_store
from support.tissue import draw_tissue

SCAN, _ = draw_tissue(3 * TILE, seed=3)
LABEL = np.full((100, 60, 3), 230, np.uint8)


def picture(path: Path) -> Path:
    Image.fromarray(SCAN[:40, :50]).save(path)
    return path


def names(folder: Path) -> list[str]:
    return [path.name for path in list_images(folder).images]


def test_everything_that_some_reader_reads_is_found_once(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.JPG")
    tifffile.imwrite(tmp_path / "c.qptiff", SCAN[:64, :64], photometric="rgb", metadata=None)
    tifffile.imwrite(tmp_path / "d without a suffix", SCAN[:64, :64], photometric="rgb", metadata=None)
    write_mrxs(tmp_path / "e.mrxs", SCAN)
    write_vms(tmp_path / "f.vms", SCAN, LABEL)
    write_dicom(tmp_path / "g", SCAN, LABEL)
    write_dicom(tmp_path, SCAN, LABEL, series="1.2.3.7")
    write_dicom(tmp_path, SCAN, LABEL, series="1.2.3.8")
    write_ome_zarr(tmp_path / "h.zarr", np.moveaxis(SCAN, -1, 0), "cyx")
    write_trestle(tmp_path / "i.tif", SCAN, 0)
    picture(tmp_path / "i.jpg").rename(tmp_path / "i.Full")
    found = list_images(tmp_path)
    assert [path.name for path in found.images] == [
        "1.2.3.7.0.dcm",
        "1.2.3.8.0.dcm",
        "a.png",
        "b.JPG",
        "c.qptiff",
        "d without a suffix",
        "e.mrxs",
        "f.vms",
        "g",
        "h.zarr",
        "i.tif",
    ]
    assert found.describe_unread() is None


def test_what_is_not_read_is_counted_and_named(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    for number in range(7):
        (tmp_path / f"note {number}.txt").write_text("text")
    tifffile.imwrite(tmp_path / "b.vsi", SCAN[:64, :64], photometric="rgb", metadata=None)
    found = list_images(tmp_path)
    assert [path.name for path in found.images] == ["a.png"]
    assert found.describe_unread() == (
        "1 file of formats that are not read: b.vsi (Olympus VSI); "
        "7 files of no known format: note 0.txt, note 1.txt, note 2.txt, note 3.txt, note 4.txt, ..."
    )


def test_spatialdata_stores_are_no_images_and_are_named(tmp_path: Path) -> None:
    """So that outputs of earlier predictions are not taken for images, wherever they were copied."""
    write_ome_zarr(tmp_path / "a.zarr", np.moveaxis(SCAN, -1, 0), "cyx")
    write_store(tmp_path / "b.zarr", SCAN)
    found = list_images(tmp_path)
    assert [path.name for path in found.images] == ["a.zarr"]
    assert found.describe_unread() == "1 file of formats that are not read: b.zarr (SpatialData)"
    assert names(tmp_path / "b.zarr" / "images" / "he") == ["he"]


def test_a_file_of_an_images_name_is_one_whatever_its_content(tmp_path: Path) -> None:
    """So that a slide that was not copied whole is told of when its turn comes."""
    for name in ("a.svs", "b.ndpi", "c.mrxs"):
        (tmp_path / name).touch()
    (tmp_path / "d.tif").symlink_to(tmp_path / "gone.tif")
    assert names(tmp_path) == ["a.svs", "b.ndpi", "c.mrxs", "d.tif"]


def test_hidden_files_are_litter(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / ".b.png")
    (tmp_path / "._a.png").write_bytes(b"\0\5\x16\7litter")
    assert names(tmp_path) == ["a.png"]
    assert list_images(tmp_path).describe_unread() is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="only POSIX has named pipes")
def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tif")
    assert list_images(tmp_path).describe_unread() == "1 file of no known format: a.tif"


@pytest.mark.parametrize(
    "record",
    [{"outputs": ["m.tif", "o.png"]}, {"outputs": ["x.tif", "m.tif", "o.png"], "beside": ["m.tif", "o.png"]}],
)
def test_outputs_of_an_earlier_prediction_are_no_images(tmp_path: Path, record: dict[str, Any]) -> None:
    for name in ("m.tif", "o.png", "x.tif", "y.png"):
        picture(tmp_path / name)
    (tmp_path / "m.tif.monuseg.json").write_text(json.dumps(record))
    found = list_images(tmp_path)
    assert [path.name for path in found.images] == (["x.tif", "y.png"] if "beside" in record else ["y.png"]) or (
        "x.tif" not in record["outputs"] and names(tmp_path) == ["x.tif", "y.png"]
    )
    assert found.describe_unread() is None


@pytest.mark.parametrize("content", ["", "[]", '{"outputs": 5}', '{"outputs": [5]}', "[" * 100_000])
def test_records_without_a_meaning_say_nothing(tmp_path: Path, content: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "a.png.monuseg.json").write_text(content)
    assert names(tmp_path) == ["a.png"]


def test_a_folder_that_is_one_slide_is_the_image(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a", SCAN, LABEL)
    (tmp_path / "a" / "readme.md").touch()
    write_ome_zarr(tmp_path / "b.zarr", np.moveaxis(SCAN, -1, 0), "cyx")
    for name in ("a", "b.zarr"):
        assert list_images(tmp_path / name).images == (tmp_path / name,)


def test_dicom_files_without_slides_are_reported(tmp_path: Path) -> None:
    folder = write_dicom(tmp_path / "a", SCAN, LABEL)
    content = (folder / "1.2.3.4.0.dcm").read_bytes()
    other = content.replace(b"1.2.840.10008.5.1.4.1.1.77.1.6", b"1.2.840.10008.5.1.4.1.1.77.1.4")
    (folder / "1.2.3.4.9.dcm").write_bytes(other)
    found = list_images(folder)
    assert found.images == (folder,)
    assert found.describe_unread() == "1 file of formats that are not read: 1.2.3.4.9.dcm (DICOM)"


def test_without_pydicom_one_dicom_file_stands_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening it says what is missing."""
    write_dicom(tmp_path / "a", SCAN, LABEL)
    picture(tmp_path / "a" / "b.png")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert names(tmp_path / "a") == ["1.2.3.4.0.dcm", "b.png"]


def test_the_files_of_a_slide(tmp_path: Path) -> None:
    write_mrxs(tmp_path / "a.mrxs", SCAN)
    write_vms(tmp_path / "b.vms", SCAN, LABEL)
    assert [path.name for path in files_of(tmp_path / "a.mrxs")] == [
        "a.mrxs",
        "Data0000.dat",
        "Index.dat",
        "Slidedat.ini",
    ]
    assert [path.name for path in files_of(tmp_path / "b.vms")] == ["b.vms", "b.jpg", "b_map.jpg", "b_macro.jpg"]
    assert files_of(picture(tmp_path / "c.png")) == [tmp_path / "c.png"]
    assert len(files_of(write_dicom(tmp_path / "d", SCAN, LABEL))) == 3
