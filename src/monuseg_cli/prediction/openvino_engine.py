"""The network, run by OpenVINO: on CPUs it takes a fraction of PyTorch's time, and of its start."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from monuseg_cli.atomic import writing_folder
from monuseg_cli.models.card import Card
from monuseg_cli.models.weights import load_model

_EXAMPLE_PX = 64
_GRAPH = "model.xml"


class OpenVinoEngine:
    """Runs a network with OpenVINO on the CPU, several tiles side by side.

    The network's graph, with the normalisation before it and the sigmoid behind, is made once of a weights file, and
    kept: PyTorch is needed that one time only.

    Parameters
    ----------
    weights : Path
        Weights file of the model.
    card : Card
        The model's.
    folder : Path
        Where the graph is kept.
    """

    def __init__(self, weights: Path, card: Card, folder: Path) -> None:
        self.card = card
        if not (folder / _GRAPH).is_file():
            _convert(weights, folder)
        self._core = openvino.Core()
        self._graph = self._core.read_model(folder / _GRAPH)
        self._queues: dict[tuple[int, ...], Any] = {}
        self.batch = 2 * int(self._compile((1, 64, 64, 3)).get_property("NUM_STREAMS"))

    def run(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Give the maps of tiles; see `Engine`."""
        shape = (1, *tiles.shape[1:])
        if shape not in self._queues:
            self._queues[shape] = openvino.AsyncInferQueue(self._compile(shape))
        queue = self._queues[shape]
        maps = np.empty((len(tiles), self.card.out_channels, *tiles.shape[1:3]), dtype=np.float32)

        def keep(request: Any, number: int) -> None:
            maps[number] = request.get_output_tensor().data[0]

        queue.set_callback(keep)
        for number, tile in enumerate(tiles):
            queue.start_async({0: tile[None]}, number)
        queue.wait_all()
        return maps

    def _compile(self, shape: tuple[int, ...]) -> Any:
        """Compile the graph for tiles of one shape, which is faster than for any."""
        graph = self._graph.clone()
        graph.reshape(list(shape))
        return self._core.compile_model(graph, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})


def _convert(weights: Path, folder: Path) -> None:
    """Make the graph of a weights file, and keep it."""
    import torch
    from torch import Tensor, nn

    from monuseg_cli.models.normalise import normalise

    model, card = load_model(weights)

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
