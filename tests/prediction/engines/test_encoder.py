"""The encoder of every architecture: the coarsest features of at most 16 pixels, with every engine the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from monuseg_cli.models import registry
from monuseg_cli.models.normalise import normalise
from monuseg_cli.models.weights import load_model, read_card
from monuseg_cli.prediction.engines.encoder import COARSEST, Encoder
from monuseg_cli.prediction.engines.oriented import with_tta
from monuseg_cli.prediction.engines.select import open_engine
from support.networks import write_random_weights
from support.tissue import draw_tissue

TILE = draw_tissue(128, seed=2)[0][:96]

EXPECTED = {
    "unet": (64, 16),
    "unet-se": (16, 4),
    "unet-efficientnet": (40, 8),
    "segnet": (32, 16),
    "deeplabv3": (64, 8),  # the first of 2048
    "deeplabv3-mobilenet": (64, 8),
}
"""Channels and step of the small networks of the tests."""


@pytest.mark.parametrize("name", registry.names())
def test_features_are_those_of_the_network_without_what_makes_them_fast(name: str, tmp_path: Path) -> None:
    model, card = load_model(write_random_weights(tmp_path, name))
    state = {key: value.clone() for key, value in model.state_dict().items()}
    features, step = Encoder(model, card, torch.device("cpu"))(TILE, channels=64)
    assert (len(features), step) == EXPECTED[name]
    assert step <= COARSEST
    pixels = torch.from_numpy(TILE).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        pixels = torch.nn.functional.pad(normalise(pixels, card), (0, 0, 0, 32 if name == "unet" else 0), "replicate")
        encode: Any = model.encode
        levels = encode(pixels)
        (level,) = [level for level in levels if level.shape[-1] == 128 // step]
    assert features.std() > 0
    np.testing.assert_allclose(features, level[0, : len(features)].numpy(), rtol=1e-3, atol=1e-3 * features.std())
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


def test_every_engine_has_the_same_encoder(tmp_path: Path) -> None:
    weights = write_random_weights(tmp_path, "unet-se")
    card = read_card(weights)
    engines = [open_engine(weights, card, name, "cpu", tmp_path / "cache", "hash") for name in ("torch", "openvino")]
    first, *others = (engine.open_encoder()(TILE, 64) for engine in (*engines, with_tta(engines[0], tta=True)))
    for other in others:
        assert other[1] == first[1]
        np.testing.assert_allclose(other[0], first[0], atol=1e-4)
