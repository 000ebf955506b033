"""Disks that are full or closed, links in circles, damaged files of ours, two at once, and kill -9 in the middle."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import Monuseg
from monuseg_cli.core.home import Home
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.dataset.masks import labels_path
from robustness.conftest import QUICK, Says
from support.ome_zarr import write_ome_zarr
from support.own import write_folder
from support.processes import kill_at_the_second_file, start
from support.spatial import write_store
from support.table import Row, hold, snapshot
from support.tissue import draw_tissue


@pytest.fixture
def large_picture(tmp_path: Path) -> Path:
    """A picture whose labels do not compress into nothing."""
    path = tmp_path / "large.png"
    Image.fromarray(np.tile(draw_tissue(80, seed=6)[0], (8, 8, 1))).save(path)
    return path


@pytest.fixture
def predict(weights: Path) -> tuple[object, ...]:
    return ("--model", weights, "--engine", "torch")


def fill(disk: Path, *, but: int) -> None:
    free = shutil.disk_usage(disk).free
    (disk / "ballast").write_bytes(bytes(max(free - but, 0)))


@pytest.mark.parametrize("option", ["labels", "overlay", "probability", "packed", "parquet", "store"])
def test_outputs_on_a_full_disk_are_refused(
    says: Says, predict: tuple[object, ...], large_picture: Path, tmp_path: Path, small_disk: Path, option: str
) -> None:
    fill(small_disk, but=0 if option == "packed" else 4096)  # a packed table is small
    options = {
        "labels": ("-o", small_disk / "m.tif", "--labels"),
        "overlay": ("-o", tmp_path / "m.png", "--overlay", small_disk / "o.png"),
        "probability": ("-o", tmp_path / "m.png", "--probability", small_disk / "p.tif"),
        "packed": ("-o", small_disk / "n.geojson.gz"),
        "parquet": ("-o", small_disk / "n.parquet"),
        "store": ("-o", small_disk / "n.zarr"),
    }
    says("predict", large_picture, *predict, *options[option])


def test_kept_nuclei_that_are_damaged(
    says: Says, monuseg: Monuseg, predict: tuple[object, ...], large_picture: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "n.parquet"
    assert monuseg("predict", large_picture, *predict, "-o", kept).exit_code == 0
    content = bytearray(kept.read_bytes())
    content[4:300] = bytes(296)  # of the outlines; what the file states of itself is at its end
    kept.write_bytes(content)
    says("predict", large_picture, *predict, "-o", tmp_path / "n.csv")


@pytest.mark.parametrize("what", ["folder", "OME-Zarr", "store"])
def test_folders_that_are_not_stores_of_nuclei_are_kept(
    says: Says, predict: tuple[object, ...], picture: Path, tmp_path: Path, what: str
) -> None:
    path = tmp_path / "n.zarr"
    if what == "folder":
        path.mkdir()
        (path / "thesis.txt").write_text("mine")
    elif what == "OME-Zarr":
        write_ome_zarr(path, np.zeros((3, 64, 64), np.uint8), "cyx")
    else:
        write_store(path)
    says("predict", picture, *predict, "-o", path, *(() if what == "store" else ("--overwrite",)))


@pytest.mark.parametrize("stage", ["download", "masks", "patches", "train", "export", "runs", "evaluate"])
def test_a_disk_that_fills_up_in_the_middle_of_a_stage(
    row: Row, monuseg: Monuseg, home: Home, small_archive: Path, tmp_path: Path, small_disk: Path, stage: str
) -> None:
    """Every stage writes into a folder on the small disk; what it had begun is gone afterwards."""
    fill(small_disk, but=24 << 10 if stage == "masks" else 8 << 10)
    moved = {"masks": home.dataset / "masks", "patches": home.dataset / "patches", "train": home.runs}
    if stage in moved:
        shutil.rmtree(moved[stage])
        moved[stage].symlink_to(small_disk)
    words = {
        "download": ("--archive", small_archive, "--allow-unverified", "--home", small_disk),
        "patches": ("--patch-px", 32, "--home", home.root),
        "train": (*QUICK, "--home", home.root),
        "export": ("run", "-o", small_disk / "m.onnx", "--home", home.root),
        "runs": ("--curves", small_disk / "c.png", "--home", home.root),
        "evaluate": (
            "run",
            "--device",
            "cpu",
            "-o",
            small_disk,
            "--report",
            small_disk / "r.html",
            "--home",
            home.root,
        ),
    }
    result = monuseg(stage, *words.get(stage, ("--home", home.root)))
    hold(row, result.exit_code, result.stdout, result.stderr, tmp_path)
    assert [path.name for path in small_disk.rglob("*") if ".part" in path.name] == []


@pytest.mark.parametrize("what", ["file system", "folder"])
def test_read_only_targets_are_refused(
    says: Says, predict: tuple[object, ...], picture: Path, tmp_path: Path, request: pytest.FixtureRequest, what: str
) -> None:
    if what == "file system":
        closed: Path = request.getfixturevalue("small_disk")
        subprocess.run(["mount", "-o", "remount,ro", str(closed)], check=True)
    elif os.geteuid() == 0:
        pytest.skip("root may write into every folder")
    else:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
    says("predict", picture, "-o", closed / "m.png", *predict)


def test_a_limit_on_file_size_is_one_error(row: Row, home: Home, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    child = start(
        tmp_path,
        ("export", "run", "-o", tmp_path / "m.onnx", "--home", home.root),
        partial(resource.setrlimit, resource.RLIMIT_FSIZE, (2048, 2048)),
    )
    hold(row, child.wait(), "", child.errors.read_text(), tmp_path)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("place", ["file", "device", "long name"])
def test_outputs_in_the_place_of_something_else(
    says: Says, predict: tuple[object, ...], picture: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_text("mine")
    output = {"file": "file/m.png", "device": "out.png", "long name": f"{'m' * 300}.png"}[place]
    if place == "device":
        (tmp_path / "out.png").symlink_to("/dev/null")
    says("predict", picture, "-o", tmp_path / output, *predict)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("predict {loop} -o {folder}/m.png", id="image"),
        pytest.param(
            "predict {folder}/images -o {folder}/out/ --model {weights} --engine torch", id="image in a folder"
        ),
        pytest.param("predict {picture} -o {loop}/m.png --model {weights} --engine torch", id="output"),
        pytest.param("predict {picture} -o {folder}/m.png --roi {loop}", id="regions"),
        pytest.param("predict {picture} -o {folder}/m.png --model {loop}", id="model"),
        pytest.param("slide-info {loop}", id="slide"),
        pytest.param("show {loop} -o {folder}/s.png", id="shown"),
        pytest.param("download --archive {loop}", id="archive"),
        pytest.param("masks --home {loop}", id="home"),
        pytest.param("patches --home {loop}", id="home of patches"),
        pytest.param("runs run --home {loop}", id="home of runs"),
        pytest.param("export {loop} -o {folder}/m.onnx", id="exported"),
    ],
)
def test_circular_links_are_refused(says: Says, weights: Path, picture: Path, tmp_path: Path, words: str) -> None:
    (tmp_path / "images").mkdir()
    for loop in (tmp_path / "loop", tmp_path / "images" / "loop.png"):
        loop.symlink_to(loop)
    names = {"folder": tmp_path, "picture": picture, "weights": weights, "loop": tmp_path / "loop"}
    says(*(word.format(**names) for word in words.split()))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
@pytest.mark.parametrize(
    "words",
    [
        pytest.param("predict {images} -o {folder}/out/ --model {weights} --engine torch", id="image"),
        pytest.param("masks --data {folder}/own --home {folder}/home", id="own data"),
    ],
)
def test_names_that_are_not_text_are_refused(
    says: Says, weights: Path, picture: Path, tmp_path: Path, words: str
) -> None:
    write_folder(tmp_path / "own", ["a"], size=48)
    images = tmp_path / "own" / "images"
    for path in (images / "a.png", tmp_path / "own" / "annotations" / "a.geojson"):
        path.rename(path.with_name(os.fsdecode(b"\xff") + path.suffix))
    says(*(word.format(images=images, folder=tmp_path, weights=weights) for word in words.split()))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="only POSIX has named pipes")
@pytest.mark.parametrize(
    "words",
    [
        pytest.param("download --archive {pipe}", id="archive"),
        pytest.param("predict {picture} -o {folder}/m.png --roi {pipe}", id="regions"),
        pytest.param("show {picture} --labels {pipe} -o {folder}/s.png", id="annotation"),
        pytest.param("train --recipe {pipe}", id="recipe"),
    ],
)
def test_named_pipes_are_refused_without_waiting(says: Says, picture: Path, tmp_path: Path, words: str) -> None:
    """Which nobody writes into, so reading one would wait for ever."""
    os.mkfifo(tmp_path / "pipe.xml")
    names = {"folder": tmp_path, "picture": picture, "pipe": tmp_path / "pipe.xml"}
    says(*(word.format(**names) for word in words.split()))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="only POSIX has named pipes")
@pytest.mark.parametrize("name", ["images/a.png", "split.csv"])
def test_named_pipes_in_own_data_are_refused(says: Says, tmp_path: Path, name: str) -> None:
    write_folder(tmp_path / "own", ["a", "b"])
    (tmp_path / "own" / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / "own" / name)
    says("masks", "--data", tmp_path / "own")


def test_an_output_that_is_a_link_in_a_circle_is_replaced(
    says: Says, predict: tuple[object, ...], picture: Path, tmp_path: Path
) -> None:
    loop = tmp_path / "m.png"
    loop.symlink_to(loop)
    says("predict", picture, "-o", loop, *predict)
    assert loop.is_file()
    assert not loop.is_symlink()


Damage = Callable[[Path], object]


def binary(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\0")


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("words", "name", "damage"),
    [
        pytest.param("masks", "data/monuseg/manifest.json", binary, id="manifest"),
        pytest.param("patches --patch-px 32", "data/monuseg/manifest.json", folder, id="manifest a folder"),
        pytest.param("masks", "data/monuseg/masks/manifest.json", binary, id="masks' manifest"),
        pytest.param("patches --patch-px 40", "LABELS", half, id="half a mask"),
        pytest.param("patches --patch-px 32 --stride-px 16", "PATCHES/manifest.json", binary, id="patches' manifest"),
        pytest.param("patches --patch-px 32 --stride-px 16", "PATCHES/images.npy", half, id="half the patches"),
        pytest.param("runs", "runs/run/history.csv", binary, id="history"),
        pytest.param("runs run --curves c.png", "runs/run/history.csv", binary, id="history drawn"),
        pytest.param("runs", "runs/run/recipe.toml", folder, id="recipe a folder"),
        pytest.param("runs run --curves c.png", "runs/run/history.csv", Path.unlink, id="no history"),
        pytest.param("train --resume run --device cpu", "runs/run/recipe.toml", binary, id="recipe"),
        pytest.param("train --resume run --device cpu", "runs/run/last.safetensors", half, id="last weights"),
        pytest.param("evaluate run --device cpu", "LABELS", half, id="reference"),
        pytest.param("evaluate run --device cpu", "runs/run/best.safetensors", Path.unlink, id="no weights"),
    ],
)
def test_damaged_files_of_a_home_are_one_error(says: Says, home: Home, words: str, name: str, damage: Damage) -> None:
    dataset = Dataset.load(home.dataset)
    case = next(case for case in dataset.cases if case.case_id in _val_cases(home))
    patches = next((home.dataset / "patches").rglob("manifest.json")).parent
    name = name.replace("LABELS", str(labels_path(dataset.root, case.case_id))).replace("PATCHES", str(patches))
    damage(home.root / name)
    says(*(word.replace("c.png", str(home.root / "c.png")) for word in words.split()), "--home", home.root)


def _val_cases(home: Home) -> tuple[str, ...]:
    from monuseg_cli.training.recipe import Recipe

    return Recipe.load(home.runs / "run" / "recipe.toml").monuseg_cases()[1]


STAGES = {
    "download": "download --archive {archive} --allow-unverified --home {folder}/new",
    "masks": "masks --home {home}",
    "patches": "patches --patch-px 32 --home {home}",
    "train": f"train {' '.join(QUICK)} --home {{home}}",
    "evaluate": "evaluate run --device cpu -o {folder}/scores --report {folder}/report.html --home {home}",
    "predict": "predict {picture} -o {folder}/m.tif --overlay {folder}/o.png --model run --engine torch --home {home}",
    "export": "export run -o {folder}/m.onnx --home {home}",
}


def words_of(stage: str, home: Home, archive: Path, picture: Path, folder: Path) -> tuple[str, ...]:
    names = {"home": home.root, "archive": archive, "picture": picture, "folder": folder}
    return tuple(STAGES[stage].format(**names).split())


@pytest.mark.parametrize("stage", list(STAGES))
def test_kill_9_in_the_middle(
    row: Row, monuseg: Monuseg, home: Home, small_archive: Path, picture: Path, tmp_path: Path, stage: str
) -> None:
    """What is visible afterwards is whole; the next time, the stage goes through and clears up."""
    if stage == "masks":
        (home.dataset / "masks" / "manifest.json").unlink()
    words = words_of(stage, home, small_archive, picture, tmp_path)
    before = snapshot(tmp_path)
    assert start(tmp_path, words, kill_at_the_second_file).wait() == -signal.SIGKILL
    new = [Path(name) for name in snapshot(tmp_path).keys() - before.keys()]
    assert any(".part" in str(path) for path in new)
    for path in (tmp_path / name for name in new if not any(part.startswith(".") for part in name.parts)):
        assert path.is_dir() or path.stat().st_size > 0
    result = monuseg(*words)
    hold(row, result.exit_code, result.stdout, result.stderr, tmp_path)
    left = [path.name for path in tmp_path.rglob("*") if ".part" in path.name]
    assert left == [] or stage == "train"  # a killed run is left as it is; the next has a folder of its own


@pytest.mark.parametrize("stage", ["download", "masks", "patches", "train", "predict"])
def test_two_processes_in_one_folder_do_not_interfere(
    row: Row, monuseg: Monuseg, home: Home, small_archive: Path, picture: Path, tmp_path: Path, stage: str
) -> None:
    """Both go through, and what both have written is whole."""
    for made in ("masks", "patches"):
        if stage == made:
            shutil.rmtree(home.dataset / made)
    if stage == "patches":
        assert monuseg("masks", "--home", home.root).exit_code == 0
    words = words_of(stage, home, small_archive, picture, tmp_path)
    children = [start(tmp_path, words) for _ in range(2)]
    codes = [child.wait() for child in children]
    assert codes == [0, 0], [child.errors.read_text() for child in children]
    assert [path.name for path in tmp_path.rglob("*") if ".part" in path.name or ".old" in path.name] == []
    result = monuseg(*words)
    hold(row, result.exit_code, result.stdout, result.stderr, tmp_path)
