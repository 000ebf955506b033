"""What tests begin with: homes with a trained run, and a card."""

from pathlib import Path

from monuseg_cli.core.home import Home
from monuseg_cli.dataset.config import DownloadConfig, PatchesConfig
from monuseg_cli.dataset.download import download
from monuseg_cli.dataset.prepare import prepare_patches
from monuseg_cli.models.card import Card
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.session import TrainConfig
from monuseg_cli.training.train import train

CARD = Card(
    architecture="unet-se",
    options={"width": 8, "depth": 2},
    mpp=0.25,
    licence="CC BY-NC-SA 4.0",
    attribution="generated",
    train_set=30,
    train_cases=("a", "b"),
    val_cases=("c",),
    data_sha256="00",
    data_verified=False,
    epoch=3,
    scores={"f1": 0.75},
    recipe={"seed": 0},
    version="0",
)
"""Of weights that have learnt nothing."""


def make_home(root: Path, archives: tuple[Path, ...], recipe: Recipe, name: str | None = None) -> Home:
    """Fill a home from archives, and train there."""
    home = Home(root)
    download(DownloadConfig(home.dataset, archives=archives, allow_unverified=True))
    prepare_patches(PatchesConfig(home.dataset, recipe.patch_px, recipe.stride_px))
    train(TrainConfig(home, recipe, name=name, device="cpu"))
    return home
