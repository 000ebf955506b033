"""A folder of your own images and annotations -> a data set for all stages."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from monuseg_cli.annotations.aperio_xml import read_mpp
from monuseg_cli.annotations.read_labels import ANNOTATION_SUFFIXES, list_annotations, read_annotated, suffix_of
from monuseg_cli.annotations.read_outlines import OUTLINE_SUFFIXES, require_annotated_part
from monuseg_cli.core.errors import InputError, MissingError, MonusegError
from monuseg_cli.core.home import is_special_file, require_text_name
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.core.schema import read_rows, show_value
from monuseg_cli.dataset.catalog import UNKNOWN_ORGAN
from monuseg_cli.dataset.leakage import check_splits, with_pixel_hashes
from monuseg_cli.dataset.manifest import CASE_SPLITS, Case, CaseSplit, Dataset, SourceArchive, sha256_of
from monuseg_cli.imaging.decoding import decoding
from monuseg_cli.imaging.folder import files_of, list_images, stem_of
from monuseg_cli.imaging.scale import MAX_MPP, MIN_MPP
from monuseg_cli.imaging.slide import Slide

IMAGES, ANNOTATIONS, TABLE = "images", "annotations", "split.csv"
_HASH_DIGITS = 8


@dataclass(frozen=True, slots=True)
class _Line:
    """A row of the table ``split.csv``."""

    split: CaseSplit
    mpp: float | None
    organ: str


_UNLISTED = _Line("train", None, UNKNOWN_ORGAN)


def scan_folder(folder: Path, root: Path, progress: Progress = SILENT) -> Dataset:
    """Build a data set from a folder of images with annotations, and write its manifest.

    The folder contains ``images/`` and ``annotations/``, or images and outlines side by side; an image and its
    annotation have the same stem. Annotations are GeoJSON from QuPath or `monuseg predict`, Aperio XML, label images,
    or masks. Each rectangle of class "Region*" in a GeoJSON file is a case, and the rest of its image counts as not
    annotated. A table ``split.csv`` with the columns ``image``, ``split`` (train, val, test) and, optionally, ``mpp``
    and ``organ`` assigns each image to a split. Regions that are named train, val or test belong to that split. Nothing
    is written into the folder.

    Parameters
    ----------
    folder : Path
        The folder of images and annotations.
    root : Path
        Where the manifest is written, and later masks and patches.
    progress : Progress
        Receives the number of images.

    Returns
    -------
    Dataset
        Its cases refer to the original files.

    Raises
    ------
    MissingError
        If the folder does not exist.
    InputError
        If an image or annotation is unmatched or cannot be read, two have the same stem, or the table does not fit.
    ContaminationError
        If images or regions of different splits share pixels.
    OutputError
        If the manifest cannot be written.
    """
    folder = folder.expanduser().absolute()
    pairs = _pairs(folder, progress)
    for path in (path for pair in pairs for path in pair):
        require_text_name(path)
    table = _read_table(folder / TABLE, [image for image, _ in pairs])
    known = _last_scan(root)
    cases: list[Case] = []
    with progress.task(f"looking through {folder.name}", len(pairs), "images") as task:
        for image, annotation in pairs:
            found = _cases_of(image, annotation, table.get(image.name, _UNLISTED))
            cases += with_pixel_hashes(Dataset(root), found, known)
            task.advance()
    twice = [case_id for case_id, count in Counter(case.case_id for case in cases).items() if count > 1]
    if twice:
        message = f"{folder} has the same image twice: {twice[0]}"
        raise InputError(message)
    check_splits(folder, cases, progress)
    if unstated := [case.case_id for case in cases if case.mpp is None]:
        progress.warn(
            f"{len(unstated)} of {len(cases)} cases state no scale (the first: {unstated[0]}), so 40x is assumed; "
            f"state their um/px in a column mpp of {TABLE}"
        )
    splits = [split for split in CASE_SPLITS if any(case.split == split for case in cases)]
    sources = tuple(SourceArchive(split, folder.name, _hash_of(cases, split), verified=False) for split in splits)
    dataset = Dataset(root, sources, tuple(sorted(cases, key=lambda case: case.case_id)))
    dataset.save()
    return dataset


def _last_scan(root: Path) -> tuple[Case, ...]:
    """Return the cases of the last scan, whose images need not be read again; empty without a valid manifest."""
    try:
        return Dataset.load(root).cases
    except MonusegError:
        return ()


def _pairs(folder: Path, progress: Progress) -> list[tuple[Path, Path]]:
    """Match images and annotations by stem, sorted."""
    if not folder.is_dir():
        message = f"no folder {folder}"
        raise MissingError(message)
    if (folder / IMAGES).is_dir():
        images = _images_by_stem(folder / IMAGES, progress)
        annotations = _annotations_by_stem(folder / ANNOTATIONS, ANNOTATION_SUFFIXES, images.keys())
    else:
        images = _images_by_stem(folder)
        annotations = _annotations_by_stem(folder, OUTLINE_SUFFIXES, images.keys())
    if not images:
        message = (
            f"no images in {folder}; it needs {IMAGES}/ and {ANNOTATIONS}/, or images and .geojson or .xml of the same "
            "names side by side"
        )
        raise InputError(message)
    for missing, what, other in (
        (sorted(images.keys() - annotations.keys()), "images", "annotation"),
        (sorted(annotations.keys() - images.keys()), "annotations", "image"),
    ):
        if missing:
            message = f"{len(missing)} {what} in {folder} have no {other} of the same name, the first: {missing[0]}"
            raise InputError(message)
    return [(images[stem], annotations[stem]) for stem in sorted(images)]


def _images_by_stem(folder: Path, progress: Progress = SILENT) -> dict[str, Path]:
    """List the images of a folder by stem, and warn about other files in it."""
    with decoding(folder):
        inside = list_images(folder)
    for path, _ in inside.unread:
        if is_special_file(path):
            message = f"{path} is not a regular file; check the path"
            raise InputError(message)
    if unread := inside.describe_unread():
        progress.warn(f"left out of {folder}: {unread}")
    found: dict[str, Path] = {}
    for path in inside.images:
        stem = stem_of(path)
        if stem in found:
            raise _two_of_one_stem(found[stem], path)
        found[stem] = path
    return found


def _annotations_by_stem(folder: Path, suffixes: Sequence[str], images: Set[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for stem, paths in list_annotations(folder, suffixes, images).items() if folder.is_dir() else ():
        for path in paths:
            name = stem.removesuffix(".ome")
            if name in found:
                raise _two_of_one_stem(found[name], path)
            found[name] = path
    return found


def _two_of_one_stem(first: Path, second: Path) -> InputError:
    return InputError(f"{first} and {second} have the same stem; keep one of them")


def _cases_of(image: Path, annotation: Path, line: _Line) -> Iterator[Case]:
    """Return the case of an image, or the cases of its annotated regions."""
    image_hash, annotation_hash = _hash_of_image(image), sha256_of(annotation)
    of_annotation = read_mpp(annotation) if annotation.suffix.lower() == ".xml" else None
    with Slide(image) as slide:
        if not (line.mpp or of_annotation):
            slide.require_square()
        shape, of_image = slide.shape, slide.mpp
        is_slide = slide.is_whole_slide
    whole = Case(
        case_id=f"{stem_of(image)}-{image_hash[:_HASH_DIGITS]}",
        organ=line.organ,
        split=line.split,
        mpp=line.mpp or of_annotation or of_image,
        image=image.as_posix(),
        annotation=annotation.as_posix(),
        image_sha256=image_hash,
        annotation_sha256=annotation_hash,
    )
    if not suffix_of(annotation, OUTLINE_SUFFIXES):
        yield whole
        return
    outlines = read_annotated(annotation, shape, whole.mpp)
    require_annotated_part(annotation, outlines.regions, len(outlines.nuclei), shape, whole.mpp, is_slide)
    for number, region in enumerate(outlines.regions, start=1):
        split = next((split for split in CASE_SPLITS if split == region.name.lower()), line.split)
        yield replace(whole, case_id=f"{whole.case_id}-region{number}", split=split, box=region.box)
    if not outlines.regions:
        yield whole


def _hash_of_image(image: Path) -> str:
    """Compute the SHA-256 of an image file; of an image in several files, that of their names and hashes."""
    with decoding(image):
        files = files_of(image)
    if files == [image]:
        return sha256_of(image)
    lines = [f"{file.relative_to(image.parent).as_posix()} {sha256_of(file)}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _read_table(path: Path, images: Sequence[Path]) -> dict[str, _Line]:
    """Read the row of each image, by the name of its file; empty if there is no table."""
    if is_special_file(path):
        message = f"{path} is not a regular file; rename it, or write the table"
        raise InputError(message)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = read_rows(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        message = f"{path} cannot be read ({reason}); save it as CSV in UTF-8"
        raise InputError(message) from error
    named = {**{image.stem: image.name for image in images}, **{image.name: image.name for image in images}}
    table: dict[str, _Line] = {}
    for number, row in enumerate(rows, start=2):
        image = named.get((row.get("image") or "").strip())
        if image is None or image in table:
            what = "names no image" if image is None else f"names {image} a second time"
            message = f"{path}, line {number}, {what}; it needs columns image and split, and a line for every image"
            raise InputError(message)
        table[image] = _read_line(path, number, row)
    if missing := [image.name for image in images if image.name not in table]:
        message = f"{path} has no line for {len(missing)} images, the first: {missing[0]}; add them"
        raise InputError(message)
    return table


def _read_line(path: Path, number: int, row: Mapping[str, str | None]) -> _Line:
    split = next((split for split in CASE_SPLITS if split == (row.get("split") or "").strip().lower()), None)
    if split is None:
        choices = f"not one of {', '.join(CASE_SPLITS)}; correct the table"
        message = f"{path}, line {number}: the split is {show_value(row.get('split'))}, {choices}"
        raise InputError(message)
    stated = (row.get("mpp") or "").strip()
    try:
        mpp = float(stated) if stated else None
    except ValueError:
        mpp = 0.0
    if mpp is not None and not MIN_MPP <= mpp <= MAX_MPP:
        allowed = f"{MIN_MPP} and {MAX_MPP} um/px; correct the table"
        message = f"{path}, line {number}: mpp is {show_value(stated)}, and must be between {allowed}"
        raise InputError(message)
    return _Line(split, mpp, (row.get("organ") or "").strip() or UNKNOWN_ORGAN)


def _hash_of(cases: Sequence[Case], split: CaseSplit) -> str:
    """Compute a SHA-256 over the ids and annotations of the cases of a split."""
    lines = sorted(f"{case.case_id} {case.annotation_sha256}\n" for case in cases if case.split == split)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
