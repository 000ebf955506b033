"""What each parameter of the post-processing is worth: scores of validation cases with one of them changed.

usage: python benchmarks/postprocess.py HOME RUN [RUN ...]

HOME is a folder that `monuseg download --home HOME` filled. Each run is scored on its own validation cases; printed are
means over all images of all runs, as Markdown, the first line with the card's parameters.
"""

import sys
from dataclasses import fields, replace
from pathlib import Path

import torch

from monuseg_cli.core.home import Home
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.dataset.masks import labels_path, read_labels
from monuseg_cli.evaluation.scores import Scores, count_image
from monuseg_cli.imaging.read import read_image
from monuseg_cli.models.weights import load_model
from monuseg_cli.nuclei.params import PostprocessParams
from monuseg_cli.nuclei.postprocess import postprocess
from monuseg_cli.prediction.array import predict_array
from monuseg_cli.prediction.engines.torch import TorchEngine
from robustness import print_means

VALUES = {
    "threshold": (0.4, 0.45, 0.5, 0.55, 0.6),
    "min_area_um2": (3.0, 5.0, 7.0, 9.0, 12.0),
    "smoothing_um": (0.7, 1.0, 1.3, 1.6),
    "saddle_depth": (0.06, 0.09, 0.12, 0.15, 0.2),
}


def changes(card: PostprocessParams) -> dict[str, PostprocessParams]:
    """Give the card's parameters, then what comes of changing one."""
    changed = {"as in the card": card}
    for name in (field.name for field in fields(PostprocessParams)):
        values = [value for value in VALUES[name] if value != getattr(card, name)]
        changed |= {f"{name} {value}": replace(card, **{name: value}) for value in values}
    return changed


def main(home: Home, runs: list[str]) -> None:
    """Print a line for each change."""
    dataset = Dataset.load(home.dataset)
    scores: dict[str, list[Scores]] = {}
    for run in runs:
        model, card = load_model(home.find_weights(run))
        engine = TorchEngine(model, card, torch.device("cpu"))
        for case in dataset.select(card.val_cases):
            mpp = case.mpp or card.mpp
            maps, _ = predict_array(read_image(dataset.image_path(case))[0], mpp, engine)
            reference = read_labels(labels_path(dataset.root, case.case_id))
            for name, how in changes(card.postprocess).items():
                labels = postprocess(maps, card.classes, mpp, how)
                scores.setdefault(name, []).append(count_image(reference, labels, maps[0]).scores())
    print_means("validation cases", scores)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Home.resolve(Path(sys.argv[1])), sys.argv[2:])
