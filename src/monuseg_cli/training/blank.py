"""Synthetic images without nuclei: glass, ink and debris as found around tissue."""

import colorsys

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from monuseg_cli.imaging.stains import STAINS

_FLAKE_POINTS = 12
_PEN_HUES = (0.63, 0.38, 0.0)  # blue, green, red; black has any
_KINDS = ("glass", "plain", "ink", "ink", "ink", "flakes", "flakes", "flakes")


def draw_blank(size: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Draw glass, a plain colour (including white and black), ink on glass, or stained flakes like those of keratin.

    Parameters
    ----------
    size : int
        Side of the picture in pixels.
    random : numpy.random.Generator
        Source of all random numbers.

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
        if kind == "flakes":
            picture = _flaked(picture, random)
    picture += random.normal(0, random.uniform(0, 4), picture.shape)
    return picture.clip(0, 255).round().astype(np.uint8)


def _inked(picture: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Draw broad and narrow pen strokes with streaks and soft edges."""
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


def _flaked(picture: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Draw overlapping stained sheets without nuclei: long, wavy, seen from above or edge-on, with darker edges.

    Overlapping sheets add up in optical density.
    """
    size = len(picture)
    density = np.zeros((size, size, 3))
    along = np.linspace(0, 1, _FLAKE_POINTS)[:, None]
    for _ in range(int(random.integers(4, 40))):
        start, end = random.uniform(-0.2 * size, 1.2 * size, (2, 2))
        reach = np.linalg.norm(end - start)
        bend = np.cumsum(random.normal(0, random.uniform(0.02, 0.15), (_FLAKE_POINTS, 2)), axis=0) * reach
        middle = start + (end - start) * along + bend
        width = (
            np.abs(np.cumsum(random.normal(0, 1, (_FLAKE_POINTS, 1)), axis=0)) * size * 2 ** random.uniform(-8, -4.5)
        )
        side = random.normal(size=2)
        outline = [tuple(point) for point in np.concatenate([middle + width * side, (middle - width * side)[::-1]])]
        mask = Image.new("L", (size, size))
        draw = ImageDraw.Draw(mask)
        draw.polygon(outline, fill=int(random.integers(40, 160)))
        draw.line(outline, fill=int(random.integers(100, 256)), width=int(random.integers(1, 6)), joint="curve")
        amounts = random.uniform((0.1, 0.1, 0), (2, 1.5, 0.4))
        density += np.asarray(mask, dtype=np.float64)[..., None] / 255 * (amounts @ STAINS)
    density *= 1 + 0.3 * ndimage.gaussian_filter(random.normal(size=(size, size)), random.uniform(0.5, 3))[..., None]
    soft = random.uniform(0.5, 1.5)
    let_through: NDArray[np.float64] = np.exp(-ndimage.gaussian_filter(density, (soft, soft, 0)))
    return picture * let_through


def _ink(random: np.random.Generator) -> tuple[float, float, float]:
    """Draw an ink colour; those of common pens are more likely."""
    kind = random.random()
    if kind < 0.5:
        hue = random.choice(_PEN_HUES) + random.normal(0, 0.03)
        return colorsys.hsv_to_rgb(hue % 1, random.uniform(0.5, 1), random.uniform(0.15, 0.8))
    if kind < 0.7:
        return colorsys.hsv_to_rgb(random.random(), random.uniform(0, 0.4), random.uniform(0, 0.25))
    return colorsys.hsv_to_rgb(random.random(), random.uniform(0, 1), random.uniform(0.05, 0.8))
