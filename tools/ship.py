"""Build the model that ships with the package from a run's weights: half precision, ranges for 8 bits, a full card.

The card gets the stain of the tissue that was trained on, too: of MoNuSeg's cases among it.

usage: python tools/ship.py WEIGHTS HOME [--set threshold=0.45 ...] [--init NAME] [--teacher NAME]
                            [--results NAME scores.json [scores.json ...]] ...

HOME is a folder that `monuseg download --home HOME` filled: the ranges for 8 bits are found on crops of train cases,
unless the weights have them. --init and --teacher are what the card calls the weights that the training began with, and
its teacher.

Each --results names what was scored, and the scores.json that `monuseg evaluate` wrote of it; they are brought together
as a mean over all their images, and added to those that the weights' card has. A run's has none: it is shipped
unscored, evaluated, and shipped again.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monuseg_cli.core.home import SHIPPED, Home
from monuseg_cli.dataset.manifest import Case, Dataset
from monuseg_cli.evaluation.scores import SCORE_NAMES
from monuseg_cli.imaging.read_image import read_image
from monuseg_cli.imaging.resample import resize_image, scaled
from monuseg_cli.imaging.stains import find_levels, select_stained
from monuseg_cli.models.card import Card
from monuseg_cli.models.normalise import normalise
from monuseg_cli.models.quantise import observe
from monuseg_cli.models.weights import load_model, save_weights

MAX_MIB = 8
CROPS, CROP_PX = 60, 384


def read_scores(files: list[str]) -> dict[str, float]:
    """Average every score over the images of several evaluations."""
    images = [image["scores"] for file in files for image in json.loads(Path(file).read_text())["images"]]
    return {name: round(fmean(image[name] for image in images), 4) for name in SCORE_NAMES}


def train_images(card: Card, home: Home) -> Iterator[tuple[Case, NDArray[np.uint8]]]:
    """Read the images of MoNuSeg that a model was trained on."""
    dataset = Dataset.load(home.dataset)
    for case in dataset.of_split("train"):
        if case.case_id in card.train_cases:
            yield case, read_image(dataset.image_path(case))[0]


def measure_stain(card: Card, home: Home) -> dict[str, tuple[float, float]]:
    """Measure the stain of the train cases, over every 16th pixel of each; the mean over the cases."""
    levels = [find_levels(select_stained(image[::4, ::4].reshape(-1, 3))) for _, image in train_images(card, home)]
    return {
        name: (round(fmean(level[name][0] for level in levels), 4), round(fmean(level[name][1] for level in levels), 4))
        for name in ("haematoxylin", "eosin")
    }


def crops(card: Card, home: Home) -> Iterator[Tensor]:
    """Cut some crops out of the cases that a model was trained on, normalised, (1, 3, H, W)."""
    dataset, random = Dataset.load(home.dataset), np.random.default_rng(0)
    cases = [case for case in dataset.of_split("train") if case.case_id in card.train_cases]
    for number in range(CROPS):
        case = cases[number % len(cases)]
        image, _ = read_image(dataset.image_path(case))
        factor = (case.mpp or card.mpp) / card.mpp
        image = resize_image(image, scaled((image.shape[0], image.shape[1]), factor))
        row, col = (int(random.integers(side - CROP_PX)) for side in image.shape[:2])
        crop = image[row : row + CROP_PX, col : col + CROP_PX].copy()
        yield normalise(torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255, card)


def main() -> None:
    """Read the options, and write the weights."""
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", type=Path)
    parser.add_argument("home", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--init", metavar="NAME")
    parser.add_argument("--teacher", metavar="NAME")
    parser.add_argument("--results", action="append", default=[], nargs="+", metavar="NAME FILE")
    options = parser.parse_args()
    model, card = load_model(options.weights)
    changes = {name: float(value) for name, value in (pair.split("=") for pair in options.set)}
    results = {**card.results, **{name: read_scores(files) for name, *files in options.results}}
    card = replace(card, postprocess=replace(card.postprocess, **changes), results=results)
    home = Home(options.home)
    named = {name: getattr(options, name) for name in ("init", "teacher") if getattr(options, name)}
    card = replace(card, recipe={**card.recipe, **named})  # what docs/training/runs calls them
    card = replace(card, stain=measure_stain(card, home), ranges=card.ranges or observe(model, crops(card, home)))
    state = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in model.state_dict().items()
    }
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
        parser.error("some weights are too large for half precision")
    save_weights(SHIPPED, state, card)
    size = SHIPPED.stat().st_size / 2**20
    print(f"{SHIPPED}: {size:.2f} MiB of at most {MAX_MIB}")
    if size > MAX_MIB:
        parser.error("too large to ship")


if __name__ == "__main__":
    main()
