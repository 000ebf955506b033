"""SegNet."""

from torch import Tensor, nn

from monuseg_cli.models.blocks import conv_bn_relu, pad_to_multiple

_CONVOLUTIONS = (2, 2, 3, 3, 3)  # per level, as in VGG-16


class SegNet(nn.Module):
    """SegNet (Badrinarayanan et al., IEEE TPAMI 39(12), 2017): unpooling with the indices of the encoder's pooling.

    Convolutions per level as in VGG-16, with `width` / 64 of its channels. The last layer is a plain convolution: a
    ReLU before the sigmoid would keep every probability at 0.5 or above.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the image and of the logits.
    width : int
        Channels of the first level; 1, 2, 4, 8 and 8 times as many in the five levels.
    """

    def __init__(self, *, in_channels: int, out_channels: int, width: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width, 8 * width]
        self.encoder = nn.ModuleList()
        self.decoder = nn.ModuleList()
        before = in_channels
        for after, count in zip(widths, _CONVOLUTIONS, strict=True):
            layers = conv_bn_relu(before, after)
            for _ in range(count - 1):
                layers += conv_bn_relu(after, after)
            self.encoder.append(nn.Sequential(*layers))
            before = after
        for index in reversed(range(len(widths))):
            inner, outer = widths[index], widths[max(index - 1, 0)]
            layers = []
            for _ in range(_CONVOLUTIONS[index] - 1):
                layers += conv_bn_relu(inner, inner)
            layers += conv_bn_relu(inner, outer) if index else [nn.Conv2d(inner, out_channels, 3, padding=1)]
            self.decoder.append(nn.Sequential(*layers))
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.unpool = nn.MaxUnpool2d(2)
        self.multiple = 1 << len(widths)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (N, out_channels, H, W) of images (N, in_channels, H, W) of any size."""
        height, width = x.shape[-2:]
        x = pad_to_multiple(x, self.multiple)
        indices = []
        for level in self.encoder:
            x, where = self.pool(level(x))
            indices.append(where)
        for level in self.decoder:
            x = level(self.unpool(x, indices.pop()))
        return x[..., :height, :width]
