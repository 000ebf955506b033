"""Generated data, made once, and the real data where MONUSEG_DATA names it."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from typer.testing import CliRunner, Result

from monuseg_cli.cli.app import app
from monuseg_cli.core.home import Home
from monuseg_cli.core.progress import Silent
from monuseg_cli.training.recipe import Recipe
from support.made import make_home
from support.tissue import write_archive

SIZE = 96
"""Side of the generated images."""

RECIPE = Recipe(
    options={"width": 8, "depth": 2},
    dropout=0.05,
    patch_px=64,
    stride_px=32,
    crop_px=48,
    crops_per_case=4,
    epochs=2,
    batch_size=8,
    learning_rate=5e-3,
    ema_decay=0.5,
)
"""A recipe that is through in seconds."""

PATCHES = ("--patch-px", "64", "--stride-px", "32", "--crop-px", "48", "--crops-per-case", "4")
"""Options of ``monuseg train`` that cut small patches."""

QUICK = ("--epochs", "1", *PATCHES, "--device", "cpu")
"""Options of ``monuseg train`` that go through one epoch in seconds."""

# Workers that run side by side, and the processes of their tests, would take each other's cores.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

# A shell without job control starts commands in the background with SIGINT ignored, which processes of tests inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines that are busy with something else are slow, not wrong. Examples are the same in every run.
settings.register_profile("unhurried", deadline=None, derandomize=True)
settings.load_profile("unhurried")

Monuseg = Callable[..., Result]


class Told(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.details: list[str] = []

    def info(self, message: str) -> None:
        self.lines.append(message)

    def warn(self, message: str) -> None:
        self.lines.append(message)

    def detail(self, message: str) -> None:
        self.details.append(message)


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep every test away from the user's own data."""
    monkeypatch.setenv("MONUSEG_HOME", str(tmp_path / "unused home"))


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Both archives, of generated tissue."""
    folder = tmp_path_factory.mktemp("archives")
    return write_archive(folder, "train", SIZE), write_archive(folder, "test", SIZE)


@pytest.fixture(scope="session")
def _trained(tmp_path_factory: pytest.TempPathFactory, archives: tuple[Path, Path]) -> Path:
    """A home with data, patches and a trained run; copied before use."""
    return make_home(tmp_path_factory.mktemp("trained"), archives, RECIPE).root


@pytest.fixture
def trained_home(_trained: Path, tmp_path: Path) -> Home:
    """A home of the test's own with data, masks, patches and the run ``unet-se``."""
    shutil.copytree(_trained, tmp_path / "home")
    return Home(tmp_path / "home")


@pytest.fixture
def data_home(trained_home: Home) -> Home:
    """A home of the test's own with the data set and nothing made of it."""
    shutil.rmtree(trained_home.runs)
    shutil.rmtree(trained_home.dataset / "masks")
    shutil.rmtree(trained_home.dataset / "patches")
    return trained_home


@pytest.fixture
def monuseg() -> Monuseg:
    """Run the command line in this process: ``monuseg("masks", "--home", home)``."""

    def run(*words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)

    return run


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that MONUSEG_DATA names; tests that use it are marked ``data``."""
    folder = os.environ.get("MONUSEG_DATA")
    if not folder:
        pytest.skip("MONUSEG_DATA does not name the real data")
    return Path(folder)
