"""Packages of bioimage.io, read by the libraries of bioimage.io and by independent code."""

import io
import json
import os
import subprocess
import sys
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image

from conftest import Monuseg
from monuseg_cli.bioimageio.citations import publications_of, spdx_of
from monuseg_cli.bioimageio.description import title_of
from monuseg_cli.bioimageio.package import example_image, export_package
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import SHIPPED, Home
from monuseg_cli.models.card import Card
from monuseg_cli.models.probabilities import Probabilities
from monuseg_cli.models.weights import load_model, read_card
from support.networks import write_random_weights

AUTHORS = ("Ada Lovelace",)

TEST_BY_BIOIMAGEIO = """
import sys
from bioimageio.core import load_description_and_test

summary = load_description_and_test(sys.argv[1]).validation_summary
print(summary.format(width=200), "\\nstatus:", summary.status)
"""


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as package:
        return {name: package.read(name) for name in package.namelist()}


def description(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(contents(path)["rdf.yaml"])
    return content


def maps_of_torch(weights: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    network = Probabilities(*load_model(weights)).eval()
    with torch.inference_mode():
        maps: NDArray[np.float32] = network(torch.from_numpy(pixels).float() / 255).numpy()
    return maps


def random_pixels(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.slow
def test_bioimageio_accepts_the_default_model_and_reproduces_its_maps_offline(monuseg: Monuseg, tmp_path: Path) -> None:
    path = tmp_path / "default.zip"
    result = monuseg("export", "default", "--format", "bioimageio", "-o", path)
    assert result.exit_code == 0, result.stderr
    nowhere = "http://127.0.0.1:9"
    run = subprocess.run(
        [sys.executable, "-c", TEST_BY_BIOIMAGEIO, path],
        env={**os.environ, "HTTPS_PROXY": nowhere, "HTTP_PROXY": nowhere, "BIOIMAGEIO_CACHE_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.splitlines()[-1:] == ["status: passed"], run.stdout + run.stderr
    for weights in ("onnx", "torchscript"):
        assert f"Reproduce test outputs from test inputs ({weights})" in run.stdout


def test_the_description_states_what_programs_must_know(tmp_path: Path) -> None:
    path = export_package(SHIPPED, tmp_path / "default.zip", "default", AUTHORS).path
    card, content = read_card(SHIPPED), description(path)
    assert content["license"] == "CC-BY-NC-SA-4.0"
    assert content["authors"] == [{"name": "Ada Lovelace"}]
    assert {entry["doi"] for entry in content["cite"]} >= {"10.1109/TMI.2017.2677499", "10.5281/zenodo.10518968"}
    (image,), (maps,) = content["inputs"], content["outputs"]
    for axes in (image["axes"], maps["axes"]):
        assert [(axis["unit"], axis["scale"]) for axis in axes if axis["type"] == "space"] == [
            ("micrometer", card.mpp)
        ] * 2
    assert image["axes"][1]["channel_names"] == ["red", "green", "blue"]
    assert maps["axes"][1]["channel_names"] == list(card.classes)
    assert {"id": "scale_linear", "kwargs": {"gain": 1 / 255, "offset": 0.0}} in image["preprocessing"]
    assert content["config"]["monuseg"]["postprocess"]["threshold"] == card.postprocess.threshold
    assert Card.from_json(contents(path)["card.json"].decode()) == card
    text = contents(path)["README.md"].decode()
    for part in (f"{card.mpp} um/px", "## Post-processing is not included", "## Validation", "do not normalise"):
        assert part in text


def test_the_example_is_that_of_a_person_looking_at_nuclei(tmp_path: Path) -> None:
    files = contents(export_package(SHIPPED, tmp_path / "default.zip", "default", AUTHORS).path)
    image = np.load(io.BytesIO(files["test_input.npy"]))
    maps = np.load(io.BytesIO(files["test_output.npy"]))
    assert image.shape == (1, 3, 256, 256)
    assert maps.shape == (1, 2, 256, 256)
    assert 0.05 < (maps[0, 0] > 0.5).mean() < 0.6
    assert (image[0].mean(axis=0)[maps[0, 0] > 0.5]).mean() < image.mean() - 20  # nuclei are dark
    assert Image.open(io.BytesIO(files["cover.png"])).size == (512, 256)
    assert (np.asarray(Image.open(io.BytesIO(files["sample_input.png"]))) == image[0].transpose(1, 2, 0)).all()


@pytest.mark.parametrize("name", ["unet-se", "unet-efficientnet", "segnet"])
def test_both_forms_of_weights_compute_what_pytorch_does(name: str, tmp_path: Path) -> None:
    weights = write_random_weights(tmp_path, name)
    files = contents(export_package(weights, tmp_path / "m.zip", name, AUTHORS).path)
    pixels = random_pixels(2, 3, 70, 99)
    images = pixels.astype(np.float32) / 255
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        traced = torch.jit.load(io.BytesIO(files["weights.pt"]))  # type: ignore[no-untyped-call]
    with torch.inference_mode():
        by_torchscript = traced(torch.from_numpy(images)).numpy()
    session = onnxruntime.InferenceSession(files["weights.onnx"], providers=["CPUExecutionProvider"])
    (by_onnx,) = session.run(["maps"], {"image": images})
    expected = maps_of_torch(weights, pixels)
    for found in (by_torchscript, by_onnx):
        # rounding can decide which of two values of a window is the maximum, and SegNet puts the value there
        assert (np.abs(found - expected) > 1e-4).mean() <= (0.05 if name == "segnet" else 0)


def test_a_run_of_your_own_needs_an_author(monuseg: Monuseg, trained_home: Home, tmp_path: Path) -> None:
    words = ("export", "unet-se", "--format", "bioimageio", "-o", tmp_path / "a.zip", "--home", trained_home.root)
    refused = monuseg(*words)
    assert refused.exit_code == 3
    assert "--author" in refused.stderr
    result = monuseg(*words, "--author", "Ada Lovelace", "--author", "Rosalind Franklin", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["written"] == [str(tmp_path / "a.zip")]
    content = description(tmp_path / "a.zip")
    assert content["authors"] == [{"name": "Ada Lovelace"}, {"name": "Rosalind Franklin"}]
    assert "unet-se" in content["name"]


def test_a_licence_without_identifier_is_a_file(tmp_path: Path) -> None:
    weights = write_random_weights(tmp_path, "unet-se", licence="that of own data (mine)")
    path = export_package(weights, tmp_path / "m.zip", "mine", AUTHORS).path
    assert description(path)["license"]["source"] == "LICENCE.md"
    assert "that of own data (mine)" in contents(path)["LICENCE.md"].decode()


@pytest.mark.parametrize(
    ("licence", "spdx"),
    [
        ("CC BY 4.0", "CC-BY-4.0"),
        ("CC BY-NC-ND 3.0", "CC-BY-NC-ND-3.0"),
        ("CC BY 4.0 (as third parties list it)", None),
        ("CC BY-NC-SA 4.0; that of own data (mine)", None),
    ],
)
def test_only_a_licence_that_stands_alone_has_an_identifier(licence: str, spdx: str | None) -> None:
    assert spdx_of(licence) == spdx


def test_own_data_have_no_publication() -> None:
    assert publications_of(replace(read_card(SHIPPED), attribution="own data (mine)")) == []


@pytest.mark.parametrize("name", ["a", "é/ü: ~", "x" * 200, "unet-se-2"])
def test_titles_keep_to_the_characters_of_the_format(name: str) -> None:
    title = title_of(name)
    assert 5 <= len(title) <= 64
    assert all(letter.isascii() and (letter.isalnum() or letter in "_+- ()") for letter in title)


@pytest.mark.parametrize("mpp", [0.1, 0.25, 0.5, 2.0])
def test_examples_have_one_size_at_every_scale(mpp: float) -> None:
    assert example_image(mpp).shape == (256, 256, 3)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--format", "bioimageio", "-o", "m.onnx"), 3, "must end in .zip"),
        (("-o", "m.zip"), 3, "--format bioimageio writes a .zip"),
        (("--format", "bioimageio", "-o", "m.zip", "--size", "64"), 2, "--size is for ONNX"),
        (("-o", "m.onnx", "--author", "Ada"), 2, "--author is for --format bioimageio"),
    ],
)
def test_settings_without_effect_are_refused(
    monuseg: Monuseg, words: tuple[str, ...], code: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = monuseg("export", "default", *words)
    assert result.exit_code == code
    assert told in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_single_name_in_place_of_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="author"):
        export_package(SHIPPED, tmp_path / "m.zip", "m", "Ada")
