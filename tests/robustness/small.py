"""A card and options for models and trainings of the least size."""

from monuseg_cli.models.card import Card

_WINDOWS = ("--patch-px", "32", "--stride-px", "16", "--crop-px", "32", "--crops-per-case", "1")
QUICK = ("--epochs", "2", *_WINDOWS, "--second-target", "none", "--device", "cpu")
"""Options of ``monuseg train`` that go through in a second."""

CARD = Card(
    architecture="unet-se",
    options={"width": 8, "depth": 1},
    mpp=0.25,
    licence="CC BY-NC-SA 4.0",
    attribution="generated",
    train_set=30,
    train_cases=("a",),
    val_cases=("b",),
    data_sha256="00",
    data_verified=False,
    epoch=1,
    scores={},
    recipe={},
    version="0",
)
