"""Cases that share pixels, whatever the names and formats of their files."""

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
"""Of an image that is too large to hash all pixels, a grid of windows is hashed: number along each side, and size."""

_FILE_HASH = re.compile(r"-[0-9a-f]{8}(-region\d+)?$")
_TEXT = re.compile(rf"([0-9a-f]{{{HASH_DIGITS}}})(?:@(\d+),(\d+),(\d+),(\d+)=([0-9a-f]{{{HASH_DIGITS}}}))?")


@dataclass(frozen=True, slots=True)
class Footprint:
    """Identifies the pixels of a case.

    Parameters
    ----------
    image : str
        Hash of the pixels of the whole image, by `hash_pixels`.
    box : Box or None
        The part of the image that is the case; None: all of it.
    pixels : str
        Hash of the pixels of the case itself.
    """

    image: str
    box: Box | None
    pixels: str

    def overlaps(self, other: "Footprint") -> bool:
        """Return whether two cases share pixels: the same pixels, or intersecting parts of one image."""
        if self.pixels == other.pixels:
            return True
        if self.image != other.image:
            return False
        if self.box is None or other.box is None:
            return True
        (top, left, height, width), (top2, left2, height2, width2) = self.box, other.box
        return top < top2 + height2 and top2 < top + height and left < left2 + width2 and left2 < left + width

    def __str__(self) -> str:
        """Return the form in cards: ``IMAGE``, or ``IMAGE@ROW,COL,HEIGHT,WIDTH=PIXELS``."""
        return self.image if self.box is None else f"{self.image}@{','.join(map(str, self.box))}={self.pixels}"

    @classmethod
    def parse(cls, text: object) -> "Footprint":
        """Read a footprint from a card.

        Raises
        ------
        InputError
            If it does not have the form that `str` returns.
        """
        match = _TEXT.fullmatch(str(text))
        if match is None:
            message = f"the card's train_pixels cannot be {str(text)[:80]!r}; use weights written by monuseg train"
            raise InputError(message)
        image, row, col, height, width, pixels = match.groups()
        return (
            cls(image, None, image)
            if row is None
            else cls(image, (int(row), int(col), int(height), int(width)), pixels)
        )


def hash_pixels(slide: Slide, box: Box | None = None, largest_px: int = LARGEST_PX) -> str:
    """Compute a hash of the pixels of a slide, or of a part of it: the first `HASH_DIGITS` digits of a SHA-256.

    It covers height, width and the 8-bit RGB of all rows; above `largest_px` pixels, that of windows on a grid.

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
    """Return cases with hashes of pixels. Images are read if these are missing and the case is not in `known`.

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
    """Return the footprint of a case with hashes of pixels."""
    return Footprint(case.image_pixels, case.box, case.pixels)


def find_overlaps(cases: Sequence[Case], others: Sequence[Case]) -> list[tuple[Case, Case]]:
    """List the pairs of cases that share pixels; all must have hashes of pixels."""
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
    """Check that cases of different splits share no pixels, and warn if cases of one split do.

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
                f"pixels, so scores would be too high; leave one of them out (such pairs: {len(pairs)})"
            )
            raise ContaminationError(message)
    if pairs:
        one, other = pairs[0]
        progress.warn(
            f"{describe_case(one)} and {describe_case(other)} in {folder.name} share pixels, which are used twice "
            f"(such pairs: {len(pairs)})"
        )


def require_disjoint(train: Sequence[Case], val: Sequence[Case]) -> None:
    """Check that no validation case shares pixels with a training case; all must have hashes of pixels.

    Raises
    ------
    ContaminationError
        If one does.
    """
    if both := find_overlaps(val, train):
        first, second = both[0]
        message = (
            f"{len({case.case_id for case, _ in both})} validation cases share pixels with cases that are trained on "
            f"(the first: {describe_case(first)} with {describe_case(second)}), so validation scores would be too "
            "high; leave one of them out"
        )
        raise ContaminationError(message)


def require_no_test_images(cases: Sequence[Case], folder: str) -> None:
    """Check that no training or validation case of other data is part of a test image of MoNuSeg.

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
            f"{len(found)} cases of {folder} are from test images of MoNuSeg (the first: {describe_case(case)} is "
            f"{case_id}), which are reserved for the final score; remove them"
        )
        raise ContaminationError(message)


def find_trained(dataset: Dataset, cases: Sequence[Case], card: Card) -> set[str]:
    """List the ids of the cases that a model was trained on, by id or by pixels, as `list_seen` does.

    Raises
    ------
    MonusegError
        If an image cannot be read; as `Footprint.parse` does.
    """
    if ids_suffice(cases, card):
        return {case.case_id for case in cases} & set(card.train_cases)
    hashed = with_pixel_hashes(dataset, cases)
    return list_seen({case.case_id: footprint_of(case) for case in hashed}, card)


def ids_suffice(cases: Sequence[Case], card: Card) -> bool:
    """Return whether all cases and all training cases of a model are those of MoNuSeg, so that ids suffice."""
    return {case.case_id for case in cases} | set(card.train_cases) <= CATALOG.keys()


def list_seen(footprints: Mapping[str, Footprint], card: Card) -> set[str]:
    """List the ids of the cases that a model was trained on, by id or by pixels.

    Cards of earlier versions have no hashes of pixels; for cases of MoNuSeg, those of the catalogue are used.

    Parameters
    ----------
    footprints : mapping of str to Footprint
        Footprints of the cases, by id.
    card : Card
        The card of the model.

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
    """Return the part of an id that does not depend on the file name: the hash of the file, and the region."""
    match = _FILE_HASH.search(case_id)
    return match[0] if match else case_id


def describe_case(case: Case) -> str:
    """Return the name of a case for messages: its file, and its region."""
    region = re.search(r"-region\d+$", case.case_id) if case.box else None
    return f"{Path(case.image).name}{f', {region[0][1:]}' if region else ''}"
