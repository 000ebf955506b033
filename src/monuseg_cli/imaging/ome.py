"""OME-XML: names, sizes, scale, bit depth and channels of images, and the pages of their planes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from xml.etree.ElementTree import Element

from monuseg_cli.imaging.channels import Channel
from monuseg_cli.imaging.scale import Scale, make_scale, parse_number, um_per_unit
from monuseg_cli.imaging.xml import attribute, children, descendants, int_attribute, parse_xml, tag_of

_LARGEST_PLANES = 1_000_000
_WHITE = -1


@dataclass(frozen=True, slots=True)
class OmePlanes:
    """A run of planes: a TiffData element.

    Parameters
    ----------
    ifd : int
        The first page.
    first : tuple of int
        Channel, focal plane and time of the first plane.
    count : int or None
        Number of planes; None: all.
    file_name, uuid : str or None
        The file that contains them, if stated.
    """

    ifd: int
    first: tuple[int, int, int]
    count: int | None
    file_name: str | None
    uuid: str | None


@dataclass(frozen=True, slots=True)
class OmeImage:
    """An Image element, with its Pixels.

    Parameters
    ----------
    name : str
        As stated; may be empty.
    shape : tuple of int
        Height and width.
    sizes : tuple of int
        Number of channels (as OME counts them: the samples of an RGB image are three), focal planes and time points.
    order : str
        OME's DimensionOrder, fastest dimension first.
    channels : tuple of Channel
        As described; may be fewer than the image has.
    scale : Scale or None
        Its PhysicalSizeX and Y.
    bits : int or None
        Its SignificantBits.
    runs : tuple of OmePlanes
        Where its planes are stored.
    """

    name: str
    shape: tuple[int, int]
    sizes: tuple[int, int, int]
    order: str
    channels: tuple[Channel, ...]
    scale: Scale | None
    bits: int | None
    runs: tuple[OmePlanes, ...]

    def planes(self, samples: int, pages: int, start: int = 0) -> dict[tuple[int, int, int], tuple[int, OmePlanes]]:
        """Find the page of every plane.

        Parameters
        ----------
        samples : int
            Samples per pixel of a page, each of which OME counts as a channel.
        pages : int
            Number of pages in the file.
        start : int
            The first page of an image that does not say where its planes lie.

        Returns
        -------
        dict
            The page of each (channel, focal plane, time), and the run that contains it.
        """
        counts = dict(zip("CZT", (max(self.sizes[0] // samples, 1), *self.sizes[1:]), strict=True))
        slowest_first = [axis for axis in reversed(self.order) if axis in counts]
        places = []
        for indices in product(*(range(counts[axis]) for axis in slowest_first)):
            at = dict(zip(slowest_first, indices, strict=True))
            places.append((at["C"], at["Z"], at["T"]))
            if len(places) > _LARGEST_PLANES:
                break
        number_of = {place: number for number, place in enumerate(places)}
        found: dict[tuple[int, int, int], tuple[int, OmePlanes]] = {}
        for run in self.runs or (OmePlanes(start, (0, 0, 0), None, None, None),):
            first = number_of.get(run.first, 0)
            count = pages if run.count is None else run.count
            for step, place in enumerate(places[first : first + count]):
                found.setdefault(place, (run.ifd + step, run))
        return found


@dataclass(frozen=True, slots=True)
class OmeDocument:
    """An OME-XML document: its UUID, its images in order, and the file with the full metadata if this one has none."""

    uuid: str | None
    images: tuple[OmeImage, ...]
    described_in: str | None = None


def read_ome(text: str) -> OmeDocument | None:
    """Read OME-XML; return None if it is something else, or not well-formed.

    Raises
    ------
    ImageError
        If it has a document type declaration.
    """
    root = parse_xml(text)
    if root is None or tag_of(root) != "OME":
        return None
    images = [_read_image(image, pixels) for image in children(root, "Image") for pixels in children(image, "Pixels")]
    described_in = next((attribute(element, "MetadataFile") for element in children(root, "BinaryOnly")), None)
    return OmeDocument(attribute(root, "UUID"), tuple(images), described_in)


def _read_image(image: Element, pixels: Element) -> OmeImage:
    um = []
    for axis in "XY":
        size = parse_number(attribute(pixels, f"PhysicalSize{axis}"))
        factor = um_per_unit(attribute(pixels, f"PhysicalSize{axis}Unit") or "µm")
        um.append(size * factor if size and factor else None)
    bits = int_attribute(pixels, "SignificantBits")
    order = attribute(pixels, "DimensionOrder") or ""
    return OmeImage(
        name=attribute(image, "Name") or "",
        shape=(int_attribute(pixels, "SizeY"), int_attribute(pixels, "SizeX")),
        sizes=(
            max(int_attribute(pixels, "SizeC", 1), 1),
            max(int_attribute(pixels, "SizeZ", 1), 1),
            max(int_attribute(pixels, "SizeT", 1), 1),
        ),
        order=order if sorted(order) == sorted("XYCZT") else "XYCZT",
        channels=tuple(_read_channels(pixels)),
        scale=make_scale(um[0], um[1], "OME's PhysicalSizeX"),
        bits=bits if bits > 0 else None,
        runs=tuple(_read_runs(pixels)),
    )


def _read_channels(pixels: Element) -> Iterator[Channel]:
    for channel in children(pixels, "Channel"):
        colour = int_attribute(channel, "Color", _WHITE) & 0xFFFFFFFF  # red, green, blue and opacity, of 8 bits each
        rgb = None if attribute(channel, "Color") is None else (colour >> 24, colour >> 16 & 255, colour >> 8 & 255)
        yield Channel(attribute(channel, "Name") or "", rgb, max(int_attribute(channel, "SamplesPerPixel", 1), 1))


def _read_runs(pixels: Element) -> Iterator[OmePlanes]:
    for data in children(pixels, "TiffData"):
        has_ifd = attribute(data, "IFD") is not None
        count = int_attribute(data, "PlaneCount", 1 if has_ifd else 0)
        uuid: Sequence[Element] = list(descendants(data, "UUID"))
        yield OmePlanes(
            ifd=int_attribute(data, "IFD"),
            first=(int_attribute(data, "FirstC"), int_attribute(data, "FirstZ"), int_attribute(data, "FirstT")),
            count=count if count > 0 else None,
            file_name=attribute(uuid[0], "FileName") if uuid else None,
            uuid=(uuid[0].text or "").strip() or None if uuid else None,
        )
