"""The images of a TIFF, each of one or more pages: pyramid levels, focal planes and channels."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import tifffile

from monuseg_cli.imaging.decoding import DECODING_ERRORS
from monuseg_cli.imaging.readers.base import Role, role_of_name
from monuseg_cli.imaging.readers.tiff_samples import Plane
from monuseg_cli.imaging.scale import Scale, make_scale

_REDUCED, _MASK, _APERIO_MACRO = 1, 4, 8  # bits of TIFF's NewSubfileType; Aperio's macro is 9
_UM_PER_RESOLUTION_UNIT = {2: 25400.0, 3: 10000.0, 4: 1000.0, 5: 1.0}
"""Of inch and centimetre, and of millimetre and micrometre, which tifffile adds to TIFF's units."""

_LONGEST_NAME = 60
_PAGE_NAME_TAG = 285

Levels = tuple[tuple[Plane, ...], ...]
"""The planes of each level, finest first: one, or one for each of three channels."""


@dataclass(frozen=True, slots=True)
class TiffImage:
    """One of the images of a TIFF.

    Parameters
    ----------
    name : str
        As named in the file.
    role : str
        See `ImageInfo`.
    stacks : tuple of Levels
        The levels of each focal plane.
    scale : Scale or None
        As stated for this image.
    plane : int
        The default focal plane.
    plane_reason : str
        Why this one.
    bits : int or None
        Significant bits of 16-bit samples, as stated in the file; None if not stated.
    bits_source : str
        Where they are stated.
    rgb : bool
        Whether the channels, or the samples of a page, are red, green and blue, regardless of the tags.
    notes : tuple of str
        What was assumed.
    origin : tuple of int
        See `OpenImage`.
    problem : str or None
        Why it cannot be read; None if it can.
    """

    name: str
    role: Role
    stacks: tuple[Levels, ...]
    scale: Scale | None = None
    plane: int = 0
    plane_reason: str = ""
    bits: int | None = None
    bits_source: str = ""
    rgb: bool = False
    notes: tuple[str, ...] = ()
    origin: tuple[int, int] = (0, 0)
    problem: str | None = None

    @property
    def base(self) -> Plane:
        """The first plane of the finest level."""
        return self.stacks[0][0][0]


def middle_plane(count: int) -> int:
    """Return the index of the middle focal plane; of an even number, the lower one."""
    return (count - 1) // 2


def tag_scale(page: tifffile.TiffPage) -> Scale | None:
    """Read the scale from the resolution tags of a page."""
    um = _UM_PER_RESOLUTION_UNIT.get(int(page.resolutionunit))
    if um is None:
        return None
    x, y = page.get_resolution()
    return make_scale(um / x if x > 0 else None, um / y if y > 0 else None, "resolution tags")


def fallback_scale(page: tifffile.TiffPage) -> Scale | None:
    """Read the scale from the resolution tags, for formats that normally state it elsewhere; None if not credible."""
    scale = tag_scale(page)
    return scale if scale and scale.is_credible else None


def tag_bits(page: tifffile.TiffPage) -> int | None:
    """Read the number of significant bits from the tag MaxSampleValue."""
    stated = page.tags.valueof("MaxSampleValue")
    values = [int(value) for value in (stated if isinstance(stated, tuple) else (stated,)) if value]
    return max(values).bit_length() if values else None


def subpages(page: tifffile.TiffPage) -> list[tifffile.TiffPage]:
    """List the pages in the SubIFDs of a page; invalid ones are skipped."""
    found: list[tifffile.TiffPage] = []
    inside = page.pages if page.subifds else None
    if inside is None:
        return found
    for number in range(len(inside)):
        try:
            found.append(inside[number].aspage())
        except DECODING_ERRORS:
            continue
    return found


def kind_of(page: tifffile.TiffPage) -> tuple[object, ...]:
    """Return the properties that all levels of an image share."""
    return page.axes, page.samplesperpixel, page.dtype


def is_smaller(page: tifffile.TiffPage, base: tifffile.TiffPage) -> bool:
    """Return whether a page may be a coarser level of `base`: same kind, and same factor along both axes."""
    if kind_of(page) != kind_of(base) or not page.imagelength or not page.imagewidth:
        return False
    if page.imagewidth > base.imagewidth or page.imagelength >= base.imagelength:
        return False
    ranges = []
    for side, base_side in ((page.imagewidth, base.imagewidth), (page.imagelength, base.imagelength)):
        ranges.append((base_side / (side + 1), base_side / max(side - 1, 0.5)))
    return max(low for low, _ in ranges) <= min(high for _, high in ranges)


def pyramid(base: tifffile.TiffPage, others: Iterable[tifffile.TiffPage]) -> Levels:
    """Return the levels of an image: `base` and the pages that may be levels of it, finest first, each size once."""
    sizes = {page.imagewidth: page for page in others if is_smaller(page, base)}
    coarser = (sizes[width] for width in sorted(sizes, reverse=True))
    return ((Plane(base),), *((Plane(page, base=base),) for page in coarser))


def name_of(page: tifffile.TiffPage) -> str:
    """Return the name of a page: its PageName, or its description if that is only a name."""
    name = page.tags.valueof(_PAGE_NAME_TAG)
    if isinstance(name, str) and name.strip():
        return name.strip()[:_LONGEST_NAME]
    lines = [line.strip() for line in page.description.splitlines() if line.strip()]
    if lines and lines[0].startswith("Aperio") and len(lines) > 1:
        lines = lines[1:]
        return lines[0] if role_of_name(lines[0]) != "scan" else ""
    is_name = len(lines) == 1 and len(lines[0]) <= _LONGEST_NAME and lines[0][0] not in "{<" and "=" not in lines[0]
    return lines[0] if is_name else ""


def role_of(page: tifffile.TiffPage) -> Role:
    """Return what a page shows, by its name and subfile type."""
    named = role_of_name(name_of(page))
    if named != "scan":
        return named
    if page.subfiletype & _APERIO_MACRO:
        return "macro"
    return "mask" if page.subfiletype & _MASK else "scan"


@dataclass(slots=True)
class _Group:
    """A base page and the pages that are levels of it."""

    base: tifffile.TiffPage
    index: int
    levels: list[tifffile.TiffPage] = field(default_factory=list)

    def lacks(self, page: tifffile.TiffPage) -> bool:
        """Return whether the group has no level of this width."""
        return all(level.imagewidth != page.imagewidth for level in self.levels)


def group_pages(pages: Sequence[tifffile.TiffPage]) -> list[TiffImage]:
    """Group pages into images: larger pages with smaller ones that may be levels of them, in any order.

    A level is stored like its base (tiles or strips), or is declared as a reduced image. It belongs to the last larger
    page before it, else to the first one after it. Scans that follow each other without levels between them have their
    levels in the same order. A reduced image that is a level of no other page is a thumbnail.
    """
    by_kind: dict[tuple[object, ...], list[_Group]] = {}  # of equal size and kind: one represents all
    of_kind: dict[tuple[object, ...], list[int]] = {}
    for index, page in enumerate(pages):
        of_kind.setdefault(_key_of(page), []).append(index)
    for index, page in sorted(enumerate(pages), key=lambda item: -item[1].imagewidth * item[1].imagelength):
        key = _key_of(page)
        group = None
        if role_of(page) == "scan":
            alike = [groups for groups in by_kind.values() if _may_take(groups[0].base, page)]
            group = _base_of(index, pages, of_kind[key], alike)
        if group:
            group.levels.append(page)
        else:
            by_kind.setdefault(key, []).append(_Group(page, index))
    groups = sorted((group for groups in by_kind.values() for group in groups), key=lambda group: group.index)
    return [_image_of(group, is_alone=len(groups) == 1) for group in groups]


def _key_of(page: tifffile.TiffPage) -> tuple[object, ...]:
    return (*kind_of(page), page.imagewidth, page.imagelength, page.is_tiled, role_of(page))


def _base_of(
    index: int, pages: Sequence[tifffile.TiffPage], same: Sequence[int], families: Sequence[Sequence[_Group]]
) -> _Group | None:
    """Return the image that a page is a level of; None if there is none, or it is not certain which.

    Parameters
    ----------
    index : int
        The page's.
    pages : sequence of tifffile.TiffPage
        All of them.
    same : sequence of int
        Indices of the pages of its size and kind, itself included.
    families : sequence of sequence of _Group
        The images that it may be a level of, grouped by size and kind, in order.
    """
    page = pages[index]
    before, after = [], []  # the nearest image of each family that lacks this level
    for family in families:
        lacking = [group for group in family if group.lacks(page)]
        before += [(group, family) for group in lacking if group.index < index][-1:]
        after += [group for group in lacking if group.index > index][:1]
    before = [item for item in before if not _turns_back(item[0], index, pages)]
    if not before:
        after = [group for group in after if not _turns_back(group, index, pages)]
        return min(after, key=lambda group: group.index, default=None)
    last, family = max(before, key=lambda item: item[0].index)
    following = next((group.index for group in family if group.index > index), len(pages))
    peers = [number for number in same if last.index < number < following]
    begin = max((number for number in same if number < last.index), default=-1)
    in_turn = [group for group in family if begin < group.index <= last.index]
    if len(in_turn) == 1:
        return last
    return in_turn[peers.index(index)] if len(peers) == len(in_turn) else None


def _turns_back(group: _Group, index: int, pages: Sequence[tifffile.TiffPage]) -> bool:
    """Return whether a smaller level is between an image and a page, which then starts another pyramid."""
    between = pages[min(group.index, index) + 1 : max(group.index, index)]
    width = pages[index].imagewidth
    return any(page.imagewidth < width and _may_take(group.base, page) for page in between)


def _may_take(base: tifffile.TiffPage, page: tifffile.TiffPage) -> bool:
    is_alike = page.is_tiled == base.is_tiled or bool(page.subfiletype & _REDUCED and _is_halved(base, page))
    return is_alike and role_of(base) == role_of(page) == "scan" and is_smaller(page, base)


def _is_halved(base: tifffile.TiffPage, page: tifffile.TiffPage) -> bool:
    """Return whether a page is a half, a quarter and so on of another, as levels are, unlike most labels."""
    factor = 2 ** round(math.log2(base.imagewidth / max(page.imagewidth, 1)))
    return bool(abs(base.imagewidth / factor - page.imagewidth) <= 1)


def _image_of(group: _Group, *, is_alone: bool) -> TiffImage:
    role = role_of(group.base)
    if role == "scan" and group.base.subfiletype & _REDUCED and not is_alone:
        role = "thumbnail"
    levels = pyramid(group.base, [*group.levels, *subpages(group.base)])
    return TiffImage(name_of(group.base), role, (levels,), tag_scale(group.base))
