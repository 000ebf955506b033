import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monuseg_cli.imaging.tiling import TileAxis, grid, window_starts


def test_the_default_patches_cover_an_image_of_1000_px_exactly() -> None:
    assert window_starts(1000, 256, 248) == [0, 248, 496, 744]
    assert len(grid((1000, 1000), 256, 248)) == 16


def test_drop_is_the_grid_of_the_baseline() -> None:
    assert window_starts(1000, 256, 128, "drop") == [0, 128, 256, 384, 512, 640]
    assert len(grid((1000, 1000), 256, 128, "drop")) == 36


def test_shift_moves_the_last_window_back_to_the_edge() -> None:
    assert window_starts(1000, 256, 128) == [0, 128, 256, 384, 512, 640, 744]


@pytest.mark.parametrize(("edge", "expected"), [("shift", [0]), ("drop", [])])
def test_an_axis_shorter_than_a_window(edge: str, expected: list[int]) -> None:
    assert window_starts(100, 256, 128, edge) == expected  # type: ignore[arg-type] # parametrised literal


def test_windows_stand_row_by_row() -> None:
    assert grid((4, 6), 2, 2)[:4] == [(0, 0), (0, 2), (0, 4), (2, 0)]


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 100), st.integers(1, 100))
def test_every_pixel_is_covered_where_steps_leave_no_gap(height: int, width: int, size: int, stride: int) -> None:
    covered = np.zeros((height, width), dtype=bool)
    for row, col in grid((height, width), size, min(stride, size)):
        covered[row : row + size, col : col + size] = True
        assert row + size <= max(height, size)
        assert col + size <= max(width, size)
    assert covered.all()


@given(st.integers(1, 3000), st.integers(2, 40), st.integers(0, 12), st.sampled_from([1, 16, 32]))
def test_even_tiles_cover_an_axis_to_its_end(length: int, largest: int, overlap: int, multiple: int) -> None:
    largest, overlap = largest * multiple, min(overlap, largest - 1) * multiple
    axis = TileAxis.cover(length, largest, overlap, multiple)
    begins = [axis.start(tile) for tile in range(axis.count)]
    assert axis.size <= max(largest, multiple)
    assert begins[0] == 0
    assert begins[-1] + axis.size == axis.length
    assert length <= axis.length < length + multiple
    for tile in range(1, axis.count):
        assert begins[tile - 1] < begins[tile] <= begins[tile - 1] + axis.size - overlap
        assert axis.overhang(tile) == (0 if tile < axis.count - 1 else tile * axis.step - begins[tile])
