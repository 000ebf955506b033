import numpy as np

from monuseg_cli.viewer.heat_maps import HeatMaps
from monuseg_cli.viewer.nucleus_set import NucleusSet

SIDE = 4000


def at(centres: np.ndarray) -> NucleusSet:
    count = len(centres)
    nothing = np.zeros(count + 1, dtype=np.int64)
    empty = np.empty((0, 2), dtype=np.float32)
    return NucleusSet([""] * count, [""] * count, centres, empty, nothing[:1], np.empty(0, dtype=bool), nothing, {})


def test_the_density_of_evenly_spread_nuclei_is_their_number_per_area() -> None:
    centres = np.random.default_rng(0).uniform(0, SIDE, (40_000, 2))
    heat = HeatMaps(at(centres), (SIDE, SIDE), mpp=0.25).density()
    assert abs(heat.values.mean() / 40_000 - 1) < 0.02  # on 1 mm2
    assert heat.values.std() < 0.1 * heat.values.mean()
    per_megapixel = HeatMaps(at(centres), (SIDE, SIDE), mpp=None).density().values.mean()
    assert abs(per_megapixel / (40_000 / 16) - 1) < 0.02


def test_maps_lie_where_the_nuclei_are() -> None:
    random = np.random.default_rng(0)
    centres = np.concatenate([random.normal((1000, 3000), 50, (500, 2)), random.normal((3000, 1000), 50, (500, 2))])
    values = np.repeat(np.array([2, 8], dtype=np.float32), 500)
    values[::7] = np.nan
    maps = HeatMaps(at(centres), (SIDE, SIDE), mpp=0.25)
    whole, shape = (0.0, 0.0, float(SIDE), float(SIDE)), (40, 40)
    density, weight = maps.density().sample(whole, shape)
    row, col = divmod(int(density.argmax()), 40)
    assert (round(row / 10), round(col / 10)) in {(1, 3), (3, 1)}
    assert weight[0, 0] == 0
    assert weight[10, 30] == 1
    mean, _ = maps.mean(values).sample(whole, shape)
    np.testing.assert_allclose((mean[10, 30], mean[30, 10]), (2, 8), rtol=1e-3)
    part, _ = maps.density().sample((500, 2500, 1500, 3500), (10, 10))
    np.testing.assert_allclose(part[4:6, 4:6].mean(), density[9:11, 29:31].mean(), rtol=0.1)


def test_no_nuclei_have_empty_maps() -> None:
    maps = HeatMaps(at(np.empty((0, 2))), (100, 200), mpp=0.25)
    for heat in (maps.density(), maps.mean(np.empty(0, dtype=np.float32))):
        assert not heat.weight.any()
        assert heat.limits == (0, 0)
