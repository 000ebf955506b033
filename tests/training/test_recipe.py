import dataclasses
from pathlib import Path
from types import MappingProxyType

import pytest
import torch

from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.training.mixture import MoreData
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.recipe_checks import RANGES
from monuseg_cli.training.recipes import BUILT_IN, describe, find_recipe
from monuseg_cli.training.schedule import is_over, learning_rate


def test_a_recipe_comes_back_from_its_file(tmp_path: Path) -> None:
    recipe = Recipe(arch="segnet", options={"width": 8}, fold=3, learning_rate=0.5, flips=False, train_set=37)
    recipe.save(tmp_path / "recipe.toml")
    assert Recipe.load(tmp_path / "recipe.toml") == recipe


def test_a_recipe_with_more_data_comes_back_and_one_of_before_has_none(tmp_path: Path) -> None:
    recipe = Recipe(extra_data=("nuinsseg:0.125", "C:/my slides"), stain_min=0.25, stain_max=1.8)
    recipe.save(tmp_path / "recipe.toml")
    assert Recipe.load(tmp_path / "recipe.toml") == recipe
    assert recipe.more_data() == (MoreData("nuinsseg", 0.125), MoreData("C:/my slides"))
    assert [str(more) for more in recipe.more_data()] == list(recipe.extra_data)
    (tmp_path / "old.toml").write_text('second_target = "hv"\naveraging = 0.9\n')
    assert Recipe.load(tmp_path / "old.toml").more_data() == ()


def test_settings_are_read_by_their_earlier_names() -> None:
    earlier = {"also": ["nuinsseg"], "pale": 0.5, "dark": 1.5}
    assert Recipe.from_dict(earlier) == Recipe(extra_data=("nuinsseg",), stain_min=0.5, stain_max=1.5)


def test_options_may_be_any_mapping() -> None:
    assert Recipe(options=MappingProxyType({"width": 8})) == Recipe(options={"width": 8})


def test_train_and_validation_share_no_case() -> None:
    for fold in range(1, 6):
        recipe = Recipe(fold=fold, train_set=37)
        assert not set(recipe.monuseg_cases()[0]) & set(recipe.monuseg_cases()[1])
        assert (len(recipe.monuseg_cases()[0]), len(recipe.monuseg_cases()[1])) == (31, 6)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"arch": "vgg"}, "unknown architecture 'vgg'; choose from"),
        ({"jpeg_quality": 101}, "`jpeg_quality` must be at least 1 and at most 100, not 101"),
        ({"fold": 6}, "`fold` takes 1 to 5"),
        ({"train_set": 31}, "`train_set` takes 30 or 37"),
        ({"loss": "hinge"}, "`loss` takes bce or dice or .* not 'hinge'"),
        ({"aux_target": "none "}, "`aux_target` takes none or boundary or distance or hv, not 'none '"),
        ({"amp": "fp8"}, "`amp` takes none or bf16 or fp16, not 'fp8'"),
        ({"ema_decay": 1.0}, "`ema_decay` must be at least 0 and below 1, not 1.0"),
        ({"warp": 1.5}, "`warp` must be at least 0 and at most 1, not 1.5"),
        ({"dropout": float("nan")}, "`dropout` must be a finite number, not nan"),
        ({"elastic_px": float("inf")}, "`elastic_px` must be a finite number, not inf"),
        ({"stain": 1.5}, "`stain` must be at least 0 and at most 1, not 1.5"),
        ({"stain_min": 0.0}, "`stain_min` must be above 0 and at most 1, not 0.0"),
        ({"stain_max": 0.9}, "`stain_max` must be at least 1 and at most 100, not 0.9"),
        ({"scanner": 1.0}, "`scanner` must be at least 0 and below 1, not 1.0"),
        ({"extra_data": ("nuinsseg:0",)}, "`extra_data` takes a data set or folder, and a weight above 0"),
        ({"extra_data": (":2",)}, "`extra_data` takes a data set or folder"),
        ({"extra_data": (3,)}, r"`extra_data`\[0\] must be text, not 3"),
        ({"extra_data": "nuinsseg"}, "`extra_data` must be a list, not 'nuinsseg'"),
        ({"extra_data": ("nuinsseg", "nuinsseg:2")}, "`extra_data` names nuinsseg twice"),
        ({"seed": 2**63}, "`seed` must be at least 0 and below 9223372036854775808"),
        ({"crop_px": 600}, "`crop_px=600` does not fit into `patch_px=512`"),
        ({"init": "x", "arch": "deeplabv3", "pretrained": True}, "`init` and `pretrained` both set the initial"),
        ({"epochs": 0}, "`epochs` must be at least 1 and at most 1000000, not 0"),
        ({"arch": "deeplabv3", "batch_size": 1}, "`batch_size` must be at least 2 for deeplabv3"),
        ({"learning_rate": 0.0}, "`learning_rate` must be above 0"),
        ({"learning_rate": float("inf")}, "`learning_rate` must be a finite number, not inf"),
        ({"learning_rate": 10**400}, "`learning_rate` must be a finite number, not a number of more than 64 bits"),
        ({"workers": 10**6}, "`workers` must be at least 0 and at most 256, not 1000000"),
        ({"epochs": 2.5}, "`epochs` must be a whole number, not 2.5"),
        ({"arch": ["unet"]}, "`arch` must be text, not a list"),
        ({"pretrained": "no"}, "`pretrained` must be true or false, not 'no'"),
        ({"seed": True}, "`seed` must be a whole number, not True"),
        ({"learning_rate": float("nan")}, "`learning_rate` must be a finite number, not nan"),
        ({"options": 3}, "`options` must be a mapping of names to values, not 3"),
        (
            {"options": {"width": "8"}},
            "option width of unet-se must be a whole number, at least 1 and .* 1024, not '8'",
        ),
        ({"options": {"width": [8]}}, "option width of unet-se must be .*, not a list"),
        ({"options": {"width": {}}}, "option width of unet-se must be .*, not a mapping"),
        ({"options": {"width": 8.0}}, "option width of unet-se must be a whole number, .*, not 8.0"),
        ({"options": {"width": 0}}, "option width of unet-se must be .*, not 0"),
        (
            {"options": {"depth": -1}},
            "option depth of unet-se must be a whole number, at least 1 and at most 8, not -1",
        ),
        ({"options": {"squeeze_excitation": 1}}, "option squeeze_excitation of unet-se must be true or false, not 1"),
        ({"options": {"dropout": 1}}, "option dropout of unet-se must be at least 0 and below 1, not 1"),
        ({"options": {"wdith": 8}}, r"unet-se has no option 'wdith'; its options: width, .*; did you mean width\?"),
        ({"arch": "deeplabv3-mobilenet", "options": {"output_stride": 12}}, "output_stride .* must be 8 or 16, not 12"),
    ],
)
def test_values_that_cannot_be_used_name_their_setting(overrides: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Recipe(**overrides)  # type: ignore[arg-type] # what a file may hold


def test_every_number_of_a_recipe_has_a_range_or_a_list() -> None:
    numbers = {setting.name for setting in dataclasses.fields(Recipe) if setting.type in (int, float)}
    assert numbers - {"train_set", "fold"} == set(RANGES)


def test_files_that_are_not_recipes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    for content, reason in (
        ("epochs = ", "recipe.toml is not a recipe"),
        ("lerning_rate = 1", r"recipe.toml: no such setting lerning_rate; did you mean learning_rate\?$"),
        ('epochs = "many"', "recipe.toml: epochs must be a whole number, not 'many'"),
        ("[options]\nwidth = [8]", "recipe.toml: the option width of unet-se must be a whole number, .*, not a list"),
        ("learning_rate = 0x" + "f" * 5000, "recipe.toml: learning_rate must be a finite number, not a number of more"),
        ("learning_rate = " + "9" * 5000, "recipe.toml is not a recipe"),
        ("epochs = " + "[" * 5000, "recipe.toml is not a recipe"),
        ("epochs = 1979-05-27", "recipe.toml: epochs must be a whole number, not a date"),
        ('"a\\u0000b" = 1', "recipe.toml: no such setting"),
        ("fold = 9", "recipe.toml: there is no fold 9; fold takes 1 to 5"),
        ("crop_px = 600", "recipe.toml: crop_px=600 does not fit into patch_px=512"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=reason):
            Recipe.load(path)
    with pytest.raises(MissingError, match="no recipe"):
        Recipe.load(tmp_path / "gone.toml")


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    recipe = Recipe(learning_rate=1.0)
    rates = [learning_rate(recipe, step, 100, []) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 6)
    assert max(rates) == rates[5] == 1
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] < 0.001
    assert learning_rate(Recipe(schedule="constant", learning_rate=0.3), 99, 100, []) == 0.3


def test_one_cycle_is_that_of_torch() -> None:
    recipe = Recipe(learning_rate=1.0, schedule="one-cycle")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=1001, final_div_factor=1e9)
    for step in range(1000):
        ours = learning_rate(recipe, step, 1000, [])
        assert ours == pytest.approx(theirs.get_last_lr()[0], abs=0.01)
        optimizer.step()
        theirs.step()


def test_a_plateau_divides_the_rate_by_ten_and_restarts_the_count() -> None:
    recipe = Recipe(schedule="plateau", learning_rate=1e-3, plateau_patience=2)

    def rate(*losses: float) -> float:
        return learning_rate(recipe, 0, 1, losses)

    assert rate() == rate(1.0) == rate(1.0, 0.9, 0.95) == rate(1.0, 0.9, 0.95, 0.8) == 1e-3
    assert rate(1.0, 1.1, 0.99995) == pytest.approx(1e-4)  # a gain below 1e-4 is none
    assert rate(1.0, 1.1, 1.1, 1.1) == pytest.approx(1e-4)
    assert rate(1.0, 1.1, 1.1, 1.1, 1.1) == pytest.approx(1e-5)
    assert rate(*[1.0] * 30) == 1e-6


def test_early_stopping_counts_from_the_best_epoch() -> None:
    recipe = Recipe(early_stopping=2)
    assert not is_over(recipe, [])
    assert not is_over(recipe, [1.0, 0.5, 0.6])
    assert is_over(recipe, [1.0, 0.5, 0.6, 0.7])
    assert not is_over(recipe, [1.0, 0.5, 0.6, 0.4])
    assert not is_over(Recipe(), [1.0] * 100)


def test_built_in_recipes_are_found_by_name_and_others_by_file(tmp_path: Path) -> None:
    assert find_recipe("default") == Recipe()
    baseline = find_recipe("baseline")
    assert (baseline.stride_px, baseline.edge, baseline.batch_size, baseline.loss) == (128, "drop", 16, "bce")
    baseline.save(tmp_path / "mine.toml")
    assert find_recipe(str(tmp_path / "mine.toml")) == baseline == BUILT_IN["baseline"]
    with pytest.raises(MissingError, match="one of: default, robust, wide, fine-tune, baseline"):
        find_recipe("best")


def test_a_recipe_is_described_by_what_it_differs_in() -> None:
    assert describe(Recipe(arch="segnet", fold=3, epochs=7)) == "default"
    assert describe(Recipe(aux_target="hv", stain=0.0)) == "default, aux_target hv, stain 0.0"
    baseline = BUILT_IN["baseline"]
    assert describe(dataclasses.replace(baseline, loss="focal")) == "baseline, loss focal"
    many = dataclasses.replace(baseline, loss="focal", stain=0.1, warp=0.5, flips=True)
    assert describe(many) == "baseline, loss focal, flips True, 2 more"
