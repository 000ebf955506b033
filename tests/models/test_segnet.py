import pytest
import torch
from torch.nn import functional

from monuseg_cli.models.segnet import mark_maxima, put_at_marks


def noise(*size: int) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(0))


IMAGES = {
    "random": noise(2, 3, 8, 12),
    "many equal ones": noise(2, 3, 8, 12).round().clamp(0),
    "constant": torch.full((1, 2, 4, 4), 0.5),
    "zero": torch.zeros(1, 2, 4, 4),
    "negative": -noise(1, 2, 6, 2).abs(),
    "infinite": noise(1, 2, 4, 4).log(),
    "one window": noise(1, 1, 2, 2),
    "channels last": noise(2, 3, 8, 12).round().to(memory_format=torch.channels_last),
    "16 bits": noise(2, 3, 8, 12).bfloat16(),
}


@pytest.mark.parametrize("name", IMAGES)
def test_marks_unpool_as_torch_does_by_indices(name: str) -> None:
    x = IMAGES[name].nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    pooled, indices = functional.max_pool2d(x, 2, return_indices=True)
    given = noise(*pooled.shape).to(x.dtype)
    marks = mark_maxima(x, pooled)
    assert torch.equal(marks.sum(dim=2), torch.ones_like(pooled))
    assert torch.equal(put_at_marks(given, marks), functional.max_unpool2d(given, indices, (2, 2)))


def test_of_equal_values_the_first_is_marked() -> None:
    x = torch.tensor([[1.0, 2.0], [2.0, 0.0]])[None, None]
    assert mark_maxima(x, functional.max_pool2d(x, 2)).flatten().tolist() == [0, 1, 0, 0]


def test_gradients_are_those_of_torch() -> None:
    given = noise(2, 3, 4, 6).requires_grad_()
    x = IMAGES["many equal ones"]
    pooled, indices = functional.max_pool2d(x, 2, return_indices=True)
    (expected,) = torch.autograd.grad(functional.max_unpool2d(given, indices, (2, 2)).square().sum(), given)
    (found,) = torch.autograd.grad(put_at_marks(given, mark_maxima(x, pooled)).square().sum(), given)
    assert torch.equal(found, expected)
