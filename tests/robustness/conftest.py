"""What the tests of hostile input share: a small home, small weights, and the table that they hold true."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import Result

from conftest import Monuseg
from monuseg_cli.core.home import Home
from monuseg_cli.models import registry
from monuseg_cli.models.weights import save_weights
from monuseg_cli.training.recipe import Recipe
from support.made import CARD, make_home
from support.table import Row, hold, read_table, snapshot
from support.tissue import draw_tissue, write_archive

SIZE = 48
SMALL_DISK = 96 << 10
RECIPE = Recipe(
    options={"width": 8, "depth": 1},
    patch_px=32,
    stride_px=16,
    crop_px=32,
    crops_per_case=1,
    epochs=1,
    batch_size=8,
    aux_target="none",
)
_WINDOWS = ("--patch-px", "32", "--stride-px", "16", "--crop-px", "32", "--crops-per-case", "1")
QUICK = ("--epochs", "2", *_WINDOWS, "--aux-target", "none", "--device", "cpu")
"""Options of ``monuseg train`` that go through in a second."""

Says = Callable[..., Result]


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    """The row of the table that the test holds true."""
    (found,) = [row for row in read_table() if row.test == request.node.nodeid]
    return found


@pytest.fixture
def says(row: Row, monuseg: Monuseg, tmp_path: Path) -> Says:
    """Run the command line; it must say what the table says and, where it fails, change nothing."""

    def run(*words: object) -> Result:
        before = snapshot(tmp_path)
        result = monuseg(*words)
        assert words[0] == row.command.split()[0]
        hold(row, result.exit_code, result.stdout, result.stderr, tmp_path)
        if row.code:
            assert snapshot(tmp_path) == before
        return result

    return run


@pytest.fixture(scope="session")
def _small_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, patches and a run of the least that trains; copied before use."""
    folder = tmp_path_factory.mktemp("small")
    write_archive(folder, "test", SIZE)
    make_home(folder / "home", (write_archive(folder, "train", SIZE),), RECIPE, name="run")
    return folder


@pytest.fixture
def home(_small_home: Path, tmp_path: Path) -> Home:
    """A home of the test's own with data, masks, patches and the run ``run``."""
    shutil.copytree(_small_home / "home", tmp_path / "home")
    return Home(tmp_path / "home")


@pytest.fixture
def small_archive(_small_home: Path, tmp_path: Path) -> Path:
    """The archive of the test split, which has 14 cases, and is not in `home`."""
    return Path(shutil.copy(next(_small_home.glob("*Test*.zip")), tmp_path / "test.zip"))


@pytest.fixture(scope="session")
def _weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_weights(path, registry.create(CARD.architecture, **CARD.options).state_dict(), CARD)
    return path


@pytest.fixture
def weights(_weights: Path, tmp_path: Path) -> Path:
    """Weights that are whole and have learnt nothing."""
    return Path(shutil.copy(_weights, tmp_path))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A PNG of drawn tissue, 80 pixels wide."""
    Image.fromarray(draw_tissue(80, seed=6)[0]).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 KiB."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root on Linux may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
