"""Losses on raw logits."""

from torch import Tensor
from torch.nn import functional

from monuseg_cli.training.recipe import Loss

_SMOOTH = 1.0


def compute_loss(logits: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    """Compute the loss that a step is taken on.

    Parameters
    ----------
    logits, targets : Tensor of shape (N, C, H, W)
        Raw logits; targets 0 or 1.
    loss : {"bce", "bce+dice"}
        Mean binary cross-entropy, to which 1 - soft Dice (Milletari et al., V-Net, 2016), over the whole batch and
        with 1 added above and below, can be added.

    Returns
    -------
    Tensor
        A scalar.
    """
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, targets)
    if loss == "bce":
        return cross_entropy
    probabilities = logits.sigmoid()
    overlap = (probabilities * targets).sum()
    dice = (2 * overlap + _SMOOTH) / (probabilities.sum() + targets.sum() + _SMOOTH)
    return cross_entropy + 1 - dice
