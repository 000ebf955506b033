"""Losses on logits."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from monuseg_cli.training.recipe import AuxTarget, Loss

_SMOOTH = 1.0
_FOCUS = 2.0

# These scale the regression losses to about the size of the cross-entropy during training.
_DISTANCE_WEIGHT = 4.0
_HV_WEIGHT = 8.0


def compute_loss(logits: Tensor, targets: Tensor, loss: Loss, second: AuxTarget) -> Tensor:
    """Compute the training loss of a batch.

    Parameters
    ----------
    logits, targets : Tensor of shape (N, C, H, W)
        Logits, and their targets after the sigmoid; see `monuseg_cli.training.targets`.
    loss : {"bce", "dice", "bce+dice", "focal", "focal+dice", "lovasz", "bce+lovasz"}
        Loss of the first channel, the nuclei: the sum of the named terms.
    second : {"none", "boundary", "distance", "hv"}
        Auxiliary target, in the other channels.

    Returns
    -------
    Tensor
        A scalar.
    """
    value = sum(_TERMS[term](logits[:, :1], targets[:, :1]) for term in loss.split("+"))
    assert isinstance(value, Tensor)
    return value if second == "none" else value + _SECOND[second](logits[:, 1:], targets)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute the mean binary cross-entropy."""
    return functional.binary_cross_entropy_with_logits(logits, targets)


def dice(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute 1 - soft Dice (Milletari et al., V-Net, 2016) over the whole batch, with smooth = 1."""
    probabilities = logits.sigmoid()
    overlap = (probabilities * targets).sum()
    return 1 - (2 * overlap + _SMOOTH) / (probabilities.sum() + targets.sum() + _SMOOTH)


def focal(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute the mean focal loss with gamma = 2 and without class weights (Lin et al., ICCV 2017)."""
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    likelihood = torch.exp(-entropy)
    return ((1 - likelihood) ** _FOCUS * entropy).mean()


def lovasz(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute the Lovász hinge, a convex surrogate of 1 - IoU over the whole batch (Berman et al., CVPR 2018)."""
    signs = 2 * targets.flatten() - 1
    errors, order = torch.sort(1 - logits.flatten() * signs, descending=True)
    positive = targets.flatten()[order]
    intersection = positive.sum() - positive.cumsum(0)
    union = positive.sum() + (1 - positive).cumsum(0)
    jaccard = 1 - intersection / union
    gradient = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    return torch.dot(functional.relu(errors), gradient)


_TERMS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"bce": cross_entropy, "dice": dice, "focal": focal, "lovasz": lovasz}
)


def _boundary(logits: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(logits, targets[:, 1:]) + dice(logits, targets[:, 1:])


def _distance(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute the weighted mean squared error of the distances, which are within 0..1."""
    return _DISTANCE_WEIGHT * functional.mse_loss(logits.sigmoid(), targets[:, 1:])


def _horizontal_vertical(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute HoVer-Net's two terms: squared errors of the maps, and, within nuclei, of their gradients."""
    nucleus = targets[:, :1]
    error = logits.sigmoid() - targets[:, 1:]
    slopes = [
        ((error[:, :1, :, 1:] - error[:, :1, :, :-1]) ** 2 * nucleus[..., :, 1:]).sum(),
        ((error[:, 1:, 1:] - error[:, 1:, :-1]) ** 2 * nucleus[..., 1:, :]).sum(),
    ]
    return _HV_WEIGHT * ((error**2).mean() + (slopes[0] + slopes[1]) / (nucleus.sum() + _SMOOTH))


_SECOND: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"boundary": _boundary, "distance": _distance, "hv": _horizontal_vertical}
)
