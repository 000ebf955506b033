"""Fields of a slide, picked from sparse to dense, with the outlines of the nuclei in them.

Outlines of all nuclei would not fit into memory. So candidates are drawn at random among the fields with tissue before
the nuclei are found, and only outlines in candidates are kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.scaled_source import read_thumbnail
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.tiling import Box
from monuseg_cli.nuclei.detections import Detections
from monuseg_cli.nuclei.shapes import Shapes, ragged, simplify
from monuseg_cli.reports.density_grid import DensityGrid
from monuseg_cli.reports.svg import draw_scale_bar, path_of_rings, round_length
from monuseg_cli.reports.template import jpeg_uri

FIELDS = 12
_CANDIDATES = 400
_FIELD_UM = 100.0
_TISSUE = 0.5
_SEED = 0
_FIELD_PX = 480
_FIELD_BAR_UM = 20
_TOLERANCE_PX = 0.75
_NO_CLASS = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A square part of a slide.

    Parameters
    ----------
    window : Box
        First row, first column, height and width, in pixels of level 0.
    nuclei : int
        Number of nuclei with their centre in it.
    shapes : ndarray of shape (N,), object
        Outlines of the nuclei that reach into it; see `Shapes`.
    classes : ndarray of shape (N,), object
        Class of each of them; empty texts without a classifier.
    """

    window: Box
    nuclei: int
    shapes: Shapes
    classes: NDArray[np.object_]


class FieldPicker:
    """Keeps the outlines in candidate fields while the nuclei arrive, and picks fields at the end.

    Parameters
    ----------
    grid : DensityGrid
        Grid whose cells the fields consist of; it counts the nuclei.
    region : Box
        The region of the grid, in pixels of level 0.
    """

    def __init__(self, grid: DensityGrid, region: Box) -> None:
        self._grid, self._region = grid, region
        self._cells = _cells_per_field(grid)
        tissue = self._sum(grid.tissue) / self._cells**2
        self._order = np.random.default_rng(_SEED).permutation(tissue.size)
        for least in (_TISSUE, 0):
            self._candidates = self._order[tissue.reshape(-1)[self._order] > least][:_CANDIDATES]
            if len(self._candidates):
                break
        self._is_candidate: NDArray[np.bool_] = np.zeros(tissue.shape, dtype=bool)
        self._is_candidate.reshape(-1)[self._candidates] = True
        self._before = np.pad(self._is_candidate.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
        self._kept: list[Shapes] = []
        self._classes: list[NDArray[np.object_]] = []

    def _sum(self, cells: NDArray[Any]) -> NDArray[np.float64]:
        """Add up the cells of each field."""
        side = self._cells
        rows, cols = (length // side for length in cells.shape)
        parts = cells[: rows * side, : cols * side].reshape(rows, side, cols, side)
        return np.asarray(parts.sum(axis=(1, 3)), dtype=np.float64)

    def add(self, found: Detections) -> None:
        """Keep the outlines that reach into a candidate."""
        import shapely

        left, top, right, bottom = shapely.bounds(found.shapes).T
        rows, cols = self._is_candidate.shape
        first_row, last_row = (self._field_of(side, 0, rows) for side in (top, bottom))
        first_col, last_col = (self._field_of(side, 1, cols) for side in (left, right))
        before, last_row, last_col = self._before, last_row + 1, last_col + 1
        inside = before[last_row, last_col] - before[first_row, last_col]
        inside += before[first_row, first_col] - before[last_row, first_col]
        self._kept.append(found.shapes[inside > 0])
        classes = np.array(found.classes or [_NO_CLASS] * len(found), dtype=object)
        self._classes.append(classes[inside > 0])

    def _field_of(self, places: NDArray[np.float64], axis: int, length: int) -> NDArray[np.intp]:
        size = self._grid.step[axis] * self._cells
        fields = ((places - self._region[axis]) / size).astype(np.intp)
        return np.clip(fields, 0, length - 1)

    def pick(self) -> list[Field]:
        """Return at most 12 fields, at equal steps from the candidate with the fewest nuclei to the one with most."""
        import shapely

        nuclei = self._sum(self._grid.counts).reshape(-1)[self._candidates].astype(np.int64)
        by_density = self._candidates[np.argsort(nuclei, kind="stable")]
        places = np.linspace(0, len(by_density) - 1, min(FIELDS, len(by_density))).round().astype(np.intp)
        kept, classes = (np.concatenate([np.empty(0, dtype=object), *parts]) for parts in (self._kept, self._classes))
        tree = shapely.STRtree(kept)
        found = []
        for index in by_density[places]:
            window = self._window(*divmod(int(index), self._is_candidate.shape[1]))
            row, col, height, width = window
            inside = np.sort(tree.query(shapely.box(col, row, col + width, row + height), predicate="intersects"))
            count = int(nuclei[self._candidates == index][0])
            found.append(Field(window, count, kept[inside], classes[inside]))
        return found

    def _window(self, row: int, col: int) -> Box:
        (height, width), side = self._grid.step, self._cells
        top, bottom = (round(edge * side * height) for edge in (row, row + 1))
        left, right = (round(edge * side * width) for edge in (col, col + 1))
        return self._region[0] + top, self._region[1] + left, bottom - top, right - left


def _cells_per_field(grid: DensityGrid) -> int:
    """Return the cells along a side of a field: of 100 um, or less where the image would not have twelve fields."""
    rows, cols = grid.counts.shape
    most = max(1, min(round(_FIELD_UM / grid.cell_um), rows, cols))
    return next(
        (side for side in range(most, 1, -1) if (rows // side) * (cols // side) >= FIELDS), max(1, min(2, most))
    )


def draw_field(slide: Slide, field: Field, number: int, mpp: float, colours: Mapping[str, Sequence[int]]) -> str:
    """Draw a field with the outlines of the nuclei, as a ``<figure>`` with the id ``field-NUMBER``.

    Outlines have the colour of their class (R, G, B), or are green without classes.
    """
    row, col, height, width = field.window
    pixels = read_thumbnail(slide, max(max(height, width) / _FIELD_PX, 1), field.window)
    per_mm2 = field.nuclei / (height * width * (mpp / 1000) ** 2)
    about = f"{field.nuclei} {'nucleus' if field.nuclei == 1 else 'nuclei'}, {per_mm2:,.0f}/mm²"
    pen = max(height, width) / 220
    bar = draw_scale_bar(field.window, mpp, min(_FIELD_BAR_UM, round_length(width * mpp / 2)), pen)
    return (
        f'<figure id="field-{number}"><svg viewBox="{col} {row} {width} {height}" role="img" '
        f'aria-label="Field {number}: {about}"><image x="{col}" y="{row}" width="{width}" height="{height}" '
        f'preserveAspectRatio="none" href="{jpeg_uri(pixels)}"/>{_outlines(field, colours)}{bar}</svg>'
        f"<figcaption><b>{number}</b> &nbsp;{about}<br>x {col:,}, y {row:,}</figcaption></figure>"
    )


def _outlines(field: Field, colours: Mapping[str, Sequence[int]]) -> str:
    groups = {name: "rgb({}, {}, {})".format(*colour) for name, colour in colours.items()} or {_NO_CLASS: "#00ff40"}
    return "".join(
        f'<path class="outline" d="{_path(field.shapes[field.classes == name])}" fill="none" stroke="{stroke}" '
        f'stroke-width="1.5" vector-effect="non-scaling-stroke"/>'
        for name, stroke in groups.items()
    )


def _path(shapes: Shapes) -> str:
    if not len(shapes):
        return ""
    points, rings, _, _ = ragged(simplify(shapes, _TOLERANCE_PX))
    return path_of_rings(points[begin : end - 1] for begin, end in pairwise(rings.tolist()))
