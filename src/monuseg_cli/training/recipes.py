"""The built-in recipes, and descriptions of how a recipe differs from them."""

import types
from collections.abc import Mapping
from pathlib import Path

from monuseg_cli.core.errors import MissingError
from monuseg_cli.core.suggest import did_you_mean
from monuseg_cli.training.recipe import Recipe

BUILT_IN: Mapping[str, Recipe] = types.MappingProxyType(
    {
        "default": Recipe(),
        # Also for images of other sources: every case at one scale, wide variation of stain and brightness, blurred,
        # noisy and compressed crops, and images without nuclei.
        "robust": Recipe(train_set=37, rescale=True, stain=0.4, blank_prob=0.08, brightness=0.15, degrade=0.15),
        # For other hospitals: stains from very pale to dark, other scanners, and an unknown scale.
        "wide": Recipe(
            train_set=37,
            rescale=True,
            scale=0.5,
            stain=0.3,
            stain_min=0.25,
            stain_max=1.8,
            scanner=0.3,
            blank_prob=0.1,
            brightness=0.15,
            degrade=0.25,
        ),
        # For adapting trained weights to a user's own slides, of which there are few.
        "fine-tune": Recipe(
            epochs=20, learning_rate=3e-4, stain=0.4, blank_prob=0.04, brightness=0.15, degrade=0.15, crops_per_case=32
        ),
        # As in the baseline's notebooks: Adam, binary cross-entropy, no augmentation, the last rows and columns never
        # seen. The only deviation is that validation is by case, as always in this toolkit.
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
"""The built-in recipes by name."""


_BESIDES = ("arch", "options", "train", "val", "extra_data", "fold", "train_set", "epochs", "seed", "workers")
_MOST_NAMED = 2


def describe(recipe: Recipe) -> str:
    """Return the name of the closest built-in recipe, and the settings in which this one differs.

    Architecture, data, epochs, seed and workers are ignored.
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
        If the file is not a valid recipe.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    if not Path(name).suffix:
        choices = f"name a file, or one of: {', '.join(BUILT_IN)}"
        message = f"no recipe named {name!r}; {choices}{did_you_mean(name, BUILT_IN)}"
        raise MissingError(message)
    return Recipe.load(Path(name))
