"""An open slide, or a region of it, ready for prediction: scale, tissue and stain."""

import time
from collections.abc import Sequence
from pathlib import Path

from monuseg_cli.core.errors import InputError
from monuseg_cli.core.progress import Progress
from monuseg_cli.imaging.channel_order import doubt_colours
from monuseg_cli.imaging.coordinates import Layout
from monuseg_cli.imaging.scaled_source import SlideSource
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.tiling import Box
from monuseg_cli.models.card import Card
from monuseg_cli.prediction.blend import TileGrid
from monuseg_cli.prediction.config import SlideSettings
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.stain_adaptation import look_at_stain
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


class PreparedSlide:
    """A slide, or a region of it, at the network's scale, with the transform to level 0.

    Parameters
    ----------
    slide : Slide
        The open slide.
    settings : SlideSettings
        Scale, region and tissue detection.
    card : Card
        Card of the model.
    engine : Engine, optional
        Prepares itself for the size of the tiles, while tissue and stain are looked for.
    """

    def __init__(self, slide: Slide, settings: SlideSettings, card: Card, engine: Engine | None = None) -> None:
        self.slide = slide
        self.region = find_region(slide, settings)
        if settings.given_mpp is None:
            slide.require_square()
        self.mpp = settings.given_mpp or slide.mpp
        mpp = self.mpp or card.mpp
        self.source = SlideSource(slide, mpp / card.mpp, self.region)
        if engine:
            grid = TileGrid(self.source.shape)
            engine.prepare(grid.rows.size, grid.cols.size)
        self.tissue = TissueMap(slide, self.region, mpp, self.source.shape, settings)
        whole = SlideSource(slide, mpp / card.mpp, (0, 0, *slide.shape))
        sample, self.match = look_at_stain(whole, card, settings.adapt)
        self.colour_doubt = doubt_colours(sample.pixels)
        self.layout = Layout(self.region, self.source.shape, self.mpp, mpp * max(self.source.step))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels of level 0."""
        return self.layout.shape

    @property
    def damaged(self) -> tuple[str, ...]:
        """Tiles of the slide that were unreadable so far, and were treated as glass."""
        return tuple(sorted(set(self.slide.damaged)))


def report_slide(prepared: PreparedSlide, engine: Engine, progress: Progress, files: Sequence[Path] = ()) -> None:
    """Report assumptions about the slide, the expected time, and the expected size of the files."""
    slide, name = prepared.slide, prepared.slide.path.name
    if prepared.mpp is None:
        progress.info(
            f"{name} states no credible scale: taken as {engine.card.mpp} um/px, the model's; `mpp` sets another"
        )
    if prepared.tissue.doubt:
        progress.warn(f"{name} {prepared.tissue.doubt}")
    if slide.note:
        progress.info(f"{name}: {slide.note}")
    if prepared.match:
        progress.detail(f"{slide.path}: stain matched to the training images', found {prepared.match.found}")
    tiles = prepared.tissue.tiles()
    about = f"{slide.kind}, {len(slide.levels)} levels, scale: {slide.mpp_source}"
    if missing := slide.levels[0].missing:
        about = f"{about}, {missing} tiles not in the file (glass)"
    progress.detail(f"{slide.path}: {about}; {len(tiles)} tiles to compute")
    if len(tiles) >= _MANY_TILES:
        progress.info(f"{name}: {_estimate(tiles, prepared.source, engine, files)}")


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


def find_region(slide: Slide, settings: SlideSettings) -> Box:
    """Return the part of a slide to predict on, in pixels of level 0.

    Raises
    ------
    InputError
        If the region is not within the slide.
    """
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
