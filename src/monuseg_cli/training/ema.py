"""Exponential moving average of the weights, which generalises better than the last weights."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def make_ema(model: nn.Module, decay: float) -> AveragedModel:
    """Build an exponential moving average of a model's weights and batch norm statistics.

    The decay of step n is min(`decay`, (1 + n) / (10 + n)), so that the random initial weights are soon forgotten, as
    in TensorFlow's ExponentialMovingAverage.

    Parameters
    ----------
    model : torch.nn.Module
        Model to average; it is copied.
    decay : float
        Within 0 and 1.
    """

    @torch.no_grad()
    def update(averages: Sequence[Tensor], values: Sequence[Tensor], steps: Tensor | int) -> None:
        keep = min(decay, (1 + int(steps)) / (10 + int(steps)))
        for average, value in zip(averages, values, strict=True):
            if average.is_floating_point():
                average.lerp_(value, 1 - keep)
            else:
                average.copy_(value)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)
