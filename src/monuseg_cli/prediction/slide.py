"""One image -> its nuclei, from file to file."""

import time
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli import __version__
from monuseg_cli.core.atomic import require_writable
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.malloc import give_back_freed_memory
from monuseg_cli.core.prefetch import ahead
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.imaging.resample import RowsResized, resize_maps
from monuseg_cli.imaging.slide import MAX_MPP, MIN_MPP, Slide
from monuseg_cli.models.card import Card
from monuseg_cli.prediction.blend import TileGrid, blended_rows, in_steps
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.outputs import TIFF_SUFFIXES, Outputs
from monuseg_cli.prediction.overlay import overlay_png
from monuseg_cli.prediction.rasters import AddRows, mask_png, pyramid_tiff
from monuseg_cli.prediction.roi import Roi, RoiCount, RoiCounter, draw_rois
from monuseg_cli.prediction.source import ArraySource, SlideSource, read_thumbnail
from monuseg_cli.prediction.stitch import Finished, Nuclei, Stitcher
from monuseg_cli.prediction.tables import AddNuclei, Frame, nuclei_csv, nuclei_geojson
from monuseg_cli.prediction.tissue import THUMBNAIL_UM, find_tissue, widen

_LONG = 100
"""Slides of so many tiles begin with a word on how long they take."""

_TRIAL = 2
"""Tiles on which the time is tried."""

_KB_PER_TILE = {".png": 50, ".tif": 80, ".tiff": 80, ".geojson": 400, ".csv": 25}  # as dense tissue came out


@dataclass(frozen=True, slots=True)
class SlideSettings:
    """How each slide is predicted on.

    Parameters
    ----------
    mpp : float, optional
        Micrometres per pixel of the image, in place of what it states.
    region : tuple of int, optional
        First column, first row, width and height of the part that is predicted on, in pixels of level 0; pictures are
        of this part alone, nuclei in the coordinates of the whole slide.
    tissue_only : bool
        Leave out what looks like glass.
    skip_damaged : bool
        Take tiles of the slide that cannot be read for glass.
    rois : tuple of Roi
        Only nuclei whose centre is in one of these; all, where there is none.
    """

    mpp: float | None = None
    region: tuple[int, int, int, int] | None = None
    tissue_only: bool = True
    skip_damaged: bool = False
    rois: tuple[Roi, ...] = ()

    def __post_init__(self) -> None:
        """Check the scale.

        Raises
        ------
        InputError
            If it cannot be that of a slide.
        """
        if self.mpp is not None and not MIN_MPP <= self.mpp <= MAX_MPP:
            message = f"--mpp must lie within {MIN_MPP} and {MAX_MPP}, not be {self.mpp}"
            raise InputError(message)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was found in one image.

    Parameters
    ----------
    outputs : Outputs
        The image, and what was written of it.
    height, width : int
        Pixels of the image, or of the part of it.
    mpp : float or None
        Micrometres per pixel that was used; None where neither the image nor the user stated it.
    tissue_mm2 : float
        Area of tissue; of all that was predicted on, where it was not looked for.
    nuclei : int
        Their number.
    seconds : float
        From opening the image to the written result.
    rois : tuple of RoiCount
        What was found in each region of interest.
    damaged : tuple of str
        Tiles of the slide that could not be read and were taken for glass.
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

    @property
    def per_mm2(self) -> float:
        """Nuclei per square millimetre of tissue; 0 where there is no tissue."""
        return self.nuclei / self.tissue_mm2 if self.tissue_mm2 else 0.0


def predict_slide(outputs: Outputs, settings: SlideSettings, engine: Engine, progress: Progress = SILENT) -> Prediction:
    """Find the nuclei of one image and write them, in memory that grows with its width, not with its height.

    Raises
    ------
    InputError
        If the image, or the region in it, cannot be used.
    OutputError
        If something cannot be written.
    """
    began = time.perf_counter()
    give_back_freed_memory()
    for path in outputs.files:
        require_writable(path)
    card = engine.card
    with Slide(outputs.image, settings.skip_damaged) as slide:
        mpp = _scale(slide, settings, card, progress)
        if slide.note:
            progress.info(f"{outputs.image.name}: {slide.note}")
        region = _region(slide, settings)
        source = SlideSource(slide, (mpp or card.mpp) / card.mpp, region)
        seen_mpp = (mpp or card.mpp) * max(source.step)  # of the maps
        tissue = _Tissue(slide, region, mpp or card.mpp, source.shape, settings)
        about = {
            "software": f"monuseg {__version__}",
            "image": outputs.image.name,
            "model": card.architecture,
            "licence": card.licence,
            "separation": asdict(card.separation),
            "content": "255 or a nucleus' id where a label is, 0 elsewhere",
        }
        frame = Frame((region[0], region[1]), source.step, seen_mpp)
        rois = RoiCounter(settings.rois, frame)
        stitcher = Stitcher(
            source.shape, card.classes, seen_mpp, card.separation, rois.contains if settings.rois else None
        )
        count = 0
        with ExitStack() as stack:
            rasters, tables = _open_writers(stack, outputs, slide, region, mpp, about, frame)
            probabilities: list[AddRows] = []
            if outputs.probability:
                writer = pyramid_tiff(outputs.probability, source.shape, np.uint8, seen_mpp, about)
                probabilities.append(stack.enter_context(writer))
            if outputs.tissue:
                stack.enter_context(mask_png(outputs.tissue, tissue.found.shape))(tissue.found)
            resized = RowsResized(source.shape, region[2:])
            tiles = tissue.tiles()
            about_slide = f"{slide.kind}, {len(slide.levels)} levels, scale: {slide.mpp_source}"
            progress.detail(f"{outputs.image}: {about_slide}; {len(tiles)} tiles to compute")
            if len(tiles) >= _LONG:
                progress.info(f"{outputs.image.name}: {_outlook(tiles, source, engine, outputs)}")
            task = stack.enter_context(progress.task(outputs.image.name, len(tiles), "tiles"))
            rows = stack.enter_context(
                closing(ahead(blended_rows(source, engine, tissue.is_in, np.uint8, task), most=1))
            )
            for maps, haematoxylin in rows:
                for add in probabilities:
                    add(maps[0])
                for found in stitcher.add(maps, haematoxylin):
                    if isinstance(found, Nuclei):
                        count += len(found)
                        rois.count(found.centres)
                        for add_nuclei in tables:
                            add_nuclei(found)
                    else:
                        labels = resized.add(found.labels)
                        for add in rasters:
                            add(labels)
    if slide.damaged:
        progress.warn(f"{outputs.image.name}: {len(set(slide.damaged))} damaged tiles were taken for glass")
    return Prediction(
        outputs=outputs,
        height=region[2],
        width=region[3],
        mpp=mpp,
        tissue_mm2=tissue.mm2,
        nuclei=count,
        seconds=time.perf_counter() - began,
        rois=rois.counts(mpp or card.mpp),
        damaged=tuple(sorted(set(slide.damaged))),
    )


class _Tissue:
    """Where a slide is predicted on."""

    def __init__(
        self,
        slide: Slide,
        region: tuple[int, int, int, int],
        mpp: float,
        shape: tuple[int, int],
        settings: SlideSettings,
    ) -> None:
        self._grid = TileGrid(shape)
        thumbnail = read_thumbnail(slide, max(THUMBNAIL_UM / mpp, 1), region)
        um_per_px = region[2] * mpp / thumbnail.shape[0]
        size = (thumbnail.shape[0], thumbnail.shape[1])
        self.found = find_tissue(thumbnail, um_per_px) if settings.tissue_only else np.ones(size, dtype=bool)
        if settings.rois:
            self.found &= draw_rois(settings.rois, size, (region[0], region[1]), region[2] / size[0])
        self._near = widen(self.found, um_per_px)
        self._step = (thumbnail.shape[0] / shape[0], thumbnail.shape[1] / shape[1])
        self.mm2 = float(self.found.mean()) * region[2] * region[3] * (mpp / 1000) ** 2

    def is_in(self, row: int, col: int, height: int, width: int) -> bool:
        """Tell whether a window, at the network's scale, holds tissue or lies beside some."""
        (top, bottom), (left, right) = (
            (int(first * step), int(np.ceil((first + size) * step)))
            for first, size, step in ((row, height, self._step[0]), (col, width, self._step[1]))
        )
        return bool(self._near[top:bottom, left:right].any())

    def tiles(self) -> list[tuple[int, int, int, int]]:
        """List the tiles that are predicted on."""
        return [window for window in self._grid if self.is_in(*window)]


def _outlook(tiles: list[tuple[int, int, int, int]], source: SlideSource, engine: Engine, outputs: Outputs) -> str:
    """Say how much is to be done, by a trial on the first tiles."""
    trial = [source.read(*tile) for tile in tiles[:_TRIAL]]
    list(engine.run(trial))
    began = time.perf_counter()
    list(engine.run(trial))
    seconds = (time.perf_counter() - began) * len(tiles) / len(trial)
    suffixes = [path.suffix.lower() for path in outputs.files if path != outputs.overlay]
    megabytes = sum(_KB_PER_TILE.get(suffix, 0) for suffix in suffixes) * len(tiles) / 1000
    return f"{len(tiles)} tiles, about {max(seconds / 60, 1):.0f} minutes, about {max(megabytes, 1):.0f} MB to write"


def _open_writers(
    stack: ExitStack,
    outputs: Outputs,
    slide: Slide,
    region: tuple[int, int, int, int],
    mpp: float | None,
    about: dict[str, Any],
    frame: Frame,
) -> tuple[list[AddRows], list[AddNuclei]]:
    """Begin every file that takes labels or nuclei; the stack ends them."""
    rasters: list[AddRows] = []
    tables: list[AddNuclei] = []
    shape = region[2:]
    for path in outputs.results:
        suffix = path.suffix.lower()
        if suffix == ".png":
            rasters.append(stack.enter_context(mask_png(path, shape)))
        elif suffix in TIFF_SUFFIXES:
            rasters.append(_tiff(stack, path, shape, outputs.labels, mpp, about))
        elif suffix == ".csv":
            tables.append(stack.enter_context(nuclei_csv(path, frame)))
        else:
            tables.append(stack.enter_context(nuclei_geojson(path, frame, slide.path.name)))
    if outputs.overlay:
        rasters.append(stack.enter_context(overlay_png(outputs.overlay, slide, region)))
    return rasters, tables


def _tiff(
    stack: ExitStack, path: Path, shape: tuple[int, int], labels: bool, mpp: float | None, about: dict[str, Any]
) -> AddRows:
    add = stack.enter_context(pyramid_tiff(path, shape, np.int32 if labels else np.uint8, mpp, about))
    return add if labels else lambda rows: add((rows != 0).astype(np.uint8) * np.uint8(255))


def _scale(slide: Slide, settings: SlideSettings, card: Card, progress: Progress) -> float | None:
    mpp = settings.mpp or slide.mpp
    if mpp is None:
        progress.info(
            f"{slide.path.name} states no credible scale: taken as {card.mpp} um/px, the model's; --mpp sets another"
        )
    return mpp


def _region(slide: Slide, settings: SlideSettings) -> tuple[int, int, int, int]:
    """Give first row and column, height and width of what is predicted on, in pixels of level 0."""
    if settings.region is None:
        return (0, 0, *slide.shape)
    col, row, width, height = settings.region
    inside = 0 <= row < row + height <= slide.shape[0] and 0 <= col < col + width <= slide.shape[1]
    if not inside:
        message = (
            f"--region {col} {row} {width} {height} is not within {slide.path}, which is {slide.shape[1]} x "
            f"{slide.shape[0]} pixels"
        )
        raise InputError(message)
    return row, col, height, width


def predict_array(
    image: NDArray[np.uint8], mpp: float, engine: Engine
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Find the nuclei of an image in memory, just as `predict_slide` does.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8
    mpp : float
        Its micrometres per pixel.
    engine : Engine
        Runs the network.

    Returns
    -------
    maps : ndarray of shape (C, H, W), float32
        Within 0..1, a map for each of the card's classes.
    labels : ndarray of shape (H, W), int32
        Labels 1..N without gaps; 0 background.
    """
    card = engine.card
    source = ArraySource(image, mpp / card.mpp)
    shape = (image.shape[0], image.shape[1])
    stitcher = Stitcher(source.shape, card.classes, mpp * shape[0] / source.shape[0], card.separation)
    resized = RowsResized(source.shape, shape)
    all_maps, all_labels = [], []
    for maps, haematoxylin in blended_rows(source, engine, lambda *_: True, np.float32):
        all_maps.append(maps)
        for found in stitcher.add(in_steps(maps), haematoxylin):
            if isinstance(found, Finished):
                all_labels.append(resized.add(found.labels))
    return resize_maps(np.concatenate(all_maps, axis=1), shape), np.concatenate(all_labels)
