"""The course of a training, as pure functions of the recipe and of what happened so far."""

import math
from collections.abc import Sequence

from monuseg_cli.training.recipe import Recipe

_WARMUP_SHARE = 0.05
# Of Smith and Topin, "Super-Convergence", 2018, as torch's OneCycleLR sets them.
_RISE_SHARE = 0.3
_FIRST_RATE = 1 / 25
_PLATEAU_FACTOR = 0.1
_PLATEAU_FLOOR = 1e-6
_PLATEAU_MIN_DELTA = 1e-4  # Keras' default


def learning_rate(recipe: Recipe, step: int, steps: int, val_losses: Sequence[float]) -> float:
    """Give the learning rate of a step.

    Parameters
    ----------
    recipe : Recipe
        With the schedule.
    step, steps : int
        Number of the step, from 0, and of all steps of the whole training.
    val_losses : sequence of float
        Validation losses of the epochs that are finished.
    """
    if recipe.schedule == "plateau":
        return _plateau_rate(recipe, val_losses)
    if recipe.schedule == "constant":
        return recipe.learning_rate
    rise = steps * (_RISE_SHARE if recipe.schedule == "one-cycle" else _WARMUP_SHARE)
    if step >= rise:
        return recipe.learning_rate * _half_cosine((step - rise) / (steps - rise))
    if recipe.schedule == "one-cycle":
        return recipe.learning_rate * (1 - (1 - _FIRST_RATE) * _half_cosine(step / rise))
    return recipe.learning_rate * (step + 1) / (math.floor(rise) + 1)


def _half_cosine(progress: float) -> float:
    """Fall from 1 to 0 as `progress` goes from 0 to 1."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def _plateau_rate(recipe: Recipe, val_losses: Sequence[float]) -> float:
    """Count as Keras' ReduceLROnPlateau does: an epoch must gain 1e-4, and a reduction begins a new count."""
    rate, best, waited = recipe.learning_rate, math.inf, 0
    for loss in val_losses:
        if loss < best - _PLATEAU_MIN_DELTA:
            best, waited = loss, 0
            continue
        waited += 1
        if waited >= recipe.plateau_patience:
            rate, waited = max(rate * _PLATEAU_FACTOR, _PLATEAU_FLOOR), 0
    return rate


def is_over(recipe: Recipe, val_losses: Sequence[float]) -> bool:
    """Tell whether `early_stopping` epochs have gone by without a lower validation loss."""
    if not recipe.early_stopping or not val_losses:
        return False
    since_best = len(val_losses) - 1 - val_losses.index(min(val_losses))
    return since_best >= recipe.early_stopping
