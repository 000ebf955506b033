"""The network, run by OpenVINO: on CPUs it takes a fraction of PyTorch's time, and of its start."""

import os
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from monuseg_cli.core.atomic import writing_folder
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.models.card import Card
from monuseg_cli.models.weights import load_model

_EXAMPLE_PX = 64
_GRAPH = "model.xml"
_STREAMS = max((os.cpu_count() or 1) // 4, 1)  # tiles side by side: each takes memory, and four cores share one well


class OpenVinoEngine:
    """Runs a network with OpenVINO on the CPU, several tiles side by side.

    The network's graph, with the normalisation before it and the sigmoid behind, is made once of a weights file, and
    kept: PyTorch is needed that one time only. Of a model whose card has the ranges for it, it is one of 8 bits.

    Parameters
    ----------
    weights : Path
        Weights file of the model.
    card : Card
        The model's.
    folder : Path
        Where the graph is kept.
    progress : Progress
        Is told that the graph is made.
    """

    def __init__(self, weights: Path, card: Card, folder: Path, progress: Progress = SILENT) -> None:
        self.card = card
        if not (folder / _GRAPH).is_file():
            progress.info("The model is prepared for OpenVINO: some seconds, this one time")
            _convert(weights, folder)
        self._core = openvino.Core()
        self._graph = self._core.read_model(folder / _GRAPH)
        self._compiled: dict[tuple[int, ...], Any] = {}

    def run(self, tiles: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Give the maps of tiles; see `Engine`."""
        running: deque[Any] = deque()
        idle: deque[Any] = deque()
        for tile in tiles:
            if not running and not idle:
                compiled = self._compile((1, *tile.shape))
                idle.extend(compiled.create_infer_request() for _ in range(_STREAMS + 1))  # one waits
            if not idle:
                yield _maps(running[0])
                idle.append(running.popleft())
            running.append(idle.popleft())
            running[-1].start_async({0: tile[None]})
        for request in running:
            yield _maps(request)

    def _compile(self, shape: tuple[int, ...]) -> Any:
        """Compile the graph for tiles of one shape, which is faster than for any."""
        if shape not in self._compiled:
            graph = self._graph.clone()
            graph.reshape(list(shape))
            self._compiled[shape] = self._core.compile_model(graph, "CPU", {"NUM_STREAMS": _STREAMS})
        return self._compiled[shape]


def _maps(request: Any) -> NDArray[np.float32]:
    """Wait for what was asked for, and take it."""
    request.wait()
    maps: NDArray[np.float32] = request.get_output_tensor().data[0].copy()
    return maps


def _convert(weights: Path, folder: Path) -> None:
    """Make the graph of a weights file, and keep it."""
    import torch
    from torch import Tensor, nn

    from monuseg_cli.models.normalise import normalise
    from monuseg_cli.models.quantise import quantise

    model, card = load_model(weights)
    if card.ranges:
        quantise(model, card.ranges)

    class Whole(nn.Module):
        """From pixels to probabilities."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, tiles: Tensor) -> Tensor:
            pixels = tiles.permute(0, 3, 1, 2).float() / 255
            maps: Tensor = self.model(normalise(pixels, card)).sigmoid()
            return maps

    example = torch.zeros((1, _EXAMPLE_PX, _EXAMPLE_PX, 3), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of tracing: sizes that are the same for all tiles
        graph = openvino.convert_model(Whole().eval(), example_input=example)
    with writing_folder(folder) as part:
        openvino.save_model(graph, part / _GRAPH)
