import pytest
import torch
from torch import nn

from monuseg_cli.models import registry
from monuseg_cli.models.blocks import DepthwiseConv2d, Dropout


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.999999])
def test_dropout_drops_its_share_and_scales_the_others_up(share: float, memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    x = torch.ones(4, 8, 63, 65).to(memory_format=memory_format).requires_grad_()
    y = Dropout(share)(x)
    dropped = (y == 0).double().mean().item()
    assert dropped == pytest.approx(share, abs=0.003)
    if share < 0.9:
        assert y[y > 0].unique().tolist() == pytest.approx([1 / (1 - share)], rel=1e-4)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y)
    assert y.stride() == x.stride()


def test_dropout_does_nothing_in_evaluation_and_repeats_itself_for_a_seed() -> None:
    x = torch.rand(2, 3, 16, 16)
    dropout = Dropout(0.3)
    first, other = ((torch.manual_seed(seed), dropout(x))[1] for seed in (1, 2))
    torch.manual_seed(1)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(other, first)
    assert dropout.eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_a_depthwise_convolution_computes_in_float32_under_autocast() -> None:
    torch.manual_seed(0)
    ours = DepthwiseConv2d(8, 5, stride=2, padding=4, dilation=2)
    plain = nn.Conv2d(8, 8, 5, stride=2, padding=4, dilation=2, groups=8, bias=False)
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(2, 8, 33, 31)
    exact = plain(x)
    exact.square().sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal(plain(x).float(), exact)
        half = ours(x.bfloat16())
        y = ours(x)
    assert half.dtype == torch.float32
    assert torch.equal(y, exact)
    y.square().sum().backward()
    assert plain.weight.grad is not None
    assert ours.weight.grad is not None
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad)


@pytest.mark.parametrize("arch", ["deeplabv3-mobilenet", "unet-efficientnet"])
def test_all_depthwise_convolutions_are_ours(arch: str) -> None:
    grouped = [layer for layer in registry.create(arch).modules() if isinstance(layer, nn.Conv2d) and layer.groups > 1]
    assert grouped
    assert {type(layer) for layer in grouped} == {DepthwiseConv2d}
