"""The images of a TIFF, by the metadata of each scanner or program."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from xml.etree.ElementTree import Element

import tifffile

from monuseg_cli.imaging.channels import Channel, order_channels
from monuseg_cli.imaging.readers.base import Role
from monuseg_cli.imaging.readers.tiff_images import (
    TiffImage,
    fallback_scale,
    group_pages,
    kind_of,
    middle_plane,
    pyramid,
    role_of,
    tag_scale,
)
from monuseg_cli.imaging.readers.tiff_ome import list_imagej, list_ome
from monuseg_cli.imaging.readers.tiff_samples import Plane
from monuseg_cli.imaging.scale import UM_TIMES_X, Scale, make_scale, parse_number
from monuseg_cli.imaging.xml import attribute, children, descendants, int_attribute, parse_xml

Pages = Sequence[tifffile.TiffPage]

_NDPI_LENS, _NDPI_Z = 65421, 65424
_NDPI_ROLES: Mapping[float, Role] = {-1.0: "macro", -2.0: "map"}
_QPI_ROLES: Mapping[str, Role] = {"Thumbnail": "thumbnail", "Overview": "overview", "Label": "label"}
_NM_PER_UM = 1000.0
_MOST_BITS = 16  # so that channels without names are not taken for colours


def list_images(tiff: tifffile.TiffFile) -> tuple[str, list[TiffImage]]:
    """List the images of a TIFF.

    Returns
    -------
    kind : str
        The format of the file.
    images : list of TiffImage
        In the order of the file; empty if it has no page.

    Raises
    ------
    ImageError
        If its XML has a document type.
    """
    pages = [page.aspage() for page in tiff.pages]
    if not pages:
        return "TIFF", []
    for kind, is_so, lists in _FORMATS:
        if is_so(tiff):
            images = lists(tiff, pages)
            if images:
                return kind, images
    return "BigTIFF" if tiff.is_bigtiff else "TIFF", _join_colours(group_pages(pages))


def _join_colours(images: list[TiffImage]) -> list[TiffImage]:
    """Join three scans of one sample that are named red, green and blue into one image."""
    scans = [image for image in images if image.role == "scan"]
    alike = {(*kind_of(image.base.page), image.base.shape) for image in scans}
    found = order_channels([Channel(image.name) for image in scans], len(scans), _MOST_BITS)
    if found.order is None or len(alike) > 1 or scans[0].base.page.samplesperpixel > 1:
        return images
    levels = []
    for planes in zip(*(scans[index].stacks[0] for index in found.order), strict=False):
        if len({plane.shape for (plane,) in planes}) == 1:
            levels.append(tuple(plane for (plane,) in planes))
    note = f"planes joined to RGB ({found.reason})"
    joined = replace(scans[0], name="", stacks=(tuple(levels),), rgb=True, notes=(note,))
    return [joined, *(image for image in images if image.role != "scan")]


def _list_svs(tiff: tifffile.TiffFile, pages: Pages) -> list[TiffImage]:
    """List the images of an Aperio SVS: only the scan is tiled; tiled pages of equal size are focal planes."""
    first = pages[0]
    if not first.is_tiled:
        images = group_pages(pages)
        return [
            replace(image, scale=_aperio_scale(image.base.page) if image.role == "scan" else None) for image in images
        ]
    scans = [page for page in pages if page.is_tiled and role_of(page) == "scan" and kind_of(page) == kind_of(first)]
    same = [page for page in scans if page.shape == first.shape]
    sizes: dict[int, list[tifffile.TiffPage]] = {}
    for page in scans:
        if page.shape != first.shape:
            sizes.setdefault(page.imagewidth, []).append(page)
    stacks = tuple(
        pyramid(base, [level[number] for level in sizes.values() if len(level) > number])
        for number, base in enumerate(same)
    )
    used = {id(plane.page) for levels in stacks for level in levels for plane in level}
    plane = middle_plane(len(stacks))
    images = [TiffImage("", "scan", stacks, _aperio_scale(first), plane, "the middle one")]
    for page in pages:
        if id(page) not in used:
            (image,) = group_pages([page])
            is_beside = image.role == "scan" and not page.is_tiled
            images.append(replace(image, scale=None, role="thumbnail" if is_beside else image.role))
    return images


def _aperio_scale(page: tifffile.TiffPage) -> Scale | None:
    """Read the scale from Aperio's MPP, else from the magnification, else from the resolution tags."""
    stated: dict[str, float | None] = {}
    for key in ("MPP", "AppMag"):
        found = re.search(rf"(?:^|\|)\s*{key}\s*=\s*([^|\r\n]*)", page.description, re.MULTILINE | re.IGNORECASE)
        stated[key] = parse_number(found[1].strip("'\"xX \t")) if found else None
    by_lens = UM_TIMES_X / stated["AppMag"] if stated["AppMag"] else None
    return (
        make_scale(stated["MPP"], None, "Aperio's MPP")
        or make_scale(by_lens, None, "Aperio's AppMag")
        or fallback_scale(page)
    )


def _list_ndpi(tiff: tifffile.TiffFile, pages: Pages) -> list[TiffImage]:
    """List the images of a Hamamatsu NDPI: scan, macro and map differ in the lens, focal planes in the z offset."""
    scans: dict[int, list[tifffile.TiffPage]] = {}
    images = []
    for page in pages:
        lens = float(page.tags.valueof(_NDPI_LENS, 0) or 0)
        if lens > 0:
            scans.setdefault(int(page.tags.valueof(_NDPI_Z, 0) or 0), []).append(page)
        else:
            (image,) = group_pages([page])
            images.append(replace(image, role=_NDPI_ROLES.get(lens, image.role)))
    if not scans:
        return []
    stacks = []
    for offset in sorted(scans):
        base = max(scans[offset], key=lambda page: page.imagewidth * page.imagelength)
        stacks.append(pyramid(base, scans[offset]))
    offsets = sorted(scans)
    has_zero = 0 in scans
    plane = offsets.index(0) if has_zero else middle_plane(len(offsets))
    reason = "z = 0" if has_zero else "the middle one"
    base = stacks[plane][0][0].page
    return [TiffImage("", "scan", tuple(stacks), tag_scale(base), plane, reason), *images]


def _list_scn(tiff: tifffile.TiffFile, pages: Pages) -> list[TiffImage]:
    """List the images of a Leica SCN, by its XML; the image of the whole slide is the macro."""
    root = parse_xml(pages[0].description)
    images: list[TiffImage] = []
    for collection in descendants(root, "collection") if root is not None else ():
        whole = int_attribute(collection, "sizeX"), int_attribute(collection, "sizeY")
        for image in children(collection, "image"):
            images += _scn_image(image, whole, pages)
        for image in children(collection, "supplementalImage"):
            ifd = int_attribute(image, "ifd", -1)
            if 0 <= ifd < len(pages):
                (beside,) = group_pages([pages[ifd]])
                images.append(replace(beside, name=attribute(image, "type") or "", role="label", scale=None))
    return images


def _scn_image(image: Element, whole: tuple[int, int], pages: Pages) -> Iterator[TiffImage]:
    view = next(children(image, "view"), image)
    size = int_attribute(view, "sizeX"), int_attribute(view, "sizeY")  # in nm
    offset = int_attribute(view, "offsetX"), int_attribute(view, "offsetY")
    found: dict[int, dict[int, tifffile.TiffPage]] = {}
    channels = 0
    for dimension in descendants(image, "dimension"):
        ifd, z, c = int_attribute(dimension, "ifd", -1), int_attribute(dimension, "z"), int_attribute(dimension, "c")
        channels = max(channels, c + 1)
        if c == 0 and 0 <= ifd < len(pages):
            found.setdefault(z, {})[pages[ifd].imagewidth] = pages[ifd]
    if not found:
        return
    stacks = []
    for z in sorted(found):
        widest = max(found[z])
        stacks.append(pyramid(found[z][widest], found[z].values()))
    base = stacks[0][0][0].page
    scale = make_scale(size[0] / _NM_PER_UM / base.imagewidth, size[1] / _NM_PER_UM / base.imagelength, "Leica's view")
    light = next((element.text or "" for element in descendants(image, "illuminationSource")), "brightfield")
    problem = None
    if channels > 1 or light.strip().lower() != "brightfield":
        problem = f"it is not H&E: {channels} channels under {light.strip()}"
    yield TiffImage(
        name=attribute(image, "name") or "",
        role="macro" if size == whole and offset == (0, 0) else "scan",
        stacks=tuple(stacks),
        scale=scale or fallback_scale(base),
        plane=middle_plane(len(stacks)),
        plane_reason="the middle one",
        origin=(round(offset[1] / _NM_PER_UM / scale.y), round(offset[0] / _NM_PER_UM / scale.x)) if scale else (0, 0),
        problem=problem,
    )


def _list_philips(tiff: tifffile.TiffFile, pages: Pages) -> list[TiffImage]:
    """List the images of a Philips TIFF: levels are padded to whole tiles; their true sizes follow from the XML."""
    root = parse_xml(pages[0].description)
    levels = [page for page in pages if page.is_tiled]
    if root is None or not levels:
        return []
    base = levels[0]
    spacings = _philips_spacings(root)
    planes: list[tuple[Plane, ...]] = [(Plane(base),)]
    for number, page in enumerate(levels[1:], start=1):
        factor = round(base.imagewidth / page.imagewidth)
        if len(spacings) == len(levels):
            (down, across), (base_down, base_across) = spacings[number], spacings[0]
            factor = round((down / base_down + across / base_across) / 2)
        cut = min(base.imagelength // factor, page.imagelength), min(base.imagewidth // factor, page.imagewidth)
        if min(cut) > 0 and kind_of(page) == kind_of(base):
            planes.append((Plane(page, cut=cut),))
    stated = next((pair for pair in _philips_spacings(root, of_levels=False)), None) or next(iter(spacings), None)
    scale = make_scale(stated[1] * 1000, stated[0] * 1000, "Philips' pixel spacing") if stated else None
    images = [TiffImage("", "scan", (tuple(planes),), scale or fallback_scale(base))]
    for page in pages:
        if not page.is_tiled:
            (image,) = group_pages([page])
            images.append(replace(image, role="thumbnail" if image.role == "scan" else image.role, scale=None))
    return images


def _philips_spacings(root: Element, *, of_levels: bool = True) -> list[tuple[float, float]]:
    """Read the distances between rows and between columns, in mm: for each level, or for the scan as a whole."""
    spacings = []
    for image in descendants(root, "DataObject"):
        values = {child.get("Name"): child.text or "" for child in children(image, "Attribute")}
        is_level = image.get("ObjectType") == "PixelDataRepresentation"
        is_scan = values.get("PIM_DP_IMAGE_TYPE", "").strip() == "WSI"
        numbers = [parse_number(part) for part in values.get("DICOM_PIXEL_SPACING", "").replace('"', " ").split()]
        if (is_level if of_levels else is_scan) and len(numbers) == 2 and all(numbers):
            spacings.append((numbers[0] or 0.0, numbers[1] or 0.0))
    return spacings


def _list_qpi(tiff: tifffile.TiffFile, pages: Pages) -> list[TiffImage]:
    """List the images of a PerkinElmer or Akoya QPTIFF, by the ImageType in the XML of each page."""
    scans: list[tifffile.TiffPage] = []
    beside: list[TiffImage] = []
    for page in pages:
        root = parse_xml(page.description)
        kind = next((element.text or "" for element in descendants(root, "ImageType")), "") if root is not None else ""
        if kind in _QPI_ROLES:
            (image,) = group_pages([page])
            beside.append(replace(image, name=kind, role=_QPI_ROLES[kind]))
        else:
            scans.append(page)
    images = group_pages(scans)
    grey = [image for image in images if image.base.page.samplesperpixel == 1 and image.role == "scan"]
    if len(grey) > 1:
        problem = f"it is not H&E: {len(grey)} channels of fluorescence"
        images = [replace(image, problem=problem) if image in grey else image for image in images]
    return [*images, *beside]


_FORMATS: tuple[
    tuple[str, Callable[[tifffile.TiffFile], bool], Callable[[tifffile.TiffFile, Pages], list[TiffImage]]], ...
] = (
    ("SVS", lambda tiff: bool(tiff.is_svs), _list_svs),
    ("OME-TIFF", lambda tiff: bool(tiff.is_ome), list_ome),
    ("NDPI", lambda tiff: bool(tiff.pages.first.is_ndpi), _list_ndpi),
    ("SCN", lambda tiff: bool(tiff.is_scn), _list_scn),
    ("Philips TIFF", lambda tiff: bool(tiff.is_philips), _list_philips),
    ("QPTIFF", lambda tiff: bool(tiff.is_qpi), _list_qpi),
    ("ImageJ TIFF", lambda tiff: bool(tiff.is_imagej), list_imagej),
)
