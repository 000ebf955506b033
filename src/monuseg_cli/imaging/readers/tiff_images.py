"""Which images a TIFF holds: a picture of any number of pages, with its pyramid, focal planes and channels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import tifffile

from monuseg_cli.imaging.decoding import DECODING_ERRORS
from monuseg_cli.imaging.readers.base import Role, role_of_name
from monuseg_cli.imaging.readers.tiff_planes import Plane
from monuseg_cli.imaging.scale import Scale, make_scale

_REDUCED, _MASK, _APERIO_MACRO = 1, 4, 8  # bits of TIFF's NewSubfileType; Aperio's macro is 9
_UM_PER_RESOLUTION_UNIT = {2: 25400.0, 3: 10000.0}
_LONGEST_NAME = 60
_PAGE_NAME_TAG = 285

Levels = tuple[tuple[Plane, ...], ...]
"""Of each level, finest first, the planes: one, or one for each of three channels."""


@dataclass(frozen=True, slots=True)
class TiffImage:
    """One of the images of a TIFF.

    Parameters
    ----------
    name : str
        As the file names it.
    role : str
        See `ImageInfo`.
    stacks : tuple of Levels
        Of each focal plane, the levels.
    scale : Scale or None
        As stated for this image.
    plane : int
        The focal plane to take by default.
    plane_reason : str
        Why that one.
    bits : int or None
        Bits that a sample of 16 uses, as the file states; None where it does not.
    bits_source : str
        Where it states that.
    rgb : bool
        Whether the channels, or the samples of a page, are red, green and blue, whatever the tags of the pages say.
    notes : tuple of str
        What was taken for granted.
    origin : tuple of int
        See `OpenImage`.
    problem : str or None
        Why it cannot be read.
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
    """Return the index of the middle focal plane, the lower one of two."""
    return (count - 1) // 2


def tag_scale(page: tifffile.TiffPage) -> Scale | None:
    """Read the scale from the resolution tags of a page."""
    um = _UM_PER_RESOLUTION_UNIT.get(int(page.resolutionunit))
    if um is None:
        return None
    x, y = page.get_resolution()
    return make_scale(um / x if x > 0 else None, um / y if y > 0 else None, "resolution tags")


def fallback_scale(page: tifffile.TiffPage) -> Scale | None:
    """Read the scale from the resolution tags of a page whose format keeps it elsewhere; None where not credible."""
    scale = tag_scale(page)
    return scale if scale and scale.is_credible else None


def tag_bits(page: tifffile.TiffPage) -> int | None:
    """Read from the tag MaxSampleValue how many bits a sample uses."""
    stated = page.tags.valueof("MaxSampleValue")
    values = [int(value) for value in (stated if isinstance(stated, tuple) else (stated,)) if value]
    return max(values).bit_length() if values else None


def subpages(page: tifffile.TiffPage) -> list[tifffile.TiffPage]:
    """List the pages that a page's SubIFDs tag refers to; those that are none are passed over."""
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
    """Tell what the levels of one image have in common."""
    return page.axes, page.samplesperpixel, page.dtype


def is_smaller(page: tifffile.TiffPage, base: tifffile.TiffPage) -> bool:
    """Tell whether a page may be a coarser level of `base`: of the same kind, and scaled alike along both sides."""
    if kind_of(page) != kind_of(base) or not page.imagelength or not page.imagewidth:
        return False
    if page.imagewidth > base.imagewidth or page.imagelength >= base.imagelength:
        return False
    ranges = []
    for side, base_side in ((page.imagewidth, base.imagewidth), (page.imagelength, base.imagelength)):
        ranges.append((base_side / (side + 1), base_side / max(side - 1, 0.5)))
    return max(low for low, _ in ranges) <= min(high for _, high in ranges)


def pyramid(base: tifffile.TiffPage, others: Iterable[tifffile.TiffPage]) -> Levels:
    """Put the levels of an image together: `base` and what else may be a level of it, finest first, each size once."""
    sizes = {page.imagewidth: page for page in others if is_smaller(page, base)}
    return tuple((Plane(page),) for page in (base, *(sizes[width] for width in sorted(sizes, reverse=True))))


def name_of(page: tifffile.TiffPage) -> str:
    """Return the name of a page: its PageName, or a description that is no more than a name."""
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
    """Tell by a page's name and subfile type what it shows."""
    named = role_of_name(name_of(page))
    if named != "scan":
        return named
    if page.subfiletype & _APERIO_MACRO:
        return "macro"
    return "mask" if page.subfiletype & _MASK else "scan"


@dataclass(slots=True)
class _Group:
    """A base and the pages that are levels of it."""

    base: tifffile.TiffPage
    index: int
    levels: list[tifffile.TiffPage] = field(default_factory=list)

    def lacks(self, page: tifffile.TiffPage) -> bool:
        """Whether it has no level of this page's size."""
        return all(level.imagewidth != page.imagewidth for level in self.levels)


def group_pages(pages: Sequence[tifffile.TiffPage]) -> list[TiffImage]:
    """Make images of pages: the larger ones with what may be coarser levels of them, whatever their order.

    A level is stored as its base is, in tiles or strips, or said to be a reduced image; it belongs to the last larger
    page before it, else to the first one after it. What is said to be reduced and is a level of none is a thumbnail.
    """
    by_kind: dict[tuple[object, ...], list[_Group]] = {}  # of equal sizes and kinds, so that one stands for all
    for index, page in sorted(enumerate(pages), key=lambda item: -item[1].imagewidth * item[1].imagelength):
        takers: list[_Group] = []
        if role_of(page) == "scan":
            alike = [groups for groups in by_kind.values() if _may_take(groups[0].base, page)]
            takers = [group for groups in alike for group in groups if group.lacks(page)]
        before = [group for group in takers if group.index < index]
        if before:
            max(before, key=lambda group: group.index).levels.append(page)
        elif takers:
            min(takers, key=lambda group: group.index).levels.append(page)
        else:
            key = (*kind_of(page), page.imagewidth, page.imagelength, page.is_tiled, role_of(page))
            by_kind.setdefault(key, []).append(_Group(page, index))
    groups = sorted((group for groups in by_kind.values() for group in groups), key=lambda group: group.index)
    return [_image_of(group, is_alone=len(groups) == 1) for group in groups]


def _may_take(base: tifffile.TiffPage, page: tifffile.TiffPage) -> bool:
    is_alike = page.is_tiled == base.is_tiled or bool(page.subfiletype & _REDUCED)
    return is_alike and role_of(base) == "scan" and is_smaller(page, base)


def _image_of(group: _Group, *, is_alone: bool) -> TiffImage:
    role = role_of(group.base)
    if role == "scan" and group.base.subfiletype & _REDUCED and not is_alone:
        role = "thumbnail"
    levels = pyramid(group.base, [*group.levels, *subpages(group.base)])
    return TiffImage(name_of(group.base), role, (levels,), tag_scale(group.base))
