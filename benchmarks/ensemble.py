"""Measure how much better an ensemble is than a model: what a small model could learn from a teacher.

usage: python benchmarks/ensemble.py HOME RUN [RUN ...]

HOME is a folder that `monuseg download --home HOME` filled. The first run is scored on its validation cases by itself
and by test-time augmentation, the mean of its maps over the eight orientations of an image; then the ensemble, the mean
of all runs' maps, in the same two ways. All must have the same classes, scale and normalisation, and none may have been
trained on these cases.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from monuseg_cli.core.home import Home
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.dataset.masks import labels_path, read_labels
from monuseg_cli.imaging.read_image import read_image
from monuseg_cli.models.weights import load_model
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.engines.encoder import Encoder
from monuseg_cli.prediction.engines.torch import TorchEngine
from robustness import print_means, score

Orientation = tuple[int, bool]
"""Quarter turns, and whether the columns are reversed before."""

AS_IT_IS: tuple[Orientation, ...] = ((0, False),)
ALL: tuple[Orientation, ...] = tuple((turns, mirrored) for turns in range(4) for mirrored in (False, True))


class Ensemble:
    """An engine that averages the maps of several engines over orientations; see `Engine`."""

    name = "ensemble"

    def __init__(self, engines: Sequence[Engine], orientations: Sequence[Orientation]) -> None:
        self.card = engines[0].card
        self._engines, self._orientations = engines, orientations

    def prepare(self, height: int, width: int) -> None:
        """Do nothing."""

    def open_encoder(self) -> Encoder:
        """Return the encoder of the first engine."""
        return self._engines[0].open_encoder()

    def run(self, tiles: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Yield the mean maps of tiles, one by one."""
        for tile in tiles:
            maps = [_oriented(engine, tile, *way) for engine in self._engines for way in self._orientations]
            yield np.mean(maps, axis=0)


def _oriented(engine: Engine, tile: NDArray[np.uint8], turns: int, mirrored: bool) -> NDArray[np.float32]:
    turned = np.rot90(tile[:, ::-1] if mirrored else tile, turns)
    (maps,) = engine.run([np.ascontiguousarray(turned)])
    back = np.rot90(maps, -turns, axes=(1, 2))
    return back[..., ::-1] if mirrored else back


def open_runs(home: Home, runs: list[str]) -> list[Engine]:
    """Load the runs; refuse those whose maps cannot be averaged, or that were trained on the cases."""
    engines: list[Engine] = [TorchEngine(*load_model(home.find_weights(run)), torch.device("cpu")) for run in runs]
    first = engines[0].card
    if {*first.classes} & {"horizontal", "vertical"}:
        sys.exit("horizontal and vertical maps would have to be turned themselves")
    for run, card in ((run, engine.card) for run, engine in zip(runs, engines, strict=True)):
        if (card.classes, card.mpp, card.mean, card.std) != (first.classes, first.mpp, first.mean, first.std):
            sys.exit(f"{run} has other classes, another scale or another normalisation than {runs[0]}")
        if {*card.train_cases} & {*first.val_cases}:
            sys.exit(f"{run} was trained on validation cases of {runs[0]}")
    return engines


def main(home: Home, runs: list[str]) -> None:
    """Print a line per method."""
    dataset = Dataset.load(home.dataset)
    engines = open_runs(home, runs)
    card = engines[0].card
    ways = {"one": (engines[:1], AS_IT_IS), "one, test-time augmentation": (engines[:1], ALL)}
    if len(engines) > 1:
        several = f"ensemble of {len(engines)}"
        ways |= {several: (engines, AS_IT_IS), f"{several}, test-time augmentation": (engines, ALL)}
    scores = {}
    for name, (members, orientations) in ways.items():
        ensemble = Ensemble(members, orientations)
        scores[name] = [
            score(
                read_image(dataset.image_path(case))[0],
                case.mpp or card.mpp,
                read_labels(labels_path(dataset.root, case.case_id)),
                ensemble,
            )
            for case in dataset.select(card.val_cases)
        ]
    print_means("validation cases", scores)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Home.resolve(Path(sys.argv[1])), sys.argv[2:])
