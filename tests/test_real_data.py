"""What the generated data cannot show: the real archives and slides. Runs where MONUSEG_DATA names their folder."""

import shutil
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from conftest import Monuseg
from monuseg_cli.annotations.aperio_xml import read_annotation
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import Home
from monuseg_cli.dataset.catalog import ARCHIVES, PIXELS, SPLITS
from monuseg_cli.dataset.config import DownloadConfig, MasksConfig
from monuseg_cli.dataset.download import download
from monuseg_cli.dataset.leakage import with_pixel_hashes
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.dataset.masks import build_masks, labels_path, read_labels
from monuseg_cli.imaging.read_image import read_image
from monuseg_cli.imaging.slide import Slide

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def dataset(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    archives = tuple(real_data / "monuseg" / ARCHIVES[split].name for split in SPLITS)
    root = tmp_path_factory.mktemp("real")
    return download(DownloadConfig(root, archives=archives, allow_unverified=True)).dataset


def test_all_cases_are_there_with_their_scale(dataset: Dataset) -> None:
    assert [len(dataset.of_split(split)) for split in SPLITS] == [37, 14]
    without = {case.case_id[5:12] for case in dataset.cases if case.mpp is None}
    assert without == {"AY-A8YK", "KB-A93J", "NH-A8F7", "RD-A8N9"}
    coarse = {case.case_id[5:12] for case in dataset.cases if case.mpp is not None and case.mpp > 0.3}
    assert coarse == {"HE-7128", "HE-7129", "HE-7130"}
    for case in dataset.cases[::10]:
        assert read_image(dataset.image_path(case))[0].shape == (1000, 1000, 3)


def test_the_catalogue_has_the_hash_of_every_images_pixels(dataset: Dataset) -> None:
    hashed = with_pixel_hashes(dataset, dataset.cases)
    assert {case.case_id: case.pixels for case in hashed} == dict(PIXELS)


def test_images_of_monuseg_are_recognised_under_any_name(
    monuseg: Monuseg, dataset: Dataset, real_data: Path, tmp_path: Path
) -> None:
    for case, name in ((dataset.of_split("train")[0], "a"), (dataset.of_split("test")[0], "b")):
        for folder in ("images", "annotations"):
            (tmp_path / name / folder).mkdir(parents=True)
        pixels = read_image(dataset.image_path(case))[0]
        (tmp_path / name / "images" / "x.png").write_bytes(imagecodecs.png_encode(pixels))
        shutil.copy(dataset.annotation_path(case), tmp_path / name / "annotations" / "x.xml")
    scored = monuseg("evaluate", "--data", tmp_path / "a", "--home", tmp_path / "home")
    assert scored.exit_code == 8, scored.stderr
    trained = monuseg("train", "--train", tmp_path / "a", "--val", tmp_path / "b", "--home", tmp_path / "home")
    assert trained.exit_code == 8, trained.stderr
    assert "from test images of MoNuSeg" in trained.stderr


@pytest.mark.slow
def test_masks_hold_every_nucleus_at_the_area_that_was_drawn(dataset: Dataset) -> None:
    made = {case.case_id: case for case in build_masks(MasksConfig(dataset.root)).cases}
    for split in SPLITS:
        cases = [made[case.case_id] for case in dataset.of_split(split)]
        raster, drawn = sum(case.raster_area_px for case in cases), sum(case.drawn_area_px for case in cases)
        assert raster == pytest.approx(drawn, rel=0.01)
        assert sum(case.hidden + case.outside for case in cases) == 0
        if split == "test":
            assert sum(case.regions for case in cases) == 6697
    for case in dataset.cases:
        polygons = read_annotation(dataset.annotation_path(case)).polygons
        labels = np.unique(read_labels(labels_path(dataset.root, case.case_id)))
        centres = np.array([polygon.mean(axis=0) for polygon in polygons])
        inside = ((centres >= 0) & (centres < 1000)).all(axis=1)
        assert set(np.flatnonzero(inside) + 1) <= set(labels.tolist())


MPP = {
    "CMU-1-Small-Region.svs": 0.499,
    "OS-1-detail.ome.tif": 0.2271,
    "he_16bit.tif": 0.499,
    "he_pyramid_jpeg_tiled.tif": 0.499,
    "he_res72dpi.tif": None,
    "he_rgba.tif": 0.499,
    "panimg_valid_tiff.tif": None,
    "tcga-cr-7395-01a-01-ts1.svs": None,
}


@pytest.mark.parametrize("name", MPP)
def test_slides_open_with_their_scale_and_are_not_blank(real_data: Path, name: str) -> None:
    with Slide(real_data / "slides" / name) as slide:
        expected = MPP[name]
        assert slide.mpp == (None if expected is None else pytest.approx(expected, rel=1e-3))
        height, width = slide.shape
        for index, level in enumerate(slide.levels):
            side = min(*level.shape, 300)
            pixels = slide.read_region(index, level.shape[0] - side, level.shape[1] - side, side, side)
            assert pixels.shape == (side, side, 3)
            assert pixels.std() > 0
        assert slide.levels[0].shape == (height, width)


@pytest.mark.slow
def test_a_mask_for_every_readable_slide_and_one_error_for_the_truncated(
    real_data: Path, monuseg: Monuseg, trained_home: Home, tmp_path: Path
) -> None:
    slides = real_data / "slides"
    result = monuseg("predict", slides, "-o", tmp_path, "--model", "unet-se", "--home", trained_home.root)
    assert result.exit_code == InputError.exit_code
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "he_truncated.tif: truncated" in errors[0]
    for name in MPP:
        with (
            Image.open(tmp_path / f"{name.removesuffix('.ome.tif').rsplit('.', 1)[0]}.png") as mask,
            Slide(slides / name) as slide,
        ):
            assert mask.size == slide.shape[::-1]
    assert not (tmp_path / "he_truncated.png").exists()


@pytest.mark.slow
def test_a_slide_whose_scale_is_not_stated_does_not_end_without_a_word(
    real_data: Path, monuseg: Monuseg, tmp_path: Path
) -> None:
    slide = real_data / "slides" / "tcga-cr-7395-01a-01-ts1.svs"
    result = monuseg("predict", slide, "-o", tmp_path / "mask.png")
    assert result.exit_code == 0
    assert "states no credible scale" in result.stderr
    assert "which was assumed; try --mpp 0.5" in " ".join(result.stderr.split())
