"""Pictures without a nucleus: what a slide shows beside tissue."""

import colorsys

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

_PEN_HUES = (0.63, 0.38, 0.0)  # blue, green, red; black has any
_KINDS = ("glass", "plain", "ink", "ink", "ink")


def draw_blank(size: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Draw glass, a plain colour (white and black among them), or ink on glass.

    Parameters
    ----------
    size : int
        Side of the picture.
    random : numpy.random.Generator
        Where everything comes from.

    Returns
    -------
    ndarray of shape (size, size, 3), uint8
    """
    kind = _KINDS[int(random.integers(len(_KINDS)))]
    if kind == "plain":
        level = random.choice([0.0, 255.0, random.uniform(0, 255)])
        picture = np.full((size, size, 3), level) + random.normal(0, 4, 3)
    else:
        picture = np.full((size, size, 3), random.uniform(225, 252)) + random.normal(0, 4, 3)
        if kind == "ink":
            picture = _inked(picture, random)
    picture += random.normal(0, random.uniform(0, 4), picture.shape)
    return picture.clip(0, 255).round().astype(np.uint8)


def _inked(picture: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Draw strokes of a pen, broad and narrow, with streaks along them and soft edges."""
    size = len(picture)
    for _ in range(int(random.integers(1, 4))):
        mask = Image.new("L", (size, size))
        points = random.uniform(-size, 2 * size, (int(random.integers(2, 5)), 2))
        width = int(size * 2 ** random.uniform(-5, 1))
        ImageDraw.Draw(mask).line([(float(x), float(y)) for x, y in points], fill=255, width=width, joint="curve")
        soft = random.uniform(0.5, 6)
        cover = ndimage.gaussian_filter(np.asarray(mask, dtype=np.float64) / 255, soft)
        streaks = ndimage.gaussian_filter(
            random.normal(size=(size, size)), (random.uniform(1, 12), random.uniform(1, 12))
        )
        cover *= random.uniform(0.6, 1) * (1 + random.uniform(0, 0.3) * streaks / (np.abs(streaks).max() + 1e-9))
        ink = 255 * np.array(_ink(random))
        picture = picture * (1 - cover[..., None]) + ink * cover[..., None]
    return picture


def _ink(random: np.random.Generator) -> tuple[float, float, float]:
    """Choose a colour, of the usual pens more often than others."""
    kind = random.random()
    if kind < 0.5:
        hue = random.choice(_PEN_HUES) + random.normal(0, 0.03)
        return colorsys.hsv_to_rgb(hue % 1, random.uniform(0.5, 1), random.uniform(0.15, 0.8))
    if kind < 0.7:
        return colorsys.hsv_to_rgb(random.random(), random.uniform(0, 0.4), random.uniform(0, 0.25))
    return colorsys.hsv_to_rgb(random.random(), random.uniform(0, 1), random.uniform(0.05, 0.8))
