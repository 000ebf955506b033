"""Templates of pages, and images inside of them."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from importlib import resources

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

_JPEG_LEVEL = 88
_PNG_LEVEL = 6


def fill(package: str, name: str, parts: Mapping[str, str]) -> str:
    """Return a template of a package with its placeholders replaced.

    They are replaced in a single pass, so that placeholders inside the inserted text stay as they are.

    Parameters
    ----------
    package, name : str
        The package, and the file of the template in it.
    parts : mapping of str to str
        HTML for each placeholder; text in it must be escaped already.
    """
    page = resources.files(package).joinpath(name).read_text(encoding="utf-8")
    return re.sub("|".join(map(re.escape, parts)), lambda mark: parts[mark[0]], page)


def stylesheet() -> str:
    """Return the style of the pages on predictions."""
    return resources.files("monuseg_cli.reports").joinpath("style.css").read_text(encoding="utf-8")


def png_uri(pixels: NDArray[np.uint8]) -> str:
    """Return an image (H, W, 3 or 4) as a data URI, without loss."""
    return _uri("png", imagecodecs.png_encode(pixels, level=_PNG_LEVEL))


def palette_uri(pixels: NDArray[np.uint8], colours: Sequence[tuple[int, int, int]]) -> str:
    """Return an image of few colours as a data URI; it takes less than half of the space of one in RGBA.

    Parameters
    ----------
    pixels : ndarray of shape (H, W), uint8
        Index of each pixel's colour; 0 is transparent.
    colours : sequence of tuple of int
        Red, green, blue; the first is not used.
    """
    image = Image.fromarray(pixels).convert("P")
    image.putpalette([part for colour in colours for part in colour])
    content = io.BytesIO()
    image.save(content, "PNG", transparency=0, compress_level=_PNG_LEVEL)
    return _uri("png", content.getvalue())


def jpeg_uri(pixels: NDArray[np.uint8], level: int = _JPEG_LEVEL) -> str:
    """Return an image (H, W, 3) as a data URI, in JPEG."""
    return _uri("jpeg", imagecodecs.jpeg_encode(pixels, level=level))


def _uri(kind: str, content: bytes | bytearray) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
