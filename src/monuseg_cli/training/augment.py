"""Augmentation: random crops with geometric, stain and image quality variation."""

import math
from itertools import pairwise
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from monuseg_cli.imaging.stains import OPTICAL_DENSITY, STAINS, unit_rows
from monuseg_cli.training.blank import draw_blank
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.recipe_checks import BEST_JPEG_QUALITY

_Mesh = list[tuple[tuple[int, ...], tuple[float, ...]]]

_MESH_PX = 32
"""Side of the cells of the warping mesh; the deformation is bilinear within a cell."""

_INSIDE = 1e-3  # Pillow treats samples exactly at the far edge as outside, and makes them black

_OFFSET_SHARE = 0.15
_DIRECTION_SHARE = 0.15
_ONE_FACTOR = 0.5


def augment(
    image: NDArray[np.uint8], labels: NDArray[np.int32], recipe: Recipe, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Take a random crop of a patch, or a blank instead, and augment it.

    Parameters
    ----------
    image : ndarray of shape (S, S, 3), uint8
    labels : ndarray of shape (S, S), int32
    recipe : Recipe
        With the side of the crop, P, and the strengths of the augmentation.
    random : numpy.random.Generator
        Source of all random numbers.

    Returns
    -------
    image : ndarray of shape (P, P, 3), float32
        Within 0..1.
    labels : ndarray of shape (P, P), int32
    """
    if recipe.blank_prob and random.random() < recipe.blank_prob:
        image = draw_blank(recipe.crop_px, random)
        labels = np.zeros(image.shape[:2], dtype=np.int32)
    elif random.random() < recipe.warp:
        image, labels = _warped_crop(image, labels, recipe, random)
    else:
        image, labels = _plain_crop(image, labels, recipe, random)
    if recipe.stain or recipe.stain_min < 1 or recipe.stain_max > 1 or recipe.scanner:
        varied = jitter_stain(image, recipe, random)
    else:
        varied = image.astype(np.float32) / np.float32(255)
    if recipe.brightness:
        varied = np.minimum(varied * np.float32(1 + recipe.brightness * random.uniform(-1, 1)), 1)
    return degrade(varied, recipe, random) if recipe.degrade else varied, labels


def _plain_crop(
    image: NDArray[np.uint8], labels: NDArray[np.int32], recipe: Recipe, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Cut a random window out of the patch; flip it and rotate it by multiples of 90 degrees if the recipe says so."""
    room = len(image) - recipe.crop_px
    row, col = (int(start) for start in random.integers(room + 1, size=2))
    window = np.s_[row : row + recipe.crop_px, col : col + recipe.crop_px]
    image, labels = image[window], labels[window]
    if recipe.flips:
        turns = int(random.integers(4))
        image, labels = np.rot90(image, turns), np.rot90(labels, turns)
        if random.integers(2):
            image, labels = image[::-1], labels[::-1]
    return image, labels


def _warped_crop(
    image: NDArray[np.uint8], labels: NDArray[np.int32], recipe: Recipe, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Cut out a scaled, rotated and elastically deformed window: bilinear for the image, nearest for the labels.

    The vertices of a mesh over the crop are mapped into the patch: scaled, rotated, shifted to a random position, and
    each displaced independently. Vertices outside the patch are clipped to its edge.
    """
    size, cells = recipe.crop_px, max(recipe.crop_px // _MESH_PX, 1)
    lines = np.linspace(0, size, cells + 1).round().astype(int)
    down, right = np.meshgrid(lines - size / 2, lines - size / 2, indexing="ij")
    if recipe.flips and random.integers(2):
        right = -right
    zoom = math.exp(random.uniform(-1, 1) * math.log1p(recipe.scale))
    turn = math.radians(random.uniform(-1, 1) * recipe.rotation_deg)
    cos, sin = math.cos(turn) / zoom, math.sin(turn) / zoom
    vertices = np.stack([cos * down - sin * right, sin * down + cos * right], axis=-1)
    reach = np.minimum(vertices.max(axis=(0, 1)), len(image) / 2)
    vertices += random.uniform(reach, len(image) - reach)
    vertices += random.normal(0, recipe.elastic_px, vertices.shape)
    mesh = _mesh(lines.tolist(), vertices.clip(0, len(image) - _INSIDE))
    warped = _resample(image, size, mesh, Image.Resampling.BILINEAR)
    return warped, _resample(labels, size, mesh, Image.Resampling.NEAREST)


def _resample(pixels: NDArray[Any], size: int, mesh: _Mesh, method: Image.Resampling) -> NDArray[Any]:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.transform((size, size), Image.Transform.MESH, mesh, method))


def _mesh(lines: list[int], vertices: NDArray[np.float64]) -> _Mesh:
    """List each cell's box in the crop and its corners in the patch, x before y, in Pillow's format."""
    mesh: _Mesh = []
    corners = vertices[..., ::-1].tolist()
    for i, (top, bottom) in enumerate(pairwise(lines)):
        for j, (left, right) in enumerate(pairwise(lines)):
            quad = (*corners[i][j], *corners[i + 1][j], *corners[i + 1][j + 1], *corners[i][j + 1])
            mesh.append(((left, top, right, bottom), quad))
    return mesh


def jitter_stain(image: NDArray[np.uint8], recipe: Recipe, random: np.random.Generator) -> NDArray[np.float32]:
    """Vary the amounts and hues of haematoxylin and eosin, the residual density, and the scanner's colour response.

    In optical density stains add up (Beer-Lambert law). The amount of each stain is scaled and slightly shifted, and
    recomposed with a slightly rotated stain vector, after Tellez et al., "Whole-Slide Mitosis Detection in H&E Breast
    Histology Using PHH3 as a Reference", IEEE TMI 37(9), 2018. In optical density, gamma is a common factor, and the
    white point is an offset.

    Parameters
    ----------
    image : ndarray of shape (P, P, 3), uint8
    recipe : Recipe
        With `stain`, `stain_min`, `stain_max` and `scanner`.
    random : numpy.random.Generator
        Source of all random numbers.

    Returns
    -------
    ndarray of shape (P, P, 3), float32
        Within 0..1.
    """
    strength = recipe.stain
    gain = 1 + strength * random.uniform(-1, 1, (3, 1))
    shift = strength * _OFFSET_SHARE * random.uniform(-1, 1, 3)
    painted = unit_rows(STAINS + strength * _DIRECTION_SHARE * random.normal(size=(3, 3)))
    if recipe.stain_min < 1 or recipe.stain_max > 1:
        gain *= _dimmed(gain, recipe, random)
    change, offset = np.linalg.inv(STAINS) @ (gain * painted), shift @ painted
    if recipe.scanner:
        gamma = math.exp(recipe.scanner * random.uniform(-1, 1))
        change, offset = gamma * change, gamma * offset - np.log1p(-recipe.scanner / 2 * random.uniform(0, 1, 3))
    density = OPTICAL_DENSITY[image] @ change.astype(np.float32) + offset.astype(np.float32)
    varied = np.asarray((np.exp(-density) * 256 - 1) / 255, dtype=np.float32)
    if recipe.scanner:
        more = np.float32(recipe.scanner * random.uniform(-1, 1))
        varied += more * (varied - varied.mean(axis=2, keepdims=True))
    return np.clip(varied, 0, 1, out=varied)


def _dimmed(gain: NDArray[np.float64], recipe: Recipe, random: np.random.Generator) -> NDArray[np.float64]:
    """Draw the factors, (3, 1), for the gains of haematoxylin, eosin and the residual.

    Half of the crops get one common factor for both stains; in half of those it also applies to the residual, as with
    section thickness or illumination. The other crops get a separate factor per stain.
    """
    factors = np.exp(random.uniform(math.log(recipe.stain_min), math.log(recipe.stain_max), (3, 1)))
    kind = random.random()
    if kind < _ONE_FACTOR:
        factors[:] = factors[0]
    if kind > _ONE_FACTOR / 2:
        factors[2] = 1
    factors[:2] /= gain[:2]
    return factors


def degrade(image: NDArray[np.float32], recipe: Recipe, random: np.random.Generator) -> NDArray[np.float32]:
    """Degrade an image: blur, then sensor noise, then JPEG compression.

    Parameters
    ----------
    image : ndarray of shape (P, P, 3), float32
        Within 0..1.
    recipe : Recipe
        With the probability of each of the three, and its largest strength.
    random : numpy.random.Generator
        Source of all random numbers.

    Returns
    -------
    ndarray of shape (P, P, 3), float32
        Within 0..1.
    """
    blurred, noisy, compressed = random.random(3) < recipe.degrade
    if blurred:
        width = random.uniform(0, recipe.blur_px)
        image = ndimage.gaussian_filter(image, (width, width, 0), mode="nearest", truncate=3)
    if noisy:
        noise = random.standard_normal(image.shape, dtype=np.float32)
        image = np.clip(image + np.float32(random.uniform(0, recipe.noise)) * noise, 0, 1)
    if compressed:
        quality = int(random.integers(recipe.jpeg_quality, BEST_JPEG_QUALITY, endpoint=True))
        pixels = (image * 255).round().astype(np.uint8, order="C")  # a rotated crop is a view in another order
        encoded = imagecodecs.jpeg8_encode(pixels, level=quality)
        image = imagecodecs.jpeg8_decode(encoded).astype(np.float32) / np.float32(255)
    return image
