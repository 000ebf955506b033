"""Small images are processed several at a time, with the files and the messages of one by one."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from conftest import Told
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import RECORD_SUFFIX, Home
from monuseg_cli.nuclei.rois import Roi
from monuseg_cli.outputs.plan import OutputSpec
from monuseg_cli.prediction.batch import PredictResult, predict
from monuseg_cli.prediction.config import PredictConfig, SlideSettings
from monuseg_cli.prediction.engines.select import EngineName
from support.tissue import draw_tissue

SIZES = (96, 128, 96, 160, 64, 96, 130, 96)
RESULTS = (".tif", ".geojson", ".csv", ".parquet")


@pytest.fixture
def weights(trained_home: Home) -> Path:
    return trained_home.find_weights("unet-se")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of several sizes and formats; the third is larger than a tile, and the fifth is pale."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number, size in enumerate(SIZES):
        pixels, _ = draw_tissue(size, seed=number)
        if number == 2:
            pixels = np.tile(pixels, (13, 9, 1))
        if number == 4:
            pixels = np.full_like(pixels, 250)
        if number % 2:
            tifffile.imwrite(folder / f"{number}.tif", pixels, photometric="rgb")
        else:
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def asked_for(weights: Path, out: Path, *images: Path, engine: EngineName = "torch", **settings: Any) -> PredictConfig:
    outputs = OutputSpec(
        tuple(f"{out}/{{stem}}{suffix}" for suffix in RESULTS),
        labels=True,
        overlay=f"{out}/{{stem}}-overlay.png",
        probability=f"{out}/{{stem}}-probability.tif",
        tissue=f"{out}/{{stem}}-tissue.png",
    )
    given = SlideSettings(**settings)
    return PredictConfig(images, outputs, weights, weights.parent / "cache", given, engine=engine)


def written_in(out: Path) -> dict[str, Any]:
    """Read all files; records without their seconds."""
    files: dict[str, Any] = {path.name: path.read_bytes() for path in out.iterdir()}
    for name in files:
        if name.endswith(RECORD_SUFFIX):
            files[name] = json.loads(files[name])
            del files[name]["found"]["seconds"]
    return files


def said(told: Told) -> list[str]:
    """Return what was said of the images, without seconds."""
    lines = [line for line in told.lines if "is converted for OpenVINO" not in line]
    return [re.sub(r"\d+\.\d s$", "", line) for line in lines]


def predict_one_by_one(weights: Path, out: Path, images: list[Path], **settings: Any) -> list[str]:
    """Predict on each image in a run of its own; return what was said."""
    lines = []
    for number, image in enumerate(images, start=1):
        told = Told()
        (one,) = predict(asked_for(weights, out, image, **settings), told).predictions
        lines += [*said(told), f"{number} of {len(images)}: {image.name}, {one.nuclei} nuclei, "]
    return lines


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"mpp": 0.4, "measurements": ("texture", "neighbours")},
        {"engine": "openvino"},
        {"rois": (Roi("top", ((np.array([(0, 0), (0, 90), (50, 90), (50, 0)], dtype=np.float64),),)),)},
    ],
    ids=["as it is", "another scale", "openvino", "roi"],
)
def test_files_and_messages_are_those_of_one_by_one(
    weights: Path, folder: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    images = sorted(folder.iterdir())
    expected = predict_one_by_one(weights, tmp_path / "out", images, **settings)
    files = written_in(tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        path.unlink()
    told = Told()
    result = predict(asked_for(weights, tmp_path / "out", folder, **settings), told)
    assert [one.outputs.image for one in result.predictions] == images
    assert written_in(tmp_path / "out") == files
    assert said(told) == expected


def test_images_that_cannot_be_read_leave_the_others_alone(weights: Path, folder: Path, tmp_path: Path) -> None:
    predict(asked_for(weights, tmp_path / "out", folder))
    files = written_in(tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        path.unlink()
    (folder / "1b.png").write_bytes(b"no image")
    whole = (folder / "6.png").read_bytes()
    (folder / "6b.png").write_bytes(whole[: len(whole) // 2])  # its header is that of a small image
    told = Told()
    result = predict(asked_for(weights, tmp_path / "out", folder), told)
    assert [(path.name, type(error)) for path, error in result.failures] == [
        ("1b.png", InputError),
        ("6b.png", InputError),
    ]
    counted = [line for line in told.lines if " of 10: " in line]
    assert [line.split(" ", 1)[0] for line in counted] == [str(number) for number in range(1, 11)]
    assert (counted[2], counted[8]) == ("3 of 10: 1b.png, failed", "9 of 10: 6b.png, failed")
    assert written_in(tmp_path / "out") == files


class Interrupted(Told):
    """Is interrupted, as by Ctrl-C, when an image is reported."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def info(self, message: str) -> None:
        super().info(message)
        if message.startswith(f"{self._number} of "):
            raise KeyboardInterrupt


def test_after_an_interrupt_what_is_there_is_whole_and_kept(weights: Path, folder: Path, tmp_path: Path) -> None:
    def run(out: str, told: Told) -> PredictResult:
        return predict(asked_for(weights, tmp_path / out, folder), told)

    run("whole", Told())
    with pytest.raises(KeyboardInterrupt):
        run("out", Interrupted(5))
    done = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    images = [name.split(".")[0] for name in done if name.endswith(f".tif{RECORD_SUFFIX}")]
    assert set("01234") <= set(images)
    whole = written_in(tmp_path / "whole")
    assert done.keys() == {name for name in whole if name[0] in images}
    result = run("out", Told())
    assert [outputs.image.stem for outputs in result.skipped] == sorted(images)
    assert written_in(tmp_path / "out") == whole
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in done} == done
