import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from monuseg_cli.viewer import colours
from monuseg_cli.viewer.nuclei_tiles import Colouring, Overlay, Style
from monuseg_cli.viewer.nucleus_set import NucleusSet, pack
from monuseg_cli.viewer.pyramid import Pyramid

SHAPE = (1024, 2048)
SQUARE = np.array([(0, 0), (0, 24), (24, 24), (24, 0)], dtype=float)
PLACES = [(100, 100), (100, 140), (100, 600), (500, 500)]


@pytest.fixture(scope="module")
def nuclei() -> NucleusSet:
    polygons = [[[SQUARE + place]] for place in PLACES]
    values = [{"area": 0.0}, {"area": 5.0}, {"area": 10.0}, {}]
    return pack([""] * 4, ["b", "a", "b", ""], polygons, values)


@pytest.fixture(scope="module")
def overlay(nuclei: NucleusSet) -> Overlay:
    return Overlay(nuclei, SHAPE, mpp=0.25)


def draw(
    overlay: Overlay, level: int, row: int, col: int, colouring: Colouring, style: Style = "outlines"
) -> NDArray[np.uint8]:
    tile = Pyramid(SHAPE).tile(level, row, col, finer=3)
    assert tile is not None
    picture = Image.open(io.BytesIO(overlay.webp(tile, colouring, "", style)))
    pixels = np.asarray(picture.convert("RGBA"))
    assert pixels.shape == (tile.height, tile.width, 4)
    return pixels


def test_outlines_lie_on_the_edges_of_nuclei(overlay: Overlay) -> None:
    pixels = draw(overlay, 11, 0, 0, overlay.by_measurement(""))
    assert tuple(pixels[112, 100]) == (*colours.OUTLINE, 255)
    assert tuple(pixels[124, 112]) == (*colours.OUTLINE, 255)
    assert pixels[112, 112, 3] == 0
    assert pixels[112, 130, 3] == 0
    assert pixels[500:510, 500, 3].min() == 255


def test_finer_tiles_keep_thin_lines(overlay: Overlay) -> None:
    pixels = draw(overlay, 13, 0, 0, overlay.by_measurement(""))  # four pixels of the tile for one of the slide
    line = pixels[448, 380:440, 3]
    assert 2 < line.sum() / 255 < 4
    assert abs(np.average(np.arange(380, 440), weights=line) - 400) < 1


def test_neighbouring_tiles_meet(overlay: Overlay) -> None:
    """A nucleus across the border of two tiles is drawn on both."""
    left, right = (draw(overlay, 11, 0, col, overlay.by_measurement("")) for col in (0, 1))
    assert left[500, 490:, 3].any()
    assert right[500, :12, 3].all()
    assert not right[400, :12, 3].any()


def test_filled_nuclei_have_the_colour_of_their_measurement(overlay: Overlay) -> None:
    colouring = overlay.by_measurement("area")
    pixels = draw(overlay, 11, 0, 0, colouring, "filled")
    low, high = colouring.limits or (0, 0)
    assert low == pytest.approx(0.2)
    assert high == pytest.approx(9.8)
    lowest, middle = pixels[112, 112, :3].astype(int), pixels[112, 152, :3].astype(int)
    assert np.abs(lowest - colours.ramp()[1]).max() <= 2
    assert np.abs(middle - colours.ramp()[127:129]).max(axis=1).min() <= 2  # it is halfway between two steps
    assert np.abs(pixels[505, 505, :3].astype(int) - colours.UNKNOWN).max() <= 2
    assert 150 < pixels[112, 112, 3] < 255


def test_colours_lie_between_chosen_limits(overlay: Overlay) -> None:
    colouring = overlay.by_measurement("area", (5.0, 25.0))
    assert colouring.limits == (5.0, 25.0)
    first, _, middle, _ = (int(index) for index in colouring.index)
    assert (first, middle) == (1, 1 + round(253 * 5 / 20))  # the areas are 0, 5, 10 and unknown
    assert overlay.by_measurement("area").limits != colouring.limits
    far = Pyramid((10240, 20480))
    whole = far.tile(far.first, 0, 0)
    assert whole is not None
    maps = [
        np.asarray(Image.open(io.BytesIO(overlay.webp(whole, colouring, "area", "outlines", limits))))
        for limits in (None, (5.0, 25.0), (-100.0, 0.0))
    ]
    highest = colours.ramp()[colours.RAMP_STEPS]
    beyond = [np.abs(pixels[2, 2, :3].astype(int) - highest).max() <= 4 for pixels in maps]  # near the nuclei
    assert beyond == [False, False, True]
    assert (maps[0] != maps[1]).any()


def test_classes_have_their_colours(overlay: Overlay) -> None:
    assert overlay.class_names == ("a", "b")
    pixels = draw(overlay, 11, 0, 0, overlay.by_class, "filled")
    first, second = colours.classes()[[1, 2]]
    assert np.abs(pixels[112, 152, :3].astype(int) - first).max() <= 2
    assert np.abs(pixels[112, 112, :3].astype(int) - second).max() <= 2


def test_classes_have_the_colours_that_their_file_states(overlay: Overlay) -> None:
    stated = Overlay(overlay._nuclei, SHAPE, 0.25, {"b": (250, 10, 20)})
    pixels = draw(stated, 11, 0, 0, stated.by_class, "filled")
    assert np.abs(pixels[112, 152, :3].astype(int) - colours.classes()[1]).max() <= 2
    assert np.abs(pixels[112, 112, :3].astype(int) - (250, 10, 20)).max() <= 2


def test_where_outlines_no_longer_fit_there_is_a_heat_map(overlay: Overlay) -> None:
    assert overlay.coarsest_step == 24 / 7
    outlines = draw(overlay, 10, 0, 0, overlay.by_measurement(""))  # two pixels of the slide for one of the tile
    assert set(np.unique(outlines[..., 3]).tolist()) >= {0, 255}
    assert outlines[56, 56, 3] == 0
    far = Pyramid((10240, 20480))
    whole = far.tile(far.first, 0, 0)
    assert whole is not None
    pictures = [
        np.asarray(Image.open(io.BytesIO(overlay.webp(whole, overlay.by_measurement(""), name, "outlines"))))
        for name in ("", "area")
    ]
    for pixels in pictures:
        assert pixels[2, 2, 3] > 0  # near the nuclei
    assert (pictures[0] != pictures[1]).any()


def test_nuclei_without_outlines_are_dots() -> None:
    nothing = np.zeros(3, dtype=np.int64)
    centres = np.array([(100.0, 100.0), (100.0, 511.0)])
    empty = np.empty((0, 2), dtype=np.float32)
    nuclei = NucleusSet(["1", "2"], ["", ""], centres, empty, nothing[:1], np.empty(0, dtype=bool), nothing, {})
    overlay = Overlay(nuclei, SHAPE, mpp=None)
    pixels = draw(overlay, 11, 0, 0, overlay.by_measurement(""))
    assert pixels[100, 100, 3] == 255
    assert pixels[100, 110, 3] == 0
    assert draw(overlay, 11, 0, 1, overlay.by_measurement(""))[100, 1, 3] > 0
