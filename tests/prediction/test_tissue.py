import numpy as np

from monuseg_cli.prediction.tissue import find_tissue, widen
from support.tissue import draw_tissue

TISSUE, _ = draw_tissue(64, seed=1)


def test_glass_is_not_tissue_and_tissue_is() -> None:
    random = np.random.default_rng(0)
    glass = np.clip(random.normal((243, 240, 244), 2, (64, 64, 3)), 0, 255).astype(np.uint8)
    assert not find_tissue(glass, 8).any()
    assert find_tissue(TISSUE, 8).all()
    slide = np.tile(glass, (2, 2, 1))
    slide[:64, :64] = TISSUE
    found = find_tissue(slide, 8)
    assert found[4:60, 4:60].all()
    assert not found[80:].any()
    assert not found[:, 80:].any()


def test_tiles_that_the_file_leaves_out_are_no_tissue_and_lighten_no_glass() -> None:
    random = np.random.default_rng(0)
    slide = np.clip(random.normal((225, 222, 226), 1, (96, 96, 3)), 0, 254).astype(np.uint8)  # a dark scan of glass
    slide[40:88, 40:88] = TISSUE[:48, :48]
    whole = find_tissue(slide, 8)
    slide[:40] = 255
    found = find_tissue(slide, 8, sparse=True)
    assert not found[:40].any()
    np.testing.assert_array_equal(found[48:], whole[48:])
    assert find_tissue(slide, 8)[40:].all()  # what would come of it where white counted for glass
    assert not find_tissue(np.full((20, 20, 3), 255, dtype=np.uint8), 8, sparse=True).any()


def test_black_with_which_converters_fill_what_was_not_scanned_is_no_tissue() -> None:
    slide = np.full((96, 96, 3), 240, dtype=np.uint8)
    slide[40:88, 40:88] = TISSUE[:48, :48]
    whole = find_tissue(slide, 8)
    for black in (0, 2):
        slide[:20], slide[:, :20] = black, black
        found = find_tissue(slide, 8)
        assert not found[:20].any()
        assert not found[:, :20].any()
        np.testing.assert_array_equal(found[30:, 30:], whole[30:, 30:])
    assert not find_tissue(np.zeros((20, 20, 3), dtype=np.uint8), 8).any()


def test_a_yellowish_scanner_is_no_tissue() -> None:
    assert not find_tissue(np.full((50, 50, 3), (235, 226, 210), dtype=np.uint8), 8).any()


def test_tissue_is_widened_by_micrometres() -> None:
    tissue = np.zeros((41, 41), dtype=bool)
    tissue[20, 20] = True
    assert widen(tissue, 10).sum() == sum((r * r + c * c) <= 25 for r in range(-20, 21) for c in range(-20, 21))
    assert not widen(np.zeros((5, 5), dtype=bool), 10).any()


def test_a_single_dark_pixel_is_tissue() -> None:
    assert find_tissue(np.full((1, 1, 3), 90, dtype=np.uint8), 8).tolist() == [[True]]
