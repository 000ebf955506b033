"""U-Net and the baseline's SE-U-Net."""

import torch
from torch import Tensor, nn

from monuseg_cli.models.blocks import Dropout, SqueezeExcitation, conv_bn_relu, crop, pad_to_multiple


def _level(in_channels: int, out_channels: int, convolutions: int, squeeze_excitation: bool) -> nn.Sequential:
    layers = conv_bn_relu(in_channels, out_channels)
    for _ in range(convolutions - 1):
        layers += conv_bn_relu(out_channels, out_channels)
    if squeeze_excitation:
        layers.append(SqueezeExcitation(out_channels))
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """U-Net (Ronneberger et al., MICCAI 2015) with 3x3 transposed convolutions of stride 2 and concatenating skips.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the image and of the logits.
    width : int
        Channels at full resolution; they double with every level.
    depth : int
        How often the resolution is halved.
    convolutions : int
        Number of 3x3 convolutions per level, each followed by batch norm and ReLU.
    squeeze_excitation : bool
        Whether every level ends with a squeeze-and-excitation block.
    dropout : float
        Share of values dropped after every pooling and every concatenation, in training.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        width: int,
        depth: int,
        convolutions: int,
        squeeze_excitation: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        widths = [width << level for level in range(depth + 1)]
        self.encoder = nn.ModuleList(
            _level(before, after, convolutions, squeeze_excitation)
            for before, after in zip([in_channels, *widths], widths, strict=False)
        )
        self.upsamplers = nn.ModuleList(
            nn.ConvTranspose2d(2 * after, after, kernel_size=3, stride=2, padding=1, output_padding=1)
            for after in reversed(widths[:-1])
        )
        self.decoder = nn.ModuleList(
            _level(2 * after, after, convolutions, squeeze_excitation) for after in reversed(widths[:-1])
        )
        self.pool = nn.MaxPool2d(2)
        self.dropout = Dropout(dropout)
        self.head = nn.Conv2d(width, out_channels, kernel_size=1)
        self.multiple = 1 << depth

    def encode(self, x: Tensor) -> list[Tensor]:
        """Compute the features of every level of the encoder; see `Architecture`."""
        features = [self.encoder[0](x)]
        for level in self.encoder[1:]:
            features.append(level(self.dropout(self.pool(features[-1]))))
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (N, out_channels, H, W) of images (N, in_channels, H, W) of any size."""
        height, width = x.shape[-2:]
        *skips, x = self.encode(pad_to_multiple(x, self.multiple))
        for upsample, level in zip(self.upsamplers, self.decoder, strict=True):
            x = level(self.dropout(torch.cat([upsample(x), skips.pop()], dim=1)))
        logits: Tensor = self.head(x)
        return crop(logits, height, width)
