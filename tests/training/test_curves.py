"""Learning curves, as files that other programs open."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.training.curves import Training, draw_curves
from monuseg_cli.training.history import EpochRecord, write_history
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.runs import compare_runs

SCORES = ("accuracy (share of pixels)", "soft Dice", "F1")


def train(name: str, loss: str) -> Training:
    records = [EpochRecord(epoch, *(0.1 * epoch,) * 12) for epoch in (1, 2, 3)]
    return Training(name, loss, records)


def texts_of(picture: Path) -> list[str]:
    if picture.suffix == ".pdf":
        (page,) = PdfReader(picture).pages
        return page.extract_text().replace("\n", " ").split("  ")
    return ["".join(text.itertext()) for text in ET.parse(picture).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_axes_have_names_and_a_run_has_both_of_its_curves(tmp_path: Path, suffix: str) -> None:
    draw_curves(tmp_path / f"curves{suffix}", [train("one", "bce + dice, boundary")])
    text = " ".join(texts_of(tmp_path / f"curves{suffix}"))
    for name in ("loss (bce + dice, boundary)", *SCORES):
        assert text.count(name) == 1
    assert [text.count(name) for name in ("epoch", "train", "validation")] == [4, 4, 4]


def test_losses_of_different_terms_have_panels_of_their_own(tmp_path: Path) -> None:
    trainings = [train("_one", "bce"), train("$two$", "dice"), train("three", "bce")]
    draw_curves(tmp_path / "curves.svg", trainings)
    texts = texts_of(tmp_path / "curves.svg")
    names = ["validation loss (bce)", "validation loss (dice)", *(f"validation {name}" for name in SCORES)]
    assert [text for text in texts if text.startswith("validation")] == names
    legends: list[list[str]] = [[]]
    for text in texts:
        if text in ("_one", "$two$", "three"):
            legends[-1].append(text)
        elif text in names:
            legends.append([])
    assert [legend for legend in legends if legend] == [["_one", "three"], ["$two$"], *[["_one", "$two$", "three"]] * 3]


def test_a_png_has_a_row_of_panels_for_each_two(tmp_path: Path) -> None:
    for losses, height in (("a",), 700), (("a", "b"), 1050), (("a", "b", "c"), 1050):
        draw_curves(tmp_path / "curves.png", [train(loss, loss) for loss in losses])
        with Image.open(tmp_path / "curves.png") as picture:
            assert picture.size == (1000, height)
            assert np.asarray(picture.convert("RGB"))[0, 0].tolist() == [255, 255, 255]


def test_the_terms_of_the_loss_follow_from_the_recipe(tmp_path: Path) -> None:
    assert Recipe().loss_terms == "bce + dice, boundary"
    assert Recipe(loss="focal", aux_target="none").loss_terms == "focal"
    for name, recipe in {"one": Recipe(), "two": Recipe(loss="bce"), "broken": Recipe()}.items():
        (tmp_path / name).mkdir()
        recipe.save(tmp_path / name / "recipe.toml")
        write_history(tmp_path / name, train(name, "").records)
    compare_runs([tmp_path / "one", tmp_path / "two"], tmp_path / "both.svg")
    assert {"validation loss (bce + dice, boundary)", "validation loss (bce, boundary)"} <= {
        *texts_of(tmp_path / "both.svg")
    }
    with pytest.raises(InputError, match=r"must end in .png or .svg or .pdf"):
        compare_runs([tmp_path / "one"], tmp_path / "both.jpg")
    (tmp_path / "broken" / "recipe.toml").unlink()
    with pytest.raises(MissingError, match="no recipe"):
        compare_runs([tmp_path / "one", tmp_path / "broken"], tmp_path / "both.pdf")
    assert not (tmp_path / "both.pdf").exists()
