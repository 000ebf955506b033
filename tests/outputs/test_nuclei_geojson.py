import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from monuseg_cli.imaging.coordinates import Frame
from monuseg_cli.nuclei.columns import columns_of
from monuseg_cli.nuclei.detections import detect
from monuseg_cli.nuclei.labelled_nuclei import Nuclei
from monuseg_cli.outputs.nuclei_geojson import nuclei_geojson


def written(path: Path, labels: NDArray[np.int32], frame: Frame, simplify_px: float | None = None) -> list[Any]:
    """Write the nuclei of a label image as GeoJSON, and read their shapes with shapely."""
    nuclei = Nuclei(
        first=1,
        centres=np.zeros((int(labels.max()), 2)),
        window=labels,
        probability=np.ones(labels.shape, dtype=np.float32),
        haematoxylin=np.zeros(labels.shape, dtype=np.uint8),
        corner=np.zeros(2, dtype=np.intp),
    )
    with nuclei_geojson(path, columns_of(), "slide", simplify_px) as add:
        add(detect(nuclei, frame))
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    features = json.loads(content)["features"]
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


@settings(max_examples=200, deadline=None)
@given(
    arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)),
    st.sampled_from([0.5, 1.0, 3.0]),
)
def test_simplified_shapes_are_valid_and_stay_within_the_tolerance(
    tmp_path_factory: Any, labels: NDArray[np.int32], tolerance: float
) -> None:
    labels = np.pad(labels, 1, constant_values=1)
    labels[0, 0] = 2
    folder, frame = tmp_path_factory.mktemp("n"), Frame((0, 0), (1, 1), 0.25)
    exact, simple = (written(folder / "n.geojson", labels, frame, px) for px in (None, tolerance))
    for before, after in zip(exact, simple, strict=True):
        assert after.is_valid, shapely.is_valid_reason(after)
        assert shapely.get_num_geometries(after) == shapely.get_num_geometries(before)
        assert shapely.hausdorff_distance(before.boundary, after.boundary, densify=0.1) <= tolerance + 1e-9
        assert shapely.get_num_coordinates(after) <= shapely.get_num_coordinates(before)


def test_simplification_takes_the_steps_out_of_slanting_and_round_outlines(tmp_path: Path) -> None:
    """The maps are twice as fine as the slide, so half a pixel is a whole one of theirs."""
    rows, cols = np.indices((90, 90)) + 0.5
    labels = np.tril(np.ones((90, 90), dtype=np.int32))
    for number, (row, col, radius) in enumerate([(25, 65, 18.3), (12, 35, 9.1), (60, 82, 6.4)], start=2):
        labels[np.hypot(rows - row, (cols - col) * 1.3) < radius] = number
    frame = Frame((7, 9), (0.5, 0.5), 0.25)
    exact, simple = (written(tmp_path / "n.geojson", labels, frame, px) for px in (None, 0.5))
    for before, after in zip(exact, simple, strict=True):
        assert shapely.get_num_coordinates(after) < shapely.get_num_coordinates(before) / 2
        assert shapely.hausdorff_distance(before.boundary, after.boundary, densify=0.01) <= 0.5
        assert after.area == pytest.approx(before.area, rel=0.1)


def test_a_packed_file_has_the_same_content_and_neither_time_nor_name(tmp_path: Path) -> None:
    labels = np.ones((5, 6), dtype=np.int32)
    frame = Frame((0, 0), (1, 1), 0.25)
    for name in ("a.geojson", "a.geojson.gz", "b.geojson.gz"):
        written(tmp_path / name, labels, frame)
    packed = (tmp_path / "a.geojson.gz").read_bytes()
    assert gzip.decompress(packed) == (tmp_path / "a.geojson").read_bytes()
    assert packed == (tmp_path / "b.geojson.gz").read_bytes()
    assert packed[4:8] == bytes(4)  # the time, RFC 1952
