"""Weights of every architecture, random, but with maps that vary; and a network that OpenVINO does not support."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from monuseg_cli.models import registry
from monuseg_cli.models.normalise import normalise
from monuseg_cli.models.registry import Architecture
from monuseg_cli.models.weights import save_weights
from support.made import CARD
from support.tissue import draw_tissue

SMALL: Mapping[str, Mapping[str, Any]] = {
    "unet": {"width": 4, "depth": 6},  # whose sizes are multiples of 64, as tiles need not be
    "unet-se": {"width": 4, "depth": 2},
    "unet-efficientnet": {"width": 4, "stages": 3},
    "segnet": {"width": 4},
}
"""Options by which a network becomes small, where there are such."""


def write_random_weights(folder: Path, name: str, licence: str = CARD.licence) -> Path:
    """Write weights of an architecture of the registry; its batch norms have the statistics of noise and tissue."""
    torch.manual_seed(1)
    options = SMALL.get(name, {})
    model = registry.create(name, out_channels=2, **options)
    card = dataclasses.replace(
        CARD,
        architecture=name,
        options=options,
        out_channels=2,
        classes=("nucleus", "boundary"),
        mean=(0.7, 0.5, 0.6),
        std=(0.2, 0.25, 0.3),
        licence=licence,
    )
    for name_of_layer, layer in model.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
            if name_of_layer.endswith("bn3"):  # the last of a residual block, which are many: rounding would add up
                nn.init.constant_(layer.weight, 0.1)
    tissue = torch.from_numpy(np.stack([draw_tissue(64, seed)[0] for seed in range(3)])).permute(0, 3, 1, 2)
    with torch.no_grad():
        model.train()(normalise(torch.cat([torch.rand(3, 3, 64, 64), tissue / 255]), card))
    save_weights(folder / f"{name}.safetensors", model.state_dict(), card)
    return folder / f"{name}.safetensors"


class Unpooling(nn.Module):
    """Unpools by indices, for which OpenVINO has no operation."""

    def __init__(self, *, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(in_channels, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        pooled, indices = functional.max_pool2d(x, 2, return_indices=True)
        logits: Tensor = self.head(functional.max_unpool2d(pooled, indices, (2, 2)))
        return logits


UNPOOLING = Architecture(
    name="unpooling",
    target=f"{__name__}:Unpooling",
    summary="for tests",
    weights=0,
    gflop=0.0,
)
