# mypy: ignore-errors
# ruff: noqa: I001
"""Make ``files``: what monuseg 0.1.0 wrote at commit b9e8fe4, before names and folders of the package changed.

Runs at that commit only, whose modules, options and test helpers it uses::

    git worktree add ../before b9e8fe4
    PYTHONPATH=../before/src:../before/tests python tests/legacy/make.py FOLDER

FOLDER is emptied first. The files hold no path of the machine that made them: ``@ROOT@`` stands for FOLDER.
"""

import dataclasses
import json
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import torch
from monuseg_cli.cli.app import app
from monuseg_cli.models.normalise import normalise
from monuseg_cli.models.quantise import observe
from monuseg_cli.models.weights import load_model, save_weights
from monuseg_cli.paths import Home
from monuseg_cli.progress import SILENT_TASK, Silent
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.running import TrainConfig
from monuseg_cli.training.train import train
from own import write_folder
from PIL import Image
from tissue import draw_tissue, write_archive
from typer.testing import CliRunner

WRITTEN_NS = 1_700_000_000_000_000_000
"""Time of modification of the picture that was predicted on, which its record holds."""

SIDE_PX = 40
TEST_SIDE_PX = 16
STEMS = ("a", "b", "c", "d")

FINISHED = Recipe(
    options={"width": 4, "depth": 1},
    dropout=0.05,
    fold=1,
    patch_px=40,
    stride_px=24,
    crop_px=32,
    crops_per_case=32,
    second_target="boundary",
    loss="bce+dice",
    epochs=2,
    batch_size=4,
    learning_rate=2e-2,
    weight_decay=1e-3,
    schedule="one-cycle",
    averaging=0.75,
    warp=0.25,
    scale=0.2,
    rotation_deg=30.0,
    elastic_px=1.5,
    stain=0.2,
    blank=0.125,
    brightness=0.1,
    degrade=0.25,
    blur_px=1.0,
    noise=0.02,
    jpeg_quality=60,
    seed=7,
)
"""No two values that could be taken for each other are the same; most are not the defaults."""

INTERRUPTED = dataclasses.replace(
    FINISHED,
    dropout=0.0,
    second_target="distance",
    loss="focal+dice",
    epochs=3,
    learning_rate=1e-2,
    schedule="constant",
    averaging=0.98,
    blank=0.001,  # none is drawn
    warp=0.0,
    stain=0.0,
    brightness=0.0,
    degrade=0.0,
    seed=11,
)
"""Crops are flipped only: other variation, and dropout, may come out otherwise in a later version."""


class StopInEpoch(Silent):
    """Interrupts a training, as Ctrl-C does, in the middle of an epoch."""

    def __init__(self, epoch: int, crops: int) -> None:
        self.left = (epoch - 1) * crops + crops // 2

    @contextmanager
    def task(self, description, total, unit):
        yield self if unit == "patches" else SILENT_TASK

    def advance(self, steps=1):
        self.left -= steps
        if self.left < 0:
            raise KeyboardInterrupt

    def status(self, text):
        pass


def monuseg(*words: object) -> None:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    if result.exit_code:
        sys.exit(f"monuseg {' '.join(map(str, words))}: {result.output}")


def make_own_data(own: Path) -> None:
    """Write four images with outlines, of which the last is for validation."""
    write_folder(own, STEMS, kinds=(".geojson", ".png"), size=SIDE_PX, first_seed=40)
    lines = [f"{stem}.png,{'val' if stem == STEMS[-1] else 'train'},0.25,colon" for stem in STEMS]
    (own / "split.csv").write_text("\n".join(["image,split,mpp,organ", *lines, ""]))


def train_runs(home: Home, own: Path, expected: Path) -> None:
    """Train a run to its end; interrupt another, and keep what its end would have been."""
    train(TrainConfig(home, dataclasses.replace(FINISHED, train=str(own)), name="finished", device="cpu"))
    recipe = dataclasses.replace(INTERRUPTED, train=str(own))
    crops = (len(STEMS) - 1) * recipe.crops_per_case
    result = train(TrainConfig(home, recipe, name="interrupted", device="cpu"), StopInEpoch(3, crops))
    if (result.epochs, result.interrupted) != (2, True):
        sys.exit(f"the run was interrupted after {result.epochs} epochs")
    other = Home(home.root.with_name("other"))
    shutil.copytree(home.root, other.root)
    monuseg("train", "--resume", "interrupted", "--device", "cpu", "--home", other.root)
    copy(other.runs / "interrupted" / "last.safetensors", expected / "interrupted-last.safetensors")
    copy(other.runs / "interrupted" / "history.csv", expected / "interrupted-history.csv")


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def make_model(home: Home) -> None:
    """Make of the finished run what is shipped: half precision, a full card with ranges and results."""
    model, card = load_model(home.find_weights("finished"))
    pictures = [draw_tissue(64, seed)[0] for seed in range(8)]
    seen = [normalise(torch.from_numpy(one).permute(2, 0, 1)[None].float() / 255, card) for one in pictures]
    card = dataclasses.replace(
        card,
        separation=dataclasses.replace(card.separation, threshold=0.4, min_area_um2=3.5, smoothing_um=0.7, depth=0.09),
        results={"validation": {"f1": 0.75, "aji": 0.5}},
        ranges=observe(model, seen),
    )
    state = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in model.state_dict().items()
    }
    save_weights(home.models / "small.safetensors", state, card)


def predict(home: Home, picture: Path, predicted: Path) -> None:
    """Predict with everything that is written, so that the record speaks of all of it."""
    roi = picture.with_name("roi.geojson")
    common = ("--engine", "torch", "--device", "cpu", "--home", home.root)
    outputs = ("-o", predicted / "mask.png", "-o", predicted / "nuclei.csv", "-o", predicted / "nuclei.geojson")
    others = ("--overlay", predicted / "overlay.png", "--probability", predicted / "probability.tif")
    monuseg("predict", picture, "--model", "finished", *outputs, *others, "--mpp", 0.25, "--threshold", 0.45, *common)
    labels = ("--labels", "-o", predicted / "labels.tif", "--roi", roi, "--region", 4, 8, 56, 48)
    monuseg("predict", picture, "--model", "small", *labels, *common)


def strip(files: Path, root: Path) -> None:
    """Put a placeholder in place of the folder of everything, and check that no path is left."""
    for path in files.rglob("*"):
        if path.suffix in (".json", ".toml"):
            path.write_text(path.read_text(encoding="utf-8").replace(str(root), "@ROOT@"), encoding="utf-8")
    there = [path for path in files.rglob("*") if path.is_file() and os.fsencode(root) in path.read_bytes()]
    if there:
        sys.exit(f"paths of this machine are in {there}")


def main() -> None:
    files = Path(sys.argv[1]).absolute()
    shutil.rmtree(files, ignore_errors=True)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        home, own, pictures = Home(work / "home"), work / "own", work / "pictures"
        make_own_data(own)
        train_runs(home, own, work / "expected")
        make_model(home)
        monuseg("evaluate", "finished", "--data", own, "--split", "val", "--device", "cpu", "--home", home.root)

        archive = write_archive(work, "test", TEST_SIDE_PX)
        local = ("--archive", archive, "--allow-unverified", "--split", "test")
        monuseg("download", *local, "--home", home.root)
        monuseg("masks", "--home", home.root)

        pictures.mkdir()
        Image.fromarray(draw_tissue(64, seed=3)[0]).save(pictures / "picture.png")
        ring = [[6, 10], [58, 10], [58, 54], [6, 54], [6, 10]]
        polygon = {"type": "Polygon", "coordinates": [ring]}
        roi = {"type": "Feature", "geometry": polygon, "properties": {"name": "field"}}
        (pictures / "roi.geojson").write_text(json.dumps(roi))
        os.utime(pictures / "picture.png", ns=(WRITTEN_NS, WRITTEN_NS))
        predict(home, pictures / "picture.png", work / "predicted")

        for unread in (*home.runs.glob("*/curves.png"), *home.runs.glob("finished/**/scores.[cm]*")):
            unread.unlink()
        (home.runs / "finished" / "state.pt").unlink()  # of 50 KB; the other run's is tried
        (data,) = (home.root / "data").glob("own-*")
        data.rename(data.with_name("own"))  # its name ends in a hash of the folder's path
        shutil.rmtree(home.cache, ignore_errors=True)
        for name in ("home", "own", "pictures", "predicted", "expected"):
            shutil.copytree(work / name, files / name)
        strip(files, work)
    size = sum(path.stat().st_size for path in files.rglob("*") if path.is_file())
    sys.stdout.write(f"{files}: {size / 1024:.0f} KiB\n")


if __name__ == "__main__":
    main()
