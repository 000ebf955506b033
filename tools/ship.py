"""Make the model that comes with the package out of a run's weights: half precision, and a card that is complete.

usage: python tools/ship.py WEIGHTS [--set threshold=0.45 ...] [--results NAME scores.json [scores.json ...]] ...

Each --results names what was scored, and the scores.json that `monuseg evaluate` wrote of it; they are brought together
as a mean over all their images. Without, the model is shipped unscored, to be evaluated and shipped anew.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch

from monuseg_cli.evaluation.scores import SCORE_NAMES
from monuseg_cli.models.weights import load_model, save_weights
from monuseg_cli.paths import SHIPPED

MAX_MIB = 8


def read_scores(files: list[str]) -> dict[str, float]:
    """Average every score over the images of several evaluations."""
    images = [image["scores"] for file in files for image in json.loads(Path(file).read_text())["images"]]
    return {name: round(fmean(image[name] for image in images), 4) for name in SCORE_NAMES}


def main() -> None:
    """Read the options, and write the weights."""
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KNOB=VALUE")
    parser.add_argument("--results", action="append", default=[], nargs="+", metavar="NAME FILE")
    options = parser.parse_args()
    model, card = load_model(options.weights)
    changes = {name: float(value) for name, value in (pair.split("=") for pair in options.set)}
    results = {name: read_scores(files) for name, *files in options.results}
    card = replace(card, separation=replace(card.separation, **changes), results=results)
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
