"""Every architecture in every engine, and what happens where an engine cannot run one."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from conftest import Monuseg, Told
from monuseg_cli.models import registry
from monuseg_cli.models.weights import read_card
from monuseg_cli.outputs.plan import OutputSpec
from monuseg_cli.prediction.batch import predict
from monuseg_cli.prediction.config import PredictConfig, SlideSettings
from monuseg_cli.prediction.engines.base import EngineError
from monuseg_cli.prediction.engines.openvino import OpenVinoEngine
from monuseg_cli.prediction.engines.select import EngineName, open_engine
from monuseg_cli.prediction.engines.torch import TorchEngine
from support.networks import UNPOOLING, write_random_weights
from support.tissue import draw_tissue


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Tissue whose sides are not multiples of what any network halves."""
    Image.fromarray(draw_tissue(104, seed=6)[0][:90]).save(tmp_path / "tissue.png")
    return tmp_path / "tissue.png"


@pytest.fixture
def unpooling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of an architecture that OpenVINO cannot run."""
    monkeypatch.setitem(registry.REGISTRY._architectures, UNPOOLING.name, UNPOOLING)
    return write_random_weights(tmp_path, UNPOOLING.name)


def probability(weights: Path, image: Path, engine: EngineName) -> NDArray[np.float32]:
    """Predict, and return the probability of nuclei of each pixel, in 255ths."""
    told, folder = Told(), weights.parent / engine
    folder.mkdir()
    outputs = OutputSpec((str(folder / "labels.tif"),), probability=str(folder / "p.tif"))
    settings = SlideSettings(mpp=read_card(weights).mpp, tissue_only=False)
    config = PredictConfig((image,), outputs, weights, weights.parent / "cache", settings, engine=engine, device="cpu")
    (prediction,) = predict(config, told).predictions
    assert (prediction.height, prediction.width) == tifffile.imread(folder / "labels.tif").shape == (90, 104)
    assert told.lines == (["the model is converted for OpenVINO: once, some seconds"] if engine == "openvino" else [])
    return tifffile.imread(folder / "p.tif").astype(np.float32) / np.float32(255)


@pytest.mark.parametrize("name", registry.names())
def test_every_architecture_predicts_the_same_with_every_engine(name: str, image: Path, tmp_path: Path) -> None:
    weights = write_random_weights(tmp_path, name)
    expected, found = (probability(weights, image, engine) for engine in ("torch", "openvino"))
    assert expected.std() > 5e-3
    difference = np.abs(found - expected)
    if registry.get(name).half_precision:  # 16 bits, where the CPU computes in them
        assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.95
        assert difference.mean() < 0.02
    else:
        assert difference.max() < 1.5 / 255


def test_auto_takes_torch_where_openvino_cannot_run_a_model_and_says_why(unpooling: Path) -> None:
    told, card = Told(), read_card(unpooling)
    engine = open_engine(unpooling, card, "auto", "cpu", unpooling.parent / "cache", "hash", told)
    assert isinstance(engine, TorchEngine)
    converted, said = told.lines
    assert converted == "the model is converted for OpenVINO: once, some seconds"
    assert said.startswith("PyTorch runs the model: OpenVINO cannot run unpooling (")
    assert len(said) < 250
    assert not (unpooling.parent / "cache").exists()
    (maps,) = engine.run([draw_tissue(32, 0)[0]])
    assert maps.shape == (2, 32, 32)


def test_the_command_line_says_in_one_line_what_an_engine_cannot_run(
    unpooling: Path, image: Path, monuseg: Monuseg, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("m", "n"):
        shutil.copy(image, folder / f"{name}.png")
    words = ("predict", folder, "-o", tmp_path / "masks", "--model", unpooling, "--device", "cpu", "--mpp", "0.25")
    refused = monuseg(*words, "--engine", "openvino")
    assert refused.exit_code == 3
    assert refused.stderr.count("converted for OpenVINO") == 1
    (error,) = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
    assert error.startswith("error: --engine openvino cannot be used: OpenVINO cannot run unpooling (")
    assert error.endswith("); use --engine torch")
    taken = monuseg(*words)
    assert taken.exit_code == 0, taken.stderr
    assert taken.stderr.count("PyTorch runs the model: OpenVINO cannot run unpooling (") == 1
    assert {path.name for path in (tmp_path / "masks").glob("*.png")} == {"m.png", "n.png"}


def test_the_error_survives_the_way_from_another_process() -> None:
    error = pickle.loads(pickle.dumps(EngineError("openvino", "why")))
    assert str(error) == "`engine=openvino` cannot be used: why; use `engine=torch`"


def test_an_openvino_that_does_not_load(tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "openvino"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('libtbb.so.12: cannot open shared object file')\n")
    weights = write_random_weights(tmp_path, "unet-se")
    code = (
        "import sys\nfrom pathlib import Path\nfrom conftest import Told\n"
        "from monuseg_cli.core.errors import MonusegError\n"
        "from monuseg_cli.models.weights import read_card\n"
        "from monuseg_cli.prediction.engines.select import open_engine\n"
        f"weights, told = Path({str(weights)!r}), Told()\n"
        "for engine in ('auto', 'openvino'):\n"
        "    try:\n"
        "        print(type(open_engine(weights, read_card(weights), engine, 'cpu', weights, 'hash', told)).__name__)\n"
        "    except MonusegError as error:\n"
        "        print(error)\n"
        "print(*told.lines)\n"
    )
    paths = [str(broken.parent), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    reason = "OpenVINO is installed, but does not load (libtbb.so.12: cannot open shared object file)"
    assert run.stdout.splitlines() == [
        "TorchEngine",
        f"`engine=openvino` cannot be used: {reason}; use `engine=torch`",
        f"PyTorch runs the model: {reason}",
    ]


def test_a_damaged_converted_model_is_converted_again(tmp_path: Path) -> None:
    weights = write_random_weights(tmp_path, "unet-se")
    tile = draw_tissue(64, 1)[0]

    def maps() -> NDArray[np.float32]:
        engine = open_engine(weights, read_card(weights), "openvino", "cpu", tmp_path / "cache", "hash")
        assert isinstance(engine, OpenVinoEngine)
        (found,) = engine.run([tile])
        return found

    expected = maps()
    (graph,) = (tmp_path / "cache").rglob("model.xml")
    for blob in graph.parent.glob("*.blob"):
        blob.unlink()
    graph.write_bytes(graph.read_bytes()[:-500])
    np.testing.assert_array_equal(maps(), expected)
