from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from conftest import Monuseg
from monuseg_cli.nuclei.draw_outlines import YELLOW, draw_outlines
from support.own import feature, region, write_geojson
from support.tissue import draw_tissue, ellipse


@pytest.fixture
def image(tmp_path: Path) -> Path:
    picture, _ = draw_tissue(64, seed=2)
    (tmp_path / "tissue.png").write_bytes(imagecodecs.png_encode(picture))
    return tmp_path / "tissue.png"


def test_outlines_of_a_label_image_are_those_of_the_one_renderer(monuseg: Monuseg, image: Path, tmp_path: Path) -> None:
    labels = np.zeros((64, 64), dtype=np.int32)
    labels[5:20, 5:20], labels[5:20, 20:40] = 3, 8
    np.save(tmp_path / "labels.npy", labels)
    result = monuseg("show", image, "--labels", tmp_path / "labels.npy", "-o", tmp_path / "o.png", "--width-px", 2)
    assert result.exit_code == 0, result.stderr
    assert "2 nuclei" in result.stdout
    with Image.open(tmp_path / "o.png") as drawn, Image.open(image) as picture:
        wanted = draw_outlines(np.asarray(picture.convert("RGB")), labels, width_px=2)
        np.testing.assert_array_equal(np.asarray(drawn), wanted)


def test_without_labels_the_image_is_shown_as_it_is_read(monuseg: Monuseg, image: Path, tmp_path: Path) -> None:
    assert monuseg("show", image, "-o", tmp_path / "o.png").exit_code == 0
    with Image.open(tmp_path / "o.png") as drawn, Image.open(image) as picture:
        np.testing.assert_array_equal(np.asarray(drawn), np.asarray(picture))


def test_show_refuses_unusable_labels_and_outputs(monuseg: Monuseg, image: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "small.npy", np.ones((9, 9), dtype=np.int32))
    cases = (
        ((image, "-o", tmp_path / "o.jpg"), 3, "the name must end in .png"),
        ((tmp_path / "gone.png", "-o", tmp_path / "o.png"), 4, "gone.png"),
        ((image, "--labels", tmp_path / "gone.png", "-o", tmp_path / "o.png"), 4, "no file"),
        (
            (image, "--labels", tmp_path / "small.npy", "-o", tmp_path / "o.png"),
            3,
            "small.npy is 9x9 pixels, the image",
        ),
        ((image, "--labels", image, "-o", image), 3, "would be replaced by the picture"),
    )
    for words, code, reason in cases:
        result = monuseg("show", *words)
        assert (result.exit_code, reason in result.stderr) == (code, True), result.stderr
    assert not (tmp_path / "o.png").exists()


def test_regions_are_framed_and_nothing_is_outlined_outside(monuseg: Monuseg, image: Path, tmp_path: Path) -> None:
    nuclei = [feature(ellipse(16, 16, 6, 6)), feature(ellipse(48, 48, 6, 6))]
    write_geojson(tmp_path / "a.geojson", [region("", 4, 4, 30, 30), *nuclei])
    result = monuseg("show", image, "--labels", tmp_path / "a.geojson", "-o", tmp_path / "o.png")
    assert result.exit_code == 0, result.stderr
    assert "1 nuclei" in result.stdout
    assert "annotated regions: 1; outlines outside" in result.stderr
    with Image.open(tmp_path / "o.png") as drawn, Image.open(image) as picture:
        changed = (np.asarray(drawn) != np.asarray(picture.convert("RGB"))).any(axis=2)
        assert np.asarray(drawn)[4, 20].tolist() == list(YELLOW)
    assert changed[4:34, 4:34].sum() > 100
    changed[3:35, 3:35] = False
    assert not changed.any()
