"""The encoder of a network: its own features of pixels, by PyTorch in float32, whatever engine finds the nuclei."""

import copy
import threading
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from monuseg_cli.models.blocks import pad_to_multiple
from monuseg_cli.models.card import Card
from monuseg_cli.models.devices import to_device
from monuseg_cli.models.normalise import normalise

COARSEST = 16
"""Largest side of a pixel of the features, in pixels of the image."""


class Encoder:
    """Computes the coarsest features of a network's encoder, of at most `COARSEST` pixels.

    Parameters
    ----------
    model : torch.nn.Module
        Network of the registry, of which a copy is made.
    card : Card
        Card of the network.
    device : torch.device
        Device that runs the encoder.
    """

    def __init__(self, model: nn.Module, card: Card, device: torch.device) -> None:
        self._model, self._card, self._device = _fused(model), card, device
        self._multiple = cast(int, getattr(model, "multiple", 1))
        self._running = threading.Lock()  # an image uses all threads, or the whole GPU
        to_device(self._model, device)

    @torch.inference_mode()
    def __call__(self, pixels: NDArray[np.uint8], channels: int) -> tuple[NDArray[np.float32], int]:
        """Compute the features of an image.

        Parameters
        ----------
        pixels : ndarray of shape (H, W, 3), uint8
            H and W are multiples of 32.
        channels : int
            Only so many channels, the first ones, are returned.

        Returns
        -------
        features : ndarray of shape (C, H', W'), float32
            C is at most `channels`.
        step : int
            Pixels of the image, along a side, of a pixel of the features.
        """
        model: Any = self._model
        with self._running:
            images = torch.tensor(pixels, device=self._device).permute(2, 0, 1)[None].float() / 255
            images = pad_to_multiple(normalise(images, self._card), self._multiple)
            levels: list[Tensor] = model.encode(images)
            steps = [images.shape[-1] // level.shape[-1] for level in levels]
            step = max(step for step in steps if step <= COARSEST)
            features: NDArray[np.float32] = levels[steps.index(step)][0, :channels].float().cpu().numpy()
        return features, step


def _fused(model: nn.Module) -> nn.Module:
    """Copy a model, with the batch norms that follow a convolution in a sequence made part of it: a third faster."""
    fused = copy.deepcopy(model).eval()
    for sequence in [layer for layer in fused.modules() if isinstance(layer, nn.Sequential)]:
        for place, (layer, norm) in enumerate(pairwise(list(sequence))):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                sequence[place], sequence[place + 1] = fuse_conv_bn_eval(layer, norm), nn.Identity()
    return fused
