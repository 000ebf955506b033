"""What the viewer shows: a slide, and its nuclei, which are read in the background."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from monuseg_cli.annotations.object_classes import describe_left_out
from monuseg_cli.annotations.read_labels import LABEL_SUFFIXES
from monuseg_cli.annotations.read_rois import make_rois, read_rois
from monuseg_cli.core.errors import InputError, MissingError, MonusegError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.nuclei.rois import Roi
from monuseg_cli.viewer.colours import Limits
from monuseg_cli.viewer.find_prediction import Made, find_prediction
from monuseg_cli.viewer.label_image import is_label_image, measure_labels
from monuseg_cli.viewer.nuclei_tiles import Colouring, Overlay
from monuseg_cli.viewer.nucleus_set import NucleusSet
from monuseg_cli.viewer.pyramid import FINER_LEVELS, Pyramid
from monuseg_cli.viewer.read_nuclei import SUFFIXES, NucleiFile, read_nuclei
from monuseg_cli.viewer.regions import RegionCount, count_regions, to_area
from monuseg_cli.viewer.slide_tiles import SlideTiles

_OUTSIDE = "nuclei outside of the slide"
_LONGEST_PAUSE_S = 0.1
_READ_AT_START_S = 0.3
"""Errors in a file that is read within this time end the command at once."""


@dataclass(frozen=True, slots=True)
class ViewConfig:
    """What to view.

    Parameters
    ----------
    slide : Path
        An image or a slide.
    nuclei : Path, optional
        Its nuclei; by default those of the latest prediction on it.
    regions : Path, optional
        GeoJSON of regions in which nuclei are counted; by default those of the prediction or of `nuclei`.
    mpp : float, optional
        Micrometres per pixel of level 0; by default as in the prediction, or as the slide states.
    series, plane : int, optional
        Which image of the file and which focal plane; by default those of the prediction.
    skip_damaged : bool
        Show unreadable tiles in white.

    Raises
    ------
    InputError
        If `mpp` is not a positive number, or `nuclei` is of a format that is not read.
    MissingError
        If `nuclei` does not exist.
    """

    slide: Path
    nuclei: Path | None = None
    regions: Path | None = None
    mpp: float | None = None
    series: int | None = None
    plane: int | None = None
    skip_damaged: bool = False

    def __post_init__(self) -> None:
        """Check the scale and the name of the nuclei."""
        if self.mpp is not None and not (math.isfinite(self.mpp) and self.mpp > 0):
            message = (
                f"`mpp` must be a positive number of micrometres per pixel, not {self.mpp}; leave it out for the scale "
                "that the slide states"
            )
            raise InputError(message)
        if self.nuclei is not None:
            suffixes = (*SUFFIXES, *LABEL_SUFFIXES)
            if not self.nuclei.name.lower().endswith(suffixes):
                message = f"cannot read nuclei from {self.nuclei}; give a file that ends in {' or '.join(suffixes)}"
                raise InputError(message)
            if not self.nuclei.exists():
                message = f"no nuclei {self.nuclei}; check its name"
                raise MissingError(message)


@dataclass(frozen=True)
class Shown:
    """Nuclei that are ready to be drawn.

    Parameters
    ----------
    nuclei : NucleusSet
        The nuclei.
    overlay : Overlay
        Draws them.
    whole : RegionCount
        Their number and density on all of the slide.
    regions : tuple of RegionCount
        Their number in each region.
    left_out : str
        Objects of the file that are not shown, as text; empty: none.
    """

    nuclei: NucleusSet
    overlay: Overlay
    whole: RegionCount
    regions: tuple[RegionCount, ...]
    left_out: str

    def colouring(self, number: int, limits: Limits | None = None) -> tuple[Colouring, str] | None:
        """Return the colours of a choice, and its measurement: 0 none, 1 the class, then the measurements.

        The colours of a measurement lie between `limits`, or by default those of `Overlay.by_measurement`.
        """
        names = tuple(self.nuclei.measurements)
        if number == 1:
            return self.overlay.by_class, ""
        if 0 <= number < len(names) + 2:
            name = names[number - 2] if number else ""
            return self.overlay.by_measurement(name, limits if name else None), name
        return None


class ViewSession:
    """An open slide with its nuclei. Use it in a ``with`` statement.

    Parameters
    ----------
    config : ViewConfig
        What to view.
    progress : Progress
        Reports which nuclei are shown, and why they cannot be.
    search : tuple of Path
        Folders in which a prediction on the slide is searched, besides that of the slide.

    Attributes
    ----------
    shown : Shown or None
        The nuclei, once they are read.
    error : MonusegError or None
        Why they cannot be shown.
    share : float
        Share of their file that has been read.

    Raises
    ------
    MonusegError
        If the slide, the regions or, as far as is known at once, the nuclei cannot be read.
    """

    def __init__(self, config: ViewConfig, progress: Progress = SILENT, search: tuple[Path, ...] = ()) -> None:
        self.config = config
        self.shown: Shown | None = None
        self.error: MonusegError | None = None
        self.share = 0.0
        self._progress, self._search = progress, search
        self._regions = read_rois(config.regions, progress) if config.regions else ()
        self.made = None if config.nuclei else self._find()
        made = self.made
        series = config.series if config.series is not None or made is None else made.series
        plane = config.plane if config.plane is not None or made is None else made.plane
        self.slide = Slide(config.slide, config.skip_damaged, series, plane)
        self.mpp = config.mpp or (made.mpp if made else None) or self.slide.mpp
        self.pyramid = Pyramid(self.slide.shape)
        self.tiles = SlideTiles(self.slide)
        self._thread: threading.Thread | None = None
        self._requests, self._counting = 0, threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self.start_reading()

    def __enter__(self) -> "ViewSession":
        """Return the session; raise the error of a small file of nuclei."""
        self.wait(_READ_AT_START_S)
        if self.error:
            self.slide.__exit__(None, None, None)
            raise self.error
        return self

    def __exit__(self, *_: object) -> None:
        """Close the slide."""
        self.slide.__exit__(None, None, None)

    @property
    def nuclei_path(self) -> Path | None:
        """The file of the nuclei; None if there is none."""
        return self.config.nuclei or (self.made.path if self.made else None)

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the nuclei are read, or cannot be."""
        if self._thread:
            self._thread.join(timeout_s)

    def look_again(self) -> None:
        """Search for a prediction that was made since, if there was none."""
        if self.nuclei_path is None:
            made = self._find()
            if made and made.series not in (None, self.slide.series):
                self._progress.info(f"{made.path} was found in image {made.series} of {self.config.slide}: not shown")
                return
            self.made, self.mpp = made, self.config.mpp or (made.mpp if made else None) or self.mpp
            self.start_reading()

    def start_reading(self) -> None:
        """Read the nuclei in the background, if there are any."""
        path = self.nuclei_path
        if path is not None:
            self._thread = threading.Thread(target=self._read, args=(path,), daemon=True)
            self._thread.start()

    def image_tile(self, level: int, row: int, col: int) -> bytes | None:
        """Return a tile of the slide as JPEG; None if there is no such tile."""
        tile = self.pyramid.tile(level, row, col)
        return self.tiles.jpeg(tile) if tile else None

    def overlay_tile(
        self, colour: int, filled: bool, level: int, row: int, col: int, limits: Limits | None = None
    ) -> bytes | None:
        """Return a tile of the nuclei as WebP; None if there is no such tile, or there are no nuclei.

        Numbers are coloured between `limits`, or by default between percentiles.
        """
        tile = self.pyramid.tile(level, row, col, FINER_LEVELS)
        chosen = self.shown.colouring(colour, limits) if self.shown else None
        if self.shown is None or tile is None or chosen is None:
            return None
        return self.shown.overlay.webp(tile, *chosen, "filled" if filled else "outlines", limits)

    def _find(self) -> Made | None:
        made = find_prediction(self.config.slide, self._search)
        for asked, theirs in ((self.config.series, made and made.series), (self.config.plane, made and made.plane)):
            if made and asked is not None and asked != theirs:
                self._progress.info(f"{made.path} was found in another image of {self.config.slide}: not shown")
                return None
        return made

    def _read(self, path: Path) -> None:
        try:
            found = self._measure(path) if is_label_image(path) else read_nuclei(path, self._on_share)
            self.shown = self._prepare(path, found)
            self._progress.info(f"{len(found.nuclei)} nuclei of {path}")
            if self.shown.left_out:
                self._progress.info(f"not shown of {path}: {self.shown.left_out}")
        except MonusegError as error:
            self.error = error
            self._progress.warn(str(error))

    def _measure(self, path: Path) -> NucleiFile:
        """Measure the nuclei of a label image on the slide, which is opened again: requests read it meanwhile."""
        shown = self.slide
        with Slide(shown.path, self.config.skip_damaged, shown.series, shown.plane) as slide:
            return measure_labels(path, slide, self.mpp, self._on_share, self._progress)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Make the reading of nuclei wait while a request is answered."""
        with self._counting:
            self._requests += 1
            self._idle.clear()
        try:
            yield
        finally:
            with self._counting:
                self._requests -= 1
                if not self._requests:
                    self._idle.set()

    def _on_share(self, share: float) -> None:
        self.share = share
        self._idle.wait(_LONGEST_PAUSE_S)

    def _prepare(self, path: Path, found: NucleiFile) -> Shown:
        overlay = Overlay(found.nuclei, self.slide.shape, self.mpp, found.colours)
        for measurement in ("", *found.nuclei.measurements):
            overlay.heat(measurement)  # so that no tile waits for these
            overlay.by_measurement(measurement)
        rois: tuple[Roi, ...] = self._regions or (self.made.regions if self.made else ())
        if not rois and found.regions:
            rois = make_rois(found.regions, path)
        centres = found.nuclei.centres
        outside = int(((centres < 0) | (centres >= self.slide.shape)).any(axis=1).sum())
        left_out = describe_left_out({**found.left_out, _OUTSIDE: outside})
        return Shown(
            found.nuclei, overlay, self._count_all(found.nuclei), count_regions(rois, found.nuclei, self.mpp), left_out
        )

    def _count_all(self, nuclei: NucleusSet) -> RegionCount:
        """Count all nuclei, per area of tissue where a record states it, else per area of the image.

        If nuclei were only searched in regions, there is no such area: it is 0.
        """
        if self.made and self.made.in_regions_only:
            return RegionCount("Regions", (), len(nuclei), 0.0)
        if self.made and self.made.tissue_mm2 and self.mpp:
            return RegionCount("Tissue", (), len(nuclei), self.made.tissue_mm2)
        height, width = self.slide.shape
        return RegionCount("Whole image", (), len(nuclei), to_area(height * width, self.mpp))
