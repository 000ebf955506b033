"""Features of nuclei: their measurements, and means over their neighbourhoods."""

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.classes.features import (
    RADIUS_UM,
    compute_features,
    feature_blocks,
    feature_names,
    is_of_network,
    measurements_used,
)
from monuseg_cli.nuclei.columns import ALL_COLUMNS, NETWORK_FEATURES


def columns_of(number: int, seed: int = 0) -> dict[str, NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    columns = {column.name: random.uniform(0, 1, number) for column in ALL_COLUMNS}
    return {**columns, "row_px": random.uniform(0, 800, number), "col_px": random.uniform(0, 800, number)}


def test_means_are_those_of_all_nuclei_within_the_radius() -> None:
    columns = columns_of(300)
    columns["solidity"][::5] = np.nan
    found = compute_features(columns, 0.5)
    centres = np.column_stack([columns["row_px"], columns["col_px"]]) * 0.5
    for place, name in enumerate(measurements_used()):
        np.testing.assert_array_equal(found[:, place], columns[name])
        means = found[:, len(measurements_used()) + place]
        for nucleus in (0, 17, 299):
            near = np.hypot(*(centres - centres[nucleus]).T) <= RADIUS_UM
            np.testing.assert_allclose(means[nucleus], np.nanmean(columns[name][near]))


def test_a_value_missing_in_a_whole_neighbourhood_has_no_mean() -> None:
    columns = columns_of(2)
    columns |= {"row_px": np.array([0.0, 1000.0]), "solidity": np.array([np.nan, 0.5])}
    means = compute_features(columns, 1.0)[:, feature_names().index("solidity, mean within 50 um")]
    np.testing.assert_array_equal(means, [np.nan, 0.5])


def test_a_slide_without_nuclei_has_no_features() -> None:
    assert compute_features(columns_of(0), 0.5).shape == (0, len(feature_names()))


def test_places_and_directions_are_no_features() -> None:
    assert not {"id", "row_px", "col_px", "orientation_deg", "probability"} & set(feature_names(["texture"]))
    assert len(feature_names(["texture"])) == len(feature_names()) + 10
    assert feature_names(["neighbours"]) == feature_names()


def test_features_of_the_network_have_means_too_and_are_known_by_name() -> None:
    names = feature_names(["network"])
    assert [is_of_network(name) for name in feature_names()] == [False] * len(feature_names())
    assert [name for name in names if not is_of_network(name)] == list(feature_names())
    assert len(names) == len(feature_names()) + 2 * NETWORK_FEATURES


def test_features_computed_block_by_block_are_those_of_all_nuclei() -> None:
    columns = columns_of(21_000)
    columns |= {name: columns[name] * 10 for name in ("row_px", "col_px")}
    columns["circularity"][::3] = np.nan
    blocks = list(feature_blocks(columns, 0.5))
    assert len(blocks) > 1
    found, names = np.concatenate(blocks), feature_names()
    centres = np.column_stack([columns["row_px"], columns["col_px"]]) * 0.5
    for nucleus in (19_999, 20_000, 20_999):  # around the border of a block, and the last one
        near = np.hypot(*(centres - centres[nucleus]).T) <= RADIUS_UM
        assert near[:20_000].any()
        for name in ("area_um2", "circularity"):
            mean = found[nucleus, names.index(f"{name}, mean within 50 um")]
            np.testing.assert_allclose(mean, np.nanmean(columns[name][near]))
