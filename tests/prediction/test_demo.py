import json
import socket
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from PIL import Image

from conftest import Monuseg
from monuseg_cli.prediction import demo


def refuse(*words: object, **more: object) -> NoReturn:
    message = "the network was asked for something"
    raise AssertionError(message)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_a_first_look_without_a_network(monuseg: Monuseg, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    result = monuseg("demo", "-o", folder)
    assert result.exit_code == 0, result.stderr
    assert "immunohistochemistry" in result.stdout
    assert "outside the training domain, which is H&E" in result.stdout
    assert f"Look at: {folder / 'overlay.png'}" in result.stdout.splitlines()
    picture, overlay, mask = (np.asarray(Image.open(folder / f"{n}.png")) for n in ("picture", "overlay", "mask"))
    assert picture.shape == overlay.shape == (512, 512, 3)
    changed = (picture != overlay).any(axis=2)
    assert 0.005 < changed.mean() < 0.2
    assert 0.005 < (mask > 0).mean() < 0.3
    again = monuseg("demo", "-o", folder, "--json", "--quiet")  # nothing is left as it is because it was done before
    content = json.loads(again.stdout)
    assert content["prediction"]["nuclei"] > 20
    assert content["overlay"] == str(folder / "overlay.png")


def test_a_picture_that_is_not_there_and_a_folder_that_cannot_be(
    monuseg: Monuseg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    assert monuseg("demo", "-o", tmp_path / "file").exit_code == 5
    monkeypatch.setattr(demo, "_PICTURE", "data/none.png")
    result = monuseg("demo", "-o", tmp_path / "out")
    assert result.exit_code == 4
    assert "pip install --force-reinstall scikit-image" in result.stderr
    assert not (tmp_path / "out").exists()
