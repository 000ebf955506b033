"""The command, as a process that is started and ended."""

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from itertools import takewhile
from pathlib import Path

import pytest
from PIL import Image

from support.tissue import draw_tissue

WITHOUT = """
import sys

sys.modules["uvicorn"] = None
from monuseg_cli.cli.app import app

app(["view", "a.png"])
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.fromarray(draw_tissue(80, 1)[0]).save(path)
    return path


def test_it_serves_until_ctrl_c_and_ends_without_an_error(image: Path) -> None:
    words = [sys.executable, "-m", "monuseg_cli", "view", str(image), "--no-browser", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = json.loads("".join(takewhile(lambda line: line != "}\n", process.stdout)) + "}")
        assert told["slide"] == str(image)
        assert told["nuclei"] is None
        with urllib.request.urlopen(told["address"] + "state") as answer:
            assert json.load(answer)["slide"]["width"] == 80
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(told["address"].rpartition("/")[0][:-1])
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert errors == ""


def test_without_its_packages_the_extra_is_named(image: Path) -> None:
    run = subprocess.run([sys.executable, "-c", WITHOUT], cwd=image.parent, capture_output=True, text=True, check=False)
    assert run.returncode == 4
    assert run.stderr == "error: the viewer needs uvicorn, which is not installed: pip install 'monuseg-cli[view]'\n"
