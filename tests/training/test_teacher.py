import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from conftest import RECIPE
from monuseg_cli.core.errors import ContaminationError, InputError, MissingError
from monuseg_cli.core.home import Home
from monuseg_cli.models.weights import read_card
from monuseg_cli.training.history import read_history
from monuseg_cli.training.losses import compute_loss
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.session import TrainConfig
from monuseg_cli.training.teacher import distillation_loss
from monuseg_cli.training.train import train
from support.interrupt import StopAt


def learn(home: Home, name: str = "pupil", **overrides: Any) -> Path:
    recipe = dataclasses.replace(RECIPE, **{"teacher": "unet-se", "epochs": 1, **overrides})
    return train(TrainConfig(home, recipe, name, device="cpu")).run


def test_the_distillation_loss_is_the_cross_entropy_with_probabilities_of_the_teacher() -> None:
    logits, teacher = torch.randn(2, 2, 3, 5), torch.randn(2, 2, 3, 5)
    p, q = (1 / (1 + np.exp(-values.double().numpy())) for values in (logits, teacher))
    expected = -2 * np.mean(q * np.log(p) + (1 - q) * np.log(1 - p))
    assert distillation_loss(logits, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_a_certain_teacher_is_as_good_as_annotations() -> None:
    logits = torch.randn(2, 2, 8, 8)
    targets = (torch.rand(2, 2, 8, 8) > 0.5).float()
    of_annotations = sum(compute_loss(logits[:, [n]], targets[:, [n]], "bce", "none") for n in range(2))
    torch.testing.assert_close(distillation_loss(logits, 200 * targets - 100), of_annotations)


def test_the_teacher_shapes_the_weights_and_is_remembered(trained_home: Home) -> None:
    alone = learn(trained_home, "alone", teacher="")
    taught = learn(trained_home)
    weights = [load_file(run / "last.safetensors") for run in (alone, taught)]
    assert weights[0].keys() == weights[1].keys()
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    teacher = trained_home.find_weights("unet-se")
    assert Recipe.load(taught / "recipe.toml").teacher == str(teacher)
    card = read_card(taught / "last.safetensors")
    assert (card.recipe["teacher"], card.recipe["teacher_weight"]) == ("unet-se", 0.5)
    assert set(read_card(teacher).train_cases) <= set(card.train_cases)
    # The history holds the loss of the annotations alone, for both.
    losses = [read_history(run)[0].loss for run in (alone, taught)]
    assert losses[1] == pytest.approx(losses[0], rel=0.2)


def test_at_a_weight_of_1_annotations_change_nothing(trained_home: Home) -> None:
    runs = [learn(trained_home, loss, loss=loss, teacher_weight=1.0) for loss in ("bce", "dice")]
    weights = [load_file(run / "last.safetensors") for run in runs]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_resumed_training_keeps_its_teacher(trained_home: Home) -> None:
    whole = learn(trained_home, "whole", epochs=2)
    recipe = dataclasses.replace(RECIPE, teacher="unet-se", epochs=2)
    cut = train(TrainConfig(trained_home, recipe, "cut", device="cpu"), StopAt(24 * 4 + 8)).run
    train(TrainConfig(trained_home, Recipe.load(cut / "recipe.toml"), resume=cut, device="cpu"))
    weights = [load_file(run / "last.safetensors") for run in (whole, cut)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_resumed_training_without_its_teacher_is_an_error(trained_home: Home) -> None:
    shutil.copy(trained_home.find_weights("unet-se"), trained_home.root / "teacher.safetensors")
    teacher = str(trained_home.root / "teacher.safetensors")
    recipe = dataclasses.replace(RECIPE, teacher=teacher, epochs=2)
    cut = train(TrainConfig(trained_home, recipe, "cut", device="cpu"), StopAt(24 * 4 + 8)).run
    Path(teacher).unlink()
    with pytest.raises(MissingError, match="teacher"):
        train(TrainConfig(trained_home, Recipe.load(cut / "recipe.toml"), resume=cut, device="cpu"))


def test_a_teacher_that_was_trained_on_validation_cases_is_refused(trained_home: Home) -> None:
    with pytest.raises(ContaminationError, match="was trained on 6 of the validation cases"):
        learn(trained_home, fold=2)


def test_a_teacher_of_other_classes_is_refused(trained_home: Home) -> None:
    reason = "predicts nucleus, boundary, and `aux_target=none` learns nucleus; choose another `teacher`"
    with pytest.raises(InputError, match=reason):
        learn(trained_home, aux_target="none")
    assert not (trained_home.runs / "pupil").exists()
