"""Building blocks that several architectures share."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate that is computed from the means of all channels.

    Squeeze-and-excitation (Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018) in the form of the baseline's
    notebooks: a single dense layer C -> C without bias and without bottleneck, then a sigmoid.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Scale `x`, (N, C, H, W)."""
        gate = torch.sigmoid(self.gate(x.mean(dim=(2, 3))))  # (N, C)
        return x * gate[:, :, None, None]


def conv_bn_relu(in_channels: int, out_channels: int) -> list[nn.Module]:
    """List the layers of a 3x3 convolution that keeps the size, batch norm and ReLU."""
    return [
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column of `x`, (N, C, H, W), until both sizes are multiples of `multiple`."""
    height, width = x.shape[-2:]
    below, right = -height % multiple, -width % multiple
    return functional.pad(x, (0, right, 0, below), mode="replicate") if below or right else x


def count_weights(model: nn.Module) -> int:
    """Count the numbers that a model's weights file holds: parameters, and running statistics of batch norms.

    Keras counts so; batch norms' step counters are left out.
    """
    counters = "num_batches_tracked"
    return sum(tensor.numel() for name, tensor in model.state_dict().items() if not name.endswith(counters))
