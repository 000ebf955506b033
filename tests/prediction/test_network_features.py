"""Features of the network: means over each nucleus, that depend on neither blocks nor regions of interest."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from conftest import Monuseg
from monuseg_cli.core.home import SHIPPED, Home
from monuseg_cli.imaging.scaled_source import ArraySource
from monuseg_cli.imaging.stains import StainMatch
from monuseg_cli.models.weights import load_model
from monuseg_cli.nuclei.columns import NETWORK_COLUMNS, NETWORK_FEATURES
from monuseg_cli.nuclei.labelled_nuclei import Nuclei
from monuseg_cli.nuclei.rasterise import rasterise
from monuseg_cli.prediction.engines.encoder import Encoder
from monuseg_cli.prediction.network_features import CELL_PX, MARGIN_PX, NetworkFeatures
from support.classes import box, ring, write_features
from support.rows import read_rows
from support.tissue import draw_tissue

SHAPE = (600, 1100)
"""Of a picture with four cells, whose sides are not multiples of what the network halves."""


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """Return the encoder of the model in the package."""
    import torch

    return Encoder(*load_model(SHIPPED), torch.device("cpu"))


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    return draw_tissue(1100, seed=8)[0][: SHAPE[0]]


@pytest.fixture(scope="module")
def labels() -> NDArray[np.int32]:
    outlines = [outline for outline in draw_tissue(1100, seed=8)[1] if outline[:, 0].max() < SHAPE[0]]
    return rasterise(outlines, SHAPE).labels


def nuclei_of(labels: NDArray[np.int32], top: int = 0, left: int = 0, height: int = 9999, width: int = 9999) -> Nuclei:
    """Return the nuclei with their centre in a block, in a window that is wider than it by what they may extend."""
    bottom, right = min(top + height, SHAPE[0]), min(left + width, SHAPE[1])
    centres = np.array([np.argwhere(labels == label).mean(axis=0) for label in range(1, labels.max() + 1)])
    inside = ((centres >= (top, left)) & (centres < (bottom, right))).all(axis=1)
    first = (max(top - 80, 0), max(left - 80, 0))
    window = labels[first[0] : bottom + 80, first[1] : right + 80]
    numbers = np.concatenate([[0], np.cumsum(inside) * inside]).astype(np.int32)
    return Nuclei(1, centres[inside], numbers[window], None, np.zeros(window.shape, np.uint8), np.array(first))


def test_a_nucleus_has_the_mean_of_its_pixels(encoder: Encoder, picture: NDArray[np.uint8]) -> None:
    labels = np.zeros((128, 160), dtype=np.int32)
    labels[30:47, 50:90] = 1
    labels[100:104, 3:9] = 2
    nuclei = Nuclei(
        1, np.array([[38.0, 69.5], [101.5, 5.5]]), labels, None, np.zeros(labels.shape, np.uint8), np.zeros(2, int)
    )
    found = NetworkFeatures(ArraySource(picture[:128, :160]), None, encoder).measure(nuclei)
    features, step = encoder(picture[:128, :160], NETWORK_FEATURES)
    large = features.repeat(step, axis=1).repeat(step, axis=2)
    expected = [large[:, labels == label].mean(axis=1) for label in (1, 2)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert found.shape == (2, NETWORK_FEATURES)


@pytest.mark.parametrize("block", [(512, 2048), (320, 600)])
def test_features_do_not_depend_on_the_blocks(
    encoder: Encoder, picture: NDArray[np.uint8], labels: NDArray[np.int32], block: tuple[int, int]
) -> None:
    measured = NetworkFeatures(ArraySource(picture), None, encoder).measure
    whole = nuclei_of(labels)
    expected = {tuple(centre): values for centre, values in zip(whole.centres, measured(whole), strict=True)}
    assert len({tuple(cell) for cell in (whole.centres // CELL_PX).tolist()}) == 4
    found: dict[tuple[float, ...], NDArray[np.float64]] = {}
    for top in range(0, SHAPE[0], block[0]):
        for left in range(0, SHAPE[1], block[1]):
            part = nuclei_of(labels, top, left, *block)
            found |= {tuple(centre): values for centre, values in zip(part.centres, measured(part), strict=True)}
    assert found.keys() == expected.keys()
    for centre, values in expected.items():
        np.testing.assert_allclose(found[centre], values, atol=1e-4)


def test_what_is_far_from_a_nucleus_does_not_change_it(encoder: Encoder, picture: NDArray[np.uint8]) -> None:
    """A cell is seen with its margin: what is beyond that, and may be read or not, is of no influence."""
    changed = picture.copy()
    changed[:, CELL_PX[1] + MARGIN_PX :] = 0
    labels = np.zeros(SHAPE, dtype=np.int32)
    labels[200:220, 1000:1020] = 1
    near = nuclei_of(labels)
    one, other = (NetworkFeatures(ArraySource(pixels), None, encoder).measure(near) for pixels in (picture, changed))
    np.testing.assert_array_equal(one, other)
    assert np.abs(NetworkFeatures(ArraySource(255 - picture), None, encoder).measure(near) - one).max() > 0.1


def test_the_network_sees_matched_pixels(encoder: Encoder, picture: NDArray[np.uint8]) -> None:
    levels = {"haematoxylin": (0.0, 0.6), "eosin": (0.0, 0.3)}
    match = StainMatch(levels, {"haematoxylin": (0.0, 0.3), "eosin": (0.0, 0.6)})
    small = picture[:128, :128]
    labels = np.zeros((128, 128), dtype=np.int32)
    labels[50:70, 50:70] = 1
    nuclei = Nuclei(1, np.array([[59.5, 59.5]]), labels, None, np.zeros(labels.shape, np.uint8), np.zeros(2, int))
    matched = NetworkFeatures(ArraySource(small), match, encoder).measure(nuclei)
    np.testing.assert_array_equal(
        matched, NetworkFeatures(ArraySource(match.apply(small)), None, encoder).measure(nuclei)
    )
    assert np.abs(matched - NetworkFeatures(ArraySource(small), None, encoder).measure(nuclei)).max() > 0.01


def test_nuclei_in_a_region_have_the_features_of_the_whole_image_and_only_where_they_are_asked_for(
    trained_home: Home, tmp_path: Path, monuseg: Monuseg
) -> None:
    Image.fromarray(draw_tissue(300, seed=4)[0]).save(tmp_path / "a.png")
    feature = {"type": "Feature", "geometry": ring(box(60, 60, 150, 150)), "properties": {"objectType": "annotation"}}
    roi = write_features(tmp_path / "roi.geojson", [feature])
    common = ("predict", tmp_path / "a.png", "--engine", "torch", "--mpp", 0.25, "--home", trained_home.root)
    network = ("--measurements", "network")
    for name, more in {"whole": network, "part": (*network, "--roi", roi), "plain": ("--measurements", "all")}.items():
        done = monuseg(*common, "-o", tmp_path / name / "n.csv", *more)
        assert done.exit_code == 0, done.stderr
    whole = {(row["row_px"], row["col_px"]): row for row in read_rows(tmp_path / "whole" / "n.csv")}
    part = read_rows(tmp_path / "part" / "n.csv")
    assert 5 < len(part) < len(whole)
    for row in part:
        same = whole[row["row_px"], row["col_px"]]
        difference = [float(row[name]) - float(same[name]) for name in NETWORK_COLUMNS]
        assert np.abs(difference).max() <= 0.0011  # rounded to three decimals
    plain = read_rows(tmp_path / "plain" / "n.csv")
    assert "nearest_um" in plain[0]
    assert not set(NETWORK_COLUMNS) & plain[0].keys()
