from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from monuseg_cli.outputs.rasters import RowWriter, mask_png, pyramid_tiff

ABOUT = {"software": "monuseg"}


@pytest.fixture
def labels() -> NDArray[np.int32]:
    image = np.random.default_rng(0).integers(0, 5, (1300, 2100)).astype(np.int32) * 70_000
    image[:600, :700] = 0
    return image


def parts(labels: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    return [labels[:1], labels[1:700], labels[700:700], labels[700:1299], labels[1299:]]


@pytest.mark.parametrize("bits", [8, 1])
def test_a_mask_written_row_by_row_equals_the_whole(labels: NDArray[np.int32], tmp_path: Path, bits: int) -> None:
    largest = 1300 * 2100 if bits == 8 else 1300 * 2100 - 1
    with mask_png(tmp_path / "m.png", (1300, 2100), largest) as add:
        for part in parts(labels):
            add(part)
        assert not (tmp_path / "m.png").exists()
    with Image.open(tmp_path / "m.png") as image:
        assert image.mode == ("L" if bits == 8 else "1")
        np.testing.assert_array_equal(np.asarray(image) > 0, labels > 0)
        assert np.asarray(image.convert("L")).max() == 255


@pytest.mark.parametrize("name", ["l.tif", "l.ome.tif"])
def test_a_pyramid_written_row_by_row_equals_the_whole(labels: NDArray[np.int32], tmp_path: Path, name: str) -> None:
    with pyramid_tiff(tmp_path / name, (1300, 2100), np.int32, 0.25, ABOUT) as add:
        for part in parts(labels):
            add(part)
    with tifffile.TiffFile(tmp_path / name) as tiff:
        assert tiff.is_bigtiff
        assert tiff.is_ome == (".ome." in name)
        assert "monuseg" in (tiff.ome_metadata or tiff.pages.first.description)
        levels = tiff.series[0].levels
        assert [level.shape for level in levels] == [(1300, 2100), (650, 1050), (325, 525)]
        for power, level in enumerate(levels):
            np.testing.assert_array_equal(level.asarray(), labels[:: 2**power, :: 2**power])
            assert level.keyframe.is_tiled
        assert tiff.pages.first.get_resolution(unit="CENTIMETER")[0] == pytest.approx(40_000)
        if tiff.is_ome:
            assert 'PhysicalSizeX="0.25"' in (tiff.ome_metadata or "")


def test_what_fails_in_the_middle_leaves_nothing(labels: NDArray[np.int32], tmp_path: Path) -> None:
    def fail(writer: AbstractContextManager[RowWriter]) -> None:
        with writer as add:
            add(labels[:2, :9])
            raise ZeroDivisionError

    for writer in (mask_png(tmp_path / "m.png", (9, 9)), pyramid_tiff(tmp_path / "l.tif", (9, 9), np.int32, None, {})):
        with pytest.raises(ZeroDivisionError):
            fail(writer)
    assert list(tmp_path.iterdir()) == []
