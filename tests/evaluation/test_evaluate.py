import csv
import dataclasses
import json
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import SIZE, Told
from monuseg_cli.core.errors import ContaminationError, InputError, MissingError, OutputError
from monuseg_cli.core.home import Home
from monuseg_cli.dataset.folder import scan_folder
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.dataset.masks import labels_path, read_labels
from monuseg_cli.evaluation.cases import CaseChoice
from monuseg_cli.evaluation.evaluate import EvaluateConfig, evaluate, evaluate_as_notebook
from monuseg_cli.evaluation.notebook import WindowProtocol
from monuseg_cli.evaluation.results import Evaluation
from monuseg_cli.imaging.read_image import read_image
from monuseg_cli.models.devices import pick_device
from monuseg_cli.models.weights import load_model, save_weights
from support.own import write_folder


def config(home: Home, *names: str, choice: CaseChoice | None = None, **overrides: Any) -> EvaluateConfig:
    weights = tuple(home.find_weights(name) for name in names or ("unet-se",))
    return EvaluateConfig(home, weights, choice or CaseChoice(), device="cpu", **overrides)


def one(home: Home, **overrides: Any) -> Evaluation:
    (evaluation,) = evaluate(config(home, **overrides)).evaluations
    return evaluation


def test_validation_cases_on_the_screen_and_on_disk(trained_home: Home) -> None:
    result = one(trained_home)
    assert result.card is not None
    assert [image.case_id for image in result.images] == sorted(result.card.val_cases)
    assert result.folder == trained_home.runs / "unet-se" / "evaluation" / "best-val"
    summary = result.summary
    assert summary.mean.f1 == fmean(image.scores.f1 for image in result.images) > 0.5
    assert summary.low.f1 is not None
    assert summary.low.f1 < summary.mean.f1 < summary.high.f1
    assert summary.pooled.f1 != summary.mean.f1
    assert result.organs["breast"].images == 2
    with (result.folder / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["aggregation"] for row in rows].count("image") == 6
    assert rows[-1]["aggregation"] == "pooled over images"
    assert float(rows[-4]["aji"]) == summary.mean.aji
    content = json.loads((result.folder / "scores.json").read_text())
    assert content["summary"]["mean"]["pq"] == summary.mean.pq
    assert content["card"]["licence"] == "CC BY-NC-SA 4.0"
    markdown = (result.folder / "scores.md").read_text().splitlines()
    assert markdown[0].startswith("| case | organ | loss | accuracy | soft Dice | F1 |")
    assert f"| {summary.pooled.f1:.4f} |" in markdown[-1]
    means = [line.split("|")[1:3] for line in markdown if line.startswith("| mean of")]
    assert means == [[" mean of 2 ", " breast "]]  # of one image, it would be that image's row
    assert set(result.seconds) == {"read", "predict", "score"}


def test_overlays_are_written_for_all_test_cases(trained_home: Home, tmp_path: Path) -> None:
    result = one(trained_home, choice=CaseChoice("test"), overlays=True, output=tmp_path / "out")
    assert len(result.images) == 14
    assert {image.organ for image in result.images} >= {"lung", "brain"}
    pictures = list((tmp_path / "out" / "overlays").iterdir())
    assert len(pictures) == 14
    with Image.open(pictures[0]) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (SIZE, SIZE, 3)
    for colour in ((255, 225, 0), (0, 255, 64)):
        assert (pixels == colour).all(axis=-1).any()


def test_other_cases_and_settings_have_a_folder_of_their_own(trained_home: Home, tmp_path: Path) -> None:
    def folder(choice: CaseChoice, **overrides: Any) -> Path:
        result = one(trained_home, choice=choice, include_train=True, **overrides)
        assert result.folder is not None
        content = json.loads((result.folder / "scores.json").read_text())
        assert [image["case_id"] for image in content["images"]] == [image.case_id for image in result.images]
        return result.folder

    for place in ("here", "there"):
        write_folder(tmp_path / place / "slides", ["a", "b"], first_seed=900)
    first, second = "TCGA-A7-A13E-01Z-00-DX1", "TCGA-E2-A14V-01Z-00-DX1"
    folders = [
        folder(CaseChoice()),
        folder(CaseChoice(), adapt="off"),
        folder(CaseChoice(), tta=True),
        folder(CaseChoice(cases=(first,))),
        folder(CaseChoice(cases=(second,))),
        folder(CaseChoice(cases=(first, second))),
        folder(CaseChoice(data=tmp_path / "here" / "slides")),
        folder(CaseChoice(data=tmp_path / "here" / "slides", split="all")),
        folder(CaseChoice(data=tmp_path / "there" / "slides")),
        folder(CaseChoice(data=tmp_path / "here" / "slides", cases=("a-",))),
    ]
    assert len(set(folders)) == len(folders)
    assert folder(CaseChoice(cases=("E2-A14V", "A7-A13E"))) == folders[5]  # the same cases
    assert {path.parent for path in folders} == {trained_home.runs / "unet-se" / "evaluation"}
    assert all(path.name.startswith("best-slides-") for path in folders[6:])


def test_cases_of_a_folder_that_are_not_scored_are_counted(trained_home: Home, tmp_path: Path) -> None:
    own = tmp_path / "slides"
    write_folder(own, ["a", "b", "c"], first_seed=900)
    weights = tmp_path / "w.safetensors"
    network, card = load_model(trained_home.find_weights("unet-se"))
    validated, *_ = (case.case_id for case in scan_folder(own, tmp_path / "root").cases)
    save_weights(weights, network.state_dict(), dataclasses.replace(card, val_cases=(validated,)))
    told = Told()
    choice = CaseChoice(data=own)
    (evaluation,) = evaluate(EvaluateConfig(trained_home, (weights,), choice, device="cpu"), told).evaluations
    assert [image.case_id for image in evaluation.images] == [validated]
    note = f"1 of the 3 cases of {own} are scored, which the models were validated on; `split=all` scores all"
    assert note in told.lines


def test_a_folder_with_the_scores_of_other_cases_is_left_as_it_is(trained_home: Home, tmp_path: Path) -> None:
    out = tmp_path / "out"
    one(trained_home, output=out)
    before = (out / "scores.json").read_bytes()
    with pytest.raises(OutputError, match=r"out: it contains the scores of other cases \(6, the first: TCGA-50-5931"):
        one(trained_home, choice=CaseChoice("test"), output=out)
    assert (out / "scores.json").read_bytes() == before
    one(trained_home, output=out)  # the same cases again


def test_overlays_of_an_earlier_evaluation_do_not_stay_beside_new_scores(trained_home: Home, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "overlays").mkdir(parents=True)
    (out / "overlays" / "mine.png").touch()
    one(trained_home, output=out, overlays=True)
    assert len(list((out / "overlays").iterdir())) == 7
    one(trained_home, output=out)
    assert [path.name for path in (out / "overlays").iterdir()] == ["mine.png"]


def test_train_cases_are_refused_unless_asked_for_and_then_marked(trained_home: Home) -> None:
    with pytest.raises(ContaminationError, match=r"was trained on 24 of these 24 cases .*`include_train=True`"):
        one(trained_home, choice=CaseChoice("train"))
    assert not (trained_home.runs / "unet-se" / "evaluation").exists()
    result = one(trained_home, choice=CaseChoice("train"), include_train=True)
    assert all(image.trained_on for image in result.images)
    assert result.folder is not None
    assert r" \* |" in (result.folder / "scores.md").read_text()
    assert not any(image.trained_on for image in one(trained_home).images)


def test_cases_are_selected_by_split_fold_or_id(trained_home: Home) -> None:
    home = trained_home

    def cases(choice: CaseChoice) -> list[str]:
        return [image.case_id for image in one(home, choice=choice, include_train=True).images]

    assert cases(CaseChoice(fold=1)) == cases(CaseChoice("val"))
    assert len(cases(CaseChoice(kumar="same-organ"))) == 8
    assert len(cases(CaseChoice(kumar="other-organ"))) == 6
    assert len(cases(CaseChoice(kumar="train"))) == 16
    assert cases(CaseChoice(cases=("A7-A13E", "TCGA-E2-A14V-01Z-00-DX1"))) == [
        "TCGA-A7-A13E-01Z-00-DX1",
        "TCGA-E2-A14V-01Z-00-DX1",
    ]
    with pytest.raises(ContaminationError, match="was trained on 6 of these 8 cases"):
        one(home, choice=CaseChoice(kumar="same-organ"))
    with pytest.raises(InputError, match=r"'A7-A13' is part of 2 case ids: TCGA-A7-A13E"):
        cases(CaseChoice(cases=("A7-A13",)))
    with pytest.raises(MissingError, match="no case 'nobody'"):
        cases(CaseChoice(cases=("nobody",)))
    with pytest.raises(InputError, match="exclude each other; give only one"):
        CaseChoice("val", fold=2)


def test_models_are_compared_image_by_image(trained_home: Home, tmp_path: Path) -> None:
    trained_home.models.mkdir()
    (trained_home.models / "same.safetensors").write_bytes(trained_home.find_weights("unet-se").read_bytes())
    last = str(trained_home.runs / "unet-se" / "last.safetensors")
    result = evaluate(config(trained_home, "unet-se", "same", last, output=tmp_path / "out"))
    assert [evaluation.name for evaluation in result.evaluations] == ["unet-se", "same", last]
    same, other = result.differences
    assert (same.name, same.mean.f1, same.low.f1, same.high.f1) == ("same", 0, 0, 0)
    first, _, third = result.evaluations
    assert other.mean.aji == pytest.approx(third.summary.mean.aji - first.summary.mean.aji)
    folders = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert folders == [
        "comparison.csv",
        "comparison.md",
        "comparison.tex",
        "models-same",
        "unet-se-best",
        "unet-se-last",
    ]
    with (tmp_path / "out" / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 4 + 2 * 3
    assert rows[-3]["figure"] == "mean minus that of unet-se"
    assert float(rows[-3]["aji"]) == other.mean.aji
    tuned = trained_home.runs / "unet-se" / "best.safetensors"
    assert first.weights == tuned


def test_weights_that_cannot_be_used(trained_home: Home, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"not weights")
    with pytest.raises(InputError, match="not a complete safetensors file"):
        evaluate(EvaluateConfig(trained_home, (path,)))
    with pytest.raises(InputError, match="no model to evaluate"):
        evaluate(EvaluateConfig(trained_home, ()))


def test_the_notebooks_protocol_by_its_definition(trained_home: Home) -> None:
    """Computed a second time from its definition, at an eighth of its sizes; the last pixels are never seen."""
    size, stride, batch = 32, 20, 8
    (result,) = evaluate_as_notebook(config(trained_home), protocol=WindowProtocol(size, stride, batch)).evaluations
    model, card = load_model(result.weights)
    dataset = Dataset.load(trained_home.dataset)
    windows, truths = [], []
    for case in dataset.select(card.val_cases):
        image, _ = read_image(dataset.image_path(case))
        labels = read_labels(labels_path(dataset.root, case.case_id))
        for row in range(0, SIZE - size + 1, stride):
            for col in range(0, SIZE - size + 1, stride):
                windows.append(image[row : row + size, col : col + size])
                truths.append(labels[row : row + size, col : col + size] > 0)
    import torch

    with torch.no_grad():
        pixels = torch.from_numpy(np.stack(windows)).permute(0, 3, 1, 2).float() / 255
        found = model.to(pick_device("cpu"))(pixels).sigmoid()[:, 0].double().numpy()
    truth = np.stack(truths)
    hard = found >= 0.5
    f1 = [
        2
        * (hard[i : i + batch] & truth[i : i + batch]).sum()
        / (hard[i : i + batch].sum() + truth[i : i + batch].sum())
        * len(truth[i : i + batch])
        for i in range(0, len(truth), batch)
    ]
    dice = [(2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1) for p, t in zip(found, truth, strict=True)]
    scores = result.scores
    assert scores.windows == len(truth) == 6 * 16
    assert scores.f1 == pytest.approx(sum(f1) / len(truth), abs=1e-4)
    assert scores.soft_dice == pytest.approx(np.mean(dice), abs=1e-4)
    assert scores.accuracy == pytest.approx((hard == truth).mean(), abs=1e-4)
    assert scores.loss == pytest.approx(-np.log(np.where(truth, found, 1 - found).clip(1e-7)).mean(), abs=1e-3)
