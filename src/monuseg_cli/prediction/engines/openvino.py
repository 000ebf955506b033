"""Inference with OpenVINO, which on CPUs starts and runs in a fraction of PyTorch's time."""

import hashlib
import importlib
import os
import subprocess
import sys
import threading
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.atomic import remove, write_bytes, writing_folder
from monuseg_cli.core.errors import OutputError, shortened
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.core.telemetry import block_telemetry
from monuseg_cli.models import registry
from monuseg_cli.models.card import Card
from monuseg_cli.models.devices import limit_threads, pick_device
from monuseg_cli.models.weights import load_model
from monuseg_cli.prediction.engines.base import EngineError

if TYPE_CHECKING:
    from monuseg_cli.prediction.engines.encoder import Encoder

_ENGINE = "openvino"
_EXAMPLE_PX = 64
_GRAPH = "model.xml"
_CONVERTER = "openvino.tools.ovc"
_MOST_COMPILED = 16  # files of a model, each of about a megabyte
_CORES_PER_STREAM = 4  # parallel tiles: each takes memory, and four cores suit one tile


class OpenVinoEngine:
    """Runs a network with OpenVINO on the CPU, several tiles in parallel.

    The network, with its normalisation and sigmoid, is converted once per weights file and cached; PyTorch is needed
    only for that. If the model's card has input ranges, the converted graph computes in 8 bits. The
    models compiled for each tile size are cached beside it, for the same processor and the same version of OpenVINO.

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
    threads : int, optional
        Threads of OpenVINO; by default, as many as it chooses.

    Raises
    ------
    EngineError
        If OpenVINO cannot be loaded, or cannot run the network.
    InputError
        If the weights are unusable.
    OutputError
        If the converted network cannot be written.
    """

    name = "openvino"

    def __init__(
        self, weights: Path, card: Card, folder: Path, progress: Progress = SILENT, *, threads: int | None = None
    ) -> None:
        self.card = card
        self._weights, self._folder, self._threads = weights, folder, threads
        openvino = _import_openvino()
        if not (folder / _GRAPH).is_file():
            progress.info("the model is converted for OpenVINO: once, some seconds")
            _convert(weights, folder)
        self._core = openvino.Core()
        self._streams = max((threads or os.cpu_count() or 1) // _CORES_PER_STREAM, 1)
        self._settings: dict[str, object] = {"NUM_STREAMS": self._streams}
        if threads is not None:
            self._settings["INFERENCE_NUM_THREADS"] = threads
        if not registry.get(card.architecture).half_precision:
            self._settings["INFERENCE_PRECISION_HINT"] = "f32"
        processor = [self._core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
        made_for = f"{openvino.__version__} {processor} {self._streams}{f' {threads} threads' if threads else ''}"
        self._key = hashlib.sha256(made_for.encode()).hexdigest()[:16]
        self._compiled: dict[tuple[int, ...], Any] = {}
        self._idle: dict[tuple[int, ...], deque[Any]] = {}
        self._compiling = threading.Lock()

    def prepare(self, height: int, width: int) -> None:
        """Compile for tiles of a size; see `Engine`."""
        shape = (1, height, width, 3)
        if shape not in self._compiled:
            threading.Thread(target=self._try_to_compile, args=(shape,), name="compile").start()

    def _try_to_compile(self, shape: tuple[int, ...]) -> None:
        with suppress(Exception):  # `run` raises it
            self._compile(shape)

    def run(self, tiles: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Yield the maps of tiles; see `Engine`."""
        running: deque[Any] = deque()
        idle: deque[Any] = deque()
        for tile in tiles:
            if len(running) > self._streams:  # each stream has one, and one waits
                yield _maps(running[0])
                idle.append(running.popleft())
            idle = self._idle.setdefault((1, *tile.shape), deque())
            running.append(self._take(idle, (1, *tile.shape)))
            running[-1].start_async({0: tile[None]})
        while running:
            yield _maps(running[0])
            idle.append(running.popleft())

    def open_encoder(self) -> "Encoder":
        """Load the encoder of the network into PyTorch, once; see `Engine`."""
        return self._encoder

    @cached_property
    def _encoder(self) -> "Encoder":
        from monuseg_cli.prediction.engines.encoder import Encoder

        limit_threads(self._threads)
        model, _ = load_model(self._weights)
        return Encoder(model, self.card, pick_device("cpu"))

    def _take(self, idle: deque[Any], shape: tuple[int, ...]) -> Any:
        """Return an idle request, of any thread; a new one if there is none."""
        with suppress(IndexError):
            return idle.pop()
        return self._compile(shape).create_infer_request()

    @cached_property
    def _graph(self) -> Any:
        try:
            return self._core.read_model(self._folder / _GRAPH)
        except RuntimeError:  # a damaged file: the disk, or somebody else, changed it
            _convert(self._weights, self._folder)
            return self._core.read_model(self._folder / _GRAPH)

    def _compile(self, shape: tuple[int, ...]) -> Any:
        """Compile the graph for tiles of one shape, which is faster than for any; or load what was compiled before."""
        with self._compiling:
            if shape not in self._compiled:
                path = self._folder / f"{shape[1]}x{shape[2]}-{self._key}.blob"
                self._compiled[shape] = self._load(path) or self._build(shape, path)
            return self._compiled[shape]

    def _load(self, path: Path) -> Any:
        with suppress(FileNotFoundError, RuntimeError):  # OpenVINO raises the latter if it cannot use the content
            return self._core.import_model(path.read_bytes(), "CPU", self._settings)
        return None

    def _build(self, shape: tuple[int, ...], path: Path) -> Any:
        graph = self._graph.clone()
        graph.reshape(list(shape))
        compiled = self._core.compile_model(graph, "CPU", self._settings)
        with suppress(OutputError, OSError):  # a cache that cannot be written to costs time only
            write_bytes(path, compiled.export_model().getvalue())
            made = sorted(self._folder.glob("*.blob"), key=lambda blob: blob.stat().st_mtime_ns)
            for oldest in made[:-_MOST_COMPILED]:
                remove(oldest)
        return compiled


def _import_openvino() -> Any:
    """Import OpenVINO without its telemetry, and without its converter, which doubles the time of the import."""
    block_telemetry()
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    sys.modules[_CONVERTER] = None  # type: ignore[assignment] # OpenVINO continues without it
    try:
        openvino = importlib.import_module("openvino")
    except (ImportError, OSError) as error:
        raise EngineError(_ENGINE, f"OpenVINO is installed, but does not load ({_reason(error)})") from error
    finally:
        del sys.modules[_CONVERTER]
    openvino.convert_model = _convert_model  # type: ignore[attr-defined] # others in this process may look for it there
    return openvino


def _convert_model(*given: Any, **named: Any) -> Any:
    from openvino.tools.ovc import convert_model

    return convert_model(*given, **named)


def _maps(request: Any) -> NDArray[np.float32]:
    """Wait for a request, and copy its result."""
    request.wait()
    maps: NDArray[np.float32] = request.get_output_tensor().data[0].copy()
    return maps


def _convert(weights: Path, folder: Path) -> None:
    """Convert a weights file in a process of its own, so that PyTorch and the converter leave no memory behind.

    Where that fails, or PyTorch is in memory already, it is converted here, which raises what is wrong.
    """
    code = f"import pathlib, sys; from {__name__} import convert; convert(*map(pathlib.Path, sys.argv[1:]))"
    command = [sys.executable, "-P", "-c", code, str(weights.absolute()), str(folder.absolute())]
    if "torch" not in sys.modules:
        with suppress(OSError, ValueError):  # of Python inside of another program
            if not subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode:
                return
    convert(weights, folder)


def convert(weights: Path, folder: Path) -> None:
    """Convert a weights file, check that it can be compiled, and save the graph.

    Raises
    ------
    EngineError
        If OpenVINO cannot run the network.
    InputError
        If the weights are unusable.
    OutputError
        If the graph cannot be written.
    """
    block_telemetry()  # this may be a process of its own
    import openvino
    import torch
    from torch import Tensor, nn

    from monuseg_cli.models.probabilities import Probabilities
    from monuseg_cli.models.quantise import quantise

    model, card = load_model(weights)
    if card.ranges:
        quantise(model, card.ranges)

    class FromPixels(nn.Module):
        """The network with everything around it, from pixels to probabilities."""

        def __init__(self) -> None:
            super().__init__()
            self.whole = Probabilities(model, card)

        def forward(self, tiles: Tensor) -> Tensor:
            maps: Tensor = self.whole(tiles.permute(0, 3, 1, 2).float() / 255)
            return maps

    shape = (1, _EXAMPLE_PX, _EXAMPLE_PX, 3)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # tracer warnings: padding is part of the trace, whatever the size
            graph = _convert_model(FromPixels().eval(), example_input=torch.zeros(shape, dtype=torch.uint8))
        fixed = graph.clone()
        fixed.reshape(list(shape))
        openvino.Core().compile_model(fixed, "CPU")
    except Exception as error:  # OpenVINO, its converter and the tracer raise errors of many types
        raise EngineError(_ENGINE, f"OpenVINO cannot run {card.architecture} ({_reason(error)})") from error
    with writing_folder(folder) as part:
        half_precision = registry.get(card.architecture).half_precision
        openvino.save_model(graph, part / _GRAPH, compress_to_fp16=half_precision)


def _reason(error: Exception) -> str:
    """Return the line of a long message that says what is wrong."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip(" -")] or [type(error).__name__]
    told = next((line for line in lines if line.startswith("No conversion rule")), None)
    if told is None and "Exception:" in lines[:-1]:  # what the tracer said
        told = lines[lines.index("Exception:") + 1]
    return shortened(told or lines[0])
