"""Annotations -> the masks of a data set."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from monuseg_cli.annotations.label_warnings import CUT, doubts_of, require_foreground, warn_doubts, warn_left_out
from monuseg_cli.annotations.read_labels import READING, draw_annotated, read_annotated, read_label_image, suffix_of
from monuseg_cli.annotations.read_outlines import DEGENERATE, OUTLINE_SUFFIXES
from monuseg_cli.core.atomic import write_bytes, write_json, writing
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.core.schema import FROM_0, parse_json, read_as
from monuseg_cli.dataset.config import MasksConfig
from monuseg_cli.dataset.manifest import Case, Dataset
from monuseg_cli.dataset.pixels import read_case, shape_of_case, shape_of_image
from monuseg_cli.imaging.decoding import decoding
from monuseg_cli.nuclei.draw_outlines import draw_outlines
from monuseg_cli.nuclei.rasterise import RULE, Raster

Count = Annotated[int, FROM_0]


@dataclass(frozen=True, slots=True)
class CaseMasks:
    """The result for one case, which is also its entry in ``masks/manifest.json``.

    Parameters
    ----------
    regions : int
        Number of regions in the annotation.
    nuclei : int
        Number of labels in the label image.
    degenerate : int
        Number of regions that were left out, since they have fewer than three vertices.
    outside : int
        Number of regions that were left out, since they are outside of the image.
    hidden : int
        Number of nuclei that are completely covered by smaller ones.
    drawn_area_px, raster_area_px : float, int
        Sum of the Area attributes, and of the pixels of all regions before overlaps are resolved.
    left_out : dict of str to int
        Number of objects in the annotation that are not nuclei, by kind.
    doubts : dict of str to str
        What is implausible about the labels, with its value.
    reading : str
        How the annotation was interpreted; empty: by an earlier version.
    """

    case_id: str
    image_sha256: str
    annotation_sha256: str
    regions: Count
    nuclei: Count
    degenerate: Count
    outside: Count
    hidden: Count
    drawn_area_px: Annotated[float, FROM_0]
    raster_area_px: Count
    left_out: dict[str, Count] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)
    reading: str = ""


@dataclass(frozen=True, slots=True)
class _Manifest:
    """The content of ``masks/manifest.json``."""

    rule: str
    cases: tuple[CaseMasks, ...]


@dataclass(frozen=True, slots=True)
class MasksResult:
    """The folder of the masks, all cases, and the number of masks that this call built."""

    folder: Path
    cases: tuple[CaseMasks, ...]
    made: int


def masks_folder(dataset: Path) -> Path:
    """Return the folder of the masks of a data set."""
    return dataset / "masks"


def previews_folder(dataset: Path) -> Path:
    """Return the folder of the images with their outlines."""
    return masks_folder(dataset) / "preview"


def labels_path(dataset: Path, case_id: str) -> Path:
    """Return the path of the label image of a case."""
    return masks_folder(dataset) / "labels" / f"{case_id}.tif"


def read_labels(path: Path) -> NDArray[np.int32]:
    """Read a label image written by `build_masks`.

    Raises
    ------
    MissingError
        If it does not exist.
    InputError
        If it cannot be read.
    """
    try:
        with decoding(path):
            return np.asarray(tifffile.imread(path), dtype=np.int32)
    except InputError as error:
        message = f"{path} is damaged; remove it and run: monuseg masks"
        raise InputError(message) from error


def build_masks(config: MasksConfig, progress: Progress = SILENT) -> MasksResult:
    """Build the label image, the binary mask and, on request, the preview of every case.

    Writes ``masks/labels/CASE.tif`` (int32, deflate), ``masks/binary/CASE.png`` (0 or 255), ``masks/preview/CASE.png``
    and ``masks/manifest.json`` in the folder of the data set. Masks from the same annotation and the same rule are
    not built again.

    Raises
    ------
    MissingError
        If the data set, a requested split, or a file does not exist.
    InputError
        If an image or an annotation cannot be read.
    OutputError
        If a mask cannot be written.
    """
    dataset = Dataset.load(config.dataset)
    cases = dataset.of_split(*(config.splits or dataset.splits))
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
    """Read the manifest of the masks, by case id; empty if it is missing, damaged or of another rule.

    This is not an error, since masks can be built again at any time.
    """
    try:
        content = read_as(_Manifest, parse_json((masks_folder(dataset) / "manifest.json").read_bytes()))
    except (OSError, ValueError):
        return {}
    return {case.case_id: case for case in content.cases} if content.rule == RULE else {}


def _outputs(dataset: Path, case: Case) -> tuple[Path, Path, Path]:
    folder = masks_folder(dataset)
    name = f"{case.case_id}.png"
    return labels_path(dataset, case.case_id), folder / "binary" / name, previews_folder(dataset) / name


def _is_current(dataset: Dataset, case: Case, made: CaseMasks | None, preview: bool) -> bool:
    wanted = _outputs(dataset.root, case)[: 3 if preview else 2]
    sources = (case.image_sha256, case.annotation_sha256)
    if made is None or (made.image_sha256, made.annotation_sha256) != sources:
        return False
    return all(path.is_file() for path in wanted) and _is_same_reading(dataset, case, made)


def _is_same_reading(dataset: Dataset, case: Case, made: CaseMasks) -> bool:
    """Return whether this version would build the same masks; for public data sets, all versions do."""
    if made.reading == READING or not Path(case.annotation).is_absolute():
        return True
    stored = read_labels(labels_path(dataset.root, case.case_id))
    return np.array_equal(stored, _read_annotation(dataset, case).raster.labels)


def _build_case(dataset: Dataset, case: Case, preview: bool) -> CaseMasks:
    labels_file, binary_file, preview_file = _outputs(dataset.root, case)
    read = _read_annotation(dataset, case)
    raster, left_out = read.raster, read.left_out
    doubts = doubts_of(raster.labels, case.mpp)
    require_foreground(dataset.annotation_path(case), raster.labels, doubts)
    degenerate = left_out.pop(DEGENERATE, 0)
    with writing(labels_file) as part:
        tifffile.imwrite(part, raster.labels, compression="zlib", compressionargs={"level": 1}, metadata=None)
    mask = (raster.labels > 0).astype(np.uint8) * 255
    write_bytes(binary_file, imagecodecs.png_encode(mask, level=1))
    if preview:
        pixels = read_case(dataset, case)
        write_bytes(preview_file, imagecodecs.png_encode(draw_outlines(pixels, raster.labels), level=1))
    else:
        preview_file.unlink(missing_ok=True)  # may show an older annotation
    inside = int((raster.areas_px > 0).sum())
    visible = int((np.bincount(raster.labels.reshape(-1))[1:] > 0).sum())
    return CaseMasks(
        case_id=case.case_id,
        image_sha256=case.image_sha256,
        annotation_sha256=case.annotation_sha256,
        regions=len(raster.areas_px) + degenerate,
        nuclei=visible,
        degenerate=degenerate,
        # Nuclei outside of the annotated part of a slide belong to no case.
        outside=0 if case.box else len(raster.areas_px) - inside,
        hidden=inside - visible,
        drawn_area_px=read.drawn_area_px,
        raster_area_px=int(raster.areas_px.sum()),
        left_out=left_out,
        doubts=doubts | ({CUT: read.note} if read.note else {}),
        reading=READING,
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """The labels of a case, and how its annotation was interpreted."""

    raster: Raster
    drawn_area_px: float = 0.0
    left_out: dict[str, int] = field(default_factory=dict)
    note: str | None = None


def _read_annotation(dataset: Dataset, case: Case) -> _Read:
    """Read the labels of a case: rasterised outlines, or a label image."""
    path = dataset.annotation_path(case)
    if suffix_of(path, OUTLINE_SUFFIXES):
        shape_of_case(dataset, case)  # raises an error if the case is too large
        shape = shape_of_image(dataset, case)
        outlines, raster = draw_annotated(path, read_annotated(path, shape, case.mpp), shape, case.mpp, case.box)
        return _Read(raster, float(np.nansum(outlines.drawn_areas_px)), dict(outlines.left_out))
    read, shape = read_label_image(path), shape_of_case(dataset, case)
    labels = read.labels
    if labels.shape != shape:
        message = (
            f"{path} is {labels.shape[1]} x {labels.shape[0]} pixels, its image {dataset.image_path(case)} "
            f"{shape[1]} x {shape[0]}"
        )
        raise InputError(message)
    values, numbers = np.unique(labels, return_inverse=True)
    labels = numbers.reshape(shape).astype(np.int32) + np.int32(values[0] != 0)
    return _Read(Raster(labels, np.bincount(labels.reshape(-1))[1:]), note=read.note)


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
    of_files: dict[str, CaseMasks] = {}
    for case in result.cases:
        of_files.setdefault(case.annotation_sha256, case)  # the regions of an image share an annotation
    warn_left_out({case.case_id: case.left_out for case in of_files.values()}, progress)
    warn_doubts(((case.case_id, case.doubts) for case in result.cases), progress)
    for case in result.cases:
        if not case.regions:
            progress.warn(f"the annotation of {case.case_id} contains no region; its mask is empty")


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
