from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from monuseg_cli.imaging.coordinates import Layout
from monuseg_cli.imaging.resample import RowsResized
from monuseg_cli.nuclei.detections import Detections
from monuseg_cli.nuclei.label_rows import label_rows
from monuseg_cli.nuclei.shapes import outline
from monuseg_cli.nuclei.trace import trace

SHAPE = (417, 331)


@pytest.fixture(scope="module")
def labels() -> NDArray[np.int32]:
    """Nuclei of every form, some of which touch, have holes, or are connected at corners only."""
    noise = np.random.default_rng(3).normal(size=SHAPE)
    blobs, _ = ndimage.label(ndimage.gaussian_filter(noise, 3) > 0.03)
    cut = np.where(np.arange(SHAPE[1]) % 50 < 25, blobs, blobs * 2)
    found = np.where((noise > 2.2) & (cut % 3 == 0), 0, cut)
    numbers: NDArray[np.int32] = np.unique(found, return_inverse=True)[1].reshape(SHAPE).astype(np.int32)
    return numbers


def grouped(labels: NDArray[np.int32], layout: Layout, sizes: Sequence[int]) -> Iterator[Detections]:
    """Trace a label image, and give its nuclei in groups of these sizes, in an order that is not that of the rows."""
    shapes = outline(trace(labels), layout.frame)
    ids = np.arange(1, len(shapes) + 1)
    rows = shapely.bounds(shapes)[:, 1]
    order = np.argsort(rows + np.random.default_rng(0).uniform(-60, 60, len(rows)) * layout.shape[0] / SHAPE[0])
    for part in np.split(order, np.cumsum(sizes)):
        yield Detections({"id": ids[part]}, shapes[part])


def painted(groups: Sequence[Detections], layout: Layout) -> NDArray[np.int32]:
    tops = [float(shapely.bounds(group.shapes)[:, 1].min()) for group in groups]
    return np.concatenate(list(label_rows(groups, tops, layout)))


@pytest.mark.parametrize("sizes", [[], [1, 3, 20], [7] * 12])
def test_outlines_painted_are_the_labels_that_they_were_traced_in(labels: NDArray[np.int32], sizes: list[int]) -> None:
    layout = Layout((0, 0, *SHAPE), SHAPE, 0.25, 0.25)
    groups = list(grouped(labels, layout, sizes))
    assert labels.max() == sum(map(len, groups)) > 90
    assert any(shapely.get_num_geometries(group.shapes).max() > 1 for group in groups)
    assert any(shapely.get_num_interior_rings(group.shapes).max() > 0 for group in groups)
    np.testing.assert_array_equal(painted(groups, layout), labels)


@pytest.mark.parametrize("shape", [(1043, 829), (200, 150), (3336, 2648)])
def test_maps_of_another_scale_and_origin_are_resampled_as_before(
    labels: NDArray[np.int32], shape: tuple[int, int]
) -> None:
    layout = Layout((1234, 77, *shape), SHAPE, 0.1, 0.25)
    groups = list(grouped(labels, layout, [50]))
    np.testing.assert_array_equal(painted(groups, layout), RowsResized(SHAPE, shape).add(labels))


def test_no_nuclei_are_background() -> None:
    layout = Layout((0, 0, 300, 20), (300, 20), None, 0.25)
    assert painted([], layout).shape == (300, 20)
    assert not painted([], layout).any()
