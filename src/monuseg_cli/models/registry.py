"""Registry of architectures; torch is imported only when one is built."""

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
    """Description of an architecture, available without building it.

    Parameters
    ----------
    name : str
        Name in commands and cards.
    target : str
        ``"module:Class"``; the class takes ``in_channels``, ``out_channels`` and the options as keywords.
    summary : str
        One line for listings.
    weights : int
        Number of values in its weights file, with one output channel and the default options: parameters and running
        statistics of batch norm.
    gflop : float
        1e9 floating-point operations of a forward pass on 256 x 256 pixels, as `torch.utils.flop_counter` counts:
        multiplications and additions, in convolutions and matrix products only.
    options : mapping of str to bool, int or float
        All options with their defaults; the class itself defines no defaults.
    min_train_batch : int
        The smallest batch size for training.
    half_precision : bool
        Whether engines may compute in 16 bits. They may not if rounding would decide where a value goes.
    imagenet : tuple of (float, float, float), two of them, optional
        Mean and standard deviation of the normalisation that its ImageNet weights expect, for pixels within 0..1. With
        them, the class has a method ``load_imagenet_backbone``; None without ImageNet weights.
    """

    name: str
    target: str
    summary: str
    weights: int
    gflop: float
    options: Mapping[str, bool | int | float] = field(default_factory=lambda: MappingProxyType({}))
    min_train_batch: int = 1
    half_precision: bool = True
    imagenet: Normalisation | None = None


class Registry:
    """Architectures by name, in order of registration."""

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
        """Return the architecture of that name.

        Raises
        ------
        InputError
            If the name is unknown; the message lists the names.
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
        """Build a model with newly initialised weights.

        Parameters
        ----------
        name : str
            One of `names`.
        in_channels, out_channels : int
            Channels of the image and of the logits.
        pretrained : bool
            Initialise the backbone with ImageNet weights.
        **options
            Options of the architecture that differ from its defaults.

        Returns
        -------
        torch.nn.Module
            Maps images (N, in_channels, H, W), float32, for any H, W >= 1, to logits (N, out_channels, H, W).

        Raises
        ------
        InputError
            If the name or an option is unknown (the message lists the choices), an option is absurdly large, or the
            architecture has no ImageNet weights.
        DownloadError
            If the ImageNet weights cannot be downloaded.
        MissingError
            If the package with the ImageNet weights is not installed.
        """
        architecture = self.get(name)
        if unknown := sorted(options.keys() - architecture.options.keys()):
            choices = ", ".join(architecture.options) or "none"
            meant = did_you_mean(unknown[0], architecture.options)
            message = f"{name} has no option {unknown[0]!r}; its options: {choices}{meant}"
            raise InputError(message)
        if pretrained and architecture.imagenet is None:
            message = f"there are no ImageNet weights for {name}; use `pretrained=False`"
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
        summary="U-Net: two convolutions per level, no squeeze-and-excitation",
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
        summary="SE-U-Net: one convolution per level, then squeeze-and-excitation",
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
        half_precision=False,  # of values that became equal, the first is taken for the maximum of its window
    )
)
REGISTRY.register(
    Architecture(
        name="deeplabv3",
        target="monuseg_cli.models.deeplabv3:DeepLabV3ResNet50",
        summary="DeepLabV3 with a ResNet-50 (torchvision)",
        weights=39_690_433,
        gflop=81.78,
        min_train_batch=2,  # its image-level pooling feeds batch norm one value per channel and image
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
