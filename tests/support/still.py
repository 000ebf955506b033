"""``monuseg`` with one more architecture: ``unet-still``, a U-Net whose norms never train.

Its steps do not depend on how a batch is shared between processes, so that two processes can be compared with one.
"""

from typing import Any, Self

from torch import nn

from monuseg_cli.models.registry import REGISTRY, Architecture
from monuseg_cli.models.unet import UNet


class StillUNet(UNet):
    def __init__(self, *, in_channels: int, out_channels: int) -> None:
        options: dict[str, Any] = {"width": 8, "depth": 2, "convolutions": 1, "squeeze_excitation": True}
        super().__init__(in_channels=in_channels, out_channels=out_channels, dropout=0.0, **options)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


REGISTRY.register(
    Architecture(
        name="unet-still",
        target=f"{__name__}:StillUNet",
        summary="for tests",
        weights=0,
        gflop=0.0,
    )
)

if __name__ == "__main__":
    from monuseg_cli.cli.app import main

    main()
