import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import Home
from monuseg_cli.models.weights import read_card
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.engines.openvino import OpenVinoEngine
from monuseg_cli.prediction.engines.select import EngineName, open_engine
from monuseg_cli.prediction.engines.torch import TorchEngine
from support.tissue import draw_tissue


@pytest.fixture
def weights(trained_home: Home) -> Path:
    return trained_home.find_weights("unet-se")


def opened(weights: Path, name: EngineName) -> Engine:
    return open_engine(weights, read_card(weights), name, "cpu", weights.parent / "cache", "some-hash")


@pytest.mark.parametrize("size", [64, 96])
def test_openvino_and_torch_agree(weights: Path, size: int) -> None:
    tiles = [draw_tissue(size, seed)[0] for seed in range(7)]
    expected = np.stack(list(opened(weights, "torch").run(tiles)))
    openvino = opened(weights, "openvino")
    assert isinstance(openvino, OpenVinoEngine)
    found = np.stack(list(openvino.run(tiles)))
    assert found.shape == expected.shape == (7, 2, size, size)
    assert np.abs(found - expected).max() < 0.05  # 16 bits, where the CPU computes in them
    assert ((found[:, 0] >= 0.5) != (expected[:, 0] >= 0.5)).mean() < 0.01
    np.testing.assert_array_equal(next(openvino.run(tiles[3:4])), found[3])


def test_the_openvino_graph_is_built_once(weights: Path) -> None:
    opened(weights, "openvino")
    (graph,) = weights.parent.glob("cache/openvino/some-hash-*/model.xml")
    made = graph.stat().st_mtime_ns
    opened(weights, "openvino")
    assert graph.stat().st_mtime_ns == made


def test_auto_takes_openvino_where_it_is_and_nothing_faster(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(opened(weights, "auto"), OpenVinoEngine)
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed
    assert isinstance(opened(weights, "auto"), TorchEngine)
    with pytest.raises(MissingError, match=r"pip install 'monuseg-cli\[fast\]', or use `engine=torch`"):
        opened(weights, "openvino")


def test_unknown_engines_are_refused(weights: Path) -> None:
    card = read_card(weights)
    with pytest.raises(InputError, match="`engine` takes auto, torch, openvino, not 'jax'"):
        opened(weights, "jax")  # type: ignore[arg-type] # what is refused
    with pytest.raises(InputError, match="`engine=openvino` runs on the CPU here, not on cuda"):
        open_engine(weights, card, "openvino", "cuda", weights.parent, "hash")


def test_predicting_loads_what_it_needs_alone(trained_home: Home, tmp_path: Path) -> None:
    Image.fromarray(draw_tissue(80, 1)[0]).save(tmp_path / "a.png")
    ring = [[0, 0], [80, 0], [80, 80], [0, 0]]
    (tmp_path / "r.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    words = ["predict", tmp_path / "a.png", "-o", tmp_path / "m.png", "--model", "unet-se", "--home", trained_home.root]

    def packages(*more: str, before: str = "") -> set[str]:
        code = (
            f"import sys\n{before}\nfrom monuseg_cli.cli.app import app\n"
            f"try:\n    app({[*map(str, words), '--overwrite', '--engine', 'openvino', *more]!r})\n"
            "except SystemExit as end:\n    assert not end.code, end.code\n"
            "print(*(name for name, module in sys.modules.items() if module))"
        )
        printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        return set(printed.splitlines()[-1].split())

    spared = {"torch", "openvino.tools.ovc", "openvino_telemetry", "matplotlib", "scipy", "pandas", "requests"}
    assert packages() & {*spared, "shapely"} == set()  # it is converted in another process
    graphs = list((trained_home.cache / "openvino").rglob("model.xml"))
    assert graphs
    for graph in graphs:
        graph.unlink()
    here = packages(before="sys.executable = 'no Python'")
    assert here & {*spared, "shapely"} - {"scipy"} == {"torch", "openvino.tools.ovc"}
    table = ("-o", str(tmp_path / "n.csv"))
    assert packages(*table) & spared == set()
    assert packages(*table, "--measurements", "network") & spared == {"torch"}
    assert packages("--roi", str(tmp_path / "r.geojson")) & {*spared, "shapely"} == {"shapely"}
    assert packages() & {*spared, "shapely"} == set()


def test_a_compiled_network_is_loaded_again_with_equal_results(weights: Path) -> None:
    tiles = [draw_tissue(64, 1)[0]]
    folder = weights.parent / "cache" / "openvino"
    compiled = next(opened(weights, "openvino").run(tiles))
    (blob,) = folder.glob("*/64x64-*.blob")
    made = blob.stat().st_mtime_ns
    np.testing.assert_array_equal(next(opened(weights, "openvino").run(tiles)), compiled)
    assert blob.stat().st_mtime_ns == made
    blob.write_bytes(blob.read_bytes()[:-1000])
    np.testing.assert_array_equal(next(opened(weights, "openvino").run(tiles)), compiled)
    assert blob.stat().st_mtime_ns != made  # what could not be loaded was made anew


def test_a_network_is_compiled_in_a_thread_before_it_runs(weights: Path) -> None:
    engine = opened(weights, "openvino")
    engine.prepare(96, 64)
    for thread in [thread for thread in threading.enumerate() if thread.name == "compile"]:
        thread.join()
    (blob,) = (weights.parent / "cache" / "openvino").glob("*/*.blob")
    assert blob.name.startswith("96x64-")
    tile = draw_tissue(96, 1)[0][:, :64]
    maps = next(engine.run([tile]))
    np.testing.assert_array_equal(maps, next(opened(weights, "openvino").run([tile])))
    engine.prepare(96, 64)  # it is compiled already
    assert "compile" not in {thread.name for thread in threading.enumerate()}


def test_only_the_latest_compiled_networks_are_kept(weights: Path) -> None:
    engine = opened(weights, "openvino")
    sizes = [32 * side for side in range(1, 19)]
    for size in sizes:
        next(engine.run([np.zeros((size, 32, 3), dtype=np.uint8)]))
    kept = {path.name.split("x")[0] for path in (weights.parent / "cache" / "openvino").glob("*/*.blob")}
    assert kept == {str(size) for size in sizes[2:]}


def test_openvino_is_whole_for_others_in_the_process() -> None:
    code = (
        "from monuseg_cli.prediction.engines.openvino import _import_openvino\n"
        "assert _import_openvino() is _import_openvino()\n"
        "import openvino, torch\n"
        "graph = openvino.convert_model(torch.nn.Linear(2, 3), example_input=torch.zeros(1, 2))\n"
        "print(graph.output(0).partial_shape)\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[?,3]"
