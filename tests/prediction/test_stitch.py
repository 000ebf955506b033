from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from monuseg_cli.imaging.stains import density_to_8_bits
from monuseg_cli.metrics.instance import find_overlaps, panoptic_quality
from monuseg_cli.nuclei.labelled_nuclei import Nuclei
from monuseg_cli.nuclei.postprocess import postprocess
from monuseg_cli.nuclei.postprocess_params import PostprocessParams
from monuseg_cli.nuclei.rasterise import rasterise
from monuseg_cli.prediction.blend import to_uint8
from monuseg_cli.prediction.stitch import LabelRows, Stitcher
from monuseg_cli.training.targets import CLASSES, make_targets
from support.tissue import ellipse

MPP = 0.25


@pytest.fixture(scope="module")
def truth() -> NDArray[np.int32]:
    """Nuclei that touch one another, all over."""
    random = np.random.default_rng(1)
    shapes = [
        (row + random.uniform(-4, 4), col + random.uniform(-4, 4), *random.uniform(6, 14, 2))
        for row in range(10, 400, 22)
        for col in range(10, 500, 22)
    ]
    return rasterise([ellipse(*shape) for shape in shapes], (400, 500)).labels


def stitched(
    maps: NDArray[np.float32], heights: list[int], block: tuple[int, int] = (512, 2048), threads: int = 1
) -> tuple[list[LabelRows], list[Nuclei]]:
    given = list(added(maps, heights, block, threads))
    finished = [part for part in given if isinstance(part, LabelRows)]
    return finished, [part for part in given if isinstance(part, Nuclei)]


def added(
    maps: NDArray[np.float32], heights: list[int], block: tuple[int, int], threads: int = 1
) -> Iterator[Nuclei | LabelRows]:
    params = PostprocessParams()
    stitcher = Stitcher(maps.shape[1:], CLASSES["boundary"], MPP, params, block_px=block, threads=threads)
    edges = np.cumsum([0, *heights]).tolist()
    assert edges[-1] == maps.shape[1]
    for top, bottom in pairwise(edges):
        rows = maps[:, top:bottom]
        yield from stitcher.add(to_uint8(rows), density_to_8_bits(rows[0]))


@pytest.mark.parametrize("block", [(128, 128), (64, 512), (400, 100), (1024, 2048)])
def test_blocks_find_the_nuclei_of_the_whole_image(truth: NDArray[np.int32], block: tuple[int, int]) -> None:
    maps = make_targets(truth, "boundary")
    finished, nuclei = stitched(maps, [100, 7, 193, 100], block)
    labels = np.concatenate([part.labels for part in finished])
    assert [part.row for part in finished] == np.cumsum([0] + [len(part.labels) for part in finished])[:-1].tolist()
    whole = postprocess(maps, CLASSES["boundary"], MPP, PostprocessParams())
    assert (labels > 0).mean() == pytest.approx((whole > 0).mean(), abs=1e-4)
    assert panoptic_quality(find_overlaps(whole, labels)).pq > 0.995
    ids = np.concatenate([found.first + np.arange(len(found)) for found in nuclei])
    assert ids.tolist() == list(range(1, len(ids) + 1))
    assert set(np.unique(labels[labels > 0])) == set(ids.tolist())
    areas = np.concatenate([found.measurements.area_px for found in nuclei])
    np.testing.assert_array_equal(areas, np.bincount(labels.reshape(-1))[1:])
    centroids = np.concatenate([found.measurements.centroids for found in nuclei])
    rows, cols = np.nonzero(labels == 17)
    np.testing.assert_allclose(centroids[16], [rows.mean() + 0.5, cols.mean() + 0.5])


def test_the_result_does_not_depend_on_the_number_of_threads(truth: NDArray[np.int32]) -> None:
    maps = make_targets(truth, "boundary")
    (rows, nuclei), (rows_of_four, nuclei_of_four) = (
        stitched(maps, [100, 7, 193, 100], (64, 96), threads) for threads in (1, 4)
    )
    labels, labels_of_four = (np.concatenate([part.labels for part in of]) for of in (rows, rows_of_four))
    np.testing.assert_array_equal(labels, labels_of_four)
    assert [found.first for found in nuclei] == [found.first for found in nuclei_of_four]
    for one, other in zip(nuclei, nuclei_of_four, strict=True):
        np.testing.assert_array_equal(one.window, other.window)
        np.testing.assert_array_equal(one.centres, other.centres)


def test_a_nucleus_on_the_corner_of_four_blocks_is_one() -> None:
    for shift in (-2.0, -0.5, 0.0, 0.5, 2.0):
        truth = rasterise([ellipse(64 + shift, 64 - shift, 20, 12)], (160, 160)).labels
        finished, _ = stitched(make_targets(truth, "boundary"), [160], (64, 64))
        labels = np.concatenate([part.labels for part in finished])
        np.testing.assert_array_equal(labels, truth)


def test_empty_maps_have_no_nuclei() -> None:
    finished, nuclei = stitched(np.zeros((2, 50, 60), dtype=np.float32), [50])
    assert [part.labels.shape for part in finished] == [(50, 60)]
    assert not finished[0].labels.any()
    assert nuclei == []
