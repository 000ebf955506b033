from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from monuseg_cli.imaging.decoding import is_one_image

PIXELS = np.zeros((20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tif"])
def test_one_image_is_known_by_its_header(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(PIXELS).save(path)
    assert is_one_image(path, 600)
    assert not is_one_image(path, 599)
    path.rename(tmp_path / "without a suffix")
    assert is_one_image(tmp_path / "without a suffix", 600)


def test_a_large_tiff_is_one_image(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="rgb", bigtiff=True, tile=(16, 16))
    assert is_one_image(tmp_path / "a.tif", 600)


def test_files_of_several_images_and_other_files_are_not(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "pages.tif", np.stack([PIXELS, PIXELS]), photometric="rgb")
    Image.fromarray(PIXELS).save(tmp_path / "a.png", save_all=True, append_images=[Image.fromarray(PIXELS + 1)])
    (tmp_path / "damaged.png").write_bytes(b"no image")
    for name in ("pages.tif", "a.png", "damaged.png", "missing.png", "."):
        assert not is_one_image(tmp_path / name, 10_000)
