"""Haematoxylin and eosin as optical density, in which stains are additive (Beer-Lambert law)."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Optical densities of haematoxylin and eosin in red, green and blue: Ruifrok and Johnston, "Quantification of
# histochemical staining by color deconvolution", Anal. Quant. Cytol. Histol. 23(4), 2001. The third direction,
# orthogonal to both, is the residual.
_HAEMATOXYLIN = (0.65, 0.70, 0.29)
_EOSIN = (0.07, 0.99, 0.11)


def unit_rows(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale every row to length 1."""
    rows: NDArray[np.float64] = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    return rows


STAINS: NDArray[np.float64] = unit_rows(np.array([_HAEMATOXYLIN, _EOSIN, np.cross(_HAEMATOXYLIN, _EOSIN)]))
"""Unit vectors of haematoxylin, eosin and the residual in red, green and blue."""

OPTICAL_DENSITY: NDArray[np.float32] = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)
"""Optical density (natural logarithm) of every 8-bit intensity; 0 for white."""

# The contribution of each channel to the density of haematoxylin, in the decadic logarithm that the literature uses.
_OF_HAEMATOXYLIN: NDArray[np.float32] = (OPTICAL_DENSITY[:, None] / np.log(10) * np.linalg.inv(STAINS)[:, 0]).astype(
    np.float32
)

# The sum of the first two channels' contributions, at 256 times red plus green, and that of blue.
_OF_RED_AND_GREEN: NDArray[np.float32] = np.add.outer(_OF_HAEMATOXYLIN[:, 0], _OF_HAEMATOXYLIN[:, 1]).ravel()
_OF_BLUE: NDArray[np.float32] = np.ascontiguousarray(_OF_HAEMATOXYLIN[:, 2])

StainLevels = Mapping[str, tuple[float, float]]
"""The 50th and the 95th percentile of the optical density (natural) of ``"haematoxylin"`` and of ``"eosin"``."""

STAIN_NAMES = ("haematoxylin", "eosin")
_PERCENTILES = (50, 95)
_FAINTEST, _DENSEST = 0.15, 3.5  # mean density of the channels: glass is below (Macenko et al. 2009), black above
_FEWEST_PIXELS = 400
_MOST_UNEXPLAINED = 0.33  # share of a pixel's density; H&E tissue has at most 0.32 in 95 % of its pixels, blue ink 0.34
_LARGEST_GAIN = 2.0

_STRIP_ROWS = 32
"""Rows that are computed at a time, so that they stay in the processor's cache."""

_LOWEST, _STEP = np.float32(-0.6), np.float32(3.1 / 255)


def haematoxylin_density(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute the optical density (decadic) of haematoxylin alone, by colour deconvolution.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8

    Returns
    -------
    ndarray of shape (H, W), float32
    """
    density = np.empty(image.shape[:2], dtype=np.float32)
    for rows, red_and_green, blue in _strips(image):
        np.add(_OF_RED_AND_GREEN.take(red_and_green), _OF_BLUE.take(blue), out=density[rows])
    return density


def _strips(image: NDArray[np.uint8]) -> Iterator[tuple[slice, NDArray[np.intp], NDArray[np.intp]]]:
    """Yield strips of an image (H, W, 3): their rows, 256 times red plus green, and blue, as indices of tables."""
    for top in range(0, len(image), _STRIP_ROWS):
        rows = slice(top, top + _STRIP_ROWS)
        red_and_green = image[rows, :, 0].astype(np.intp)
        red_and_green <<= 8
        red_and_green |= image[rows, :, 1]
        yield rows, red_and_green, image[rows, :, 2].astype(np.intp)


def density_to_8_bits(density: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Quantise densities to 8 bits: -0.6 to 2.5 in steps of 0.012; values outside of this range are clipped."""
    steps = density - _LOWEST
    steps /= _STEP
    steps += np.float32(0.5)
    return steps.clip(0, 255, out=steps).astype(np.uint8)


def density_from_8_bits(steps: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the densities that `density_to_8_bits` quantised."""
    return steps * _STEP + _LOWEST


def select_tissue(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Select the pixels (M, 3) that are neither glass nor black."""
    mean = _sum_of_columns(OPTICAL_DENSITY[pixels]) / np.float32(3)
    selected: NDArray[np.uint8] = pixels[(mean > _FAINTEST) & (mean < _DENSEST)]
    return selected


def select_stained(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Compute the stain densities of pixels, and select those that are stained with haematoxylin and eosin.

    Parameters
    ----------
    pixels : ndarray of shape (N, 3), uint8

    Returns
    -------
    ndarray of shape (M, 2), float64
        Optical density (natural) of haematoxylin and eosin, without pixels of glass, other dyes and ink.
    """
    stained = OPTICAL_DENSITY[select_tissue(pixels)] @ np.linalg.inv(STAINS)
    # Residual and negative density are not due to haematoxylin and eosin: ink, DAB, pigment, red blood cells.
    unexplained = np.abs(stained[:, 2]) - _sum_of_columns(np.minimum(stained[:, :2], 0))
    return np.asarray(stained[unexplained <= _MOST_UNEXPLAINED * _sum_of_columns(np.abs(stained)), :2])


def _sum_of_columns(table: NDArray[Any]) -> NDArray[Any]:
    """Return the sums of rows, (N,): those of numpy's sum along the axis, in a fraction of its time for few columns."""
    return functools.reduce(np.add, table.T)


def find_levels(stained: NDArray[np.float64]) -> StainLevels:
    """Compute the levels of stained pixels (M, 2), as `select_stained` returns them; empty if there are too few."""
    if len(stained) < _FEWEST_PIXELS:
        return {}
    percentiles = np.percentile(stained, _PERCENTILES, axis=0).T.round(4).tolist()
    return {name: (middle, high) for name, (middle, high) in zip(STAIN_NAMES, percentiles, strict=True)}


class StainMatch:
    """Matches the stain of an image to that of others.

    The optical density of each stain is scaled and shifted so that both levels match; the residual is kept. The factor
    is limited to 0.5 to 2, so that faint texture is not exaggerated.

    Parameters
    ----------
    found, wanted : StainLevels
        Levels of the image, and of the images that it is matched to.

    Attributes
    ----------
    found : StainLevels
        Levels of the image.
    """

    def __init__(self, found: StainLevels, wanted: StainLevels) -> None:
        self.found = found
        gains, shifts = np.ones(3), np.zeros(3)
        for stain, name in enumerate(STAIN_NAMES):
            (low, high), (wanted_low, wanted_high) = found[name], wanted[name]
            gain = (wanted_high - wanted_low) / max(high - low, np.finfo(float).tiny)
            gains[stain] = np.clip(gain, 1 / _LARGEST_GAIN, _LARGEST_GAIN)
            shifts[stain] = wanted_low - gains[stain] * low
        # The new density is linear in that of the three channels, so the new intensity is a product of three tables.
        change = np.linalg.inv(STAINS) @ (gains[:, None] * STAINS)
        red, green, blue = np.exp(-OPTICAL_DENSITY[:, None, None] * change).astype(np.float32).transpose(1, 2, 0)
        red *= 256 * np.exp(-shifts @ STAINS).astype(np.float32)[:, None]
        # For each new channel: of red and green together, and of blue.
        self._tables = [
            (np.multiply.outer(*of_two).ravel(), of_blue.copy())
            for *of_two, of_blue in zip(red, green, blue, strict=True)
        ]

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Match an image (H, W, 3)."""
        matched = np.empty_like(image)
        for rows, red_and_green, blue in _strips(image):
            for channel, (of_red_and_green, of_blue) in enumerate(self._tables):
                intensity = of_red_and_green.take(red_and_green)
                intensity *= of_blue.take(blue)
                intensity -= np.float32(0.5)  # intensities are 256 exp(-density) - 1, rounded
                matched[rows, :, channel] = intensity.clip(0, 255, out=intensity)
        return matched
