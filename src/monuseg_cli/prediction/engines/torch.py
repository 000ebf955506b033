"""Inference with PyTorch."""

import threading
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from monuseg_cli.models.card import Card
from monuseg_cli.models.devices import to_device
from monuseg_cli.models.normalise import normalise
from monuseg_cli.prediction.engines.encoder import Encoder


class TorchEngine:
    """Runs a network with PyTorch, on any of its devices.

    Parameters
    ----------
    model : torch.nn.Module
        Set to evaluation mode and moved to `device`.
    card : Card
        Card of the model.
    device : torch.device
        Device that runs the network.
    """

    name = "torch"

    def __init__(self, model: nn.Module, card: Card, device: torch.device) -> None:
        self.card = card
        self._batch = 1 if device.type == "cpu" else 8
        self._model, self._device = model.eval(), device
        self._running = threading.Lock()  # a batch uses all threads, or the whole GPU
        to_device(model, device)

    def prepare(self, height: int, width: int) -> None:
        """Do nothing: the network is the same for tiles of all sizes."""

    def run(self, tiles: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Yield the maps of tiles; see `Engine`."""
        waiting = iter(tiles)
        while batch := list(islice(waiting, self._batch)):
            with self._running:
                maps = self._run_batch(np.stack(batch))
            yield from maps

    def open_encoder(self) -> Encoder:
        """Return the encoder of the network; see `Engine`."""
        return self._encoder

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder(self._model, self.card, self._device)

    @torch.inference_mode()
    def _run_batch(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        # (N, H, W, C) permuted to (N, C, H, W) is channels-last already
        pixels = torch.from_numpy(tiles).to(self._device).permute(0, 3, 1, 2).float() / 255
        logits = self._model(normalise(pixels, self.card))
        probabilities: NDArray[np.float32] = logits.sigmoid().float().cpu().numpy()
        return probabilities
