import numpy as np

from monuseg_cli.prediction.tissue import find_tissue, widen
from support.tissue import draw_tissue

TISSUE, _ = draw_tissue(64, seed=1)


def test_glass_is_none_and_tissue_is_all() -> None:
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


def test_a_yellowish_scanner_is_no_tissue() -> None:
    assert not find_tissue(np.full((50, 50, 3), (235, 226, 210), dtype=np.uint8), 8).any()


def test_the_margin_is_in_micrometres() -> None:
    tissue = np.zeros((41, 41), dtype=bool)
    tissue[20, 20] = True
    assert widen(tissue, 10).sum() == sum((r * r + c * c) <= 25 for r in range(-20, 21) for c in range(-20, 21))
    assert not widen(np.zeros((5, 5), dtype=bool), 10).any()


def test_one_pixel() -> None:
    assert find_tissue(np.zeros((1, 1, 3), dtype=np.uint8), 8).tolist() == [[True]]
