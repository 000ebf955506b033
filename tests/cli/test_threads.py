"""--threads reaches what computes, and is recorded."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from conftest import QUICK, Monuseg
from monuseg_cli.core.home import SHIPPED, Home
from monuseg_cli.models.weights import read_card
from monuseg_cli.prediction.engines.select import open_engine
from support.tissue import draw_tissue


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_predict_uses_and_records_them(monuseg: Monuseg, trained_home: Home, tmp_path: Path) -> None:
    pixels, _ = draw_tissue(64, seed=1)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    of_torch = ("--engine", "torch", "--device", "cpu", "--model", "unet-se", "--home", trained_home.root)
    words = ("predict", tmp_path / "a.png", "-o", tmp_path / "m.png", *of_torch)
    result = monuseg(*words, "--threads", "3", "-v")
    assert result.exit_code == 0, result.stderr
    assert torch.get_num_threads() == 3
    assert "by TorchEngine, threads: 3" in result.stderr
    record = json.loads((tmp_path / "m.png.monuseg.json").read_bytes())
    assert record["threads"] == 3
    assert "Skipped, done before: 1 of 1" in monuseg(*words, "--threads", "2").stdout


def test_openvino_gets_them(tmp_path: Path) -> None:
    engine = open_engine(SHIPPED, read_card(SHIPPED), "openvino", "cpu", tmp_path, "some-hash", threads=1)
    for _ in range(2):  # compiled, and loaded from the cache
        engine._compiled.clear()  # type: ignore[attr-defined] # of OpenVINO's engine
        compiled = engine._compile((1, 64, 64, 3))  # type: ignore[attr-defined]
        assert compiled.get_property("INFERENCE_NUM_THREADS") == 1


def test_train_and_evaluate_use_and_say_them(monuseg: Monuseg, trained_home: Home) -> None:
    result = monuseg("train", *QUICK, "--threads", "3", "--name", "three", "--home", trained_home.root)
    assert result.exit_code == 0, result.stderr
    assert re.search(r" on cpu, threads: 3, \d+ train cases", result.stderr)
    assert torch.get_num_threads() == 3
    words = ("evaluate", "three", "--device", "cpu", "--home", trained_home.root, "-v", "--threads", "2")
    result = monuseg(*words)
    assert result.exit_code == 0, result.stderr
    assert "by PyTorch on cpu, threads: 2" in result.stderr
    assert torch.get_num_threads() == 2
