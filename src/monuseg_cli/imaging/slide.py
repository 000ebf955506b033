"""One face for every kind of image: levels, micrometres per pixel, regions."""

from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError
from monuseg_cli.imaging.decoding import decoding
from monuseg_cli.imaging.readers.base import ImageInfo, Level, Reader
from monuseg_cli.imaging.readers.choice import choose_image, note_image
from monuseg_cli.imaging.readers.formats import SCANNERS
from monuseg_cli.imaging.readers.select import open_reader
from monuseg_cli.imaging.to_rgb import ImageError


class Slide:
    """An open image. Use it in a ``with`` statement.

    Parameters
    ----------
    path : str or Path
        Of an image or a slide of any format that is read; of a slide in several files, the one that stands for it, or
        the folder.
    skip_damaged : bool
        Take parts that cannot be read for white, and list them, in place of raising an error.
    series : int, optional
        Index into `images` of the one to take; by default the largest scan.
    plane : int, optional
        The focal plane to take, from 0; by default the one in focus as the format says, else the middle one.

    Attributes
    ----------
    images : tuple of ImageInfo
        All images of the file: the scan, and others or a label, a macro and so on beside it.
    series : int
        Index of the one that was taken.
    plane : int
        The focal plane that was taken.
    levels : tuple of Level
        At least one; level 0 is full resolution, and each further one is coarser.
    origin : tuple of int
        Row and column of the first pixel on the canvas of the whole slide, in pixels of level 0: formats that place
        scans on such a canvas are read without the empty part around them.
    mpp : float or None
        Micrometres per pixel of level 0; None where the file does not state a credible one, or pixels are not square.
    mpp_source : str
        Where it stands in the file, or why there is none.
    kind : str
        What the file is.
    sparse : bool
        Whether parts may have been left out by the scanner; they read as pure white.
    damaged : list of str
        Parts that were taken for white, by level, row and column.
    note : str or None
        What was chosen, and what is converted to come to 8-bit RGB.

    Raises
    ------
    MissingError
        If there is no such file.
    InputError
        If it is no image, ends early, is of a format that is not read, or its pixels have no clear meaning.
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
        self.mpp_source = self._scale.told() if self._scale else "not stated"

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
        """Check that the file does not state pixels that are longer than wide, or wider than long.

        Raises
        ------
        InputError
            If it does, credibly.
        """
        if self._scale and self._scale.is_credible and not self._scale.is_square:
            message = f"{self.path} states {self.mpp_source}; resample it, or give its `mpp` if that is wrong"
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
