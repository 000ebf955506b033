"""How much better than a model several of them together are: what there is for a small one to learn from a teacher.

usage: python benchmarks/teacher.py HOME RUN [RUN ...]

HOME is a folder that `monuseg download --home HOME` filled. The first run is scored on its validation cases by itself,
by the mean of its maps over the eight orientations of an image, and by the mean of all runs' maps, with and without
orientations. The runs must have the same classes, and none may have been trained on these cases.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray

from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.dataset.masks import labels_path, read_labels
from monuseg_cli.evaluation.scores import count_image
from monuseg_cli.images import read_image
from monuseg_cli.models.weights import load_model
from monuseg_cli.paths import Home
from monuseg_cli.prediction.engine import Engine
from monuseg_cli.prediction.predict import predict_array
from monuseg_cli.prediction.torch_engine import TorchEngine

Orientation = tuple[int, bool]
"""Quarter turns, and whether the columns are in reverse before."""

AS_IT_IS: tuple[Orientation, ...] = ((0, False),)
ALL: tuple[Orientation, ...] = tuple((turns, mirrored) for turns in range(4) for mirrored in (False, True))


class Together:
    """The mean of several engines' maps over orientations; see `Engine`."""

    def __init__(self, engines: Sequence[Engine], orientations: Sequence[Orientation]) -> None:
        self.card = engines[0].card
        self._engines, self._orientations = engines, orientations

    def run(self, tiles: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Give the mean maps of tiles, one by one."""
        for tile in tiles:
            maps = [self._see(engine, tile, *way) for engine in self._engines for way in self._orientations]
            yield np.mean(maps, axis=0)

    @staticmethod
    def _see(engine: Engine, tile: NDArray[np.uint8], turns: int, mirrored: bool) -> NDArray[np.float32]:
        turned = np.rot90(tile[:, ::-1] if mirrored else tile, turns)
        (maps,) = engine.run([np.ascontiguousarray(turned)])
        back = np.rot90(maps, -turns, axes=(1, 2))
        return back[..., ::-1] if mirrored else back


def main(home: Home, runs: list[str]) -> None:
    """Print a line for each way."""
    dataset = Dataset.load(home.dataset)
    engines = [TorchEngine(*load_model(home.find_weights(run)), torch.device("cpu")) for run in runs]
    cases = dataset.select(engines[0].card.val_cases)
    for engine, run in zip(engines, runs, strict=True):
        if {*engine.card.train_cases} & {case.case_id for case in cases}:
            sys.exit(f"{run} was trained on validation cases of {runs[0]}")
    ways = {"one": (engines[:1], AS_IT_IS), "one, 8 orientations": (engines[:1], ALL)}
    if len(engines) > 1:
        several = f"{len(engines)} runs"
        ways |= {several: (engines, AS_IT_IS), f"{several}, 8 orientations": (engines, ALL)}
    print("| maps of | F1 (Dice) | AJI | PQ |\n| --- | --- | --- | --- |")
    for name, (those, orientations) in ways.items():
        scores = []
        for case in cases:
            image, _ = read_image(dataset.image_path(case))
            reference = read_labels(labels_path(dataset.root, case.case_id))
            maps, labels = predict_array(image, case.mpp or engines[0].card.mpp, Together(those, orientations))
            scores.append(count_image(reference, labels, maps[0]).scores())
        f1, aji, pq = (fmean(getattr(score, part) for score in scores) for part in ("f1", "aji", "pq"))
        print(f"| {name} | {f1:.4f} | {aji:.4f} | {pq:.4f} |", flush=True)


if __name__ == "__main__":
    main(Home.resolve(Path(sys.argv[1])), sys.argv[2:])
