import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monuseg_cli.nuclei.distributions import Distribution, Distributions
from support.squares import squares

BATCHES = st.lists(st.lists(st.integers(0, 50).map(lambda value: value / 10), max_size=20), min_size=1, max_size=5)


@given(BATCHES.filter(any), st.floats(0, 1))
def test_quantiles_are_those_of_all_values(batches: list[list[float]], share: float) -> None:
    distribution, values = Distribution(), np.concatenate([np.array(batch, dtype=float) for batch in batches])
    for batch in batches:
        distribution.add(np.array(batch, dtype=float))
    assert len(distribution) == len(values)
    assert distribution.quantile(share) == pytest.approx(np.quantile(values, share))
    edges = np.array([0.0, 0.35, 1, 5])
    assert distribution.histogram(edges).tolist() == np.histogram(values, edges)[0].tolist()


def test_a_million_values_take_the_memory_of_the_different_ones() -> None:
    distribution = Distribution()
    for _ in range(10):
        distribution.add(np.arange(100_000) % 1000 / 10)
    assert len(distribution) == 1_000_000
    assert len(distribution._values) + distribution._number_waiting == 1000
    assert distribution.quantile(0.5) == pytest.approx(49.95)


def test_medians_of_no_nuclei_are_left_out() -> None:
    measured = Distributions()
    assert measured.medians() == {}
    with pytest.raises(ValueError, match="no value"):
        measured["area_um2"].quantile(0.5)
    measured.add(squares(np.array([[5.0, 5], [30, 30], [60, 60]])).columns)
    assert measured.medians() == {"area_um2": 6.25, "eccentricity": 0.2, "solidity": 1.0, "haematoxylin_mean": 0.2}
