"""SegNet."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from monuseg_cli.models.blocks import conv_bn_relu, crop, pad_to_multiple

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
        self.multiple = 1 << len(widths)

    def encode(self, x: Tensor) -> list[Tensor]:
        """Compute the features of every level of the encoder, before pooling; see `Architecture`."""
        features = [self.encoder[0](x)]
        for level in self.encoder[1:]:
            features.append(level(functional.max_pool2d(features[-1], 2)))
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (N, out_channels, H, W) of images (N, in_channels, H, W) of any size."""
        height, width = x.shape[-2:]
        x = pad_to_multiple(x, self.multiple)
        marks = []
        for level in self.encoder:
            x, where = pool(level(x))
            marks.append(where)
        for level in self.decoder:
            x = level(unpool(x, marks.pop()))
        return crop(x, height, width)


def pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maxima of 2 x 2 windows and where they were: indices, or marks if the network is being traced."""
    if _is_traced():
        pooled = functional.max_pool2d(x, 2)
        return pooled, mark_maxima(x, pooled)
    pooled, indices = functional.max_pool2d(x, 2, return_indices=True)
    return pooled, indices


def unpool(x: Tensor, where: Tensor) -> Tensor:
    """Put each value where the maximum of its window was, and zeros elsewhere; `where` is from `pool`."""
    return put_at_marks(x, where) if _is_traced() else functional.max_unpool2d(x, where, (2, 2))


def _is_traced() -> bool:
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call] # torch's, without types


def mark_maxima(x: Tensor, pooled: Tensor) -> Tensor:
    """Mark the maximum of each 2 x 2 window; of several equal ones the first, row by row, as `max_pool2d` does.

    With `put_at_marks`, it equals `max_pool2d` with indices and `max_unpool2d`, with operations that every engine has.
    Not a number is never marked. The indices take a tenth of the time on a CPU, so they are used for training.

    Parameters
    ----------
    x : Tensor of shape (N, C, 2H, 2W)
    pooled : Tensor of shape (N, C, H, W)
        The maxima of `x`.

    Returns
    -------
    Tensor of shape (N, C, 4, H, W)
        1 at the maximum of each window and 0 elsewhere, for its four pixels row by row.
    """
    corners = [x[..., row::2, col::2] for row in (0, 1) for col in (0, 1)]
    unmarked = torch.ones_like(pooled)
    marks = []
    for corner in corners:
        mark = (corner == pooled).to(x.dtype) * unmarked
        unmarked = unmarked - mark
        marks.append(mark)
    return torch.stack(marks, dim=2)


def put_at_marks(x: Tensor, marks: Tensor) -> Tensor:
    """Put each value of `x`, (N, C, H, W), at the mark of its window; return (N, C, 2H, 2W), zero elsewhere."""
    return functional.pixel_shuffle((x[:, :, None] * marks).flatten(1, 2), 2)
