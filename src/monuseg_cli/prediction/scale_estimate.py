"""The scale of an image, estimated from the nuclei that are found in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import SHIPPED
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.imaging.scaled_source import SlideSource
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.stains import select_tissue
from monuseg_cli.imaging.tiling import Box, spread_windows
from monuseg_cli.models.card import Card
from monuseg_cli.models.weights import read_card
from monuseg_cli.nuclei.postprocess import postprocess
from monuseg_cli.prediction.blend import TileGrid, blended_rows
from monuseg_cli.prediction.config import ESTIMATE, SlideSettings
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.prepared_slide import find_region
from monuseg_cli.prediction.stain_adaptation import match_stain, sample_stain

ASSUMED_MPP = (0.177, 0.25, 0.354, 0.5, 0.707, 1.0)
"""Scales that are assumed in turn, in micrometres per pixel."""

_FIELDS, _FIELD_PX, _LARGEST_PX = 4, 384, 512
_TRIED_FIELDS, _LEAST_TISSUE, _EVERY = 64, 0.5, 4

FEWEST_NUCLEI = 40
"""Nuclei in the fields below which an assumed scale is not considered."""

_RANGE_MPP = (0.15, 1.1)
_WIDTH = 0.5
"""Standard deviation, in octaves, of the weights of the assumed scales around the estimate."""

# Fitted by `benchmarks/scale.py --fit`. The scale of 19 in 20 images that it checked is within this factor.
_COEFFICIENTS = (-0.014, 0.595, -0.0329)
_ERROR, _WORST_SPREAD = 1.7, 0.3
_USUAL_AREA_UM2 = 28.0


@dataclass(frozen=True, slots=True)
class ScaleEstimate:
    """An estimated scale with its uncertainty.

    Parameters
    ----------
    mpp : float
        Micrometres per pixel of full resolution.
    low, high : float
        Range that contains the true scale of 19 in 20 images.
    nuclei : int
        Number of nuclei in the fields that were looked at.
    """

    mpp: float
    low: float
    high: float
    nuclei: int

    def __str__(self) -> str:
        """Return the estimate with its uncertainty."""
        return f"{self.mpp:.2g} um/px ({self.low:.2g} to {self.high:.2g}) from {self.nuclei} nuclei"


@dataclass(frozen=True, slots=True)
class Appearance:
    """How the nuclei of some fields look to the network if a scale is assumed.

    Parameters
    ----------
    nuclei : int
        Number of nuclei.
    area_um2 : float
        Median area at the assumed scale.
    uncertain : float
        Pixels with a probability of 0.1 to 0.9, per pixel above 0.5.
    """

    nuclei: int
    area_um2: float
    uncertain: float

    def terms(self) -> NDArray[np.float64]:
        """Return the terms of the regression: powers of the median area, in octaves."""
        return np.asarray(np.log2(self.area_um2 / _USUAL_AREA_UM2) ** np.arange(3.0), dtype=np.float64)


def with_scale(
    slide: Slide, settings: SlideSettings, engine: Engine, progress: Progress = SILENT
) -> tuple[SlideSettings, ScaleEstimate | None]:
    """Return the settings with the scale that was estimated, if one was asked for, and report it.

    Raises
    ------
    InputError
        If the scale cannot be estimated.
    """
    if settings.mpp != ESTIMATE:
        return settings, None
    found = estimate_scale(slide, settings, engine)
    stated = f", where the image states {slide.mpp:.4g}" if slide.mpp else ""
    progress.info(f"{slide.path.name}: estimated {found}{stated}; state it with `mpp` if you know it")
    return replace(settings, mpp=found.mpp), found


def estimate_scale(slide: Slide, settings: SlideSettings, engine: Engine) -> ScaleEstimate:
    """Estimate the scale of a slide from the nuclei in a few fields of tissue.

    The fields are predicted on at each of `ASSUMED_MPP`. The median area of nuclei tells by how much an assumed scale
    is off, except where it is far too coarse: then parts of nuclei are found. So the answer begins with that of the
    scale at which the network is surest, and is averaged over the assumed scales near to it.

    Parameters
    ----------
    slide : Slide
        The open slide.
    settings : SlideSettings
        Region and stain adaptation.
    engine : Engine
        Runs the network, which must be that of the package: the regression was fitted to it.

    Raises
    ------
    InputError
        If the model is another one, too few nuclei are found, the answers disagree, or the scale is out of range.
    """
    _require_default(engine.card)
    appearances = look_at(slide, settings, engine)
    known = [(mpp, one) for mpp, one in zip(ASSUMED_MPP, appearances, strict=True) if one.nuclei >= FEWEST_NUCLEI]
    refusal = f"the scale of {slide.path} cannot be estimated"
    if not known:
        most = max(one.nuclei for one in appearances)
        message = f"{refusal}: {most} nuclei in the fields that were looked at are too few; state it with `mpp`"
        raise InputError(message)
    offsets = np.array([float(one.terms() @ _COEFFICIENTS) for _, one in known])
    octaves, spread = combine(np.log2([mpp for mpp, _ in known]), offsets, [one.uncertain for _, one in known])
    mpp = float(2**octaves)
    if spread > _WORST_SPREAD:
        message = f"{refusal}: the nuclei give answers that disagree; state it with `mpp`"
        raise InputError(message)
    if not _RANGE_MPP[0] <= mpp <= _RANGE_MPP[1]:
        message = f"{refusal}: {mpp:.2g} um/px is outside {_RANGE_MPP[0]} to {_RANGE_MPP[1]}; state it with `mpp`"
        raise InputError(message)
    nearest = min(known, key=lambda pair: abs(np.log2(pair[0] / mpp)))[1]
    rounded = float(f"{mpp:.3g}")
    return ScaleEstimate(rounded, float(f"{mpp / _ERROR:.3g}"), float(f"{mpp * _ERROR:.3g}"), nearest.nuclei)


def combine(
    assumed: NDArray[np.float64], offsets: NDArray[np.float64], uncertain: Sequence[float]
) -> tuple[float, float]:
    """Combine what each assumed scale says about the true one.

    Parameters
    ----------
    assumed : ndarray of shape (N,)
        Assumed scales, in octaves (log2).
    offsets : ndarray of shape (N,)
        By how many octaves each assumed scale is too coarse, as it appears.
    uncertain : sequence of float
        How unsure the network is at each.

    Returns
    -------
    estimate : float
        The scale, in octaves.
    spread : float
        Weighted standard deviation of the answers, in octaves.
    """
    answers = assumed - offsets
    estimate = float(answers[np.argmin(uncertain)])
    weights = np.ones_like(answers)
    for _ in range(3):
        distances = (assumed - estimate) / _WIDTH
        weights = np.exp(-0.5 * (distances**2 - (distances**2).min()))
        estimate = float(np.average(answers, weights=weights))
    return estimate, float(np.sqrt(np.average((answers - estimate) ** 2, weights=weights)))


def look_at(slide: Slide, settings: SlideSettings, engine: Engine) -> list[Appearance]:
    """Predict on the fields at each of `ASSUMED_MPP`, and return how nuclei look at each."""
    mpp = engine.card.mpp
    whole = SlideSource(slide, 1.0, (0, 0, *slide.shape))
    match = match_stain(sample_stain(whole).levels, engine.card, settings.adapt)
    fields = _choose_fields(slide, find_region(slide, settings))
    found = []
    for assumed in ASSUMED_MPP:
        sources = (
            SlideSource(slide, assumed / mpp, _middle(field, int(_LARGEST_PX * mpp / assumed))) for field in fields
        )
        rows = (
            blended_rows(one, TileGrid(one.shape), engine, lambda *_: True, np.float32, match=match) for one in sources
        )
        found.append(
            _describe((np.concatenate([maps for maps, _ in blended], axis=1) for blended in rows), engine.card)
        )
    return found


def _describe(fields: Iterable[NDArray[np.float32]], card: Card) -> Appearance:
    """Describe the nuclei in the maps (C, H, W) of several fields."""
    areas, unsure, inside = [np.empty(0, dtype=np.intp)], 0, 0
    for maps in fields:
        labels = postprocess(maps, card.classes, card.mpp, card.postprocess)
        areas.append(np.bincount(labels.reshape(-1))[1:])
        unsure += int(((maps[0] > 0.1) & (maps[0] < 0.9)).sum())
        inside += int((maps[0] > 0.5).sum())
    area_um2 = np.concatenate(areas) * card.mpp**2
    median = float(np.median(area_um2)) if len(area_um2) else 0.0
    return Appearance(len(area_um2), median, unsure / max(inside, 1))


def _choose_fields(slide: Slide, region: Box) -> list[Box]:
    """Choose fields of tissue that are spread evenly over a region, in pixels of level 0; always the same ones."""
    row, col, height, width = region
    wanted = min(max(height * width // _FIELD_PX**2, 1), _FIELDS)
    shares: list[tuple[float, Box]] = []
    for window in islice(spread_windows((height, width), _FIELD_PX), _TRIED_FIELDS):
        field = (row + window[0], col + window[1], window[2], window[3])
        pixels = slide.read_region(0, *field)[::_EVERY, ::_EVERY].reshape(-1, 3)
        shares.append((len(select_tissue(pixels)) / len(pixels), field))
        chosen = [field for share, field in shares if share >= _LEAST_TISSUE]
        if len(chosen) == wanted:
            return chosen
    return [field for _, field in sorted(shares, key=lambda one: -one[0])[:wanted]]


def _middle(field: Box, side: int) -> Box:
    """Return the middle of a field, at most `side` pixels wide and high."""
    row, col, height, width = field
    inner_height, inner_width = min(height, side), min(width, side)
    return row + (height - inner_height) // 2, col + (width - inner_width) // 2, inner_height, inner_width


def _require_default(card: Card) -> None:
    default = _default_card()
    if replace(card, postprocess=default.postprocess) != default:
        message = "`mpp=estimate` works with the model in the package only: it was measured with no other; state `mpp`"
        raise InputError(message)


@cache
def _default_card() -> Card:
    return read_card(SHIPPED)
