"""Random variation: a crop out of a patch, bent and stained anew."""

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
"""Side of the mesh's cells, within which a bend is bilinear."""

_INSIDE = 1e-3  # Pillow takes what is read exactly at the far edge for outside, and black

_OFFSET_SHARE = 0.15
_DIRECTION_SHARE = 0.15
_ONE_FACTOR = 0.5


def augment(
    image: NDArray[np.uint8], labels: NDArray[np.int32], recipe: Recipe, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Take a crop out of a patch, or a blank in its place, vary it, and bring it into the form that networks take.

    Parameters
    ----------
    image : ndarray of shape (S, S, 3), uint8
    labels : ndarray of shape (S, S), int32
    recipe : Recipe
        With the side of the crop, P, and how much is varied.
    random : numpy.random.Generator
        Where the variation comes from.

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
    if recipe.stain or recipe.pale < 1 or recipe.dark > 1 or recipe.scanner:
        varied = jitter_stain(image, recipe, random)
    else:
        varied = image.astype(np.float32) / np.float32(255)
    if recipe.brightness:
        varied = np.minimum(varied * np.float32(1 + recipe.brightness * random.uniform(-1, 1)), 1)
    return degrade(varied, recipe, random) if recipe.degrade else varied, labels


def _plain_crop(
    image: NDArray[np.uint8], labels: NDArray[np.int32], recipe: Recipe, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Cut out a window anywhere in the patch; flip it and turn it by right angles, if the recipe says so."""
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
    """Cut out a window that is scaled, turned and bent: bilinear for the image, nearest for the labels.

    A mesh over the crop is laid into the patch by its vertices: scaled, turned, shifted to a random place, and each
    vertex moved a little, independently. Vertices beyond the patch are moved back to its edge.
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


def _resample(pixels: NDArray[Any], size: int, mesh: _Mesh, how: Image.Resampling) -> NDArray[Any]:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.transform((size, size), Image.Transform.MESH, mesh, how))


def _mesh(lines: list[int], vertices: NDArray[np.float64]) -> _Mesh:
    """List, as Pillow wants it, each cell's box in the crop and its corners in the patch, x before y."""
    mesh: _Mesh = []
    corners = vertices[..., ::-1].tolist()
    for i, (top, bottom) in enumerate(pairwise(lines)):
        for j, (left, right) in enumerate(pairwise(lines)):
            quad = (*corners[i][j], *corners[i + 1][j], *corners[i + 1][j + 1], *corners[i][j + 1])
            mesh.append(((left, top, right, bottom), quad))
    return mesh


def jitter_stain(image: NDArray[np.uint8], recipe: Recipe, random: np.random.Generator) -> NDArray[np.float32]:
    """Vary how strongly haematoxylin and eosin are taken up, their hues, the slide's own density, and the scanner.

    In optical density, where stains add up (the law of Beer and Lambert), each stain's amount is scaled, shifted a
    little, and painted back in a slightly turned colour; after Tellez et al., "Whole-Slide Mitosis Detection in H&E
    Breast Histology Using PHH3 as a Reference", IEEE TMI 37(9), 2018. There a gamma is a factor of all density, and a
    white point adds to it.

    Parameters
    ----------
    image : ndarray of shape (P, P, 3), uint8
    recipe : Recipe
        With `stain`, `pale`, `dark` and `scanner`.
    random : numpy.random.Generator
        Where the variation comes from.

    Returns
    -------
    ndarray of shape (P, P, 3), float32
        Within 0..1.
    """
    strength = recipe.stain
    gain = 1 + strength * random.uniform(-1, 1, (3, 1))
    shift = strength * _OFFSET_SHARE * random.uniform(-1, 1, 3)
    painted = unit_rows(STAINS + strength * _DIRECTION_SHARE * random.normal(size=(3, 3)))
    if recipe.pale < 1 or recipe.dark > 1:
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
    """Draw what the gains of haematoxylin, eosin and the rest, (3, 1), are multiplied by.

    One crop in two gets one factor for both stains, of those one in two for the rest as well: paler by the stain alone,
    or by thickness and light; all others get one for each stain.
    """
    factors = np.exp(random.uniform(math.log(recipe.pale), math.log(recipe.dark), (3, 1)))
    kind = random.random()
    if kind < _ONE_FACTOR:
        factors[:] = factors[0]
    if kind > _ONE_FACTOR / 2:
        factors[2] = 1
    factors[:2] /= gain[:2]
    return factors


def degrade(image: NDArray[np.float32], recipe: Recipe, random: np.random.Generator) -> NDArray[np.float32]:
    """Take away some of an image's quality: focus, then noise of the sensor, then JPEG compression.

    Parameters
    ----------
    image : ndarray of shape (P, P, 3), float32
        Within 0..1.
    recipe : Recipe
        With the share of images that each of the three happens to, and its largest strength.
    random : numpy.random.Generator
        Where the variation comes from.

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
        pixels = (image * 255).round().astype(np.uint8, order="C")  # a turned crop is a view in another order
        encoded = imagecodecs.jpeg8_encode(pixels, level=quality)
        image = imagecodecs.jpeg8_decode(encoded).astype(np.float32) / np.float32(255)
    return image
