"""One slide -> the nuclei in it, from file to files."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli import __version__
from monuseg_cli.core.atomic import require_writable
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.malloc import give_back_freed_memory
from monuseg_cli.core.prefetch import prefetch
from monuseg_cli.core.progress import SILENT, Progress, Task
from monuseg_cli.imaging.resample import RowsResized
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.stains import StainLevels
from monuseg_cli.imaging.tiling import Box
from monuseg_cli.models.card import Card
from monuseg_cli.prediction.adapt import match_stain
from monuseg_cli.prediction.blend import blended_rows
from monuseg_cli.prediction.config import SlideSettings
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.outputs import TIFF_SUFFIXES, Outputs
from monuseg_cli.prediction.overlay import overlay_png
from monuseg_cli.prediction.plausibility import Finding, find_doubt
from monuseg_cli.prediction.rasters import RowWriter, mask_png, pyramid_tiff
from monuseg_cli.prediction.roi import RoiCount, RoiCounter
from monuseg_cli.prediction.source import SlideSource
from monuseg_cli.prediction.stitch import LabelRows, Nuclei, Stitcher
from monuseg_cli.prediction.tables import Frame, NucleiWriter, nuclei_csv, nuclei_geojson
from monuseg_cli.prediction.tissue import TissueMap

_MANY_TILES = 100
"""From so many tiles on, an estimate of time and size comes first."""

_TRIAL_TILES = 2
"""Tiles that the estimate is timed on."""

_KB_PER_TILE = {".png": 50, ".tif": 80, ".tiff": 80, ".geojson": 400, ".csv": 25}  # measured on dense tissue


@dataclass(frozen=True, slots=True)
class Prediction:
    """The result of one image.

    Parameters
    ----------
    outputs : Outputs
        The image, and the files that were written for it.
    height, width : int
        Of the image, or of the region of it, in pixels of level 0.
    mpp : float or None
        Micrometres per pixel of level 0 that were used; None where neither the image nor the user stated it.
    tissue_mm2 : float
        Area of tissue; without a tissue mask, the whole area that was predicted on.
    nuclei : int
        Number of nuclei.
    seconds : float
        From opening the image to the last written file.
    rois : tuple of RoiCount
        Nuclei in each region of interest.
    damaged : tuple of str
        Tiles of the slide that could not be read and were taken for glass.
    stain : StainLevels
        Levels of the slide's stain, which was matched to that of the training images; empty where it was not.
    warnings : tuple of str
        What is implausible about the result; see `find_doubt`.
    """

    outputs: Outputs
    height: int
    width: int
    mpp: float | None
    tissue_mm2: float
    nuclei: int
    seconds: float
    rois: tuple[RoiCount, ...]
    damaged: tuple[str, ...]
    stain: StainLevels
    warnings: tuple[str, ...]

    @property
    def per_mm2(self) -> float:
        """Nuclei per square millimetre of tissue; 0 where there is no tissue."""
        return self.nuclei / self.tissue_mm2 if self.tissue_mm2 else 0.0


class _View:
    """A slide, or a region of it, at the network's scale, and how its pixels lie on level 0.

    Parameters
    ----------
    slide : Slide
        Open.
    settings : SlideSettings
        Scale, region and tissue.
    card : Card
        The model's.
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
        self.map_mpp = mpp * max(self.source.step)
        whole = SlideSource(slide, mpp / card.mpp, (0, 0, *slide.shape))
        self.match = match_stain(whole, card, settings.adapt)
        self.frame = Frame((self.region[0], self.region[1]), self.source.step, self.map_mpp)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels of level 0."""
        return self.region[2], self.region[3]


def predict_slide(outputs: Outputs, settings: SlideSettings, engine: Engine, progress: Progress = SILENT) -> Prediction:
    """Find the nuclei of one image and write them, in memory that grows with its width, not with its height.

    Raises
    ------
    InputError
        If the image, or the region in it, cannot be used.
    OutputError
        If a file cannot be written.
    """
    began = time.perf_counter()
    give_back_freed_memory()
    for path in outputs.files:
        require_writable(path)
    with (
        Slide(outputs.image, settings.skip_damaged, settings.series, settings.plane) as slide,
        ExitStack() as stack,
    ):
        view = _View(slide, settings, engine.card)
        _report_view(view, engine, outputs, progress)
        rois = RoiCounter(settings.rois, view.frame)
        writers = _Writers(stack, outputs, view, engine.card)
        task = stack.enter_context(progress.task(outputs.image.name, len(view.tissue.tiles()), "tiles"))
        areas_px = [np.empty(0, dtype=np.intp)]
        for nuclei in _find_nuclei(view, engine, rois, writers, task):
            areas_px.append(np.bincount(nuclei.window.reshape(-1))[1:])
            rois.count(nuclei.centres)
    damaged = tuple(sorted(set(slide.damaged)))
    if damaged:
        progress.warn(f"{outputs.image.name}: {len(damaged)} damaged tiles were taken for glass")
    areas_um2 = np.concatenate(areas_px) * np.float64(view.map_mpp**2)
    doubt = find_doubt(Finding(areas_um2, view.tissue.mm2, view.mpp or engine.card.mpp, view.mpp is None))
    if doubt:
        progress.warn(f"{outputs.image.name}: {doubt}")
    return Prediction(
        outputs=outputs,
        height=view.shape[0],
        width=view.shape[1],
        mpp=view.mpp,
        tissue_mm2=view.tissue.mm2,
        nuclei=len(areas_um2),
        seconds=time.perf_counter() - began,
        rois=rois.counts(view.mpp or engine.card.mpp),
        damaged=damaged,
        stain=view.match.found if view.match else {},
        warnings=(doubt,) if doubt else (),
    )


def _find_nuclei(view: _View, engine: Engine, rois: RoiCounter, writers: "_Writers", task: Task) -> Iterator[Nuclei]:
    """Predict from top to bottom, write everything as it comes, and yield the nuclei, block by block."""
    card = engine.card
    inside = rois.contains if rois else None
    stitcher = Stitcher(view.source.shape, card.classes, view.map_mpp, card.postprocess, inside)
    blended = blended_rows(view.source, view.tissue.grid, engine, view.tissue.is_in, np.uint8, task, view.match)
    with closing(prefetch(blended, most=1)) as rows:
        for maps, haematoxylin in rows:
            writers.add_probability(maps[0])
            for found in stitcher.add(maps, haematoxylin):
                if isinstance(found, LabelRows):
                    writers.add_labels(found.labels)
                else:
                    writers.add_nuclei(found)
                    yield found


def _report_view(view: _View, engine: Engine, outputs: Outputs, progress: Progress) -> None:
    """Say what was taken for granted about the slide, and how long it will take."""
    name = outputs.image.name
    if view.mpp is None:
        progress.info(
            f"{name} states no credible scale: taken as {engine.card.mpp} um/px, the model's; `mpp` sets another"
        )
    if view.tissue.doubt:
        progress.warn(f"{name} {view.tissue.doubt}")
    if view.slide.note:
        progress.info(f"{name}: {view.slide.note}")
    if view.match:
        progress.detail(f"{outputs.image}: stain matched to the training images', found {view.match.found}")
    tiles = view.tissue.tiles()
    about = f"{view.slide.kind}, {len(view.slide.levels)} levels, scale: {view.slide.mpp_source}"
    if missing := view.slide.levels[0].missing:
        about = f"{about}, {missing} tiles not in the file (glass)"
    progress.detail(f"{outputs.image}: {about}; {len(tiles)} tiles to compute")
    if len(tiles) >= _MANY_TILES:
        progress.info(f"{name}: {_estimate(tiles, view.source, engine, outputs)}")


def _estimate(tiles: list[Box], source: SlideSource, engine: Engine, outputs: Outputs) -> str:
    """Estimate time and size of the outputs, by a trial on the first tiles."""
    trial = [source.read(*tile) for tile in tiles[:_TRIAL_TILES]]
    list(engine.run(trial))
    began = time.perf_counter()
    list(engine.run(trial))
    seconds = (time.perf_counter() - began) * len(tiles) / len(trial)
    suffixes = [path.suffix.lower() for path in outputs.files if path != outputs.overlay]
    megabytes = sum(_KB_PER_TILE.get(suffix, 0) for suffix in suffixes) * len(tiles) / 1000
    return f"{len(tiles)} tiles, about {max(seconds / 60, 1):.0f} minutes, about {max(megabytes, 1):.0f} MB to write"


class _Writers:
    """Every file that is written for a slide, open until the stack ends.

    Parameters
    ----------
    stack : ExitStack
        Ends the files.
    outputs : Outputs
        Which files.
    view : _View
        The slide.
    card : Card
        The model's.
    """

    def __init__(self, stack: ExitStack, outputs: Outputs, view: _View, card: Card) -> None:
        about = _describe(outputs, card)
        self._rasters: list[RowWriter] = []
        self._tables: list[NucleiWriter] = []
        for path in outputs.results:
            suffix = path.suffix.lower()
            if suffix == ".png":
                self._rasters.append(stack.enter_context(mask_png(path, view.shape)))
            elif suffix in TIFF_SUFFIXES:
                dtype = np.int32 if outputs.labels else np.uint8
                add = stack.enter_context(pyramid_tiff(path, view.shape, dtype, view.mpp, about))
                self._rasters.append(add if outputs.labels else _as_mask(add))
            elif suffix == ".csv":
                self._tables.append(stack.enter_context(nuclei_csv(path, view.frame)))
            else:
                self._tables.append(stack.enter_context(nuclei_geojson(path, view.frame, view.slide.path.name)))
        if outputs.overlay:
            self._rasters.append(stack.enter_context(overlay_png(outputs.overlay, view.slide, view.region)))
        self._probability: RowWriter | None = None
        if outputs.probability:
            shape = view.source.shape
            writer = pyramid_tiff(outputs.probability, shape, np.uint8, view.map_mpp, about)
            self._probability = stack.enter_context(writer)
        if outputs.tissue:
            stack.enter_context(mask_png(outputs.tissue, view.tissue.found.shape))(view.tissue.found)
        self._resized = RowsResized(view.source.shape, view.shape)

    def add_probability(self, rows: NDArray[np.uint8]) -> None:
        """Write the next rows (R, W) of the probability of nuclei."""
        if self._probability:
            self._probability(rows)

    def add_labels(self, rows: NDArray[np.int32]) -> None:
        """Write the next rows (R, W) of the label image, at the scale of level 0."""
        labels = self._resized.add(rows)
        for add in self._rasters:
            add(labels)

    def add_nuclei(self, nuclei: Nuclei) -> None:
        """Write nuclei to the tables."""
        for add in self._tables:
            add(nuclei)


def _as_mask(add: RowWriter) -> RowWriter:
    return lambda labels: add((labels != 0).astype(np.uint8) * np.uint8(255))


def _describe(outputs: Outputs, card: Card) -> dict[str, Any]:
    return {
        "software": f"monuseg {__version__}",
        "image": outputs.image.name,
        "model": card.architecture,
        "licence": card.licence,
        "postprocess": asdict(card.postprocess),
        "content": "255 or a nucleus' id where a label is, 0 elsewhere",
    }


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
