"""The interface of all readers: the images of a file, and the pixels of each."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.scale import Scale

Role = Literal["scan", "label", "macro", "overview", "thumbnail", "map", "mask"]
"""What an image of a file shows: the scan, or which kind of associated image."""

ROLES_BY_NAME: dict[str, Role] = {
    "label": "label",
    "barcode": "label",
    "macro": "macro",
    "overview": "overview",
    "thumbnail": "thumbnail",
    "thumb": "thumbnail",
    "preview": "thumbnail",
    "map": "map",
}

OnDamage = Callable[[str], None] | None
"""Called with the position of each damaged part, which is then white; None: damage is an error."""


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of an image.

    Parameters
    ----------
    shape : tuple of int
        Height and width in pixels.
    downsample : float
        Pixels of level 0 per pixel of this level, along one axis.
    chunk : tuple of int
        Height and width of the unit that is read at a time: a tile, a strip, or the whole level.
    compression : str
        As named by the format.
    missing : int
        Number of tiles or strips that are not in the file; they are read as white, which is glass.
    """

    shape: tuple[int, int]
    downsample: float
    chunk: tuple[int, int]
    compression: str
    missing: int = 0


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """One of the images of a file.

    Parameters
    ----------
    name : str
        As named in the file; empty if it is not.
    shape : tuple of int
        Height and width of its finest level, in pixels.
    role : str
        "scan", or the kind of associated image.
    scale : Scale or None
        As stated for this image.
    planes : int
        Number of focal planes.
    problem : str or None
        Why it cannot be read as H&E; None if it can.
    levels : int
        Number of resolutions.
    """

    name: str
    shape: tuple[int, int]
    role: Role
    scale: Scale | None
    planes: int = 1
    problem: str | None = None
    levels: int = 1


class OpenImage(Protocol):
    """The pixels of one image.

    Attributes
    ----------
    levels : tuple of Level
        Finest first; at least one.
    notes : tuple of str
        What was chosen, or converted to obtain 8-bit RGB.
    plane : int
        The focal plane that is read.
    origin : tuple of int
        Row and column of the image's first pixel on the canvas of the whole slide, in pixels of level 0.
    sparse : bool
        Whether the scanner may have omitted parts; these are read as pure white.
    """

    levels: tuple[Level, ...]
    notes: tuple[str, ...]
    plane: int
    origin: tuple[int, int]
    sparse: bool

    def read(self, level: int, window: tuple[slice, slice]) -> NDArray[np.uint8]:
        """Read rows and columns of a level: (H, W, 3)."""


class ArrayImage:
    """An image in memory; see `OpenImage`.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3), uint8
    compression : str
        As named by the format.
    notes : tuple of str
        What was converted.
    """

    def __init__(self, pixels: NDArray[np.uint8], compression: str, notes: tuple[str, ...]) -> None:
        shape = pixels.shape[0], pixels.shape[1]
        self.levels: tuple[Level, ...] = (Level(shape, 1.0, shape, compression),)
        self.notes = notes
        self.plane = 0
        self.origin = (0, 0)
        self.sparse = False
        self._pixels = pixels

    def read(self, level: int, window: tuple[slice, slice]) -> NDArray[np.uint8]:
        """Read rows and columns."""
        return self._pixels[window]


class Reader(Protocol):
    """An open file.

    Attributes
    ----------
    kind : str
        The format of the file.
    images : tuple of ImageInfo
        All images in it.
    """

    kind: str
    images: tuple[ImageInfo, ...]

    def open(self, index: int, plane: int | None, on_damage: OnDamage) -> OpenImage:
        """Open the image of this index at a focal plane, by default that of the format, else the middle one."""

    def close(self) -> None:
        """Close the file."""


def role_of_name(name: str) -> Role:
    """Return the role of an image by its name: label, macro, overview, thumbnail or map, else scan.

    The first word, the last word, and words before "image" count; numbers, sizes, file suffixes and "label-free" are
    not words. "Map" counts only as the first word.
    """
    words = re.findall(r"[a-z]+", re.sub(r"\.[a-z]\w{1,5}\b|\d+ ?x ?\d+|label[ _-]?free", " ", name.lower()))
    named = [words[0], words[-1]] if words else []
    named += [word for word, next_word in pairwise(words) if next_word in ("image", "picture")]
    named = [word for word in named if word != "map" or words[0] == "map"]
    return next((ROLES_BY_NAME[word] for word in named if word in ROLES_BY_NAME), "scan")
