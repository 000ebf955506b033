"""Registry of architectures; torch is imported only when one is built."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from monuseg_cli.core.errors import InputError
from monuseg_cli.core.schema import FRACTION_BELOW_1, Range, SchemaError, read_as, show_value
from monuseg_cli.core.suggest import did_you_mean

if TYPE_CHECKING:
    from torch import nn


Normalisation = tuple[tuple[float, float, float], tuple[float, float, float]]

MAX_WEIGHTS = 300_000_000
"""Larger networks are not built: their options are each in range, but not together."""

_TORCHVISION: Normalisation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_EFFICIENTNET_LITE: Normalisation = ((127 / 255,) * 3, (128 / 255,) * 3)


@dataclass(frozen=True, slots=True)
class Option:
    """Description of an option of an architecture.

    Parameters
    ----------
    name : str
        Name in recipes and cards; also the keyword of the class.
    default : bool, int or float
        Default, whose type is that of all values.
    summary : str
        One line for listings.
    allowed : Range or tuple of int, optional
        The numbers that are accepted; None for true or false.
    """

    name: str
    default: bool | int | float
    summary: str
    allowed: Range | tuple[int, ...] | None = None

    def accepted(self) -> str:
        """Return what the option accepts, for listings and messages."""
        if self.allowed is None:
            return "true or false"
        if isinstance(self.allowed, tuple):
            return " or ".join(map(str, self.allowed))
        return f"{'a whole number, ' if isinstance(self.default, int) else ''}{self.allowed}"

    def accepts(self, value: Any) -> bool:
        """Return whether a value has the type of the option, and is in its range."""
        try:
            read_as(type(self.default), value)
        except SchemaError:
            return False
        return self.allowed is None or value in self.allowed


@dataclass(frozen=True, slots=True)
class Architecture:
    """Description of an architecture, available without building it.

    Parameters
    ----------
    name : str
        Name in commands and cards.
    target : str
        ``"module:Class"``; the class takes ``in_channels``, ``out_channels`` and the options as keywords. It has a
        method ``encode``, which takes images (N, in_channels, H, W) and returns the features of its encoder as a list
        of tensors (N, C, H / s, W / s), from fine to coarse; H and W are multiples of 32, and of its ``multiple`` if it
        has that attribute.
    summary : str
        One line for listings.
    weights : int
        Number of values in its weights file, with one output channel and the default options: parameters and running
        statistics of batch norm.
    gflop : float
        1e9 floating-point operations of a forward pass on 256 x 256 pixels, as `torch.utils.flop_counter` counts:
        multiplications and additions, in convolutions and matrix products only.
    options : tuple of Option
        All options; the class itself defines no defaults.
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
    options: tuple[Option, ...] = ()
    min_train_batch: int = 1
    half_precision: bool = True
    imagenet: Normalisation | None = None

    @property
    def defaults(self) -> dict[str, bool | int | float]:
        """All options with their defaults."""
        return {option.name: option.default for option in self.options}

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Check options from a recipe or a card.

        Raises
        ------
        InputError
            If an option is unknown, has another type, or is out of range; the message says what is accepted.
        """
        by_name = {option.name: option for option in self.options}
        for name, value in options.items():
            if name not in by_name:
                choices = f"its options: {', '.join(by_name) or 'none'}{did_you_mean(str(name), by_name)}"
                message = f"{self.name} has no option {show_value(name)}; {choices}"
                raise InputError(message)
            if not by_name[name].accepts(value):
                accepted = by_name[name].accepted()
                message = f"the option {name} of {self.name} must be {accepted}, not {show_value(value)}"
                raise InputError(message)

    def build(self, in_channels: int, out_channels: int, options: Mapping[str, Any]) -> nn.Module:
        """Build a model, with defaults for the options that are not given; `check_options` has checked these."""
        module, _, attribute = self.target.partition(":")
        build = getattr(importlib.import_module(module), attribute)
        chosen = {**self.defaults, **options}
        return cast("nn.Module", build(in_channels=in_channels, out_channels=out_channels, **chosen))


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

    def check(self, name: str, options: Mapping[str, Any]) -> None:
        """Check an architecture's name and options, before anything is built.

        Raises
        ------
        InputError
            If the name or an option is unknown, an option has another type or is out of range, or the network would
            have more than `MAX_WEIGHTS` weights.
        """
        architecture = self.get(name)
        architecture.check_options(options)
        changed = {option: value for option, value in options.items() if value != architecture.defaults[option]}
        if changed and (count := self.count_weights(name, options)) > MAX_WEIGHTS:
            settings = ", ".join(f"{option} {value}" for option, value in changed.items())
            message = f"a {name} with {settings} has {count:.3g} weights, more than {MAX_WEIGHTS:.3g}; lower an option"
            raise InputError(message)

    def count_weights(self, name: str, options: Mapping[str, Any]) -> int:
        """Count the trained values of an architecture with these options, without memory for them."""
        import torch

        with torch.device("meta"):  # draws no random numbers either
            model = self.get(name).build(3, 1, options)
        return sum(weight.numel() for weight in model.parameters())

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
            If the name or an option is unknown, an option is out of range, the network would have more than
            `MAX_WEIGHTS` weights, or the architecture has no ImageNet weights.
        DownloadError
            If the ImageNet weights cannot be downloaded.
        MissingError
            If the package with the ImageNet weights is not installed.
        """
        architecture = self.get(name)
        self.check(name, options)
        if pretrained and architecture.imagenet is None:
            message = f"there are no ImageNet weights for {name}; use `pretrained=False`"
            raise InputError(message)
        model: Any = architecture.build(in_channels, out_channels, options)
        if pretrained:
            model.load_imagenet_backbone()
        return cast("nn.Module", model)


REGISTRY = Registry()
names = REGISTRY.names
get = REGISTRY.get
check = REGISTRY.check
count_weights = REGISTRY.count_weights
create = REGISTRY.create

_WIDTH = Range(1, 1024)


def _unet_options(convolutions: int, squeeze_excitation: bool) -> tuple[Option, ...]:
    return (
        Option("width", 16, "channels at full resolution; they double with every level", _WIDTH),
        Option("depth", 4, "how often the resolution is halved", Range(1, 8)),
        Option("convolutions", convolutions, "3x3 convolutions per level", Range(1, 8)),
        Option("squeeze_excitation", squeeze_excitation, "end every level with squeeze-and-excitation"),
        Option("dropout", 0.05, "share of values dropped in training", FRACTION_BELOW_1),
    )


REGISTRY.register(
    Architecture(
        name="unet",
        target="monuseg_cli.models.unet:UNet",
        summary="U-Net: two convolutions per level, no squeeze-and-excitation",
        weights=2_164_593,
        gflop=6.40,
        options=_unet_options(convolutions=2, squeeze_excitation=False),
    )
)
REGISTRY.register(
    Architecture(
        name="unet-se",
        target="monuseg_cli.models.unet:UNet",
        summary="SE-U-Net: one convolution per level, then squeeze-and-excitation",
        weights=1_288_465,
        gflop=3.68,
        options=_unet_options(convolutions=1, squeeze_excitation=True),
    )
)
REGISTRY.register(
    Architecture(
        name="unet-efficientnet",
        target="monuseg_cli.models.efficientnet:EfficientNetUNet",
        summary="U-Net with the first stages of EfficientNet-Lite0 as its encoder",
        weights=918_865,
        gflop=3.49,
        options=(
            Option("width", 16, "channels of the decoder at full resolution", _WIDTH),
            Option("stages", 5, "stages of the encoder; five end at 1/16 of the resolution", Range(2, 7)),
            Option("output_stride", 1, "2 for a decoder that ends at half of the resolution", (1, 2)),
        ),
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
        options=(Option("width", 24, "channels of the first level; up to 8 times as many below", _WIDTH),),
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
        options=(Option("output_stride", 8, "image pixels per logit before upsampling", (8, 16)),),
        imagenet=_TORCHVISION,
    )
)
