"""Conversion of pixels of any kind and bit depth to 8-bit RGB."""

from dataclasses import dataclass

import numpy as np
import tifffile
from numpy.typing import NDArray

from monuseg_cli.imaging.depth import OVERSHOOT, allowed_outliers

RESAVE_HINT = "save it again as 8-bit RGB, in PNG or TIFF"
"""The remedy for most images that cannot be read."""

_COLOURS = 3


class ImageError(ValueError):
    """Why an image cannot be used, with a remedy."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """The conversion of one image to 8-bit RGB.

    Parameters
    ----------
    dtype : numpy dtype
        Type of the stored samples.
    samples : int
        Samples per pixel: first the colours (grey, an index into a palette, RGB or CMYK), then extra samples.
    palette : ndarray of shape (3, K), uint16, or None
        Colours of a palette image.
    inverted : bool
        True if 0 is white (MINISWHITE in TIFF).
    cmyk : bool
        True if the samples are cyan, magenta, yellow and black.
    alpha : int, optional
        Index of the sample that is the opacity. Other extra samples have no defined meaning and are ignored.
    premultiplied : bool
        True if colours are multiplied by their opacity.
    bits : int
        Significant bits of an integer sample.
    bits_source : str
        How the number of bits is known, if it is not that of the dtype.
    """

    dtype: np.dtype[np.generic]
    samples: int = 3
    palette: NDArray[np.uint16] | None = None
    inverted: bool = False
    cmyk: bool = False
    alpha: int | None = None
    premultiplied: bool = False
    bits: int = 16
    bits_source: str = ""

    def require_clear(self) -> None:
        """Check that the meaning of these pixels is clear.

        Raises
        ------
        ImageError
            If it is not; the message says why.
        """
        problem = None
        if self.dtype == np.bool_:
            problem = "its pixels are one bit, a mask rather than an image; name the image that it was made of"
        elif self.dtype.type not in (np.uint8, np.uint16, np.float16, np.float32, np.float64):
            problem = f"its samples are {self.dtype}, whose range has no defined meaning; save it as 8-bit RGB"
        if problem:
            raise ImageError(problem)

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes per stored pixel."""
        return self.dtype.itemsize * self.samples

    @property
    def colours(self) -> int:
        """Samples per pixel that are colours: 1, 3, or 4 (CMYK)."""
        if self.cmyk:
            return _COLOURS + 1
        return _COLOURS if self.samples >= _COLOURS else 1

    @property
    def white(self) -> int:
        """The sample value of white; for a palette, the index of its lightest colour."""
        if self.palette is not None:
            return int(self.palette.sum(axis=0, dtype=np.int64).argmax())
        if self.inverted or self.cmyk:
            return 0
        if self.dtype.kind == "f":
            return 1
        return 255 if self.dtype == np.uint8 else 2**self.bits - 1

    def note(self) -> str | None:
        """Return what is converted; None for 8-bit RGB, which is not."""
        parts = []
        if self.palette is not None:
            parts.append("palette looked up")
        elif self.dtype != np.uint8:
            kind = f"0..{2**self.bits - 1}" if self.dtype.kind == "u" else "0..1"
            source = f" ({self.bits_source})" if self.bits_source else ""
            parts.append(f"{self.dtype} of range {kind}{source} scaled to 8 bits")
        if self.colours == 1 and self.palette is None:
            parts.append("grey taken as equal red, green and blue")
        if self.cmyk:
            parts.append("CMYK converted to RGB")
        if self.alpha is not None:
            parts.append("transparency laid over white")
        elif self.samples > self.colours:
            parts.append("extra samples ignored, since they are not declared as opacity")
        if self.inverted:
            parts.append("white-is-zero inverted")
        return ", ".join(parts) or None

    def apply(self, pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Convert pixels of this kind.

        Parameters
        ----------
        pixels : ndarray of shape (H, W) or (H, W, samples)
            Of type `dtype`.

        Returns
        -------
        ndarray of shape (H, W, 3), uint8

        Raises
        ------
        ImageError
            If floating-point samples are not within 0..1, integers exceed their bits (isolated ones are cut off), or a
            palette lacks a colour.
        """
        pixels = pixels.reshape(*pixels.shape[:2], -1)
        if self.palette is not None:
            index = pixels[..., 0].astype(np.intp)
            if index.size and index.max() >= self.palette.shape[1]:
                message = f"a pixel refers to a colour that is not in the palette; {RESAVE_HINT}"
                raise ImageError(message)
            return (self.palette.T[index] >> 8).astype(np.uint8)
        colour = _to_uint8(pixels[..., : self.colours], self.bits)
        if self.inverted:
            colour = 255 - colour
        if self.cmyk:
            ink, black = (255 - part.astype(np.uint16) for part in (colour[..., :_COLOURS], colour[..., _COLOURS:]))
            colour = ((ink * black + 127) // 255).astype(np.uint8)
        if self.alpha is not None:
            stored = pixels[..., self.alpha, None]
            if stored.dtype == np.uint16:  # it may use all bits where the colours use fewer
                stored = np.minimum(stored, 2**self.bits - 1)
            opacity = _to_uint8(stored, self.bits).astype(np.uint16)
            through = 255 * (255 - opacity)
            over = 255 * np.minimum(colour, opacity) if self.premultiplied else colour * opacity
            colour = ((over + through + 127) // 255).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(colour, (*colour.shape[:2], 3)))


def _to_uint8(pixels: NDArray[np.generic], bits: int) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    if pixels.dtype == np.uint16:
        white = 2**bits - 1
        largest = int(pixels.max(initial=0))
        limit = white * OVERSHOOT
        if largest > limit and np.count_nonzero(pixels > limit) > allowed_outliers(pixels.size):
            message = f"a sample of {largest} does not fit into {bits} bits like the others; save it as 8-bit RGB"
            raise ImageError(message)
        kept = np.minimum(pixels, white)
        return np.asarray(kept >> (bits - 8) if bits >= 8 else kept * np.uint16(255) // white, dtype=np.uint8)
    values = pixels.astype(np.float64)
    if not (values.min(initial=0) >= 0 and values.max(initial=0) <= 1):  # also False for NaN
        message = "its floating-point samples are not within 0..1, so their range is unclear; save it as 8-bit RGB"
        raise ImageError(message)
    return np.rint(values * 255).astype(np.uint8)


_DECODE_TO_RGB = (
    tifffile.COMPRESSION.JPEG,
    tifffile.COMPRESSION.JPEG2000,
    tifffile.COMPRESSION.APERIO_JP2000_YCBC,
    tifffile.COMPRESSION.APERIO_JP2000_RGB,
    tifffile.COMPRESSION.JPEG_2000_LOSSY,
)
_INKS = 4
_ONE_SAMPLE = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE, tifffile.PHOTOMETRIC.PALETTE)
_OPACITIES = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)


def conversion_of_page(page: tifffile.TiffPage | tifffile.TiffFrame, *, rgb: bool = False) -> Conversion:
    """Return the conversion of a TIFF page, as tifffile decodes it, to 8-bit RGB.

    Parameters
    ----------
    page : tifffile.TiffPage or tifffile.TiffFrame
    rgb : bool
        True if three samples are known to be red, green and blue, regardless of the tags of the page.

    Raises
    ------
    ImageError
        If the page is not a single image, or the meaning of its pixels is unclear.
    """
    page = page.aspage()
    photometric = tifffile.PHOTOMETRIC(page.photometric)
    is_rgb = photometric == tifffile.PHOTOMETRIC.RGB or (rgb and page.samplesperpixel >= _COLOURS)
    # The JPEG and JPEG 2000 codecs convert YCbCr to RGB; other codecs do not.
    is_decoded = photometric == tifffile.PHOTOMETRIC.YCBCR and page.compression in _DECODE_TO_RGB
    is_cmyk = photometric == tifffile.PHOTOMETRIC.SEPARATED and page.samplesperpixel == _INKS
    problem = None
    if not (is_rgb or is_decoded or is_cmyk or photometric in _ONE_SAMPLE):
        problem = f"its colours are {photometric.name}, which is not supported; save it as 8-bit RGB"
    elif not is_rgb and photometric in _ONE_SAMPLE and page.samplesperpixel > 2:
        problem = f"it has {page.samplesperpixel} channels that are not declared as colours; save it as 8-bit RGB"
    elif page.axes not in ("YX", "YXS", "SYX"):
        problem = f"its axes are {page.axes}, not those of a single image (YX, YXS or SYX); {RESAVE_HINT}"
    if problem:
        raise ImageError(problem)
    extra = [kind for kind in page.extrasamples if not is_cmyk]
    colours = page.samplesperpixel - len(extra)
    opacity = next((number for number, kind in enumerate(extra, start=colours) if kind in _OPACITIES), None)
    conversion = Conversion(
        dtype=np.dtype(np.bool_) if page.bitspersample == 1 else np.dtype(page.dtype),
        samples=page.samplesperpixel,
        palette=page.colormap if photometric == tifffile.PHOTOMETRIC.PALETTE else None,
        inverted=photometric == tifffile.PHOTOMETRIC.MINISWHITE and not is_rgb,
        cmyk=is_cmyk,
        alpha=opacity,
        premultiplied=tifffile.EXTRASAMPLE.ASSOCALPHA in extra,
        bits=max(page.bitspersample, 1),
    )
    conversion.require_clear()
    return conversion
