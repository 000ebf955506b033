import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from conftest import Monuseg, Told
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import SHIPPED, Home
from monuseg_cli.imaging.array_slide import ArraySlide
from monuseg_cli.imaging.resample import resize_image
from monuseg_cli.models.weights import load_model
from monuseg_cli.prediction.config import SlideSettings
from monuseg_cli.prediction.engines.torch import TorchEngine
from monuseg_cli.prediction.scale_estimate import combine, estimate_scale, with_scale
from support.tissue import draw_tissue

ASKED = SlideSettings(mpp="estimate")
TISSUE = resize_image(draw_tissue(400, seed=2)[0], (600, 600))
"""Nuclei of about 24 um2 at 0.25 um/px."""


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    return TorchEngine(*load_model(SHIPPED), torch.device("cpu"))


@pytest.fixture
def tissue(tmp_path: Path) -> Path:
    path = tmp_path / "tissue.png"
    Image.fromarray(TISSUE).save(path)
    return path


def octaves(*values: float) -> NDArray[np.float64]:
    return np.log2(values)


def test_the_answers_near_the_surest_scale_count() -> None:
    assumed = octaves(0.177, 0.25, 0.354, 0.5, 1.0)
    # At 1 um/px, parts of nuclei are found that look like whole ones at the right scale.
    offsets = assumed - octaves(0.25, 0.25, 0.25, 0.25, 1.0)
    estimate, spread = combine(assumed, offsets, [0.7, 0.5, 0.4, 0.6, 1.8])
    assert 2**estimate == pytest.approx(0.25, rel=0.02)
    assert spread < 0.1
    assert combine(assumed, offsets, [0.7, 0.8, 0.7, 0.6, 0.2])[1] > 0.3


def test_answers_that_disagree_have_a_large_spread() -> None:
    assumed = octaves(0.25, 0.354)
    assert combine(assumed, assumed - octaves(0.2, 0.5), [0.5, 0.6])[1] > 0.3


def test_the_estimate_follows_the_scale_of_the_image(engine: TorchEngine) -> None:
    large = estimate_scale(ArraySlide(TISSUE), ASKED, engine)
    small = estimate_scale(ArraySlide(resize_image(TISSUE, (400, 400))), ASKED, engine)
    assert small.mpp / large.mpp == pytest.approx(1.5, rel=0.15)
    assert large.low < large.mpp < large.high


def test_it_is_refused_where_there_are_hardly_any_nuclei(engine: TorchEngine) -> None:
    glass = ArraySlide(np.full((200, 200, 3), 245, np.uint8), "glass.png")
    with pytest.raises(InputError, match=r"glass.png cannot be estimated: 0 nuclei .* too few; state it with `mpp`"):
        estimate_scale(glass, ASKED, engine)


def test_it_is_refused_for_another_model_but_not_for_another_threshold(engine: TorchEngine) -> None:
    other = TorchEngine(load_model(SHIPPED)[0], replace(engine.card, epoch=1), torch.device("cpu"))
    with pytest.raises(InputError, match="works with the model in the package only"):
        estimate_scale(ArraySlide(TISSUE), ASKED, other)
    other.card = replace(engine.card, postprocess=replace(engine.card.postprocess, threshold=0.45))
    assert estimate_scale(ArraySlide(TISSUE), ASKED, other).nuclei > 0


def test_nothing_is_estimated_unless_asked_for(engine: TorchEngine) -> None:
    told = Told()
    settings = SlideSettings()
    assert with_scale(ArraySlide(TISSUE), settings, engine, told) == (settings, None)
    assert told.lines == []


def test_a_scale_is_a_number_or_estimate() -> None:
    with pytest.raises(InputError, match="`mpp` must be a number or 'estimate', not 'guess'"):
        SlideSettings(mpp="guess")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`mpp` must be a number here"):
        _ = ASKED.given_mpp
    assert SlideSettings(mpp=0.5).given_mpp == 0.5


def test_an_estimate_is_named_wherever_the_result_is(monuseg: Monuseg, tissue: Path, tmp_path: Path) -> None:
    files = ("-o", tmp_path / "a.png", "--report", tmp_path / "a.html", "--summary", tmp_path / "all.csv")
    words = ("predict", tissue, *files, "--engine", "torch", "--device", "cpu", "--home", tmp_path)
    result = monuseg(*words, "--mpp", "estimate", "--json")
    assert result.exit_code == 0, result.stderr
    lines = " ".join(result.stderr.split())
    assert "tissue.png: estimated 0." in lines
    assert "nuclei; state it with --mpp if you know it" in lines
    (found,) = json.loads(result.stdout)["predictions"]
    low, high = found["mpp_range"]
    assert low < found["mpp"] < high
    said = f"the scale was estimated from the image: {found['mpp']:.2g} um/px ({low:.2g} to {high:.2g}) from "
    assert found["warnings"][0].startswith(said)
    record = json.loads((tmp_path / "a.png.monuseg.json").read_text(encoding="utf-8"))
    assert record["settings"]["mpp"] == "estimate"
    assert record["found"]["mpp_range"] == [low, high]
    with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert said in row["warnings"]
    report = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert said in report
    assert "µm/px (estimated)" in report
    assert f"estimated from the image ({low:.3g} to {high:.3g})" in report
    assert "Skipped, done before: 1 of 1" in monuseg(*words, "--mpp", "estimate").stdout


def test_a_dry_run_estimates_nothing(monuseg: Monuseg, tissue: Path, tmp_path: Path) -> None:
    words = ("predict", tissue, "-o", tmp_path / "a.png", "--dry-run", "--home", tmp_path)
    assert "600 x 600 to be estimated - predicted" in " ".join(monuseg(*words, "--mpp", "estimate").stdout.split())
    assert "600 x 600 not stated no predicted" in " ".join(monuseg(*words).stdout.split())


def test_what_is_neither_a_number_nor_estimate_is_a_usage_error(monuseg: Monuseg, tissue: Path, tmp_path: Path) -> None:
    result = monuseg("predict", tissue, "-o", tmp_path / "a.png", "--mpp", "40x")
    assert result.exit_code == 2
    assert "--mpp cannot be '40x': it should be a number or estimate" in result.stderr


@pytest.mark.parametrize("value", ['"estimate"', "0.5"])
def test_a_config_file_takes_both(
    monuseg: Monuseg, tissue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("monuseg.toml").write_text(f"[predict]\nmpp = {value}\n", encoding="utf-8")
    result = monuseg("predict", tissue, "-o", "a.png", "--dry-run", "--home", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert ("to be estimated" if value == '"estimate"' else "0.5000") in result.stdout


def test_other_commands_and_python_take_it_or_refuse_it(trained_home: Home, tissue: Path) -> None:
    import monuseg_cli

    with pytest.raises(InputError, match="works with the model in the package only"):
        monuseg_cli.load(trained_home.find_weights("unet-se"), device="cpu", engine="torch").predict(
            tissue, mpp="estimate"
        )
