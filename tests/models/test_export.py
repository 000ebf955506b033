import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from conftest import Monuseg
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import SHIPPED, Home
from monuseg_cli.models.card import Card
from monuseg_cli.models.export import CARD_KEY, export_onnx
from monuseg_cli.models.normalise import normalise
from monuseg_cli.models.weights import load_model


@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_onnx_runtime_and_torch_agree(tmp_path: Path, size: tuple[int, int]) -> None:
    path = export_onnx(SHIPPED, tmp_path / "model.onnx").path
    model, card = load_model(SHIPPED)
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = model(normalise(image, card)).sigmoid().numpy()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (maps,) = session.run(["maps"], {"image": image.numpy()})
    np.testing.assert_allclose(maps, expected, atol=1e-4)


def test_an_exported_network_contains_its_card(monuseg: Monuseg, trained_home: Home, tmp_path: Path) -> None:
    result = monuseg("export", "unet-se", "-o", tmp_path / "m.onnx", "--home", trained_home.root)
    assert result.exit_code == 0, result.stderr
    assert "nucleus, boundary" in result.stdout
    properties = {entry.key: entry.value for entry in onnx.load(tmp_path / "m.onnx").metadata_props}
    assert Card.from_json(properties[CARD_KEY]).architecture == "unet-se"


def test_export_without_onnx_or_its_suffix_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"must end in \.onnx"):
        export_onnx(SHIPPED, tmp_path / "m.pt")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingError, match=r"pip install 'monuseg-cli\[export\]'"):
        export_onnx(SHIPPED, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []
