"""Quantisation of a network to 8 bits, for engines that support it."""

from collections.abc import Iterable, Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from monuseg_cli.core.errors import InputError

_LEVELS = 255
_WEIGHT_STEPS = 63
"""Weights use 7 of the 8 bits: on CPUs without VNNI, the sum of two 8-bit products overflows 16 bits."""

_TAIL = 1e-4
"""Share of values that are clipped at either end of a range."""

_SMALLEST = 1e-12  # lower bound of a channel's largest weight, which may be 0
_SAMPLES = 20_000  # values per image from which a range is estimated

Ranges = Mapping[str, tuple[float, float]]
"""Lowest and highest input value of each convolution, by its name in the model."""


@torch.inference_mode()
def observe(model: nn.Module, images: Iterable[Tensor]) -> dict[str, tuple[float, float]]:
    """Measure the input range of every convolution; the ranges always include 0.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode.
    images : iterable of Tensor
        Normalised, (N, C, H, W); some tens of training images.
    """
    seen: dict[str, list[Tensor]] = {name: [] for name, _ in _convolutions(model)}

    def keep(name: str, given: Tensor) -> None:
        values = given.flatten()
        seen[name].append(values[:: max(len(values) // _SAMPLES, 1)])

    hooks = [
        layer.register_forward_pre_hook(lambda _, given, name=name: keep(name, given[0]))
        for name, layer in _convolutions(model)
    ]
    try:
        for image in images:
            model(image)
    finally:
        for hook in hooks:
            hook.remove()
    ranges = {}
    for name, parts in seen.items():
        values = torch.cat(parts).sort().values
        low, high = values[int(len(values) * _TAIL)].item(), values[-1 - int(len(values) * _TAIL)].item()
        ranges[name] = (round(min(low, 0.0), 5), round(max(high, 1e-3), 5))
    return ranges


def quantise(model: nn.Module, ranges: Ranges) -> None:
    """Insert fake quantisation to 8 bits of inputs and weights into every convolution, after Jacob et al. (2018).

    Batch norm is folded into the preceding convolution. The computation stays in floating point; engines recognise the
    rounding and compute in integers. Inputs are rounded to 256 levels over their range, and the weights of each output
    channel to 127 levels, symmetric around 0.

    Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR
    2018.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode; modified in place.
    ranges : mapping
        See `observe`.

    Raises
    ------
    InputError
        If the ranges belong to another model.
    """
    names = [name for name, _ in _convolutions(model)]
    if set(names) != ranges.keys():
        message = (
            "the ranges in the card are not those of its architecture's convolutions; predict with `engine=torch`, or "
            "take another file"
        )
        raise InputError(message)
    for layer in list(model.modules()):
        if isinstance(layer, nn.Sequential):
            _fold_norms(layer)
    for name in names:
        parent, _, last = name.rpartition(".")
        convolution = model.get_submodule(name)
        assert isinstance(convolution, nn.Conv2d)
        setattr(model.get_submodule(parent), last, _Quantised(convolution, *ranges[name]))


def _convolutions(model: nn.Module) -> list[tuple[str, nn.Conv2d]]:
    return [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)]


def _fold_norms(layers: nn.Sequential) -> None:
    for number, (layer, following) in enumerate(pairwise(layers)):
        if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
            layers[number] = nn.utils.fuse_conv_bn_eval(layer, following)
            layers[number + 1] = nn.Identity()


class _Quantised(nn.Module):
    """A convolution with fake-quantised input and weights."""

    def __init__(self, convolution: nn.Conv2d, low: float, high: float) -> None:
        super().__init__()
        self.convolution = convolution
        self._step = (high - low) / _LEVELS
        self._zero = round(-low / self._step)
        largest = convolution.weight.detach().abs().amax(dim=(1, 2, 3))
        self._steps = largest.clamp(min=_SMALLEST) / _WEIGHT_STEPS
        self._zeros = torch.zeros(len(largest), dtype=torch.int32)

    def forward(self, x: Tensor) -> Tensor:
        layer = self.convolution
        x = torch.fake_quantize_per_tensor_affine(x, self._step, self._zero, 0, _LEVELS)
        weight = torch.fake_quantize_per_channel_affine(
            layer.weight, self._steps, self._zeros, 0, -_WEIGHT_STEPS, _WEIGHT_STEPS
        )
        return functional.conv2d(x, weight, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups)
