"""Polygons -> label images, by the pixel-centre rule."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from monuseg_cli.atomic import write_bytes, write_json, writing
from monuseg_cli.dataset.annotations import read_annotation
from monuseg_cli.dataset.catalog import SPLITS
from monuseg_cli.dataset.config import MasksConfig
from monuseg_cli.dataset.manifest import Case, Dataset
from monuseg_cli.errors import MissingError
from monuseg_cli.images import decoding, open_tiff, read_image
from monuseg_cli.outlines import draw_outlines
from monuseg_cli.progress import SILENT, Progress

RULE = "pixel centre, half-open; non-zero winding; smallest on top"
"""The rule that label images are made by; a change of it makes every mask anew."""


@dataclass(frozen=True, slots=True)
class CaseMasks:
    """What was made of one case; also its line in ``masks/manifest.json``.

    Parameters
    ----------
    regions : int
        Regions in the annotation.
    nuclei : int
        Labels in the label image.
    degenerate : int
        Regions left out because they have fewer than three vertices.
    outside : int
        Regions left out because no part of them lies in the image.
    hidden : int
        Nuclei of which smaller ones on top leave no pixel.
    drawn_area_px, raster_area_px : float, int
        Sum of the attributes Area, and of the pixels of each region before overlaps are resolved.
    """

    case_id: str
    image_sha256: str
    annotation_sha256: str
    regions: int
    nuclei: int
    degenerate: int
    outside: int
    hidden: int
    drawn_area_px: float
    raster_area_px: int


@dataclass(frozen=True, slots=True)
class MasksResult:
    """Where the masks are, and what is in them; `made` counts the cases that were not there already."""

    folder: Path
    cases: tuple[CaseMasks, ...]
    made: int


@dataclass(frozen=True, slots=True)
class Raster:
    """A rasterised annotation.

    Parameters
    ----------
    labels : ndarray of shape (H, W), int32
        Polygon i has label i + 1; 0 is background.
    areas_px : ndarray of shape (N,), int64
        Pixels of each polygon within the image, before overlaps are resolved.
    """

    labels: NDArray[np.int32]
    areas_px: NDArray[np.int64]


def masks_folder(dataset: Path) -> Path:
    """Give the folder that holds the masks of the data set."""
    return dataset / "masks"


def labels_path(dataset: Path, case_id: str) -> Path:
    """Give the path of a case's label image."""
    return masks_folder(dataset) / "labels" / f"{case_id}.tif"


def rasterise(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> Raster:
    """Fill polygons into a label image.

    A pixel (r, c) belongs to a polygon when its centre (r + 0.5, c + 0.5) does: by the non-zero winding rule, so that
    an outline that runs over its own beginning has no hole there, and half-open on edges (top and left in, bottom and
    right out), so that polygons that share an edge share no pixel. Where polygons overlap the smaller one, by pixels
    before overlaps, lies on top; of equal ones the later. A polygon that covers no pixel's centre gets the one pixel
    that its mean vertex lies in. What lies outside the image is clipped.

    Parameters
    ----------
    polygons : sequence of ndarray of shape (V, 2), float64
        Row and column of each vertex, finite.
    shape : tuple of int
        Height and width of the image.

    Returns
    -------
    Raster
    """
    owner, row, first, stop = _spans(polygons, shape)
    areas = np.bincount(owner, weights=stop - first, minlength=len(polygons)).astype(np.int64)
    if len(tiny := _centre_pixels(polygons, areas, shape)):
        owner = np.concatenate([owner, tiny[:, 0]])
        row = np.concatenate([row, tiny[:, 1]])
        first = np.concatenate([first, tiny[:, 2]])
        stop = np.concatenate([stop, tiny[:, 2] + 1])
        areas[tiny[:, 0]] = 1
    # Largest first: where an index repeats in an assignment, the last value stays.
    paint_rank = np.empty(len(polygons), dtype=np.intp)
    paint_rank[np.argsort(-areas, kind="stable")] = np.arange(len(polygons))
    order = np.argsort(paint_rank[owner], kind="stable")
    lengths = (stop - first)[order]
    starts = (row * shape[1] + first)[order]
    pixels = np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    labels = np.zeros(shape, dtype=np.int32)
    labels.reshape(-1)[pixels] = np.repeat(owner[order] + 1, lengths)
    return Raster(labels, areas)


def _spans(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> tuple[NDArray[np.int64], ...]:
    """Find the runs of pixels inside each polygon: polygon, row, first column, column behind the last.

    A classic scanline fill, for all polygons at once: every edge is cut with the lines through pixel centres that it
    crosses, the cuts are sorted along each line, and the winding number is summed over them.
    """
    height, width = shape
    if not len(polygons):
        return (np.zeros(0, dtype=np.int64),) * 4
    begin = np.concatenate(polygons)
    end = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])
    owner = np.repeat(np.arange(len(polygons)), [len(polygon) for polygon in polygons])
    down = end[:, 0] > begin[:, 0]
    # Cutting each edge from its upper end makes the two sides of a shared edge agree to the last bit.
    upper = np.where(down[:, None], begin, end)
    lower = np.where(down[:, None], end, begin)
    top = np.ceil(upper[:, 0] - 0.5).clip(0, height).astype(np.int64)
    bottom = np.ceil(lower[:, 0] - 0.5).clip(0, height).astype(np.int64)
    crossings = bottom - top
    edge = np.repeat(np.arange(len(begin)), crossings)
    row = np.arange(crossings.sum()) + np.repeat(top - (np.cumsum(crossings) - crossings), crossings)
    size = (lower - upper)[edge]
    col = upper[edge, 1] + (row + 0.5 - upper[edge, 0]) * size[:, 1] / size[:, 0]
    order = np.lexsort((col, row, owner[edge]))
    edge, row, col = edge[order], row[order], col[order]
    winding = np.cumsum(np.where(down[edge], 1, -1))
    inside = np.flatnonzero(winding)  # the winding number returns to 0 at the end of every line of every polygon
    first = np.ceil(col[inside] - 0.5).clip(0, width).astype(np.int64)
    stop = np.ceil(col[inside + 1] - 0.5).clip(0, width).astype(np.int64)
    return owner[edge[inside]], row[inside], first, stop


def _centre_pixels(
    polygons: Sequence[NDArray[np.float64]], areas: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.int64]:
    """List polygon, row and column of the mean vertex for polygons without a pixel whose mean lies in the image."""
    empty: list[int] = np.flatnonzero(areas == 0).tolist()
    means = np.array([polygons[index].mean(axis=0) for index in empty]).reshape(-1, 2)
    found = np.column_stack([np.array(empty, dtype=np.int64), np.floor(means).astype(np.int64)])
    inside = ((found[:, 1:] >= 0) & (found[:, 1:] < shape)).all(axis=1)
    return found[inside]


def read_labels(path: Path) -> NDArray[np.int32]:
    """Read a label image written by `build_masks`.

    Raises
    ------
    MissingError
        If there is none.
    InputError
        If it cannot be read.
    """
    with decoding(path):
        return np.asarray(tifffile.imread(path), dtype=np.int32)


def build_masks(config: MasksConfig, progress: Progress = SILENT) -> MasksResult:
    """Make the label image, the binary mask and, if asked for, the preview of every case.

    Writes ``masks/labels/CASE.tif`` (int32, deflate), ``masks/binary/CASE.png`` (0 or 255), ``masks/preview/CASE.png``
    and ``masks/manifest.json`` in the data set's folder. What is there and was made from the same annotation by the
    same rule is not made again.

    Raises
    ------
    MissingError
        If the data set, a split that was asked for, or a file of it is not there.
    InputError
        If an image or an annotation cannot be read.
    OutputError
        If a mask cannot be written.
    """
    dataset = Dataset.load(config.dataset)
    splits = config.splits or tuple(split for split in SPLITS if dataset.archive_of(split))
    cases = dataset.of_split(*splits)
    known = load_case_masks(config.dataset)
    made: dict[str, CaseMasks] = {}
    with progress.task("masks", len(cases), "cases") as task:
        for case in cases:
            if not _is_current(dataset, case, known.get(case.case_id), config.preview):
                progress.detail(f"reads {dataset.annotation_path(case)}")
                made[case.case_id] = _build_case(dataset, case, config.preview)
            task.advance()
    if made:
        known = load_case_masks(config.dataset) | made  # another process may have added cases meanwhile
        content = {"rule": RULE, "cases": [asdict(known[case_id]) for case_id in sorted(known)]}
        write_json(masks_folder(config.dataset) / "manifest.json", content)
    result = MasksResult(masks_folder(config.dataset), tuple(known[case.case_id] for case in cases), len(made))
    if made:
        _warn_of_losses(result, progress)
    return result


def load_case_masks(dataset: Path) -> dict[str, CaseMasks]:
    """Read what masks exist, by case id; empty where there is no manifest, or none that this version would write.

    Masks can be made anew at any time, so a manifest that is damaged or of another rule is no error.
    """
    try:
        content = json.loads((masks_folder(dataset) / "manifest.json").read_text(encoding="utf-8"))
        if content["rule"] != RULE:
            return {}
        return {case["case_id"]: CaseMasks(**case) for case in content["cases"]}
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
        return {}


def _outputs(dataset: Path, case: Case) -> tuple[Path, Path, Path]:
    folder = masks_folder(dataset)
    name = f"{case.case_id}.png"
    return labels_path(dataset, case.case_id), folder / "binary" / name, folder / "preview" / name


def _is_current(dataset: Dataset, case: Case, made: CaseMasks | None, preview: bool) -> bool:
    wanted = _outputs(dataset.root, case)[: 3 if preview else 2]
    sources = (case.image_sha256, case.annotation_sha256)
    same_source = made is not None and (made.image_sha256, made.annotation_sha256) == sources
    return same_source and all(path.is_file() for path in wanted)


def _build_case(dataset: Dataset, case: Case, preview: bool) -> CaseMasks:
    image_path = dataset.image_path(case)
    labels_file, binary_file, preview_file = _outputs(dataset.root, case)
    annotation = read_annotation(dataset.annotation_path(case))
    with decoding(image_path), open_tiff(image_path) as tiff:
        height, width = tiff.pages.first.shape[:2]
    raster = rasterise(annotation.polygons, (height, width))
    with writing(labels_file) as part:
        tifffile.imwrite(part, raster.labels, compression="zlib", compressionargs={"level": 1}, metadata=None)
    mask = (raster.labels > 0).astype(np.uint8) * 255
    write_bytes(binary_file, imagecodecs.png_encode(mask, level=1))
    if preview:
        pixels, _ = read_image(image_path)
        write_bytes(preview_file, imagecodecs.png_encode(draw_outlines(pixels, raster.labels), level=1))
    else:
        preview_file.unlink(missing_ok=True)  # one of an older annotation must not be taken for this one's
    inside = int((raster.areas_px > 0).sum())
    visible = int((np.bincount(raster.labels.reshape(-1))[1:] > 0).sum())
    return CaseMasks(
        case_id=case.case_id,
        image_sha256=case.image_sha256,
        annotation_sha256=case.annotation_sha256,
        regions=len(annotation.polygons) + annotation.degenerate,
        nuclei=visible,
        degenerate=annotation.degenerate,
        outside=len(annotation.polygons) - inside,
        hidden=inside - visible,
        drawn_area_px=float(np.nansum(annotation.drawn_areas_px)),
        raster_area_px=int(raster.areas_px.sum()),
    )


def _warn_of_losses(result: MasksResult, progress: Progress) -> None:
    for what, reason in (
        ("degenerate", "have fewer than three vertices"),
        ("outside", "lie outside their image"),
        ("hidden", "are covered by smaller ones"),
    ):
        cases = [case for case in result.cases if getattr(case, what)]
        if cases:
            total = sum(getattr(case, what) for case in cases)
            names = ", ".join(case.case_id for case in cases)
            progress.warn(f"left out: {total} regions that {reason} (in {names})")
    for case in result.cases:
        if not case.regions:
            progress.warn(f"the annotation of {case.case_id} holds no region; its mask is empty")


def require_masks(dataset: Path, case_ids: Sequence[str]) -> None:
    """Check that the label images of these cases exist.

    Raises
    ------
    MissingError
        If one does not; the message names the first.
    """
    for case_id in case_ids:
        if not labels_path(dataset, case_id).is_file():
            message = f"no mask of {case_id} in {masks_folder(dataset)}; make it with: monuseg masks"
            raise MissingError(message)
