"""One interface for images of every kind: levels, micrometres per pixel, regions."""

from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError
from monuseg_cli.imaging.decoding import decoding
from monuseg_cli.imaging.readers.base import ImageInfo, Level, Reader
from monuseg_cli.imaging.readers.formats import SCANNERS
from monuseg_cli.imaging.readers.select import open_reader
from monuseg_cli.imaging.readers.series_and_plane import choose_image, note_image
from monuseg_cli.imaging.to_rgb import ImageError


class Slide:
    """An open image. Use it in a ``with`` statement.

    Parameters
    ----------
    path : str or Path
        An image or a slide of any supported format; for a slide in several files, its main file, or the folder.
    skip_damaged : bool
        Fill parts that cannot be read with white, and list them, instead of raising an error.
    series : int, optional
        Index into `images` of the one to read; by default the largest scan.
    plane : int, optional
        The focal plane to read, from 0; by default the one that the format states to be in focus, else the middle one.

    Attributes
    ----------
    images : tuple of ImageInfo
        All images of the file: scans, and associated images such as label and macro.
    series : int
        Index of the one that is read.
    plane : int
        The focal plane that is read.
    levels : tuple of Level
        At least one; level 0 is full resolution, and each further one is coarser.
    origin : tuple of int
        Row and column of the first pixel on the canvas of the whole slide, in pixels of level 0. For formats that have
        such a canvas, only the scanned part of it is read.
    mpp : float or None
        Micrometres per pixel of level 0; None if the file states no credible value, or pixels are not square.
    mpp_source : str
        Where the file states it, or why there is none.
    kind : str
        The format of the file.
    sparse : bool
        Whether the scanner may have omitted parts; these are read as pure white.
    damaged : list of str
        Unreadable parts that were filled with white, by level, row and column.
    note : str or None
        Which image and focal plane were chosen, and what is converted to obtain 8-bit RGB.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If it is not an image, is truncated, of an unsupported format, or the meaning of its pixels is unclear.
    """

    def __init__(
        self, path: str | Path, skip_damaged: bool = False, series: int | None = None, plane: int | None = None
    ) -> None:
        self.path = Path(path)
        with decoding(self.path):
            self._read_from(open_reader(self.path), skip_damaged, series, plane)

    def _read_from(self, reader: Reader, skip_damaged: bool, series: int | None, plane: int | None) -> None:
        self.damaged: list[str] = []
        self._reader = reader
        try:
            self.images: tuple[ImageInfo, ...] = reader.images
            self.series = choose_image(self.images, series)
            self._image = reader.open(self.series, plane, self.damaged.append if skip_damaged else None)
        except BaseException:
            reader.close()
            raise
        self.kind = reader.kind
        self.levels: tuple[Level, ...] = self._image.levels
        self.plane, self.origin, self.sparse = self._image.plane, self._image.origin, self._image.sparse
        chosen = note_image(self.images, self.series) if series is None else None
        self.note = ", ".join(note for note in (chosen, *self._image.notes) if note) or None
        self._scale = self.images[self.series].scale
        self.mpp = self._scale.mpp if self._scale else None
        self.mpp_source = self._scale.describe() if self._scale else "not stated"

    def __enter__(self) -> "Slide":
        """Return the slide itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        self._reader.close()

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of level 0, in pixels."""
        return self.levels[0].shape

    @property
    def is_whole_slide(self) -> bool:
        """Whether it has several levels, or its format is that of a slide scanner."""
        return len(self.levels) > 1 or self.kind in SCANNERS

    def require_square(self) -> None:
        """Check that the pixels are square.

        Raises
        ------
        InputError
            If the file states credibly that they are not.
        """
        if self._scale and self._scale.is_credible and not self._scale.is_square:
            message = f"{self.path} states {self.mpp_source}; resample it, or set `mpp` if that is wrong"
            raise InputError(message)

    def level_for(self, downsample: float) -> int:
        """Return the index of the coarsest level that is not coarser than `downsample` (by more than 1 %)."""
        fine = [index for index, level in enumerate(self.levels) if level.downsample <= 1.01 * downsample]
        return max(fine, key=lambda index: self.levels[index].downsample, default=0)

    def read_region(self, level: int, row: int, col: int, height: int, width: int) -> NDArray[np.uint8]:
        """Read a window of a level.

        Parameters
        ----------
        level : int
            Index into `levels`.
        row, col, height, width : int
            First pixel and size, in pixels of that level, within it.

        Returns
        -------
        ndarray of shape (height, width, 3), uint8

        Raises
        ------
        InputError
            If the file is damaged there.
        """
        with decoding(self.path):
            try:
                return self._image.read(level, (slice(row, row + height), slice(col, col + width)))
            except ImageError as error:
                message = f"level {level}, {error}"
                raise ImageError(message) from error
