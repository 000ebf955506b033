"""The model that comes with the package."""

from pathlib import Path
from statistics import fmean

import pytest
from PIL import Image

from conftest import Monuseg
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import DEFAULT_MODEL, SHIPPED, Home, require_run_name
from monuseg_cli.dataset.catalog import NUINSSEG, train_set
from monuseg_cli.dataset.config import DownloadConfig, MasksConfig
from monuseg_cli.dataset.download import download
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.dataset.masks import build_masks, labels_path, read_labels
from monuseg_cli.dataset.nuinsseg import read_nuinsseg
from monuseg_cli.dataset.pixels import read_case
from monuseg_cli.evaluation.cases import CaseChoice
from monuseg_cli.evaluation.evaluate import EvaluateConfig, evaluate
from monuseg_cli.evaluation.scores import count_image
from monuseg_cli.imaging.read_image import read_image
from monuseg_cli.models.weights import load_model, read_card
from monuseg_cli.prediction.engines.select import open_engine
from monuseg_cli.prediction.predict_array import predict_array
from support.tissue import draw_tissue

VALIDATION = "validation"
"""The card's name for the scores on its own validation cases."""

ELSEWHERE = "elsewhere, four organs of NuInsSeg"
"""The card's name for the scores on organs and a hospital that it was not trained on."""


def test_it_is_small_and_its_card_is_complete() -> None:
    assert SHIPPED.stat().st_size <= 8 * 2**20
    model, card = load_model(SHIPPED)
    assert not model.training
    assert card.licence == "CC BY-NC-SA 4.0"
    assert "Kumar" in card.attribution
    assert "Mahbod" in card.attribution
    assert "Not a medical device" in card.use
    of_monuseg = {case_id for case_id in card.train_cases if case_id.startswith("TCGA-")}
    assert {*of_monuseg, *card.val_cases} <= set(train_set(37))
    assert not {*card.train_cases} & {*card.val_cases}
    assert not [case_id for case_id in card.train_cases if any(organ in case_id for organ in NUINSSEG.held_out_organs)]
    assert {name: part.cases for name, part in card.data_sets.items()} == {"monuseg": 31, "nuinsseg": 269}
    assert card.stain.keys() == {"haematoxylin", "eosin"}
    assert card.results.keys() == {VALIDATION, ELSEWHERE, "test"}
    assert card.results[ELSEWHERE]["f1"] > 0.75
    assert card.results[VALIDATION]["f1"] > 0.8
    assert "boundary" in card.classes


def test_the_default_model_is_used_and_its_name_reserved(monuseg: Monuseg, tmp_path: Path) -> None:
    Image.fromarray(draw_tissue(120, 3)[0]).save(tmp_path / "a.png")
    result = monuseg("predict", tmp_path / "a.png", "-o", tmp_path / "m.png", "--home", tmp_path / "home")
    assert result.exit_code == 0, result.stderr
    assert f"Model: {DEFAULT_MODEL} ({read_card(SHIPPED).architecture}, CC BY-NC-SA 4.0)" in result.stdout
    with pytest.raises(InputError, match="'default' is the name of the model that comes with the package"):
        require_run_name(DEFAULT_MODEL)


def test_its_card_can_be_read_by_people_and_programs(monuseg: Monuseg, tmp_path: Path) -> None:
    page = monuseg("models", "card", DEFAULT_MODEL, "--home", tmp_path).stdout
    for said in ("Not a medical device", "CC BY-NC-SA 4.0", "Kumar", "um/px", "threshold", "Trained on", "validation"):
        assert said in page
    assert '"architecture"' in monuseg("models", "card", DEFAULT_MODEL, "--json", "--home", tmp_path).stdout
    assert DEFAULT_MODEL in monuseg("models", "--home", tmp_path).stdout


@pytest.mark.data
def test_its_validation_scores_are_those_of_its_card_also_in_8_bits(real_data: Path, tmp_path: Path) -> None:
    home = Home(tmp_path)
    archive = real_data / "monuseg" / "MoNuSeg 2018 Training Data.zip"
    download(DownloadConfig(home.dataset, splits=("train",), archives=(archive,), allow_unverified=True))
    (result,) = evaluate(EvaluateConfig(home, (SHIPPED,), CaseChoice("val"), device="cpu")).evaluations
    card = read_card(SHIPPED)
    for name, value in card.results[VALIDATION].items():
        assert getattr(result.summary.mean, name) == pytest.approx(value, abs=0.002), name
    assert card.ranges
    engine = open_engine(SHIPPED, card, "openvino", "cpu", tmp_path / "cache", "hash")
    dataset, in_8_bits = Dataset.load(home.dataset), []
    for case in dataset.select(card.val_cases):
        maps, labels = predict_array(read_image(dataset.image_path(case))[0], case.mpp or card.mpp, engine)
        in_8_bits.append(count_image(read_labels(labels_path(dataset.root, case.case_id)), labels, maps[0]).scores().f1)
    assert fmean(in_8_bits) == pytest.approx(result.summary.mean.f1, abs=0.002)


@pytest.mark.data
def test_it_finds_nuclei_of_organs_that_it_was_not_trained_on_also_in_8_bits(real_data: Path, tmp_path: Path) -> None:
    dataset = read_nuinsseg(real_data / "nuinsseg", tmp_path / "nuinsseg")
    build_masks(MasksConfig(dataset.root, ("test",)))
    card = read_card(SHIPPED)
    for engine in ("torch", "openvino"):
        opened, scores = open_engine(SHIPPED, card, engine, "cpu", tmp_path / "cache", "hash"), []
        for case in dataset.of_split("test")[::10]:
            maps, labels = predict_array(read_case(dataset, case), case.mpp or card.mpp, opened)
            reference = read_labels(labels_path(dataset.root, case.case_id))
            scores.append(count_image(reference, labels, maps[0]).scores().f1)
        assert fmean(scores) == pytest.approx(card.results[ELSEWHERE]["f1"], abs=0.05), engine
