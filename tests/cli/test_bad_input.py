"""Bad input through the command line: an exit code, one line on standard error, no new file."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from conftest import Monuseg
from monuseg_cli.core.home import Home
from monuseg_cli.dataset.manifest import Dataset
from support.tissue import draw_tissue

PICTURE, _ = draw_tissue(80, seed=6)


def snapshot(*folders: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def one_line(text: str, *, starts: str = "error: ") -> str:
    """Give the error among the lines of standard error, and check that it is one."""
    errors = [line for line in text.splitlines() if line.startswith(starts)]
    assert len(errors) == 1, text
    assert text.splitlines()[-1] == errors[0]
    assert not any("tifffile" in line or "Warning" in line for line in text.splitlines())
    assert "Traceback" not in text
    return errors[0]


def grey(path: Path) -> None:
    Image.fromarray(PICTURE[..., 1]).save(path)


def rgba(path: Path) -> None:
    Image.fromarray(np.dstack([PICTURE, PICTURE[..., 0]])).save(path)


def wrong_suffix(path: Path) -> None:
    Image.fromarray(PICTURE[..., 1]).save(path, format="PNG")


def two_pages(path: Path) -> None:
    tifffile.imwrite(path, PICTURE, photometric="rgb")
    tifffile.imwrite(path, PICTURE[:40], photometric="rgb", append=True)


def palette(path: Path) -> None:
    Image.fromarray(PICTURE).convert("P").save(path)


def sixteen_bits(path: Path) -> None:
    tifffile.imwrite(path, PICTURE.astype(np.uint16) * 257, photometric="rgb")


def floats(path: Path) -> None:
    tifffile.imwrite(path, (PICTURE / 255).astype(np.float32), photometric="rgb")


@pytest.mark.parametrize(
    ("make", "name", "said"),
    [
        (grey, "a.png", "a.png: grey taken as equal red, green and blue"),
        (wrong_suffix, "a.tif", "a.tif: grey taken as equal red, green and blue"),
        (two_pages, "a.tif", "a.tif: the largest of several images used (number 0); choose another with --series"),
        (rgba, "a.png", "a.png: transparency laid over white"),
        (palette, "a.png", "a.png: palette looked up"),
        (sixteen_bits, "a.tif", "a.tif: uint16 of range 0..65535 scaled to 8 bits"),
        (floats, "a.tif", "a.tif: float32 of range 0..1 scaled to 8 bits"),
    ],
)
def test_images_whose_meaning_is_clear_are_converted_and_it_is_said(
    monuseg: Monuseg, trained_home: Home, tmp_path: Path, make: Callable[[Path], None], name: str, said: str
) -> None:
    make(tmp_path / name)
    result = monuseg(
        "predict", tmp_path / name, "-o", tmp_path / "m.png", "--model", "unet-se", "--home", trained_home.root
    )
    assert result.exit_code == 0
    assert said in result.stderr.splitlines()
    with Image.open(tmp_path / "m.png") as mask:
        assert mask.size == (80, 80)


@pytest.mark.parametrize("size", [(1, 1), (255, 257)])
def test_odd_sizes_are_no_error(monuseg: Monuseg, trained_home: Home, tmp_path: Path, size: tuple[int, int]) -> None:
    Image.fromarray(np.resize(PICTURE, (*size, 3))).save(tmp_path / "a.png")
    words = ("predict", tmp_path / "a.png", "-o", tmp_path / "m.png", "--model", "unet-se", "--home", trained_home.root)
    assert monuseg(*words).exit_code == 0
    with Image.open(tmp_path / "m.png") as mask:
        assert mask.size == size[::-1]


def test_missing_input_is_one_error_and_writes_nothing(monuseg: Monuseg, trained_home: Home, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    rest = ("-o", tmp_path / "m.png", "--home", trained_home.root)
    before = snapshot(tmp_path)
    for words, code, reason in (
        (("predict", tmp_path / "gone.tif", "--model", "unet-se", *rest), 4, "no image "),
        (("predict", tmp_path / "empty", "--model", "unet-se", *rest), 3, "no image in the folder "),
        (("predict", tmp_path / "empty", "--model", "nobody", *rest), 4, "no run named 'nobody'"),
        (("predict", tmp_path / "empty", "--model", "gone.safetensors", *rest), 4, "no weights file"),
        (("evaluate", "nobody", "--home", trained_home.root), 4, "no run named 'nobody'"),
        (("train", "--resume", "nobody", "--home", trained_home.root), 4, "no run named 'nobody'"),
        (
            ("train", "--arch", "resnet", "--home", trained_home.root),
            3,
            "choose from: unet, unet-se, unet-efficientnet",
        ),
        (("download", "--archive", tmp_path / "gone.zip", "--home", tmp_path / "new"), 4, "no archive "),
        (("masks", "--home", tmp_path / "new"), 4, "get it with: monuseg download"),
        (("patches", "--home", tmp_path / "new"), 4, "get it with: monuseg download"),
        (("train", "--home", tmp_path / "new"), 4, "get it with: monuseg download"),
    ):
        result = monuseg(*words)
        assert (result.exit_code, reason in one_line(result.stderr)) == (code, True), result.stderr
    assert snapshot(tmp_path) == before
    assert not (tmp_path / "new").exists()


def test_an_annotation_without_image_and_an_image_without_annotation(monuseg: Monuseg, data_home: Home) -> None:
    dataset = Dataset.load(data_home.dataset)
    dataset.annotation_path(dataset.cases[0]).unlink()
    assert "no annotation " in one_line(monuseg("masks", "--home", data_home.root).stderr)
    shutil.copy(dataset.annotation_path(dataset.cases[1]), dataset.annotation_path(dataset.cases[0]))
    dataset.image_path(dataset.cases[0]).unlink()
    assert "no image " in one_line(monuseg("masks", "--home", data_home.root).stderr)


def test_a_hash_that_is_not_the_published_one(monuseg: Monuseg, archives: tuple[Path, Path], tmp_path: Path) -> None:
    result = monuseg("download", "--archive", archives[0], "--home", tmp_path / "home")
    assert result.exit_code == 7
    assert "--allow-unverified" in one_line(result.stderr)
    assert not (tmp_path / "home").exists()
