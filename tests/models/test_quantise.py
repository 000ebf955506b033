import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import Home
from monuseg_cli.models.normalise import normalise
from monuseg_cli.models.quantise import observe, quantise
from monuseg_cli.models.weights import load_model, read_card, save_weights
from monuseg_cli.prediction.engines.select import open_engine
from support.tissue import draw_tissue


@pytest.fixture
def weights(trained_home: Home) -> Path:
    return trained_home.find_weights("unet-se")


def images(number: int) -> list[Tensor]:
    return [torch.from_numpy(draw_tissue(96, seed)[0]).permute(2, 0, 1)[None].float() / 255 for seed in range(number)]


@torch.inference_mode()
def test_rounding_to_8_bits_hardly_changes_what_is_found(weights: Path) -> None:
    model, card = load_model(weights)
    seen = [normalise(image, card) for image in images(4)]
    before = torch.cat([model(image) for image in seen]).sigmoid()
    quantise(model, observe(model, seen))
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())
    after = torch.cat([model(image) for image in seen]).sigmoid()
    assert 0 < (after - before).abs().mean() < 0.01
    assert ((after[:, 0] >= 0.5) != (before[:, 0] >= 0.5)).float().mean() < 0.01


def test_ranges_hold_what_convolutions_are_given_but_its_tails() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 1, 1)).eval()
    picture = torch.linspace(-1, 2, 3 * 100 * 100).reshape(1, 3, 100, 100)
    picture[0, 0, 0, 0] = 1e6
    ranges = observe(model, [picture])
    assert list(ranges) == ["0", "3"]
    assert ranges["0"] == pytest.approx((-1, 2), abs=0.01)
    assert ranges["3"][0] == 0


def test_a_channel_of_zeros_stays_zero() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 1)).eval()
    with torch.no_grad():
        model[0].weight[0], model[0].bias[0] = 0, 0  # type: ignore[operator] # a Sequential's layers are untyped
    quantise(model, {"0": (0.0, 1.0)})
    assert not model(torch.rand(1, 3, 4, 4))[:, 0].any()


def test_ranges_of_another_model_are_refused(weights: Path) -> None:
    model, _ = load_model(weights)
    with pytest.raises(InputError, match="the ranges in the card are not those of its architecture's convolutions"):
        quantise(model, {"encoder.0": (0.0, 1.0)})


def test_openvino_computes_in_8_bits_where_the_card_has_ranges(weights: Path, tmp_path: Path) -> None:
    model, card = load_model(weights)
    tiles = [draw_tissue(96, seed)[0] for seed in range(4)]
    ranges = observe(model, [normalise(image, card) for image in images(4)])
    path = tmp_path / "quantised.safetensors"
    save_weights(path, model.state_dict(), dataclasses.replace(card, ranges=ranges))
    assert read_card(path).ranges == ranges
    exact = list(open_engine(path, card, "torch", "cpu", tmp_path, "hash").run(tiles))
    engine = open_engine(path, read_card(path), "openvino", "cpu", tmp_path, "hash")
    found = list(engine.run(tiles))
    kinds = {operation.get_type_name() for operation in engine._graph.get_ops()}  # type: ignore[attr-defined]
    assert "FakeQuantize" in kinds
    assert np.abs(np.stack(found) - np.stack(exact)).mean() < 0.01
