"""Bad input through the command line: an exit code, one line on standard error, no new file."""

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from safetensors.torch import load_file

from conftest import QUICK, Monuseg
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.models.weights import read_card, save_weights
from monuseg_cli.paths import Home
from tissue import draw_tissue

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


def truncated(path: Path) -> None:
    tifffile.imwrite(path, PICTURE, tile=(16, 16), compression="zlib")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def not_an_image(path: Path) -> None:
    path.write_text("just text")


def tiff_without_pages(path: Path) -> None:
    path.write_bytes(b"II*\0" + bytes(4))


def floats_beyond_one(path: Path) -> None:
    tifffile.imwrite(path, PICTURE.astype(np.float32), photometric="rgb")


def mask_of_one_bit(path: Path) -> None:
    tifffile.imwrite(path, PICTURE[..., 0] > 128)


def signed_integers(path: Path) -> None:
    tifffile.imwrite(path, PICTURE.astype(np.int16), photometric="rgb")


def empty(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize(
    ("make", "name", "reason"),
    [
        (truncated, "a.tif", "a.tif: "),
        (not_an_image, "a.tif", "a.tif: not an image, or damaged"),
        (tiff_without_pages, "a.tif", "a.tif: it holds no image, or is damaged"),
        (not_an_image, "a.png", "a.png: not an image, or damaged"),
        (not_an_image, "a.xyz", "a.xyz: not an image, or damaged"),
        (empty, "a.tif", "a.tif: "),
        (empty, "a.jpg", "a.jpg: not an image, or damaged"),
        (floats_beyond_one, "a.tif", "samples are not within 0..1"),
        (mask_of_one_bit, "a.tif", "one bit, a mask"),
        (signed_integers, "a.tif", "int16, whose range has no agreed meaning"),
    ],
)
def test_images_that_cannot_be_read(
    monuseg: Monuseg, trained_home: Home, tmp_path: Path, make: Callable[[Path], None], name: str, reason: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    make(tmp_path / "in" / name)
    places = (tmp_path / "in" / name, "-o", tmp_path / "out" / "m.png")
    result = monuseg("predict", *places, "--model", "unet-se", "--home", trained_home.root)
    assert result.exit_code == 3
    assert reason in one_line(result.stderr)
    assert list((tmp_path / "out").iterdir()) == []


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
        (two_pages, "a.tif", "a.tif: the first of several images taken"),
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


def test_what_is_not_there(monuseg: Monuseg, trained_home: Home, tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "empty"),
        ("<Annotations><Annotation>", "cut off"),
        ("<svg/>", "not an Aperio annotation"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><Annotations>&b;</Annotations>', "document type declarations are refused"),
    ],
)
def test_annotations_that_cannot_be_read(monuseg: Monuseg, data_home: Home, content: str, reason: str) -> None:
    dataset = Dataset.load(data_home.dataset)
    dataset.annotation_path(dataset.cases[0]).write_text(content)
    before = snapshot(data_home.root)
    result = monuseg("masks", "--home", data_home.root)
    assert result.exit_code == 3
    line = one_line(result.stderr)
    assert reason in line
    assert dataset.cases[0].case_id in line
    assert snapshot(data_home.root) == before


def test_an_annotation_without_image_and_an_image_without_annotation(monuseg: Monuseg, data_home: Home) -> None:
    dataset = Dataset.load(data_home.dataset)
    dataset.annotation_path(dataset.cases[0]).unlink()
    assert "no annotation " in one_line(monuseg("masks", "--home", data_home.root).stderr)
    shutil.copy(dataset.annotation_path(dataset.cases[1]), dataset.annotation_path(dataset.cases[0]))
    dataset.image_path(dataset.cases[0]).unlink()
    assert "no image " in one_line(monuseg("masks", "--home", data_home.root).stderr)


def test_weights_that_are_none_or_of_another_architecture(monuseg: Monuseg, trained_home: Home, tmp_path: Path) -> None:
    state, card = load_file(trained_home.find_weights("unet-se")), read_card(trained_home.find_weights("unet-se"))
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    text = tmp_path / "text.safetensors"
    text.write_text("no weights")
    other = tmp_path / "other.safetensors"
    save_weights(other, state, dataclasses.replace(card, architecture="segnet", options={}))
    for weights, reason in ((text, "no whole safetensors file"), (other, "not those of segnet")):
        result = monuseg("predict", tmp_path / "a.png", "-o", tmp_path / "m.png", "--model", weights)
        assert result.exit_code == 3
        assert reason in one_line(result.stderr)
    assert not (tmp_path / "m.png").exists()


def test_a_hash_that_is_not_the_published_one(monuseg: Monuseg, archives: tuple[Path, Path], tmp_path: Path) -> None:
    result = monuseg("download", "--archive", archives[0], "--home", tmp_path / "home")
    assert result.exit_code == 7
    assert "--allow-unverified" in one_line(result.stderr)
    assert not (tmp_path / "home").exists()


def test_an_output_in_the_place_of_something_else(monuseg: Monuseg, trained_home: Home, tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    (tmp_path / "file").write_text("mine")
    words = ("predict", tmp_path / "a.png", "--model", "unet-se", "--home", trained_home.root, "-o")
    result = monuseg(*words, tmp_path / "file" / "m.png")
    assert result.exit_code == 5
    assert f"cannot write {tmp_path / 'file'}" in one_line(result.stderr)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root on Linux may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def noise(path: Path) -> Path:
    """Save a picture whose prediction does not compress into nothing."""
    Image.fromarray(np.tile(PICTURE, (8, 8, 1))).save(path)
    return path


def test_a_full_disk(monuseg: Monuseg, trained_home: Home, tmp_path: Path, small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(60 << 10))
    words = ("predict", noise(tmp_path / "a.png"), "--model", "unet-se", "--home", trained_home.root)
    labels = ("-o", small_disk / "m.tif", "--labels")
    overlay = ("-o", tmp_path / "m.png", "--overlay", small_disk / "o.png")
    for options in (labels, overlay):
        result = monuseg(*words, *options)
        assert result.exit_code == 5
        assert f"cannot write {small_disk}" in one_line(result.stderr)
        assert "the disk is full" in result.stderr
        assert [path.name for path in small_disk.iterdir()] == ["ballast"]


@pytest.mark.parametrize("stage", ["download", "masks", "patches", "train"])
def test_a_disk_that_fills_up_in_the_middle_of_a_stage(
    monuseg: Monuseg, archives: tuple[Path, Path], data_home: Home, small_disk: Path, stage: str
) -> None:
    """Every stage writes into a folder on the small disk; what it had begun is gone afterwards."""
    if stage == "download":
        words: tuple[object, ...] = ("download", "--archive", archives[0], "--allow-unverified", "--home", small_disk)
    else:
        target = {"masks": data_home.dataset / "masks", "patches": data_home.dataset / "patches"}
        if stage != "masks":
            assert monuseg("masks", "--home", data_home.root).exit_code == 0
        folder = target.get(stage, data_home.runs)
        folder.parent.mkdir(exist_ok=True)
        folder.symlink_to(small_disk)
        options = {"patches": ("--size", "64"), "train": QUICK}
        words = (stage, *options.get(stage, ()), "--home", data_home.root)
    result = monuseg(*words)
    assert result.exit_code == 5, result.stderr
    assert "the disk is full" in one_line(result.stderr)
    assert [path.name for path in small_disk.rglob("*") if ".part" in path.name] == []


@pytest.mark.parametrize("what", ["file system", "folder"])
def test_a_folder_that_cannot_be_written(
    monuseg: Monuseg, trained_home: Home, tmp_path: Path, request: pytest.FixtureRequest, what: str
) -> None:
    if what == "file system":
        closed: Path = request.getfixturevalue("small_disk")
        subprocess.run(["mount", "-o", "remount,ro", str(closed)], check=True)
        reason = "read-only file system"
    elif os.geteuid() == 0:
        pytest.skip("root may write into every folder")
    else:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        reason = "permission denied"
    words = ("predict", noise(tmp_path / "a.png"), "--model", "unet-se", "--home", trained_home.root)
    result = monuseg(*words, "-o", closed / "m.png")
    assert result.exit_code == 5
    assert f"cannot write {closed}" in one_line(result.stderr)
    assert reason in result.stderr
    new = monuseg("download", "--archive", tmp_path / "a.png", "--home", closed)
    assert new.exit_code == 3  # the archive is looked at first, and nothing is written
