import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import Told
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import Home
from monuseg_cli.models import registry
from monuseg_cli.models.card import Card, describe
from monuseg_cli.models.devices import pick_device
from monuseg_cli.models.normalise import normalise
from monuseg_cli.models.weights import list_weights, load_model, read_card, save_weights
from support.made import CARD


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    save_weights(path, registry.create("unet-se", **CARD.options).state_dict(), CARD)
    return path


def test_weights_and_card_come_back(weights: Path) -> None:
    torch.manual_seed(5)
    model = registry.create("unet-se", **CARD.options).eval()
    save_weights(weights, model.state_dict(), CARD)
    loaded, card = load_model(weights)
    assert card == CARD
    assert not loaded.training
    picture = torch.rand(1, 3, 40, 40)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(picture), model(picture), rtol=1e-5, atol=1e-6)


def test_the_card_is_read_without_torch(weights: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from monuseg_cli.models.weights import read_card;"
        f"print(read_card(Path({str(weights)!r})).architecture, 'torch' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["unet-se", "False"]


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("(_ for _ in ()).throw(SystemExit('executed'))",)


def rewrite(path: Path, **changes: object) -> None:
    content = {**dataclasses.asdict(CARD), **changes}
    save_file(load_file(path), path, metadata={"monuseg_card": json.dumps(content)})


def test_data_sets_and_stain_come_back_with_the_weights(weights: Path) -> None:
    source = {"sha256": "00", "verified": False, "licence": "CC BY 4.0", "attribution": "generated"}
    data_sets = {
        "monuseg": {"cases": 31, "weight": 1.0, **source},
        "nuinsseg": {"cases": 269, "weight": 0.125, **source},
    }
    rewrite(
        weights,
        averaged={"tuned": 0.75, "first": 0.25},
        data_sets=data_sets,
        stain={"haematoxylin": [0.4, 1.2], "eosin": [0.3, 0.7]},
    )
    card = read_card(weights)
    assert card.stain == {"haematoxylin": (0.4, 1.2), "eosin": (0.3, 0.7)}
    page = describe(card, "w")
    assert "a mean: 75% of tuned, 25% of first" in page
    assert "(31 of monuseg, 269 of nuinsseg)" in page
    assert "haematoxylin 0.40 and 1.20, eosin 0.30 and 0.70" in page


def test_what_is_no_weights_file_is_one_error_and_runs_nothing(weights: Path) -> None:
    whole = weights.read_bytes()
    for content in (b"", b"text", pickle.dumps(_Bomb()), whole[:-50], whole[:20]):
        weights.write_bytes(content)
        with pytest.raises(InputError, match="not a complete safetensors file") as caught:
            load_model(weights)
        assert "\n" not in str(caught.value)
    with pytest.raises(MissingError, match="no weights file"):
        read_card(weights.with_name("gone.safetensors"))
    with pytest.raises(InputError):
        read_card(weights.parent)


def test_weights_without_a_card_are_refused(weights: Path) -> None:
    save_file(load_file(weights), weights)
    with pytest.raises(InputError, match="has no model card"):
        load_model(weights)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"architecture": "segnet", "options": {}}, "the weights are not those of segnet, which its card names"),
        ({"options": {"width": 16, "depth": 2}}, "the weights are not those of unet-se"),
        ({"architecture": "resnet"}, "unknown architecture 'resnet'; choose from"),
        ({"options": {"height": 2}}, "has no option 'height'"),
        ({"schema": 2}, "has schema 2, this version reads 1"),
        (
            {"options": {"width": "wide", "depth": 2}},
            "the option width of unet-se must be a whole number, .*not 'wide'",
        ),
        ({"options": {"width": -1, "depth": 2}}, "width of unet-se must be .*at least 1 and at most 1024, not -1"),
        ({"options": {"width": [8], "depth": 2}}, "width of unet-se must be .*, not a list"),
        (
            {"options": {"width": 1024, "depth": 8}},
            r"unet-se with width 1024, depth 8 has .* weights, more than 3e\+08",
        ),
        ({"in_channels": "3"}, "the card's in_channels takes 3, not '3'"),
        ({"architecture": ["unet"]}, "the card's architecture must be text, not a list"),
        ({"mean": [0.5]}, "the card's mean must be a list of 3, not of 1"),
        ({"mean": [0.5, 0.5, 7]}, r"the card's mean\[2\] must be at least 0 and at most 1, not 7.0"),
        ({"postprocess": {"smoothing_um": 1e9}}, "postprocess cannot be used: smoothing_um must be"),
        ({"colour": "red"}, "the card has no field 'colour'"),
        ({"license": "MIT"}, r"the card has no field 'license'; did you mean licence\?"),
        ({"mpp": 0}, "the card's mpp must be at least 0.05 and at most 5.0, not 0.0"),
        ({"mpp": float("nan")}, "the card has NaN, which is not a number in JSON"),
        ({"mpp": 10**400}, "the card's mpp must be a finite number, not a number of more than 64 bits"),
        ({"train_cases": ["a", None]}, r"the card's train_cases\[1\] must be text, not None"),
        ({"postprocess": {"threshold": 1.0}}, "postprocess cannot be used: threshold must be"),
        ({"postprocess": {"threshold": "half"}}, "postprocess.threshold must be a finite number, not 'half'"),
        ({"postprocess": {"colour": "red"}}, "the card's postprocess has no field 'colour'"),
        ({"classes": ["nucleus", "nucleus"], "out_channels": 2}, "the card's classes has a name twice"),
        ({"ranges": {"head": [1.0, 2.0]}}, "ranges.head must contain 0 to 0.0001, not 1.0 to 2.0"),
        ({"ranges": {"head": [0, 10**400]}}, r"ranges.head\[1\] must be a finite number"),
        ({"ranges": {"head": "wide"}}, "ranges.head must be a list, not 'wide'"),
        ({"stain": {"eosin": [0.1, 0.2]}}, "the card's stain must have haematoxylin and eosin, not eosin"),
        ({"stain": {"haematoxylin": [0, 1], "eosin": [0.5, 0.2]}}, "stain.eosin must be two ascending numbers, .* 0.2"),
        (
            {"stain": {"haematoxylin": [0, 0], "eosin": [0.5, 0.6]}},
            "stain.haematoxylin must be .* above 0, not 0.0",
        ),
        ({"averaged": {"a": 1.5}}, "averaged.a must be above 0 and below 1, not 1.5"),
        ({"averaged": {"a": "half"}}, "averaged.a must be a finite number, not 'half'"),
        ({"stain": {"eosin": 0.5}}, "stain.eosin must be a list, not 0.5"),
        ({"data_sets": {"monuseg": {"cases": 3}}}, "data_sets.monuseg lacks the field 'weight'"),
    ],
)
def test_a_card_with_invalid_values_is_refused(weights: Path, changes: dict[str, object], reason: str) -> None:
    rewrite(weights, **changes)
    with pytest.raises(InputError, match=reason):
        load_model(weights)


def test_weights_that_are_not_finite(weights: Path) -> None:
    state = load_file(weights)
    state["head.bias"][0] = torch.nan
    save_weights(weights, state, CARD)
    with pytest.raises(InputError, match="not finite"):
        load_model(weights)


def test_all_weights_of_a_home_are_listed(weights: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    for path in (home.runs / "unet-se" / "best.safetensors", home.models / "theirs.safetensors"):
        path.parent.mkdir(parents=True)
        path.write_bytes(weights.read_bytes())
    (home.models / "junk.safetensors").write_bytes(b"junk")
    told = Told()
    assert list(list_weights(home, told)) == ["default", "theirs", "unet-se"]
    assert [line.split(":")[0] for line in told.lines] == ["junk is left out"]


def test_normalisation_is_the_cards() -> None:
    images = torch.tensor([0.5, 0.25, 1.0])[None, :, None, None]
    assert normalise(images, CARD) is images
    card = dataclasses.replace(CARD, mean=(0.5, 0.0, 0.5), std=(1.0, 0.5, 0.25))
    np.testing.assert_allclose(normalise(images, card).ravel(), [0, 0.5, 2])


def test_unknown_and_missing_devices_are_refused() -> None:
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="choose from: auto, cpu, cuda, mps"):
        pick_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="torch finds no cuda device here"):
            pick_device("cuda")


@pytest.mark.parametrize("scores", [None, {"aji": None}, {"aji": "high"}])
def test_a_card_whose_scores_are_no_numbers_is_refused(scores: object) -> None:
    content = json.loads(CARD.to_json())
    for changed in ({"results": {"test": scores}}, {"scores": scores}):
        with pytest.raises(ValueError, match=r"the card's (scores|results.test)(.aji)? must be a"):
            Card.from_json(json.dumps({**content, **changed}))
