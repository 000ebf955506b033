"""What `pip install` brings, in an environment of its own, away from the checkout and from every network."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.tissue import draw_tissue

ROOT = Path(__file__).parents[1]
OFFLINE = """
import socket

def refuse(*_, **__):
    raise OSError("the network is not to be used")

socket.socket.connect = socket.getaddrinfo = refuse
"""
NOTEBOOK = """
import sys
import numpy as np
from PIL import Image
import monuseg_cli as monuseg

image, mask, engine, home = sys.argv[1:]
result = monuseg.load(engine=engine, home=home).predict(np.asarray(Image.open(image)), mpp=0.25)
assert ((result.labels > 0) == (np.asarray(Image.open(mask)) > 0)).all()
assert monuseg.evaluate(result.labels, result.labels).pq == 1
print(len(result.nuclei))
"""
"""Predict as in a notebook, and compare with the mask that the command has written."""


def run(*command: object, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MONUSEG"))}
    result = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    words = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", *words, cwd=folder)
    (built,) = folder.glob("monuseg_cli-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel, and with this one's packages for what it depends on."""
    env = tmp_path_factory.mktemp("an environment é")
    run(sys.executable, "-m", "venv", "--without-pip", env, cwd=env)
    python = next(path for path in (env / "bin" / "python", env / "Scripts" / "python.exe") if path.exists())
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=env).strip())
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    (site / "sitecustomize.py").write_text(OFFLINE, encoding="utf-8")
    words = ("install", "--quiet", "--no-deps", "--no-index", wheel)
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, *words, cwd=env)
    return python


def test_the_wheel_holds_weights_licences_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        weights = archive.getinfo("monuseg_cli/models/shipped/default.safetensors")
        sample = archive.getinfo("monuseg_cli/prediction/shipped/tissue.jpg")
    assert weights.file_size <= 8 * 2**20
    assert sample.file_size <= 400 * 2**10
    assert {f"monuseg_cli/{package}/shipped/LICENCE.md" for package in ("models", "prediction")} <= set(names)
    assert {f"monuseg_cli/viewer/static/openseadragon.{suffix}" for suffix in ("min.js", "LICENSE.txt")} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"monuseg_cli"}


def test_an_installed_wheel_predicts_offline(installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "slides of a hospital, größer"
    folder.mkdir()
    Image.fromarray(draw_tissue(200, seed=3)[0]).save(folder / "slide é.png")
    where = run(installed, "-c", "import monuseg_cli; print(monuseg_cli.__file__)", cwd=folder).strip()
    assert Path(where).is_relative_to(installed.parents[1])
    for engine in ("torch", "openvino"):
        said = run(
            installed.with_name("monuseg"), "predict", "slide é.png", "-o", f"{engine} é.png", "--engine", engine,
            "--home", tmp_path / "home", cwd=folder,
        )  # fmt: skip
        assert "Model: default" in said
        with Image.open(folder / f"{engine} é.png") as mask:
            assert 0 < (np.asarray(mask) > 0).mean() < 1
        found = run(installed, "-c", NOTEBOOK, "slide é.png", f"{engine} é.png", engine, tmp_path / "home", cwd=folder)
        assert int(found) > 3
