from collections.abc import Iterator

import pytest
import torch

from monuseg_cli.core.errors import InputError
from monuseg_cli.models.devices import MAX_THREADS, limit_threads


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_pytorch_gets_the_number_of_threads() -> None:
    limit_threads(2)
    assert torch.get_num_threads() == 2
    limit_threads(None)
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2", MAX_THREADS + 1])
def test_other_numbers_are_refused(threads: object) -> None:
    with pytest.raises(InputError, match="`threads` takes a whole number"):
        limit_threads(threads)  # type: ignore[arg-type]
