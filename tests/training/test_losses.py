from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from monuseg_cli.training.losses import compute_loss, focal, lovasz
from monuseg_cli.training.recipe import AuxTarget, Loss
from monuseg_cli.training.targets import CLASSES, make_targets

LOSSES: tuple[Loss, ...] = get_args(Loss)


def test_losses_equal_values_computed_by_hand() -> None:
    logits = torch.zeros(1, 1, 1, 2)
    targets = torch.tensor([[[[1.0, 0.0]]]])
    entropy = 0.693147
    dice = 1 - (1 + 1) / (1 + 1 + 1)
    assert compute_loss(logits, targets, "bce", "none").item() == pytest.approx(entropy, abs=1e-6)
    assert compute_loss(logits, targets, "bce+dice", "none").item() == pytest.approx(entropy + dice)
    assert compute_loss(logits, targets, "dice", "none").item() == pytest.approx(dice)
    assert compute_loss(logits, targets, "focal", "none").item() == pytest.approx(entropy / 4, abs=1e-6)


def test_focal_is_cross_entropy_times_the_squared_miss() -> None:
    probability = torch.tensor([0.9, 0.2, 0.6])
    targets = torch.tensor([1.0, 0.0, 0.0])
    likelihood = np.array([0.9, 0.8, 0.4])
    wanted = (-((1 - likelihood) ** 2) * np.log(likelihood)).mean()
    assert focal(probability.logit(), targets).item() == pytest.approx(wanted, rel=1e-5)


def test_lovasz_of_hard_errors_is_the_jaccard_loss() -> None:
    """At margins of exactly 1 right and -1 wrong, errors are 0 or 2, and the hinge is 2 (1 - IoU)."""
    random = np.random.default_rng(0)
    for _ in range(20):
        truth, guess = random.random((2, 30)) < 0.4
        iou = (truth & guess).sum() / max((truth | guess).sum(), 1)
        logits = torch.from_numpy(np.where(guess, 1.0, -1.0))
        loss = lovasz(logits, torch.from_numpy(truth.astype(float))).item()
        if truth.any() or guess.any():
            assert loss == pytest.approx(2 * (1 - iou), abs=1e-9)


@pytest.mark.parametrize("second", sorted(CLASSES))
@pytest.mark.parametrize("loss", LOSSES)
def test_correct_logits_have_a_lower_loss_and_finite_gradients(loss: Loss, second: AuxTarget) -> None:
    labels = np.zeros((24, 24), dtype=np.int32)
    labels[4:14, 3:11], labels[4:14, 11:20] = 1, 2
    targets = torch.from_numpy(make_targets(labels, second))[None]
    right = (targets.clamp(0.001, 0.999)).logit()

    def cost(logits: Tensor) -> float:
        return compute_loss(logits, targets, loss, second).item()

    assert cost(right) < cost(right * 0.1) < cost(-right)
    for channel in range(1, targets.shape[1]):
        worse = right.clone()
        worse[:, channel] *= -1
        assert cost(worse) > cost(right)
    logits = torch.zeros_like(targets, requires_grad=True)
    compute_loss(logits, targets, loss, second).backward()  # type: ignore[no-untyped-call] # torch's
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert all(logits.grad[:, channel].abs().sum() > 0 for channel in range(targets.shape[1]))
