"""Measure how models generalise: to organs and a scanner unseen in training, to pale stains, and to keratin.

usage: python benchmarks/elsewhere.py HOME MODEL [MODEL ...] [--slide CMU-1-Small-Region.svs] [--set threshold=0.4 ...]
                                      [--brief]

HOME is a folder that `monuseg download --home HOME` and `monuseg download --home HOME --dataset nuinsseg` filled; a
model is `default`, a run's name or a weights file. "Elsewhere" is NuInsSeg's test split: the organs that are never
trained on. Validation cases are each model's own; --set changes its post-processing; --brief takes every third field
and two stains, for choosing between short trainings. Printed are means over images, as Markdown.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray

from monuseg_cli.core.home import Home
from monuseg_cli.dataset.catalog import NUINSSEG
from monuseg_cli.dataset.config import MasksConfig
from monuseg_cli.dataset.manifest import Case, Dataset
from monuseg_cli.dataset.masks import build_masks, labels_path, read_labels
from monuseg_cli.dataset.pixels import read_case
from monuseg_cli.evaluation.scores import Scores, count_image
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.stains import OPTICAL_DENSITY, STAINS
from monuseg_cli.models.weights import load_model
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.engines.torch import TorchEngine
from monuseg_cli.prediction.predict_array import predict_array

Pixels = NDArray[np.uint8]
Disturbance = Callable[[Pixels], Pixels]


def stain(haematoxylin: float, eosin: float, rest: float = 1) -> Disturbance:
    """Scale the two stains in optical density along Ruifrok's stain vectors, and the residual orthogonal to both."""
    change = np.linalg.inv(STAINS) @ (np.array([[haematoxylin], [eosin], [rest]]) * STAINS)

    def disturb(image: Pixels) -> Pixels:
        intensities = np.exp(-(OPTICAL_DENSITY[image] @ change)) * 256 - 1
        return np.asarray(intensities.clip(0, 255).round(), dtype=np.uint8)

    return disturb


CHANGES: dict[str, Disturbance] = {
    "as it is": lambda image: image,
    "H and E x0.25": stain(0.25, 0.25),
    "H and E x0.35": stain(0.35, 0.35),
    "H and E x0.5": stain(0.5, 0.5),
    "H and E x1.5": stain(1.5, 1.5),
    "H and E x2.0": stain(2.0, 2.0),
    "all density x0.35": stain(0.35, 0.35, 0.35),
}
SHOWN = ("f1", "aji", "pq", "recall")
BRIEF = ("as it is", "H and E x0.35")
KERATIN = (1180, 1320, 440, 200)
"""Keratin in CMU-1-Small-Region.svs, which holds no nucleus: first row, first column, height and width in pixels."""

Sample = tuple[str, Pixels, float, NDArray[np.int32]]


def samples(dataset: Dataset, cases: Iterable[Case], mpp: float) -> Iterator[Sample]:
    """Read organ, image, scale and reference of each case."""
    for case in cases:
        reference = read_labels(labels_path(dataset.root, case.case_id))
        yield case.organ, read_case(dataset, case), case.mpp or mpp, reference


def score(image: Pixels, mpp: float, reference: NDArray[np.int32], engine: Engine) -> Scores:
    """Score a prediction of an image of this scale."""
    maps, labels = predict_array(image, mpp, engine)
    return count_image(reference, labels, maps[0]).scores()


def print_row(name: str, scores: Iterable[Scores]) -> None:
    """Print the means as a line of a Markdown table."""
    of_images = list(scores)
    means = (fmean(getattr(of_image, part) for of_image in of_images) for part in SHOWN)
    print(f"| {name} | {len(of_images)} | {' | '.join(f'{mean:.4f}' for mean in means)} |", flush=True)


def print_model(name: str, engine: Engine, home: Home, slide: Path | None, brief: bool) -> None:
    """Print the table of a model."""
    print(f"\n| {name} | images | Dice | AJI | PQ | recall |\n| --- | --- | --- | --- | --- | --- |")
    mpp = engine.card.mpp
    monuseg = Dataset.load(home.dataset)
    validation = list(samples(monuseg, monuseg.select(engine.card.val_cases), mpp))
    for title, disturb in CHANGES.items():
        if brief and title not in BRIEF:
            continue
        scores = [score(disturb(image), scale, truth, engine) for _, image, scale, truth in validation]
        print_row(f"validation, {title}", scores)
    other = Dataset.load(home.other_dataset(NUINSSEG.name))
    by_organ: dict[str, list[Scores]] = {}
    for organ, image, scale, truth in samples(other, other.of_split("test")[:: 3 if brief else 1], mpp):
        by_organ.setdefault(organ, []).append(score(image, scale, truth, engine))
    for organ, scores in sorted(by_organ.items()):
        print_row(f"elsewhere, {organ}", scores)
    print_row("elsewhere", [each for scores in by_organ.values() for each in scores])
    if slide:
        with Slide(slide) as opened:
            keratin, stated = opened.read_region(0, *KERATIN), opened.mpp
        assert stated is not None
        print(f"\nfalse nuclei in keratin: {predict_array(keratin, stated, engine)[1].max()}", flush=True)


def main() -> None:
    """Print the tables of all models."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--slide", type=Path)
    parser.add_argument("--brief", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="PARAMETER=VALUE")
    options = parser.parse_args()
    home = Home.resolve(options.home)
    build_masks(MasksConfig(home.dataset, ("train",)))
    build_masks(MasksConfig(home.other_dataset(NUINSSEG.name), ("test",)))
    changes = {name: float(value) for name, value in (pair.split("=") for pair in options.set)}
    for name in options.models:
        model, card = load_model(home.find_weights(name))
        card = replace(card, postprocess=replace(card.postprocess, **changes))
        print_model(name, TorchEngine(model, card, torch.device("cpu")), home, options.slide, options.brief)


if __name__ == "__main__":
    main()
