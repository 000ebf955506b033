"""Sums over the batches of an epoch, and the scores that follow from them."""

import torch
from torch import Tensor

from monuseg_cli.metrics.pixel import PixelCounts


class Meter:
    """Adds up batches on the device where they are, and brings the sums over once, at the end."""

    def __init__(self, device: torch.device) -> None:
        # loss x patches, patches, true positives, predicted, positive, pixels, sum of p * t, sum of p
        self._sums = torch.zeros(8, dtype=torch.float64, device=device)

    @torch.no_grad()
    def add(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Add a batch: its mean loss, raw logits and targets (N, C, H, W)."""
        predicted = logits >= 0
        probabilities = logits.sigmoid()
        self._sums += torch.stack(
            [
                loss.double() * len(logits),
                torch.tensor(float(len(logits)), dtype=torch.float64, device=logits.device),
                (predicted * targets).sum(dtype=torch.float64),
                predicted.sum(dtype=torch.float64),
                targets.sum(dtype=torch.float64),
                torch.tensor(float(targets.numel()), dtype=torch.float64, device=logits.device),
                (probabilities * targets).sum(dtype=torch.float64),
                probabilities.sum(dtype=torch.float64),
            ]
        )

    def scores(self) -> dict[str, float]:
        """Give loss (mean over patches), accuracy and F1 (hard at 0.5) and soft Dice (both pooled over all pixels)."""
        loss, patches, tp, predicted, positive, pixels, overlap, probability = self._sums.tolist()
        counts = PixelCounts(
            tp=int(tp),
            fp=int(predicted - tp),
            fn=int(positive - tp),
            tn=int(pixels - predicted - positive + tp),
        )
        return {
            "loss": loss / patches,
            "accuracy": counts.accuracy,
            "dice": (2 * overlap + 1) / (probability + positive + 1),
            "f1": counts.f1,
        }
