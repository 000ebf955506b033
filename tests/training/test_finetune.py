import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from conftest import RECIPE
from monuseg_cli.core.errors import ContaminationError, InputError, MissingError
from monuseg_cli.core.home import Home
from monuseg_cli.models import registry
from monuseg_cli.models.weights import read_card, save_weights
from monuseg_cli.training.finetune import transfer_weights
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.session import TrainConfig
from monuseg_cli.training.targets import CLASSES
from monuseg_cli.training.train import train
from support.made import CARD


def tune(home: Home, **overrides: Any) -> Path:
    recipe = dataclasses.replace(RECIPE, **{"init": "unet-se", "epochs": 1, **overrides})
    return train(TrainConfig(home, recipe, "tuned", device="cpu")).run


def test_a_tuned_run_begins_with_the_weights_and_remembers_all_it_has_seen(trained_home: Home) -> None:
    first = trained_home.find_weights("unet-se")
    before = load_file(first)
    still = tune(trained_home, learning_rate=1e-12, weight_decay=0.0, ema_decay=0.0)
    after = load_file(still / "last.safetensors")
    for name in before:
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(after[name], before[name], atol=1e-6, rtol=0)
    recipe = Recipe.load(still / "recipe.toml")
    assert recipe.init == str(first)
    larger = read_card(tune(trained_home, train_set=37) / "last.safetensors")
    assert set(read_card(first).train_cases) < set(larger.train_cases)
    assert len(larger.train_cases) == 31


def test_other_channels_keep_those_of_the_same_class(trained_home: Home) -> None:
    weights = trained_home.find_weights("unet-se")
    old = load_file(weights)
    recipe = dataclasses.replace(RECIPE, aux_target="hv")
    torch.manual_seed(5)
    options: dict[str, Any] = recipe.model_options()
    model = registry.create("unet-se", out_channels=3, **options)
    fresh = model.state_dict()["head.weight"].clone()
    transfer_weights(model, recipe, weights)
    state = model.state_dict()
    assert CLASSES["boundary"] == read_card(weights).classes
    assert torch.equal(state["head.weight"][0], old["head.weight"][0])
    assert torch.equal(state["head.weight"][1:], fresh[1:])
    assert all(torch.equal(state[name], old[name]) for name in old if not name.startswith("head"))


def test_a_class_keeps_all_channels_of_a_network_that_computes_2_x_2_pixels_at_once(tmp_path: Path) -> None:
    options: dict[str, Any] = {"width": 4, "stages": 2, "output_stride": 2}
    recipe = dataclasses.replace(RECIPE, arch="unet-efficientnet", aux_target="hv", options=options)
    torch.manual_seed(5)
    old = registry.create(recipe.arch, out_channels=2, **options).state_dict()
    card = dataclasses.replace(
        CARD, architecture=recipe.arch, options=options, out_channels=2, classes=CLASSES["boundary"]
    )
    save_weights(tmp_path / "old.safetensors", old, card)
    model = registry.create(recipe.arch, out_channels=3, **options)
    fresh = model.state_dict()["head.0.weight"].clone()
    transfer_weights(model, recipe, tmp_path / "old.safetensors")
    weight = model.state_dict()["head.0.weight"]
    assert torch.equal(weight[:4], old["head.0.weight"][:4])
    assert torch.equal(weight[4:], fresh[4:])


@pytest.mark.parametrize("name", registry.names())
def test_every_architecture_has_its_logits_last(name: str) -> None:
    convolutions = [
        layer for layer in registry.create(name, out_channels=7).modules() if isinstance(layer, torch.nn.Conv2d)
    ]
    assert convolutions[-1].out_channels == 7
    assert convolutions[-1].bias is not None


def test_a_validation_case_that_was_trained_on_is_refused(trained_home: Home) -> None:
    with pytest.raises(ContaminationError, match="was trained on 6 of the validation cases"):
        tune(trained_home, fold=2)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"arch": "segnet", "options": {}}, "is of unet-se with .*, which a segnet cannot start from"),
        ({"options": {"width": 4, "depth": 2}}, r"is of unet-se with \{'width': 8\}, which a unet-se cannot start"),
    ],
)
def test_initial_weights_that_do_not_fit_are_refused(
    trained_home: Home, overrides: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        tune(trained_home, **overrides)
    assert not (trained_home.runs / "tuned").exists()


def test_missing_initial_weights_are_an_error(trained_home: Home) -> None:
    with pytest.raises(MissingError, match="no run named 'gone'"):
        tune(trained_home, init="gone")


def test_a_tuned_run_killed_in_its_first_epoch_begins_with_the_same_weights(trained_home: Home) -> None:
    run = tune(trained_home)
    whole = (run / "last.safetensors").read_bytes()
    recipe = Recipe.load(run / "recipe.toml")
    shutil.rmtree(run)
    run.mkdir()
    recipe.save(run / "recipe.toml")
    train(TrainConfig(trained_home, recipe, resume=run, device="cpu"))
    assert (run / "last.safetensors").read_bytes() == whole
