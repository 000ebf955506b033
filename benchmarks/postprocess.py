"""Measure the effect of each post-processing parameter: scores of validation cases with one of them changed.

usage: python benchmarks/postprocess.py HOME RUN [RUN ...] [--nuinsseg N]

HOME is a folder that `monuseg download --home HOME` filled. Each run is scored on its own validation cases; printed are
means over all images of all runs, as Markdown, the first line with the card's parameters. --nuinsseg prints the same of
every Nth train field of NuInsSeg, which a run may have been trained on: of nuclei that are smaller than MoNuSeg's.
"""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import torch

from monuseg_cli.core.home import Home
from monuseg_cli.dataset.catalog import NUINSSEG
from monuseg_cli.dataset.config import MasksConfig
from monuseg_cli.dataset.manifest import Case, Dataset
from monuseg_cli.dataset.masks import build_masks, labels_path, read_labels
from monuseg_cli.evaluation.scores import Scores, count_image
from monuseg_cli.imaging.read_image import read_image
from monuseg_cli.models.weights import load_model
from monuseg_cli.nuclei.postprocess import postprocess
from monuseg_cli.nuclei.postprocess_params import PostprocessParams
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.engines.torch import TorchEngine
from monuseg_cli.prediction.predict_array import predict_array
from robustness import print_means

VALUES = {
    "threshold": (0.4, 0.45, 0.5, 0.55, 0.6),
    "min_area_um2": (2.0, 3.0, 4.0, 5.0, 7.0, 9.0, 12.0),
    "smoothing_um": (0.7, 1.0, 1.3, 1.6),
    "saddle_depth": (0.06, 0.09, 0.12, 0.15, 0.2),
}


def changes(card: PostprocessParams) -> dict[str, PostprocessParams]:
    """Yield the card's parameters, then variants with one of them changed."""
    changed = {"as in the card": card}
    for name in (field.name for field in fields(PostprocessParams)):
        values = [value for value in VALUES[name] if value != getattr(card, name)]
        changed |= {f"{name} {value}": replace(card, **{name: value}) for value in values}
    return changed


def score_changes(dataset: Dataset, cases: Iterable[Case], engine: Engine) -> Iterator[tuple[str, Scores]]:
    """Score every case with each change of the card's parameters."""
    card = engine.card
    for case in cases:
        mpp = case.mpp or card.mpp
        maps, _ = predict_array(read_image(dataset.image_path(case))[0], mpp, engine)
        reference = read_labels(labels_path(dataset.root, case.case_id))
        for name, params in changes(card.postprocess).items():
            labels = postprocess(maps, card.classes, mpp, params)
            yield name, count_image(reference, labels, maps[0]).scores()


def main(home: Home, runs: list[str], every: int) -> None:
    """Print a line for each change."""
    tables: dict[str, dict[str, list[Scores]]] = {}
    for run in runs:
        model, card = load_model(home.find_weights(run))
        engine = TorchEngine(model, card, torch.device("cpu"))
        monuseg = Dataset.load(home.dataset)
        samples = {"validation cases": (monuseg, monuseg.select(card.val_cases))}
        if every:
            nuinsseg = Dataset.load(home.other_dataset(NUINSSEG.name))
            build_masks(MasksConfig(nuinsseg.root, ("train",)))
            samples["train fields of NuInsSeg"] = (nuinsseg, nuinsseg.of_split("train")[::every])
        for title, (dataset, cases) in samples.items():
            for name, scores in score_changes(dataset, cases, engine):
                tables.setdefault(title, {}).setdefault(name, []).append(scores)
    for title, table in tables.items():
        print_means(title, table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--nuinsseg", type=int, default=0, metavar="N")
    options = parser.parse_args()
    main(Home.resolve(options.home), options.runs, options.nuinsseg)
