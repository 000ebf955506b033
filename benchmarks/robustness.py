"""Measure a model's scores under changes of stain, light, focus, compression and scale, and its false positives.

usage: python benchmarks/robustness.py HOME RUN [RUN ...]

HOME is a folder that `monuseg download --home HOME` filled. Each model is scored on its own validation cases, as they
are and disturbed; printed are means over all images of all models, as Markdown.
"""

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage.color import hed2rgb, rgb2hed

from monuseg_cli.core.home import Home
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.dataset.masks import labels_path, read_labels
from monuseg_cli.evaluation.scores import Scores, count_image
from monuseg_cli.imaging.read_image import read_image
from monuseg_cli.imaging.resample import resize_image, resize_labels
from monuseg_cli.models.weights import load_model
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.engines.torch import TorchEngine
from monuseg_cli.prediction.predict_array import predict_array

Pixels = NDArray[np.uint8]
Disturbance = Callable[[Pixels], Pixels]

BLANK_PX = 2000
MM2 = (BLANK_PX * 0.25 / 1000) ** 2


def stain(haematoxylin: float, eosin: float) -> Disturbance:
    """Scale the two stains in optical density, by scikit-image's colour deconvolution."""

    def disturb(image: Pixels) -> Pixels:
        return _bytes(hed2rgb(rgb2hed(image) * (haematoxylin, eosin, 1)))

    return disturb


def density(factor: float) -> Disturbance:
    """Scale all optical density, which is a power of the intensities: a gamma."""
    return lambda image: _bytes((image / 255) ** factor)


def white_point(red: float, green: float, blue: float) -> Disturbance:
    """Scale the intensities of each channel."""
    return lambda image: _bytes(image / 255 * (red, green, blue))


def brightness(factor: float) -> Disturbance:
    """Scale all intensities."""
    return lambda image: _bytes(image / 255 * factor)


def blur(width: float) -> Disturbance:
    """Blur by a Gaussian of this standard deviation, in pixels."""
    return lambda image: _bytes(ndimage.gaussian_filter(image / 255, (width, width, 0)))


def noise(width: float) -> Disturbance:
    """Add normal noise of this standard deviation, of intensities within 0..1."""
    return lambda image: _bytes(image / 255 + np.random.default_rng(0).normal(0, width, image.shape))


def jpeg(image: Pixels) -> Pixels:
    """Compress at quality 30."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=30)
    return np.asarray(Image.open(file).convert("RGB"))


def coarser(times: int) -> Disturbance:
    """Resample to pixels larger by this factor, and back to the original size."""

    def disturb(image: Pixels) -> Pixels:
        height, width = image.shape[:2]
        return resize_image(resize_image(image, (height // times, width // times)), (height, width))

    return disturb


def _bytes(image: NDArray[np.floating]) -> Pixels:
    return (image.clip(0, 1) * 255).round().astype(np.uint8)


DISTURBANCES: dict[str, Disturbance] = {
    "as it is": lambda image: image,
    "haematoxylin x0.6": stain(0.6, 1),
    "haematoxylin x1.6": stain(1.6, 1),
    "eosin x0.6": stain(1, 0.6),
    "eosin x1.6": stain(1, 1.6),
    "both x0.6": stain(0.6, 0.6),
    "both x1.6": stain(1.6, 1.6),
    **{f"both x{factor}": stain(factor, factor) for factor in (0.25, 0.35, 0.5, 1.5, 2.0)},
    **{f"all density x{factor}": density(factor) for factor in (0.25, 0.35, 0.5, 1.5, 2.0)},
    "white point bluish": white_point(0.85, 0.9, 1),
    "white point yellowish": white_point(1, 0.95, 0.8),
    "brightness x0.8": brightness(0.8),
    "brightness x1.2": brightness(1.2),
    "blur of 1 px": blur(1),
    "blur of 2 px": blur(2),
    "JPEG quality 30": jpeg,
    "noise of 0.05": noise(0.05),
    "20x resampled to 40x": coarser(2),
    "10x resampled to 40x": coarser(4),
}
SCALES = (0.8, 1.25)
"""Pixels of an image whose scale is misstated, per pixel at the true scale."""


def score(image: Pixels, mpp: float, reference: NDArray[np.int32], engine: Engine) -> Scores:
    """Score a prediction of an image of this scale."""
    maps, labels = predict_array(image, mpp, engine)
    return count_image(reference, labels, maps[0]).scores()


def print_means(title: str, scores: Mapping[str, Sequence[Scores]]) -> None:
    """Print, as Markdown, a line with the means of every list of scores, and what F1 loses against the first."""
    means = {
        name: tuple(fmean(getattr(score, part) for score in of_name) for part in ("f1", "aji", "pq"))
        for name, of_name in scores.items()
    }
    plain = next(iter(means.values()))[0]
    print(f"| {title} | F1 (Dice) | lost | AJI | PQ |\n| --- | --- | --- | --- | --- |")
    for name, (f1, aji, pq) in means.items():
        print(f"| {name} | {f1:.4f} | {plain - f1:.4f} | {aji:.4f} | {pq:.4f} |")


def blanks() -> dict[str, Pixels]:
    """Draw slides without nuclei: glass, nothing, darkness, a pen's marks, folded background."""
    random = np.random.default_rng(0)
    shape = (BLANK_PX, BLANK_PX)
    glass = np.array((243, 241, 244)) + random.normal(0, 1.5, (*shape, 3))
    glass += 4 * ndimage.gaussian_filter(random.normal(size=shape), 60)[..., None] * 60
    images = {"glass": glass, "white": np.full((*shape, 3), 255.0), "black": np.zeros((*shape, 3))}
    marks = Image.fromarray(_bytes(glass / 255))
    pen = ImageDraw.Draw(marks)
    for colour in ((20, 40, 140), (20, 110, 50), (170, 30, 40), (25, 25, 30)):
        points = [(float(x), float(y)) for x, y in random.uniform(0, BLANK_PX, (6, 2))]
        pen.line(points, fill=colour, width=int(random.integers(20, 120)), joint="curve")
    images["pen marks"] = ndimage.gaussian_filter(np.asarray(marks, dtype=float), (3, 3, 0))
    # Eosin alone, in a texture of fibres, two and three times as thick along folds.
    fibres = ndimage.gaussian_filter(random.normal(size=shape), (2, 12))
    across = np.linspace(0, 12 * np.pi, BLANK_PX)
    thickness = 1 + 2 * (np.sin(across[None] + 3 * np.sin(across[:, None] / 9)) > 0.8)
    density = ndimage.gaussian_filter((0.35 + 1.5 * fibres).clip(0.1) * thickness, 2)
    images["folds"] = 255 * np.exp(-density[..., None] * np.array((0.25, 0.95, 0.4)))
    return {name: _bytes(image / 255) for name, image in images.items()}


def main(home: Home, runs: list[str]) -> None:
    """Print both tables."""
    dataset = Dataset.load(home.dataset)
    scores: dict[str, list[Scores]] = {}
    found: dict[str, list[float]] = {}
    for run in runs:
        model, card = load_model(home.find_weights(run))
        engine = TorchEngine(model, card, torch.device("cpu"))
        for case in dataset.select(card.val_cases):
            image, _ = read_image(dataset.image_path(case))
            reference = read_labels(labels_path(dataset.root, case.case_id))
            for name, disturb in DISTURBANCES.items():
                scores.setdefault(name, []).append(score(disturb(image), card.mpp, reference, engine))
            for factor in SCALES:
                shape = (round(image.shape[0] * factor), round(image.shape[1] * factor))
                resized, labels = resize_image(image, shape), resize_labels(reference, shape)
                scores.setdefault(f"scale x{factor}", []).append(score(resized, card.mpp, labels, engine))
        for name, image in blanks().items():
            count = int(predict_array(image, card.mpp, engine)[1].max())
            found.setdefault(name, []).append(count / MM2)
    print_means("validation cases", scores)
    print("\n| no nuclei | nuclei per mm2 |\n| --- | --- |")
    for name, counts in found.items():
        print(f"| {name} | {fmean(counts):.1f} |")


if __name__ == "__main__":
    main(Home.resolve(Path(sys.argv[1])), sys.argv[2:])
