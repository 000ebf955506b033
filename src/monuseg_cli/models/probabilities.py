"""A network with normalisation and sigmoid, as it is handed to other engines and programs."""

from typing import cast

import torch
from torch import Tensor, nn

from monuseg_cli.models.blocks import crop, pad_to_multiple
from monuseg_cli.models.card import Card
from monuseg_cli.models.normalise import normalise


class Probabilities(nn.Module):
    """Computes the maps of images, and can be traced.

    A trace records which layers ran, not which were skipped. So `pad_to_multiple`, which pads only where needed, would
    be right for the size of the example alone. Here, padding is part of every trace.

    Parameters
    ----------
    model : torch.nn.Module
        Network that returns logits; set to evaluation mode.
    card : Card
        Card of the network.
    size : (int, int), optional
        Height and width of the images. A trace is then valid for them only, and has no operation that depends on the
        size. By default, a trace is valid for images of any size.
    """

    def __init__(self, model: nn.Module, card: Card, size: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.model, self.card, self.size = model.eval(), card, size
        self.multiple = cast(int, getattr(model, "multiple", 1))

    def forward(self, images: Tensor) -> Tensor:
        """Compute maps (N, C, H, W) within 0..1 of images (N, 3, H, W) within 0..1, both float32."""
        height, width = self.size or images.shape[-2:]
        images = self._pad(images) if self.size else pad_to_multiple(images, self.multiple, always=True)
        logits = self.model(normalise(images, self.card))
        maps: Tensor = crop(logits, height, width, always=not self.size).sigmoid()
        return maps

    def _pad(self, images: Tensor) -> Tensor:
        """Pad as `pad_to_multiple` does, but by indices: OpenCV cannot pad by more than the size."""
        for axis, length in zip((2, 3), self.size or (), strict=True):
            if length % self.multiple:
                images = images.index_select(axis, torch.arange(length + -length % self.multiple).clamp(max=length - 1))
        return images
