"""Cases that share pixels, whatever their files are called and however they are packed."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from monuseg_cli.core.errors import ContaminationError, InputError
from monuseg_cli.core.progress import Progress
from monuseg_cli.dataset.catalog import CATALOG, PIXELS
from monuseg_cli.dataset.manifest import Case, Dataset
from monuseg_cli.dataset.pixels import LARGEST_PX
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.tiling import Box
from monuseg_cli.models.card import Card

HASH_DIGITS = 16
_STRIP_ROWS = 1024
_SAMPLES, _SAMPLE_PX = 8, 256
"""Of an image of too many pixels to hash them all so many windows along each side, of this side, are hashed."""

_FILE_HASH = re.compile(r"-[0-9a-f]{8}(-region\d+)?$")
_TEXT = re.compile(rf"([0-9a-f]{{{HASH_DIGITS}}})(?:@(\d+),(\d+),(\d+),(\d+)=([0-9a-f]{{{HASH_DIGITS}}}))?")


@dataclass(frozen=True, slots=True)
class Footprint:
    """What tells which pixels a case has.

    Parameters
    ----------
    image : str
        Hash of the pixels of the whole image, by `hash_pixels`.
    box : Box or None
        The part of it that is the case; None: all.
    pixels : str
        Hash of the pixels of the case itself.
    """

    image: str
    box: Box | None
    pixels: str

    def overlaps(self, other: "Footprint") -> bool:
        """Return whether two cases share pixels: the same ones, or parts of one image that intersect."""
        if self.pixels == other.pixels:
            return True
        if self.image != other.image:
            return False
        if self.box is None or other.box is None:
            return True
        (top, left, height, width), (top2, left2, height2, width2) = self.box, other.box
        return top < top2 + height2 and top2 < top + height and left < left2 + width2 and left2 < left + width

    def __str__(self) -> str:
        """Write it as cards keep it: ``IMAGE``, or ``IMAGE@ROW,COL,HEIGHT,WIDTH=PIXELS``."""
        return self.image if self.box is None else f"{self.image}@{','.join(map(str, self.box))}={self.pixels}"

    @classmethod
    def parse(cls, text: object) -> "Footprint":
        """Read what a card keeps.

        Raises
        ------
        InputError
            If it is not of the form that `str` gives.
        """
        match = _TEXT.fullmatch(str(text))
        if match is None:
            message = f"the card's train_pixels cannot be {str(text)[:80]!r}; take weights that monuseg train has made"
            raise InputError(message)
        image, row, col, height, width, pixels = match.groups()
        return (
            cls(image, None, image)
            if row is None
            else cls(image, (int(row), int(col), int(height), int(width)), pixels)
        )


def hash_pixels(slide: Slide, box: Box | None = None, largest_px: int = LARGEST_PX) -> str:
    """Hash the pixels of a slide, or of a part of it: the first `HASH_DIGITS` digits of a SHA-256.

    It is taken over height and width and the 8-bit RGB of all rows; of more than `largest_px`, of windows on a grid.

    Raises
    ------
    InputError
        If the image is damaged.
    """
    row, col, height, width = box or (0, 0, *slide.shape)
    digest = hashlib.sha256(f"{height}x{width}".encode())
    if height * width <= largest_px:
        windows = [(top, 0, min(_STRIP_ROWS, height - top), width) for top in range(0, height, _STRIP_ROWS)]
    else:
        tall, wide = min(_SAMPLE_PX, height), min(_SAMPLE_PX, width)
        tops, lefts = (
            [(side - window) * step // (_SAMPLES - 1) for step in range(_SAMPLES)]
            for side, window in ((height, tall), (width, wide))
        )
        windows = [(top, left, tall, wide) for top in tops for left in lefts]
    for top, left, tall, wide in windows:
        digest.update(slide.read_region(0, row + top, col + left, tall, wide).tobytes())
    return digest.hexdigest()[:HASH_DIGITS]


def with_pixel_hashes(dataset: Dataset, cases: Iterable[Case], known: Iterable[Case] = ()) -> tuple[Case, ...]:
    """Give cases their hashes of pixels; those that have none, and are not among those `known`, are read.

    Raises
    ------
    MonusegError
        As `Slide` does.
    """
    there = {(case.image_sha256, case.box): case for case in known if case.pixels}
    hashed = []
    for case in cases:
        same = there.get((case.image_sha256, case.box))
        if not case.pixels:
            marks = (same.image_pixels, same.pixels) if same else _hash_case(dataset, case)
            case = replace(case, image_pixels=marks[0], pixels=marks[1])
        hashed.append(case)
    return tuple(hashed)


def _hash_case(dataset: Dataset, case: Case) -> tuple[str, str]:
    with Slide(dataset.image_path(case)) as slide:
        image = hash_pixels(slide)
        return image, hash_pixels(slide, case.box) if case.box else image


def footprint_of(case: Case) -> Footprint:
    """Give the footprint of a case that has its hashes of pixels."""
    return Footprint(case.image_pixels, case.box, case.pixels)


def find_overlaps(cases: Sequence[Case], others: Sequence[Case]) -> list[tuple[Case, Case]]:
    """List the pairs of a case and another one that share pixels; all have their hashes."""
    index: dict[str, list[Case]] = {}
    for other in others:
        for mark in {other.image_pixels, other.pixels}:
            index.setdefault(mark, []).append(other)
    found = {}
    for case in cases:
        for other in (other for mark in {case.image_pixels, case.pixels} for other in index.get(mark, ())):
            if other.case_id != case.case_id and footprint_of(case).overlaps(footprint_of(other)):
                found[case.case_id, other.case_id] = (case, other)
    return list(found.values())


def check_splits(folder: Path, cases: Sequence[Case], progress: Progress) -> None:
    """Check that cases of different splits share no pixels, and warn of cases of one split that do.

    Raises
    ------
    ContaminationError
        If cases of different splits do.
    """
    pairs = [(one, other) for one, other in find_overlaps(cases, cases) if one.case_id < other.case_id]
    for one, other in pairs:
        if one.split != other.split:
            message = (
                f"{describe_case(one)} ({one.split}) and {describe_case(other)} ({other.split}) in {folder} share "
                f"pixels, so scores would flatter the model; leave one of them out (such pairs: {len(pairs)})"
            )
            raise ContaminationError(message)
    if pairs:
        one, other = pairs[0]
        progress.warn(
            f"{describe_case(one)} and {describe_case(other)} in {folder.name} share pixels, which count twice (such "
            f"pairs: {len(pairs)})"
        )


def require_disjoint(train: Sequence[Case], val: Sequence[Case]) -> None:
    """Check that no validation case shares pixels with one that is trained on; all have their hashes.

    Raises
    ------
    ContaminationError
        If one does.
    """
    if both := find_overlaps(val, train):
        first, second = both[0]
        message = (
            f"{len({case.case_id for case, _ in both})} validation cases share pixels with cases that are trained on "
            f"(the first: {describe_case(first)} with {describe_case(second)}), so validation would flatter the model; "
            "leave one out"
        )
        raise ContaminationError(message)


def require_no_test_images(cases: Sequence[Case], folder: str) -> None:
    """Check that no case of other data, which is to be trained or validated on, is of a test image of MoNuSeg's.

    Raises
    ------
    ContaminationError
        If one is.
    """
    test = {PIXELS[case_id]: case_id for case_id, entry in CATALOG.items() if entry.split == "test"}
    found = [(case, test[mark]) for case in cases for mark in {case.image_pixels, case.pixels} & test.keys()]
    if found:
        (case, case_id), *_ = found
        message = (
            f"{len(found)} cases of {folder} are of MoNuSeg's test images (the first: {describe_case(case)} is "
            f"{case_id}), which are kept for the final score; take them out"
        )
        raise ContaminationError(message)


def find_trained(dataset: Dataset, cases: Sequence[Case], card: Card) -> set[str]:
    """List the ids of the cases that a model was trained on, by id or by pixels, as `list_seen` does.

    Raises
    ------
    MonusegError
        If an image must be read, and cannot be; as `Footprint.parse` does.
    """
    if ids_tell_all(cases, card):
        return {case.case_id for case in cases} & set(card.train_cases)
    hashed = with_pixel_hashes(dataset, cases)
    return list_seen({case.case_id: footprint_of(case) for case in hashed}, card)


def ids_tell_all(cases: Sequence[Case], card: Card) -> bool:
    """Return whether the cases, and what a model was trained on, are MoNuSeg's own, so that no pixels are needed."""
    return {case.case_id for case in cases} | set(card.train_cases) <= CATALOG.keys()


def list_seen(footprints: Mapping[str, Footprint], card: Card) -> set[str]:
    """List the ids of the cases that a model was trained on, by id or by pixels.

    Cards of earlier versions hold no hashes of pixels: of them the catalogue tells MoNuSeg's images.

    Parameters
    ----------
    footprints : mapping of str to Footprint
        Those of the cases, by id.
    card : Card
        The model's.

    Raises
    ------
    InputError
        As `Footprint.parse` does.
    """
    marks = [Footprint.parse(text) for text in card.train_pixels]
    marks += [Footprint(PIXELS[name], None, PIXELS[name]) for name in card.train_cases if name in PIXELS]
    known = {_without_stem(case_id) for case_id in card.train_cases}
    return {
        case_id
        for case_id, footprint in footprints.items()
        if _without_stem(case_id) in known or any(footprint.overlaps(mark) for mark in marks)
    }


def _without_stem(case_id: str) -> str:
    """Give the part of an id that own data keep under another name: the hash of the file, and the region."""
    match = _FILE_HASH.search(case_id)
    return match[0] if match else case_id


def describe_case(case: Case) -> str:
    """Name a case as people know it: by its file, and its region."""
    region = re.search(r"-region\d+$", case.case_id) if case.box else None
    return f"{Path(case.image).name}{f', {region[0][1:]}' if region else ''}"
