from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from monuseg_cli.core.home import Home
from monuseg_cli.models.weights import read_card
from monuseg_cli.nuclei.rasterise import rasterise
from monuseg_cli.prediction.engines.oriented import ORIENTATIONS, Orientation, OrientedEngine
from monuseg_cli.prediction.engines.select import EngineName, open_engine
from monuseg_cli.training.recipe import AuxTarget
from monuseg_cli.training.targets import CLASSES, make_targets
from support.tissue import draw_tissue


@pytest.fixture
def weights(trained_home: Home) -> Path:
    return trained_home.find_weights("unet-se")


def oriented_engine(weights: Path, name: EngineName = "torch") -> OrientedEngine:
    return OrientedEngine(open_engine(weights, read_card(weights), name, "cpu", weights.parent / "cache", "some-hash"))


def run_one(engine: OrientedEngine, tile: NDArray[np.uint8]) -> NDArray[np.float32]:
    (maps,) = engine.run([tile])
    return maps


def test_there_are_eight_orientations_and_the_first_changes_nothing() -> None:
    tile = draw_tissue(32, 1)[0]
    assert len({orientation.apply(tile).tobytes() for orientation in ORIENTATIONS}) == 8
    np.testing.assert_array_equal(ORIENTATIONS[0].apply(tile), tile)


@pytest.mark.parametrize("second", CLASSES)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_maps_of_an_oriented_image_are_restored(orientation: Orientation, second: AuxTarget) -> None:
    labels = rasterise(draw_tissue(64, 3)[1], (64, 64)).labels
    restored = orientation.undo(make_targets(orientation.apply(labels), second), CLASSES[second])
    np.testing.assert_allclose(restored, make_targets(labels, second), atol=1e-6)


def test_the_mean_does_not_depend_on_the_orientation_of_the_image(weights: Path) -> None:
    engine = oriented_engine(weights)
    tile = draw_tissue(64, 5)[0]
    maps = run_one(engine, tile)
    assert np.abs(maps - next(engine._engine.run([tile]))).max() > 0.001
    for orientation in ORIENTATIONS[1:]:
        turned = run_one(engine, orientation.apply(tile))
        np.testing.assert_allclose(orientation.undo(turned, engine.card.classes), maps, atol=1e-5)


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_tiles_that_are_not_square_keep_their_shape_and_order(weights: Path, name: EngineName) -> None:
    engine = oriented_engine(weights, name)
    tiles = [draw_tissue(96, seed)[0][:64] for seed in range(3)]
    together = list(engine.run(tiles))
    assert [maps.shape for maps in together] == [(2, 64, 96)] * 3
    for tile, maps in zip(tiles, together, strict=True):
        np.testing.assert_array_equal(run_one(engine, tile), maps)


def test_few_tiles_wait_in_memory(weights: Path) -> None:
    taken = 0

    def tiles() -> Iterator[NDArray[np.uint8]]:
        nonlocal taken
        for seed in range(6):
            taken += 1
            yield draw_tissue(32, seed)[0]

    stream: Iterable[NDArray[np.float32]] = oriented_engine(weights).run(tiles())
    next(iter(stream))
    assert taken == 1
