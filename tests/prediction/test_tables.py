import json
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from monuseg_cli.prediction.stitch import Nuclei
from monuseg_cli.prediction.tables import Frame, nuclei_geojson


def written(path: Path, labels: NDArray[np.int32], frame: Frame) -> list[Any]:
    """Write the nuclei of a label image as GeoJSON, and read their shapes with shapely."""
    nuclei = Nuclei(
        first=1,
        centres=np.zeros((int(labels.max()), 2)),
        window=labels,
        probability=np.ones(labels.shape, dtype=np.float32),
        haematoxylin=np.zeros(labels.shape, dtype=np.uint8),
        corner=np.zeros(2, dtype=np.intp),
    )
    with nuclei_geojson(path, frame, "slide") as add:
        add(nuclei)
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    return [shapely.from_geojson(json.dumps(feature["geometry"])) for feature in features]


def test_a_hole_belongs_to_the_ring_around_it_and_not_to_an_l_beside(tmp_path: Path) -> None:
    labels = np.zeros((14, 15), dtype=np.int32)
    labels[0:10, 3:13] = 1
    labels[8, 4] = 0
    labels[7:12, 1] = labels[11, 1:7] = labels[10, 2] = 1  # its bounding box holds the hole, and is the smaller one
    (nucleus,) = written(tmp_path / "n.geojson", labels, Frame((0, 0), (1, 1), 0.25))
    ring, beside = sorted(nucleus.geoms, key=lambda polygon: -polygon.area)
    assert (ring.area, len(ring.interiors)) == (99, 1)
    assert (beside.area, len(beside.interiors)) == (11, 0)
    assert nucleus.is_valid


def test_a_hole_within_an_island_belongs_to_the_island(tmp_path: Path) -> None:
    labels = np.ones((11, 11), dtype=np.int32)
    labels[1:10, 1:10] = 0
    labels[3:8, 3:8] = 1
    labels[5, 5] = 0
    (nucleus,) = written(tmp_path / "n.geojson", labels, Frame((100, 50), (2.5, 2.5), 0.25))
    assert sorted(polygon.area / 6.25 for polygon in nucleus.geoms) == [24, 40]
    assert nucleus.is_valid


@settings(max_examples=200, deadline=None)
@given(arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)))
def test_every_shape_is_valid_and_covers_its_pixels(tmp_path_factory: Any, labels: NDArray[np.int32]) -> None:
    labels = np.pad(labels, 1, constant_values=1)  # so that there is a nucleus
    labels[0, 0] = 2
    shapes = written(tmp_path_factory.mktemp("n") / "n.geojson", labels, Frame((0, 0), (1, 1), 0.25))
    rows, cols = np.indices(labels.shape) + 0.5
    for label, shape in enumerate(shapes, start=1):
        assert shape.is_valid, shapely.is_valid_reason(shape)
        np.testing.assert_array_equal(shapely.contains_xy(shape, cols, rows), labels == label)
