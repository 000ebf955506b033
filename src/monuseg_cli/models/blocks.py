"""Building blocks shared by several architectures."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate computed from the means of all channels.

    Squeeze-and-excitation (Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018) as in the baseline's notebooks: a
    single dense layer C -> C without bias and without bottleneck, then a sigmoid.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Scale `x`, (N, C, H, W)."""
        gate = torch.sigmoid(self.gate(x.mean(dim=(2, 3))))  # (N, C)
        return x * gate[:, :, None, None]


class Dropout(nn.Module):
    """Zero random values in training and scale up the others, as `torch.nn.Dropout` does, but faster on a CPU.

    On a CPU torch draws a floating-point number per value, which takes longer than all convolutions of a small U-Net
    together. This layer draws 16 random bits per value.

    Parameters
    ----------
    share : float
        Probability that a value is dropped, within 0 and 1; on a CPU, rounded to a multiple of 2**-16.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Drop values of `x`, (N, C, H, W), in training; return it unchanged otherwise."""
        if not self.training or not self.share:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.share)
        limit = min(round(self.share * 2**16), 2**16 - 1)
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        kept = (bits[: x.numel()] >= limit - 2**15).to(x.dtype).mul_(2**16 / (2**16 - limit))
        return x * kept.as_strided(x.size(), x.stride())


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution without bias that computes in float32 on a CPU, even under autocast.

    oneDNN has no fast bfloat16 kernel for the weight gradient of most depthwise convolutions: 5x5, or dilated.

    Parameters
    ----------
    channels : int
        Number of input and output channels.
    kernel, stride, padding, dilation : int
        As in `torch.nn.Conv2d`, the same for rows and columns.
    """

    def __init__(self, channels: int, kernel: int, *, stride: int = 1, padding: int, dilation: int = 1) -> None:
        super().__init__(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `x`, (N, C, H, W)."""
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


def conv_bn_relu(in_channels: int, out_channels: int) -> list[nn.Module]:
    """Build the layers of a size-preserving 3x3 convolution, batch norm and ReLU."""
    return [
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]


def pad_to_multiple(x: Tensor, multiple: int, *, always: bool = False) -> Tensor:
    """Repeat the last row and column of `x`, (N, C, H, W), until both sizes are multiples of `multiple`.

    With `always`, the operation runs, and is traced, also where nothing is to be added.
    """
    height, width = x.shape[-2:]
    below, right = -height % multiple, -width % multiple
    return functional.pad(x, (0, right, 0, below), mode="replicate") if always or below or right else x


def crop(x: Tensor, height: int, width: int, *, always: bool = False) -> Tensor:
    """Return the first rows and columns of `x`, (N, C, H, W).

    With `always`, the operation runs, and is traced, also where nothing is to be removed.
    """
    return x[..., :height, :width] if always or x.shape[-2:] != (height, width) else x


def count_weights(model: nn.Module) -> int:
    """Count the values in a model's weights file: parameters and running statistics of batch norm.

    This is how Keras counts; the step counters of batch norm are excluded.
    """
    counters = "num_batches_tracked"
    return sum(tensor.numel() for name, tensor in model.state_dict().items() if not name.endswith(counters))
