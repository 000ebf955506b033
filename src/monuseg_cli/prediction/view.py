"""A slide, or a region of it, at the network's scale, and the detection of the nuclei in it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError
from monuseg_cli.core.prefetch import prefetch
from monuseg_cli.core.progress import Progress, Task
from monuseg_cli.imaging.resample import RowsResized
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.tiling import Box
from monuseg_cli.models.card import Card
from monuseg_cli.prediction.adapt import match_stain
from monuseg_cli.prediction.blend import blended_rows
from monuseg_cli.prediction.config import SlideSettings
from monuseg_cli.prediction.detections import Layout, measure_columns
from monuseg_cli.prediction.distribution import Distributions
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.plausibility import Finding, find_doubt
from monuseg_cli.prediction.rescaled import SlideSource
from monuseg_cli.prediction.roi import Roi, RoiCount, RoiCounter
from monuseg_cli.prediction.stitch import LabelRows, Nuclei, Stitcher
from monuseg_cli.prediction.tissue import TissueMap

_MANY_TILES = 100
"""Number of tiles from which on time and size are estimated first."""

_TRIAL_TILES = 2
"""Number of tiles on which the estimate is timed."""

_KB_PER_TILE = {
    ".png": 50,
    ".tif": 80,
    ".tiff": 80,
    ".geojson": 400,
    ".gz": 70,
    ".csv": 25,
    ".parquet": 70,
}  # measured on dense tissue


class Sink(Protocol):
    """Receives the results of a slide, from top to bottom."""

    def add_probability(self, rows: NDArray[np.uint8]) -> None:
        """Add the next rows (R, W) of the probability of nuclei, at the network's scale."""

    def add_labels(self, rows: NDArray[np.int32]) -> None:
        """Add the next rows (R, W) of the label image, at the scale of level 0."""

    def add_nuclei(self, nuclei: Nuclei, regions: Sequence[str] | None) -> None:
        """Add further nuclei, with the names of the regions of interest of each."""


class View:
    """A slide, or a region of it, at the network's scale, with the transform to level 0.

    Parameters
    ----------
    slide : Slide
        The open slide.
    settings : SlideSettings
        Scale, region and tissue detection.
    card : Card
        Card of the model.
    """

    def __init__(self, slide: Slide, settings: SlideSettings, card: Card) -> None:
        self.slide = slide
        self.region = _find_region(slide, settings)
        if settings.mpp is None:
            slide.require_square()
        self.mpp = settings.mpp or slide.mpp
        mpp = self.mpp or card.mpp
        self.source = SlideSource(slide, mpp / card.mpp, self.region)
        self.tissue = TissueMap(slide, self.region, mpp, self.source.shape, settings)
        whole = SlideSource(slide, mpp / card.mpp, (0, 0, *slide.shape))
        self.match = match_stain(whole, card, settings.adapt)
        self.layout = Layout(self.region, self.source.shape, self.mpp, mpp * max(self.source.step))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels of level 0."""
        return self.layout.shape

    @property
    def damaged(self) -> tuple[str, ...]:
        """Tiles of the slide that were unreadable so far, and were treated as glass."""
        return tuple(sorted(set(self.slide.damaged)))


@dataclass(frozen=True, slots=True)
class FoundNuclei:
    """Summary of the nuclei in a view.

    Parameters
    ----------
    areas_um2 : ndarray of shape (N,), float64
        Area of every nucleus in square micrometres.
    rois : tuple of RoiCount
        Nuclei in each region of interest.
    medians : mapping of str to float
        Median of each measurement; empty without nuclei.
    """

    areas_um2: NDArray[np.float64]
    rois: tuple[RoiCount, ...]
    medians: Mapping[str, float]


def find_nuclei(view: View, rois: tuple[Roi, ...], engine: Engine, sink: Sink, progress: Progress) -> FoundNuclei:
    """Predict from top to bottom, and pass results to `sink` as they are computed.

    Parameters
    ----------
    view : View
        The slide or region to predict on.
    rois : tuple of Roi
        Keep only nuclei whose centre lies in one of these regions; empty: keep all.
    engine : Engine
        Runs the network.
    sink : Sink
        Receives probabilities, labels and nuclei.
    progress : Progress
        Shows a bar.
    """
    warn_outside(view.slide, rois, progress)
    counter = RoiCounter(rois, view.layout.frame)
    areas_px, measured = [np.empty(0, dtype=np.intp)], Distributions()
    with progress.task(view.slide.path.name, len(view.tissue.tiles()), "tiles") as task:
        for nuclei in _find_blocks(view, engine, counter, sink, task):
            areas_px.append(np.bincount(nuclei.window.reshape(-1))[1:])
            if len(nuclei):
                measured.add(measure_columns(nuclei, view.layout.frame))
    areas_um2 = np.concatenate(areas_px) * np.float64(view.layout.map_mpp**2)
    return FoundNuclei(areas_um2, counter.counts(view.mpp or engine.card.mpp), measured.medians())


def warn_outside(slide: Slide, rois: tuple[Roi, ...], progress: Progress) -> None:
    """Warn of regions of interest that lie outside of the image."""
    if outside := [roi.name for roi in rois if roi.is_outside(slide.shape)]:
        progress.warn(
            f"{slide.path.name}: {len(outside)} of {len(rois)} regions of interest are outside of the image (the "
            f"first: {outside[0]}); export them from this image, in pixels of full resolution"
        )


def report_doubts(view: View, found: FoundNuclei, engine: Engine, progress: Progress) -> tuple[str, ...]:
    """Warn of damaged tiles and of an implausible result; return the warnings about the latter."""
    name = view.slide.path.name
    if view.damaged:
        progress.warn(f"{name}: {len(view.damaged)} damaged tiles were treated as glass")
    mpp = view.mpp or engine.card.mpp
    doubt = find_doubt(Finding(found.areas_um2, view.tissue.mm2, mpp, is_assumed=view.mpp is None))
    if doubt is None:
        return ()
    progress.warn(f"{name}: {doubt}")
    return (doubt,)


def _find_blocks(view: View, engine: Engine, rois: RoiCounter, sink: Sink, task: Task) -> Iterator[Nuclei]:
    """Predict from top to bottom, pass results to `sink` as they are computed, and yield the nuclei block by block."""
    card = engine.card
    inside = rois.contains if rois else None
    stitcher = Stitcher(view.source.shape, card.classes, view.layout.map_mpp, card.postprocess, inside)
    resized = RowsResized(view.source.shape, view.shape)
    blended = blended_rows(view.source, view.tissue.grid, engine, view.tissue.is_in, np.uint8, task, view.match)
    with closing(prefetch(blended, most=1)) as rows:
        for maps, haematoxylin in rows:
            sink.add_probability(maps[0])
            for found in stitcher.add(maps, haematoxylin):
                if isinstance(found, LabelRows):
                    sink.add_labels(resized.add(found.labels))
                else:
                    sink.add_nuclei(found, rois.add(found.centres))
                    yield found


def report_view(view: View, engine: Engine, progress: Progress, files: Sequence[Path] = ()) -> None:
    """Report assumptions about the slide, the expected time, and the expected size of the files."""
    slide, name = view.slide, view.slide.path.name
    if view.mpp is None:
        progress.info(
            f"{name} states no credible scale: taken as {engine.card.mpp} um/px, the model's; `mpp` sets another"
        )
    if view.tissue.doubt:
        progress.warn(f"{name} {view.tissue.doubt}")
    if slide.note:
        progress.info(f"{name}: {slide.note}")
    if view.match:
        progress.detail(f"{slide.path}: stain matched to the training images', found {view.match.found}")
    tiles = view.tissue.tiles()
    about = f"{slide.kind}, {len(slide.levels)} levels, scale: {slide.mpp_source}"
    if missing := slide.levels[0].missing:
        about = f"{about}, {missing} tiles not in the file (glass)"
    progress.detail(f"{slide.path}: {about}; {len(tiles)} tiles to compute")
    if len(tiles) >= _MANY_TILES:
        progress.info(f"{name}: {_estimate(tiles, view.source, engine, files)}")


def _estimate(tiles: list[Box], source: SlideSource, engine: Engine, files: Sequence[Path]) -> str:
    """Estimate the time and the size of the files by timing the first tiles."""
    trial = [source.read(*tile) for tile in tiles[:_TRIAL_TILES]]
    list(engine.run(trial))
    began = time.perf_counter()
    list(engine.run(trial))
    seconds = (time.perf_counter() - began) * len(tiles) / len(trial)
    megabytes = sum(_KB_PER_TILE.get(path.suffix.lower(), 0) for path in files) * len(tiles) / 1000
    size = f", about {max(megabytes, 1):.0f} MB to write" if files else ""
    return f"{len(tiles)} tiles, about {max(seconds / 60, 1):.0f} minutes{size}"


def _find_region(slide: Slide, settings: SlideSettings) -> Box:
    if settings.region is None:
        return (0, 0, *slide.shape)
    col, row, width, height = settings.region
    inside = 0 <= row < row + height <= slide.shape[0] and 0 <= col < col + width <= slide.shape[1]
    if not inside:
        message = (
            f"`region` {col} {row} {width} {height} is not within {slide.path}, which is {slide.shape[1]} x "
            f"{slide.shape[0]} pixels"
        )
        raise InputError(message)
    return row, col, height, width
