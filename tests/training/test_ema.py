import pytest
import torch
from torch import Tensor, nn

from monuseg_cli.training.ema import make_ema


def value(module: nn.Module, name: str) -> Tensor:
    tensor: Tensor = module.state_dict()[name]
    return tensor


def test_the_moving_average_equals_values_computed_by_hand() -> None:
    model = nn.BatchNorm1d(1)
    averaged = make_ema(model, 0.2)
    model.weight.data.fill_(3.0)
    value(model, "running_mean").fill_(5.0)
    averaged.update_parameters(model)  # the first of all is taken as it is
    assert value(averaged.module, "weight").item() == 3.0
    model.weight.data.fill_(1.0)
    value(model, "num_batches_tracked").fill_(7)
    averaged.update_parameters(model)
    keep = 2 / 11  # (1 + n) / (10 + n), still below 0.2
    assert value(averaged.module, "weight").item() == pytest.approx(3 * keep + 1 * (1 - keep))
    assert value(averaged.module, "running_mean").item() == 5.0
    assert value(averaged.module, "num_batches_tracked").item() == 7
    before = value(averaged.module, "weight").item()
    averaged.update_parameters(model)
    assert value(averaged.module, "weight").item() == pytest.approx(before * 0.2 + 0.8)


def test_averaging_resumes_from_its_state() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    one, other = make_ema(model, 0.9), make_ema(nn.Linear(3, 2), 0.9)
    one.update_parameters(model)
    other.load_state_dict(one.state_dict())
    model.weight.data += 1
    for averaged in (one, other):
        averaged.update_parameters(model)
    assert torch.equal(value(one.module, "weight"), value(other.module, "weight"))
