"""The images of an OME-TIFF or an ImageJ TIFF: stacks of channels, focal planes and time points."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile

from monuseg_cli.imaging.channels import Channel, order_channels
from monuseg_cli.imaging.ome import OmeDocument, OmeImage, OmePlanes, read_ome
from monuseg_cli.imaging.readers.base import role_of_name
from monuseg_cli.imaging.readers.tiff_images import (
    Levels,
    TiffImage,
    fallback_scale,
    group_pages,
    is_smaller,
    middle_plane,
    subpages,
    tag_scale,
)
from monuseg_cli.imaging.readers.tiff_samples import Plane
from monuseg_cli.imaging.scale import Scale, make_scale, um_per_unit
from monuseg_cli.imaging.to_rgb import RESAVE_HINT

Pages = Sequence[tifffile.TiffPage]
Place = tuple[int, int, int]
"""Channel, focal plane and time."""

_RGB = 3


def list_ome(tiff: tifffile.TiffFile, pages: Pages) -> list[TiffImage]:
    """List the images of an OME-TIFF: its Image elements, each with its own size, scale, bit depth and pages."""
    document = read_ome(tiff.ome_metadata or "")
    images: list[TiffImage] = []
    used: set[int] = set()
    if document is None:
        return []
    for image in document.images:
        images += _list_times(image, document, pages, Path(tiff.filehandle.path).name, used)
    if not images and (document.images or document.described_in):
        others = {run.file_name for image in document.images for run in image.runs} | {document.described_in}
        named = ", ".join(sorted(name for name in others if name))
        problem = (
            f"it is part of an image in several files ({named}); save the image as one file"
            if named
            else f"its OME-XML places all planes beyond the file's {len(pages)} pages; {RESAVE_HINT}"
        )
        return [replace(image, problem=problem) for image in group_pages(pages)]
    for page in [page for page in pages if page.index not in used] if images else ():
        (beside,) = group_pages([page])  # not in the XML
        images.append(replace(beside, role="thumbnail" if beside.role == "scan" else beside.role))
    return images


def _list_times(
    image: OmeImage, document: OmeDocument, pages: Pages, file_name: str, used: set[int]
) -> list[TiffImage]:
    """Return the images of an Image element, one for each time point; add their pages to `used`."""
    first = image.runs[0].ifd if image.runs else max(used, default=-1) + 1
    samples = pages[first].samplesperpixel if 0 <= first < len(pages) else 1
    planes: dict[Place, tifffile.TiffPage] = {}
    elsewhere: set[str] = set()
    for place, (ifd, run) in image.planes(samples, len(pages), first).items():
        if not _is_here(run, document, file_name):
            elsewhere.add(run.file_name or "")
        elif 0 <= ifd < len(pages):
            planes[place] = pages[ifd]
            used.add(ifd)
    if not planes:
        return []
    made = []
    for time in range(image.sizes[2]):
        here = {(c, z): Plane(page) for (c, z, t), page in planes.items() if t == time}
        if not here:
            continue
        base = next(iter(here.values())).page
        counts = max(image.sizes[0] // samples, 1), image.sizes[1]
        one = _stack(image.name, here, counts, image.channels, samples)
        if (base.imagelength, base.imagewidth) != image.shape:
            size = f"{image.shape[1]} x {image.shape[0]}"
            if len(document.images) > 1:
                problem = f"its OME-XML is of {size} pixels, but its page is not; {RESAVE_HINT}"
                one = replace(one, problem=one.problem or problem)
            one = replace(
                one, scale=tag_scale(base), notes=(*one.notes, f"OME-XML ignored, since it states {size} pixels")
            )
        else:
            one = replace(
                one, scale=image.scale or fallback_scale(base), bits=image.bits, bits_source="by SignificantBits"
            )
        if one.problem and elsewhere:
            names = ", ".join(sorted(elsewhere))
            one = replace(one, problem=f"parts of it are in other files ({names}); save it as one file")
        made.append(replace(one, name=f"{one.name} t={time}".strip()) if image.sizes[2] > 1 else one)
    return made


def _is_here(run: OmePlanes, document: OmeDocument, file_name: str) -> bool:
    """Return whether planes are in this file, by UUID or name; if the XML names one file only, it may be renamed."""
    if (run.uuid, run.file_name) == (None, None) or run.uuid == document.uuid is not None:
        return True
    names = {other.file_name for image in document.images for other in image.runs}
    return run.file_name in (None, file_name) or len(names) == 1


def _stack(
    name: str,
    planes: Mapping[tuple[int, int], Plane],
    counts: tuple[int, int],
    channels: Sequence[Channel],
    samples: int,
    further: Mapping[int, Pages] | None = None,
) -> TiffImage:
    """Return the image of planes, given by channel and focal plane; `channels` describes which are red, green and blue.

    `further` contains the coarser levels of planes that are not in SubIFDs, by the `id` of the plane.
    """
    base = next(iter(planes.values())).page
    order: tuple[int, ...] = (0,)
    notes, problem, rgb = [], None, False
    if counts[0] > 1:
        found = order_channels(channels, counts[0], 8 * np.dtype(base.dtype).itemsize)
        if found.order is None or samples > 1:
            problem = f"it has {found.reason}, not red, green and blue; save it as 8-bit RGB"
        else:
            order, rgb = found.order, True
            notes.append(f"planes joined to RGB ({found.reason})")
    elif samples >= _RGB and channels:
        is_one = channels[0].samples >= _RGB
        rgb = is_one or order_channels(channels, samples, 8 * np.dtype(base.dtype).itemsize).order == (0, 1, 2)
    stacks: list[Levels] = []
    for z in range(counts[1]):
        wanted = [planes.get((channel, z)) for channel in order]
        present = [plane for plane in wanted if plane is not None]
        if len(present) == len(wanted):
            stacks.append(_levels(present, further or {}))
    if not stacks:
        problem = problem or "its planes are not all in the file"
        stacks = [((Plane(base),),)]
    plane = middle_plane(len(stacks))
    return TiffImage(
        name=name,
        role=role_of_name(name),
        stacks=tuple(stacks),
        plane=plane,
        plane_reason="the middle one",
        rgb=rgb,
        notes=tuple(notes),
        problem=problem,
    )


def _levels(planes: Sequence[Plane], further: Mapping[int, Pages]) -> Levels:
    """Return the levels that all planes have: those in SubIFDs, and further ones."""
    coarser = []
    for plane in planes:
        inside = subpages(plane.page) if plane.offset is None else []
        coarser.append([page for page in (*inside, *further.get(id(plane), ())) if is_smaller(page, plane.page)])
    levels = [tuple(planes)]
    for pages in zip(*coarser, strict=False):
        if len({(page.imagelength, page.imagewidth) for page in pages}) == 1:
            levels.append(tuple(Plane(page, base=plane.page) for page, plane in zip(pages, planes, strict=True)))
    return tuple(sorted(levels, key=lambda level: -level[0].page.imagewidth))


def list_imagej(tiff: tifffile.TiffFile, pages: Pages) -> list[TiffImage]:
    """List the images of an ImageJ TIFF: each time point of a hyperstack is one."""
    stated = tiff.imagej_metadata or {}
    first = pages[0]
    channels, slices, frames = (_count(stated, name) for name in ("channels", "slices", "frames"))
    if first.samplesperpixel > 1:
        channels = 1
    if channels == 1 and slices == _RGB and _labelled_channels(stated, slices):  # an "RGB Stack" of ImageJ
        channels, slices = slices, channels
    wanted = channels * slices * frames
    planes = [Plane(page) for page in pages if page.shape == first.shape and page.dtype == first.dtype]
    if len(planes) < wanted and first.is_contiguous and first.dataoffsets:
        start, size = int(first.dataoffsets[0]), first.nbytes
        planes = [Plane(first), *(Plane(first, offset=start + number * size) for number in range(1, wanted))]
    if wanted == 1 or len(planes) < wanted:
        return [replace(image, scale=_imagej_scale(stated, image)) for image in group_pages(pages)]
    described = _describe_channels(stated, channels)
    coarser = _coarser_stacks(pages, wanted)
    images = []
    for time in range(frames):
        number_of = {(c, z): (time * slices + z) * channels + c for z in range(slices) for c in range(channels)}
        here = {place: planes[number] for place, number in number_of.items()}
        further = {id(planes[number]): [level[number] for level in coarser] for number in number_of.values()}
        image = _stack("", here, (channels, slices), described, first.samplesperpixel, further)
        image = replace(image, scale=_imagej_scale(stated, image))
        images.append(replace(image, name=f"t={time}") if frames > 1 else image)
    return images


def _count(stated: Mapping[str, object], name: str) -> int:
    value = stated.get(name, 1)
    return value if isinstance(value, int) and value > 0 else 1


def _coarser_stacks(pages: Pages, count: int) -> list[Pages]:
    """List the coarser levels of a stack: stacks of smaller pages with the same number of planes."""
    by_size: dict[tuple[int, int], list[tifffile.TiffPage]] = {}
    for page in pages:
        if is_smaller(page, pages[0]):
            by_size.setdefault((page.imagelength, page.imagewidth), []).append(page)
    return [stack for stack in by_size.values() if len(stack) == count]


def _describe_channels(stated: Mapping[str, object], count: int) -> list[Channel]:
    """Return channels by the labels of the first slices if these are names of colours, else by their look-up tables.

    ImageJ displays three channels of a composite without tables as red, green and blue.
    """
    named = _labelled_channels(stated, count)
    if named:
        return named
    luts = stated.get("LUTs")
    colours: list[tuple[int, int, int] | None] = [None] * count
    for number, lut in enumerate((luts if isinstance(luts, list | tuple) else ())[:count]):
        red, green, blue = (int(value) for value in np.asarray(lut).reshape(_RGB, -1)[:, -1])
        colours[number] = (red, green, blue)
    if not any(colours) and stated.get("mode") == "composite" and count == _RGB:
        colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    return [Channel("", colour) for colour in colours]


def _labelled_channels(stated: Mapping[str, object], count: int) -> list[Channel]:
    """Return channels by the labels of the first slices if these are red, green and blue, else none."""
    labels = stated.get("Labels")
    named = [Channel(str(label)) for label in (labels if isinstance(labels, list | tuple) else ())[:count]]
    return named if order_channels(named, count, 16).order else []


def _imagej_scale(stated: Mapping[str, object], image: TiffImage) -> Scale | None:
    """Read the scale from the tags: in the unit of ImageJ's metadata where that is credible, else in their own."""
    page = image.base.page
    by_tags, um = tag_scale(page), um_per_unit(str(stated.get("unit", "")))
    if um is None or "XResolution" not in page.tags:
        return by_tags
    x, y = page.get_resolution()
    by_unit = make_scale(um / x if x > 0 else None, um / y if y > 0 else None, "ImageJ's scale")
    return by_tags if by_tags and by_tags.is_credible and not (by_unit and by_unit.is_credible) else by_unit or by_tags
