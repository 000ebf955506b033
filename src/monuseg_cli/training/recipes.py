"""The recipes that have a name, and how another one differs from them."""

import types
from collections.abc import Mapping
from pathlib import Path

from monuseg_cli.core.errors import MissingError
from monuseg_cli.core.suggest import did_you_mean
from monuseg_cli.training.recipe import Recipe

BUILT_IN: Mapping[str, Recipe] = types.MappingProxyType(
    {
        "default": Recipe(),
        # For images from elsewhere, too: every case at one scale, wide variation of stain and light, blurred, noisy and
        # compressed crops, and pictures without nuclei.
        "robust": Recipe(train_set=37, rescale=True, stain=0.4, blank_prob=0.08, brightness=0.15, degrade=0.15),
        # For other hospitals: stains from very pale to dark, other scanners, and a scale that nobody stated.
        "wide": Recipe(
            train_set=37,
            rescale=True,
            scale=0.5,
            stain=0.3,
            pale=0.25,
            dark=1.8,
            scanner=0.3,
            blank_prob=0.1,
            brightness=0.15,
            degrade=0.25,
        ),
        # For weights that know nuclei already and are to learn somebody's own slides, of which there are few.
        "fine-tune": Recipe(
            epochs=20, learning_rate=3e-4, stain=0.4, blank_prob=0.04, brightness=0.15, degrade=0.15, crops_per_case=32
        ),
        # The notebooks': Adam, binary cross-entropy, no augmentation, the last rows and columns never seen. The one
        # deviation is what this toolkit always does: validation is by case.
        "baseline": Recipe(
            dropout=0.05,
            patch_px=256,
            stride_px=128,
            edge="drop",
            crops_per_case=36,  # every patch once
            aux_target="none",
            loss="bce",
            epochs=100,
            batch_size=16,
            learning_rate=1e-3,
            weight_decay=0.0,
            schedule="plateau",
            early_stopping=20,
            ema_decay=0.0,
            flips=False,
            warp=0.0,
            stain=0.0,
        ),
    }
)
"""The recipes that have a name."""


_BESIDES = ("arch", "options", "train", "val", "also", "fold", "train_set", "epochs", "seed", "workers")
_MOST_NAMED = 2


def describe(recipe: Recipe) -> str:
    """Name the built-in recipe that this one is nearest to, and in which settings it differs.

    Architecture, data, epochs, seed and workers are no part of it.
    """

    def differences(name: str) -> list[str]:
        theirs = BUILT_IN[name].to_dict()
        return [
            f"{setting} {value}"
            for setting, value in recipe.to_dict().items()
            if setting not in _BESIDES and theirs[setting] != value
        ]

    nearest = min(BUILT_IN, key=lambda name: len(differences(name)))
    changes = differences(nearest)
    more = f"{len(changes) - _MOST_NAMED} more" if len(changes) > _MOST_NAMED else ""
    return ", ".join([nearest, *changes[:_MOST_NAMED], *([more] if more else [])])


def find_recipe(name: str) -> Recipe:
    """Return a built-in recipe by its name, or read one from a TOML file.

    Raises
    ------
    MissingError
        If it is neither.
    InputError
        If the file is no recipe.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    if not Path(name).suffix:
        choices = f"name a file, or one of: {', '.join(BUILT_IN)}"
        message = f"no recipe named {name!r}; {choices}{did_you_mean(name, BUILT_IN)}"
        raise MissingError(message)
    return Recipe.load(Path(name))
