"""Weights, and states of a training, that are pickles, damaged, or do not fit."""

import dataclasses
import json
import math
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from monuseg_cli.core.home import Home
from monuseg_cli.models import registry
from monuseg_cli.models.weights import read_card, save_weights
from robustness.conftest import QUICK, Says
from support.networks import UNPOOLING, write_random_weights


class Hostile:
    """Ends the process when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("(_ for _ in ()).throw(SystemExit('executed'))",)


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(Hostile()))


def torch_pickled(path: Path) -> None:
    torch.save({name: tensor.clone() for name, tensor in load_file(path).items()}, path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def long_header(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")


def changing(**tensors: Callable[[torch.Tensor], torch.Tensor | None]) -> Callable[[Path], None]:
    """Change tensors by name, with ``_`` for a dot; None takes one out."""

    def change(path: Path) -> None:
        state: dict[str, Any] = load_file(path)
        for name, new in tensors.items():
            state[name.replace("_", ".")] = new(state[name.replace("_", ".")])
        save_weights(path, {name: tensor for name, tensor in state.items() if tensor is not None}, read_card(path))

    return change


def card(**changes: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        save_weights(path, load_file(path), dataclasses.replace(read_card(path), **changes))

    return change


def card_text(text: str | None) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        save_file(load_file(path), path, metadata={"monuseg_card": text} if text is not None else None)

    return change


PREDICT = "predict {picture} -o {folder}/m.png --model {weights} --engine torch"


@pytest.mark.parametrize(
    ("words", "change"),
    [
        pytest.param(PREDICT, pickled, id="pickle"),
        pytest.param("export {weights} -o {folder}/m.onnx", torch_pickled, id="torch's pickle"),
        pytest.param("models card {weights}", pickled, id="pickle for its card"),
        pytest.param(PREDICT, cut, id="cut"),
        pytest.param("export {weights} -o {folder}/m.onnx", cut, id="cut for export"),
        pytest.param("models card {weights}", long_header, id="long header"),
        pytest.param("models card {weights}", card_text(None), id="no card"),
        pytest.param("models card {weights}", card_text("[" * 100_000), id="deep card"),
        pytest.param("models card {weights}", card_text(json.dumps({"schema": 99})), id="card of another schema"),
        pytest.param(PREDICT, changing(head_bias=lambda bias: bias * torch.nan), id="nan"),
        pytest.param("export {weights} -o {folder}/m.onnx", changing(head_bias=lambda bias: bias / 0), id="infinite"),
        pytest.param(PREDICT, changing(head_weight=lambda weight: weight[:, :1].clone()), id="shape"),
        pytest.param(PREDICT, changing(head_bias=lambda bias: None), id="a tensor less"),
        pytest.param(PREDICT, changing(head_bias=lambda bias: bias.long()), id="integers"),
        pytest.param(PREDICT, card(architecture="segnet", options={}), id="architecture"),
        pytest.param("export {weights} -o {folder}/m.onnx", card(architecture="resnet"), id="unknown architecture"),
        pytest.param(PREDICT, card(options={"width": 10**6, "depth": 2}), id="wide network"),
        pytest.param(PREDICT, card(options={"width": 8, "depth": 40}), id="deep network"),
        pytest.param("export {weights} -o {folder}/m.onnx", card(options={"height": 2}), id="unknown option"),
        pytest.param(PREDICT, card(options={"width": [8], "depth": 2}), id="option a list"),
        pytest.param("models card {weights}", card(options={"width": 8, "depth": 0}), id="option zero"),
        pytest.param(
            "export {weights} -o {folder}/m.onnx", card(options={"width": 1024, "depth": 8}), id="large network"
        ),
        pytest.param(PREDICT, card(mpp=1e-300), id="scale"),
        pytest.param(PREDICT, card(in_channels=1), id="grey"),
        pytest.param("models card {weights}", card(train_cases=(None,)), id="case"),
    ],
)
def test_weights_that_are_refused(
    says: Says, weights: Path, picture: Path, tmp_path: Path, words: str, change: Callable[[Path], None]
) -> None:
    change(weights)
    said = {"weights": weights, "picture": picture, "folder": tmp_path}
    says(*(word.format(**said) for word in words.split()))


@pytest.mark.parametrize("engine", ["openvino", "auto"])
def test_a_network_that_openvino_cannot_run(
    says: Says, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setitem(registry.REGISTRY._architectures, UNPOOLING.name, UNPOOLING)
    weights = write_random_weights(tmp_path, UNPOOLING.name)
    words = ("predict", picture, "-o", tmp_path / "m.png", "--mpp", "0.25", "--model", weights)
    says(*words, "--device", "cpu", "--engine", engine, "--home", tmp_path / "unused home")


@pytest.mark.parametrize("size", ["0", "512x", "512x4096"])
def test_sizes_that_export_refuses(says: Says, weights: Path, tmp_path: Path, size: str) -> None:
    says("export", weights, "-o", tmp_path / "m.onnx", "--size", size)


@pytest.mark.parametrize(
    ("command", "change"),
    [
        pytest.param("evaluate", changing(head_bias=lambda bias: bias * torch.nan), id="evaluate"),
        pytest.param("evaluate", cut, id="evaluate cut"),
        pytest.param("train --name new --init", pickled, id="begin"),
        pytest.param("train --name new --init", card(architecture="segnet", options={}), id="begin with others"),
        pytest.param(
            "train --name new --init", card(classes=("nucleus", "glass"), out_channels=2), id="begin with glass"
        ),
        pytest.param("train --name new --init", card(options={"width": "wide"}), id="begin with a word"),
        pytest.param("train --name new --teacher", pickled, id="teacher"),
    ],
)
def test_weights_that_a_stage_refuses(says: Says, home: Home, command: str, change: Callable[[Path], None]) -> None:
    weights = home.runs / "run" / "best.safetensors"
    change(weights)
    options = QUICK if command.startswith("train") else ("--device", "cpu")
    says(*command.split(), weights, *options, "--home", home.root)


def test_damaged_weights_in_the_list(says: Says, home: Home) -> None:
    home.models.mkdir()
    (home.models / "theirs.safetensors").write_bytes(b"x")
    says("models", "--home", home.root)


def state_changing(**parts: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        torch.save({**torch.load(path, weights_only=True), **parts}, path)

    return change


def group_changing(**settings: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        state = torch.load(path, weights_only=True)
        state["optimizer"]["param_groups"][0].update(settings)
        torch.save(state, path)

    return change


def moment_changing(name: str, new: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        state = torch.load(path, weights_only=True)
        values = state["optimizer"]["state"][0]
        values[name] = new(values[name])
        torch.save(state, path)

    return change


def flipped(path: Path) -> None:
    """Flip a bit of the largest tensor."""
    with zipfile.ZipFile(path) as archive:
        tensors = [entry for entry in archive.infolist() if "/data/" in entry.filename]
    entry = max(tensors, key=lambda entry: entry.file_size)
    content = bytearray(path.read_bytes())
    name, extra = struct.unpack_from("<HH", content, entry.header_offset + 26)
    content[entry.header_offset + 30 + name + extra + entry.file_size // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(pickled, id="pickle"),
        pytest.param(cut, id="cut"),
        pytest.param(state_changing(model={}), id="no model"),
        pytest.param(state_changing(optimizer={}), id="no optimizer"),
        pytest.param(state_changing(epoch="first"), id="epoch"),
        pytest.param(state_changing(more=1), id="a part more"),
        pytest.param(flipped, id="one bit"),
        pytest.param(group_changing(betas=("high", "low")), id="betas"),
        pytest.param(group_changing(lr=math.nan), id="learning rate"),
        pytest.param(group_changing(weight_decay=-1.0), id="weight decay"),
        pytest.param(moment_changing("exp_avg", lambda value: value * torch.nan), id="nan moments"),
        pytest.param(moment_changing("exp_avg", lambda value: value[:1].clone()), id="shape of moments"),
        pytest.param(moment_changing("step", lambda value: -value), id="steps"),
    ],
)
def test_states_that_are_refused(says: Says, home: Home, change: Callable[[Path], None]) -> None:
    change(home.runs / "run" / "state.pt")
    says("train", "--resume", "run", "--device", "cpu", "--home", home.root)
