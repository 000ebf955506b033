"""Every architecture by name; torch is imported only when one is built."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from monuseg_cli.core.errors import InputError
from monuseg_cli.core.suggest import did_you_mean

if TYPE_CHECKING:
    from torch import nn


Normalisation = tuple[tuple[float, float, float], tuple[float, float, float]]

_LARGEST_OPTION = 1024
_TORCHVISION: Normalisation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_EFFICIENTNET_LITE: Normalisation = ((127 / 255,) * 3, (128 / 255,) * 3)


@dataclass(frozen=True, slots=True)
class Architecture:
    """What is known of an architecture without building it.

    Parameters
    ----------
    name : str
        As the user types it.
    target : str
        ``"module:Class"``; the class takes ``in_channels``, ``out_channels`` and the options as keywords.
    summary : str
        One line for lists.
    weights : int
        How many numbers its weights file holds, with one channel out and the default options: parameters, and running
        statistics of batch norms.
    gflop : float
        1e9 floating-point operations to predict on 256 x 256 pixels, a multiplication and an addition each counted, as
        `torch.utils.flop_counter` does: convolutions and matrix products alone.
    options : mapping of str to bool, int or float
        Every option with its default; the class has none of its own.
    min_train_batch : int
        The smallest batch it can be trained on.
    imagenet : tuple of (float, float, float), two of them, optional
        Mean and standard deviation that its ImageNet weights were trained with, of pixels within 0..1; None where there
        are no such weights. Where there are, the class has a method ``load_imagenet_backbone``.
    """

    name: str
    target: str
    summary: str
    weights: int
    gflop: float
    options: Mapping[str, bool | int | float] = field(default_factory=lambda: MappingProxyType({}))
    min_train_batch: int = 1
    imagenet: Normalisation | None = None


class Registry:
    """Architectures by name, in the order in which they were registered."""

    def __init__(self) -> None:
        self._architectures: dict[str, Architecture] = {}

    def register(self, architecture: Architecture) -> None:
        """Add an architecture.

        Raises
        ------
        ValueError
            If the name is taken.
        """
        if architecture.name in self._architectures:
            message = f"an architecture named {architecture.name!r} is registered already"
            raise ValueError(message)
        self._architectures[architecture.name] = architecture

    def names(self) -> tuple[str, ...]:
        """List the names of all architectures."""
        return tuple(self._architectures)

    def get(self, name: str) -> Architecture:
        """Give the architecture of that name.

        Raises
        ------
        InputError
            If there is none; the message lists the names.
        """
        try:
            return self._architectures[name]
        except KeyError:
            choices = f"choose from: {', '.join(self.names())}"
            message = f"unknown architecture {name!r}; {choices}{did_you_mean(name, self.names())}"
            raise InputError(message) from None

    def create(
        self, name: str, *, in_channels: int = 3, out_channels: int = 1, pretrained: bool = False, **options: Any
    ) -> nn.Module:
        """Build a model with fresh weights.

        Parameters
        ----------
        name : str
            One of `names`.
        in_channels, out_channels : int
            Channels of the image and of the logits.
        pretrained : bool
            Fetch ImageNet weights for the backbone, and start from them.
        **options
            Those of the architecture that differ from its defaults.

        Returns
        -------
        torch.nn.Module
            Takes (N, in_channels, H, W) float32 for any H, W >= 1 and gives raw logits (N, out_channels, H, W).

        Raises
        ------
        InputError
            If the name or an option is unknown, with the choices; if an option is absurdly large; or if there are no
            ImageNet weights to start from.
        DownloadError
            If the ImageNet weights cannot be fetched.
        MissingError
            If the package that holds them is not installed.
        """
        architecture = self.get(name)
        if unknown := sorted(options.keys() - architecture.options.keys()):
            choices = ", ".join(architecture.options) or "none"
            meant = did_you_mean(unknown[0], architecture.options)
            message = f"{name} has no option {unknown[0]!r}; its options: {choices}{meant}"
            raise InputError(message)
        if pretrained and architecture.imagenet is None:
            message = f"there are no ImageNet weights for {name}; take `pretrained=False`"
            raise InputError(message)
        if too_large := [name for name, value in options.items() if isinstance(value, int) and value > _LARGEST_OPTION]:
            message = f"{name} is built with a {too_large[0]} of {_LARGEST_OPTION} at most, not {options[too_large[0]]}"
            raise InputError(message)
        module, _, attribute = architecture.target.partition(":")
        build = getattr(importlib.import_module(module), attribute)
        chosen = {**architecture.options, **options}
        model: Any = build(in_channels=in_channels, out_channels=out_channels, **chosen)
        if pretrained:
            model.load_imagenet_backbone()
        return cast("nn.Module", model)


REGISTRY = Registry()
names = REGISTRY.names
get = REGISTRY.get
create = REGISTRY.create

REGISTRY.register(
    Architecture(
        name="unet",
        target="monuseg_cli.models.unet:UNet",
        summary="U-Net: two convolutions a level, no squeeze-and-excitation",
        weights=2_164_593,
        gflop=6.40,
        options=MappingProxyType(
            {"width": 16, "depth": 4, "convolutions": 2, "squeeze_excitation": False, "dropout": 0.05}
        ),
    )
)
REGISTRY.register(
    Architecture(
        name="unet-se",
        target="monuseg_cli.models.unet:UNet",
        summary="SE-U-Net: one convolution a level, then squeeze-and-excitation",
        weights=1_288_465,
        gflop=3.68,
        options=MappingProxyType(
            {"width": 16, "depth": 4, "convolutions": 1, "squeeze_excitation": True, "dropout": 0.05}
        ),
    )
)
REGISTRY.register(
    Architecture(
        name="unet-efficientnet",
        target="monuseg_cli.models.efficientnet:EfficientNetUNet",
        summary="U-Net with the first stages of EfficientNet-Lite0 as its encoder",
        weights=918_865,
        gflop=3.49,
        options=MappingProxyType({"width": 16, "stages": 5}),
        imagenet=_EFFICIENTNET_LITE,
    )
)
REGISTRY.register(
    Architecture(
        name="segnet",
        target="monuseg_cli.models.segnet:SegNet",
        summary="SegNet: max-unpooling with the encoder's indices",
        weights=4_152_577,
        gflop=11.32,
        options=MappingProxyType({"width": 24}),
    )
)
REGISTRY.register(
    Architecture(
        name="deeplabv3",
        target="monuseg_cli.models.deeplabv3:DeepLabV3ResNet50",
        summary="DeepLabV3 with a ResNet-50 (torchvision)",
        weights=39_690_433,
        gflop=81.78,
        min_train_batch=2,  # its image-level pooling feeds batch norm one value a channel and image
        imagenet=_TORCHVISION,
    )
)
REGISTRY.register(
    Architecture(
        name="deeplabv3-mobilenet",
        target="monuseg_cli.models.deeplabv3:DeepLabV3MobileNet",
        summary="DeepLabV3 with a MobileNetV3-Large (torchvision)",
        weights=11_048_321,
        gflop=19.02,
        min_train_batch=2,
        options=MappingProxyType({"output_stride": 8}),
        imagenet=_TORCHVISION,
    )
)
