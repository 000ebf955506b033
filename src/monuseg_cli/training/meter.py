"""Running sums over the batches of an epoch, and the scores computed from them."""

import torch
from torch import Tensor

from monuseg_cli.metrics.pixel import PixelCounts
from monuseg_cli.training.distributed import World


class Meter:
    """Sums up each batch on its device, and accumulates the sums in double precision."""

    def __init__(self) -> None:
        # loss x crops, crops, true positives, predicted, positive, pixels, sum of p * t, sum of p
        self._sums = torch.zeros(8, dtype=torch.float64)

    @torch.no_grad()
    def add(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Add a batch: its mean loss, logits and targets (N, C, H, W), of which only the first channel is scored."""
        logits, targets = logits[:, :1], targets[:, :1]
        predicted = logits >= 0
        probabilities = logits.sigmoid()
        crops, pixels = torch.tensor([len(logits), targets.numel()], dtype=torch.float32, device=logits.device)
        sums = [
            loss * crops,
            crops,
            (predicted * targets).sum(),
            predicted.sum(dtype=torch.float32),
            targets.sum(),
            pixels,
            (probabilities * targets).sum(),
            probabilities.sum(),
        ]
        self._sums += torch.stack(sums).cpu()  # MPS has no float64

    def scores(self, world: World) -> dict[str, float]:
        """Return loss, accuracy, soft Dice and F1 over the batches of all processes of `world`.

        The loss is the mean over crops. Accuracy and F1 (at threshold 0.5) and soft Dice are pooled over all pixels.
        """
        loss, crops, tp, predicted, positive, pixels, overlap, probability = world.sum(self._sums).tolist()
        counts = PixelCounts(
            tp=int(tp),
            fp=int(predicted - tp),
            fn=int(positive - tp),
            tn=int(pixels - predicted - positive + tp),
        )
        return {
            "loss": loss / crops,
            "accuracy": counts.accuracy,
            "dice": (2 * overlap + 1) / (probability + positive + 1),
            "f1": counts.f1,
        }
