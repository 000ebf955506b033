"""Inference with OpenVINO, which on CPUs starts and runs in a fraction of PyTorch's time."""

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
_STREAMS = max((os.cpu_count() or 1) // 4, 1)  # parallel tiles: each takes memory, and four cores suit one tile


class OpenVinoEngine:
    """Runs a network with OpenVINO on the CPU, several tiles in parallel.

    The network, with its normalisation and sigmoid, is converted once per weights file and cached; PyTorch is needed
    only for that. If the model's card has input ranges, the converted graph computes in 8 bits.

    Parameters
    ----------
    weights : Path
        Weights file of the model.
    card : Card
        Card of the model.
    folder : Path
        Folder of the cached graph.
    progress : Progress
        Reports the conversion.
    """

    def __init__(self, weights: Path, card: Card, folder: Path, progress: Progress = SILENT) -> None:
        self.card = card
        if not (folder / _GRAPH).is_file():
            progress.info("the model is converted for OpenVINO: once, some seconds")
            _convert(weights, folder)
        self._core = openvino.Core()
        self._graph = self._core.read_model(folder / _GRAPH)
        self._compiled: dict[tuple[int, ...], Any] = {}

    def run(self, tiles: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Yield the maps of tiles; see `Engine`."""
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
    """Wait for a request, and copy its result."""
    request.wait()
    maps: NDArray[np.float32] = request.get_output_tensor().data[0].copy()
    return maps


def _convert(weights: Path, folder: Path) -> None:
    """Convert a weights file, and save the graph."""
    import torch
    from torch import Tensor, nn

    from monuseg_cli.models.normalise import normalise
    from monuseg_cli.models.quantise import quantise

    model, card = load_model(weights)
    if card.ranges:
        quantise(model, card.ranges)

    class Whole(nn.Module):
        """The network with normalisation and sigmoid: from pixels to probabilities."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, tiles: Tensor) -> Tensor:
            pixels = tiles.permute(0, 3, 1, 2).float() / 255
            maps: Tensor = self.model(normalise(pixels, card)).sigmoid()
            return maps

    example = torch.zeros((1, _EXAMPLE_PX, _EXAMPLE_PX, 3), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracer warnings: all tiles have one size
        graph = openvino.convert_model(Whole().eval(), example_input=example)
    with writing_folder(folder) as part:
        openvino.save_model(graph, part / _GRAPH)
