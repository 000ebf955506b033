"""What every reader offers: the images of a file, and the pixels of each."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.scale import Scale

Role = Literal["scan", "label", "macro", "overview", "thumbnail", "map", "mask"]
"""What an image of a file shows: the scan, or something beside it."""

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
"""Is told where a damaged part lies, which is then white; None: it is an error."""


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of an image.

    Parameters
    ----------
    shape : tuple of int
        Height and width in pixels.
    downsample : float
        Pixels of level 0 along one of its own.
    chunk : tuple of int
        Height and width of what is read at a time: a tile or a strip, or the whole level.
    compression : str
        As the format names it.
    missing : int
        Tiles or strips that the file leaves out; they read as white, which is glass.
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
        As the file names it; empty where it does not.
    shape : tuple of int
        Height and width of its finest level, in pixels.
    role : str
        "scan", or what it shows beside the scan.
    scale : Scale or None
        As stated for this image.
    planes : int
        Number of focal planes.
    problem : str or None
        Why it cannot be read as H&E, if it cannot.
    """

    name: str
    shape: tuple[int, int]
    role: Role
    scale: Scale | None
    planes: int = 1
    problem: str | None = None


class OpenImage(Protocol):
    """The pixels of one image.

    Attributes
    ----------
    levels : tuple of Level
        Finest first; at least one.
    notes : tuple of str
        What was converted or chosen on the way to 8-bit RGB.
    plane : int
        The focal plane that is read.
    origin : tuple of int
        Row and column of the image's first pixel on the canvas of the whole slide, in pixels of level 0.
    sparse : bool
        Whether parts may have been left out by the scanner; they read as pure white.
    """

    levels: tuple[Level, ...]
    notes: tuple[str, ...]
    plane: int
    origin: tuple[int, int]
    sparse: bool

    def read(self, level: int, window: tuple[slice, slice]) -> NDArray[np.uint8]:
        """Read rows and columns of a level: (H, W, 3)."""


class ArrayImage:
    """A picture in memory; see `OpenImage`.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3), uint8
    compression : str
        As the format names it.
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
        What the file is.
    images : tuple of ImageInfo
        All images in it.
    """

    kind: str
    images: tuple[ImageInfo, ...]

    def open(self, index: int, plane: int | None, on_damage: OnDamage) -> OpenImage:
        """Open the image of this index at a focal plane, by default the format's or the middle one."""

    def close(self) -> None:
        """Close the file."""


def role_of_name(name: str) -> Role:
    """Tell from an image's name whether it is a label, macro, overview, thumbnail or map.

    The first or the last word says so, or one before "image"; numbers, sizes and suffixes of files are no words. "Map"
    says it at the beginning alone.
    """
    words = re.findall(r"[a-z]+", re.sub(r"\.[a-z]\w{1,5}\b|\d+ ?x ?\d+", " ", name.lower()))
    named = [words[0], words[-1]] if words else []
    named += [word for word, next_word in pairwise(words) if next_word in ("image", "picture")]
    named = [word for word in named if word != "map" or words[0] == "map"]
    return next((ROLES_BY_NAME[word] for word in named if word in ROLES_BY_NAME), "scan")
