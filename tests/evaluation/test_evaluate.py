import csv
import json
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import SIZE
from monuseg_cli.errors import ContaminationError, InputError
from monuseg_cli.evaluation.evaluate import EvaluateConfig, evaluate
from monuseg_cli.evaluation.scores import score_image
from monuseg_cli.paths import Home


def config(home: Home, **knobs: Any) -> EvaluateConfig:
    return EvaluateConfig(home, home.find_weights("unet-se"), device="cpu", **knobs)


def test_validation_cases_on_the_screen_and_on_disk(trained_home: Home) -> None:
    result = evaluate(config(trained_home))
    assert [image.case_id for image in result.images] == sorted(result.card.val_cases)
    assert result.folder == trained_home.runs / "unet-se" / "evaluation" / "best-val"
    assert result.mean.f1 == fmean(image.scores.f1 for image in result.images) > 0.5
    assert result.organs["breast"][0] == 2
    with (result.folder / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["aggregation"] for row in rows].count("image") == 6
    assert rows[-1]["aggregation"] == "mean over images"
    assert float(rows[-1]["aji"]) == result.mean.aji
    content = json.loads((result.folder / "scores.json").read_text())
    assert content["mean"]["pq"] == result.mean.pq
    assert content["card"]["licence"] == "CC BY-NC-SA 4.0"


def test_test_cases_and_overlays(trained_home: Home, tmp_path: Path) -> None:
    result = evaluate(config(trained_home, split="test", overlays=True, output=tmp_path / "out"))
    assert len(result.images) == 14
    assert {image.organ for image in result.images} >= {"lung", "brain"}
    pictures = list((tmp_path / "out" / "overlays").iterdir())
    assert len(pictures) == 14
    with Image.open(pictures[0]) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (SIZE, SIZE, 3)
    for colour in ((255, 225, 0), (0, 255, 64)):
        assert (pixels == colour).all(axis=-1).any()


def test_train_cases_are_refused_unless_asked_for_and_then_marked(trained_home: Home) -> None:
    with pytest.raises(ContaminationError, match=r"was trained on 24 of these 24 cases .*--include-train"):
        evaluate(config(trained_home, split="train"))
    assert not (trained_home.runs / "unet-se" / "evaluation").exists()
    result = evaluate(config(trained_home, split="train", include_train=True))
    assert all(image.trained_on for image in result.images)
    assert not any(image.trained_on for image in evaluate(config(trained_home)).images)


def test_scores_of_one_image() -> None:
    reference = np.zeros((4, 8), dtype=np.int32)
    reference[:, 1:3], reference[:, 5:7] = 1, 2
    probability = np.where(reference > 0, 0.9, 0.1).astype(np.float32)
    perfect = score_image(reference, probability, reference * 3)
    assert (perfect.f1, perfect.iou, perfect.aji, perfect.pq, perfect.accuracy) == (1, 1, 1, 1, 1)
    assert perfect.loss == pytest.approx(-np.log(0.9), rel=1e-5)
    half = score_image(reference, probability, np.where(reference == 1, 1, 0).astype(np.int32))
    assert (half.recall, half.precision, half.aji) == (0.5, 1.0, 0.5)
    assert half.pq == pytest.approx(2 / 3)


def test_a_split_without_cases(trained_home: Home, tmp_path: Path) -> None:
    import dataclasses

    from monuseg_cli.models.weights import load_model, save_weights

    model, card = load_model(trained_home.find_weights("unet-se"))
    path = tmp_path / "w.safetensors"
    save_weights(path, model.state_dict(), dataclasses.replace(card, val_cases=()))
    with pytest.raises(InputError, match="has no val cases"):
        evaluate(EvaluateConfig(trained_home, path))
