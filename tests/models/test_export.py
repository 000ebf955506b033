import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from conftest import Monuseg
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import SHIPPED, Home
from monuseg_cli.models import registry
from monuseg_cli.models.card import Card
from monuseg_cli.models.export import CARD_KEY, LARGEST_PX, export_onnx
from monuseg_cli.models.normalise import normalise
from monuseg_cli.models.weights import load_model
from support.networks import write_random_weights


def random_images(number: int, height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((number, 3, height, width), dtype=np.float32)


def maps_of_torch(weights: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    model, card = load_model(weights)
    with torch.inference_mode():
        maps: NDArray[np.float32] = model(normalise(torch.from_numpy(images), card)).sigmoid().numpy()
    return maps


def maps_of_onnx_runtime(path: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    maps: NDArray[np.float32] = session.run(["maps"], {"image": images})[0]
    return maps


def maps_of_opencv(path: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    net = cv2.dnn.readNetFromONNX(str(path))
    net.setInput(images)
    return np.asarray(net.forward(), np.float32)


def assert_equal_maps(name: str, found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Check that maps are equal but for rounding.

    Rounding can decide which of two values of a window is the maximum, and SegNet puts the value there.
    """
    assert found.shape == expected.shape
    differing = (np.abs(found - expected) > 1e-4).mean()
    assert differing <= (0.05 if name == "segnet" else 0)


@pytest.mark.parametrize("name", registry.names())
def test_images_of_any_number_and_size(name: str, tmp_path: Path) -> None:
    weights = write_random_weights(tmp_path, name)
    path = export_onnx(weights, tmp_path / "any.onnx").path
    for size in ((1, 64, 96), (3, 33, 70), (2, 1, 1), (1, 1, 150)):
        images = random_images(*size)
        expected = maps_of_torch(weights, images)
        assert size[1:] == (1, 1) or expected.std(axis=(2, 3)).min() > 5e-3
        assert_equal_maps(name, maps_of_onnx_runtime(path, images), expected)


@pytest.mark.parametrize(
    ("name", "size"),
    [*((name, (50, 70)) for name in registry.names()), ("unet-se", (64, 96)), ("segnet", (64, 96)), ("unet", (1, 9))],
)
def test_opencv_reads_images_of_a_fixed_size(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    weights = write_random_weights(tmp_path, name)
    path = export_onnx(weights, tmp_path / "fixed.onnx", size=size).path
    images = random_images(1, *size)
    expected = maps_of_torch(weights, images)
    assert_equal_maps(name, maps_of_opencv(path, images), expected)
    assert_equal_maps(name, maps_of_onnx_runtime(path, images), expected)


def test_the_model_in_the_package_is_exported_for_both(tmp_path: Path) -> None:
    images = random_images(1, 75, 100)
    expected = maps_of_torch(SHIPPED, images)
    any_size = export_onnx(SHIPPED, tmp_path / "any.onnx").path
    fixed = export_onnx(SHIPPED, tmp_path / "fixed.onnx", size=(75, 100)).path
    np.testing.assert_allclose(maps_of_onnx_runtime(any_size, images), expected, atol=1e-4)
    np.testing.assert_allclose(maps_of_opencv(fixed, images), expected, atol=1e-4)


def sizes(path: Path) -> list[list[int | str]]:
    """Sizes of input and output, as the file states them."""
    graph = onnx.load(path).graph
    return [
        [side.dim_param or side.dim_value for side in tensor.type.tensor_type.shape.dim]
        for tensor in (graph.input[0], graph.output[0])
    ]


def test_an_exported_network_contains_its_card(monuseg: Monuseg, trained_home: Home, tmp_path: Path) -> None:
    result = monuseg("export", "unet-se", "-o", tmp_path / "m.onnx", "--home", trained_home.root)
    assert result.exit_code == 0, result.stderr
    assert "nucleus, boundary" in result.stdout
    assert "any N, H and W" in result.stdout
    assert sizes(tmp_path / "m.onnx")[0] == ["images", 3, "height", "width"]
    properties = {entry.key: entry.value for entry in onnx.load(tmp_path / "m.onnx").metadata_props}
    assert Card.from_json(properties[CARD_KEY]).architecture == "unet-se"


@pytest.mark.parametrize(("given", "side"), [("32", (32, 32)), ("64x48", (48, 64))])
def test_a_fixed_size_is_side_or_width_and_height(
    monuseg: Monuseg, tmp_path: Path, given: str, side: tuple[int, int]
) -> None:
    result = monuseg("export", "default", "-o", tmp_path / "m.onnx", "--size", given)
    assert result.exit_code == 0, result.stderr
    assert f"Input image: (1, 3, {side[0]}, {side[1]}) float32" in result.stdout
    assert sizes(tmp_path / "m.onnx") == [[1, 3, *side], [1, 2, *side]]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("", "--size takes a side or width and height, not ''"),
        ("12x", "--size takes a side or width and height, not '12x'"),
        ("-5", "--size takes a side or width and height, not '-5'"),
        ("9" * 5000, "--size takes a side or width and height, not '999"),
        ("0", f"--size takes a height and a width of 1 to {LARGEST_PX} px, not 0 and 0"),
        ("99999x32", f"--size takes a height and a width of 1 to {LARGEST_PX} px, not 32 and 99999"),
    ],
)
def test_sizes_that_are_refused(monuseg: Monuseg, tmp_path: Path, given: str, told: str) -> None:
    result = monuseg("export", "default", "-o", tmp_path / "m.onnx", f"--size={given}")
    assert result.exit_code == 3
    assert result.stderr.startswith(f"error: {told}")
    assert list(tmp_path.iterdir()) == []


def test_export_without_onnx_or_its_suffix_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"must end in \.onnx"):
        export_onnx(SHIPPED, tmp_path / "m.pt")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingError, match=r"pip install 'monuseg-cli\[export\]'"):
        export_onnx(SHIPPED, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []
