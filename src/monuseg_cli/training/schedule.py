"""Learning rate and early stopping, as pure functions of the recipe and the history."""

import math
from collections.abc import Sequence

from monuseg_cli.training.recipe import Recipe

_WARMUP_SHARE = 0.05
# One-cycle policy of Smith and Topin, "Super-Convergence", 2018, with the defaults of torch's OneCycleLR.
_RISE_SHARE = 0.3
_FIRST_RATE = 1 / 25
_PLATEAU_FACTOR = 0.1
_PLATEAU_FLOOR = 1e-6
_PLATEAU_MIN_DELTA = 1e-4  # Keras' default


def learning_rate(recipe: Recipe, step: int, steps: int, val_losses: Sequence[float]) -> float:
    """Compute the learning rate of a step.

    Parameters
    ----------
    recipe : Recipe
        Recipe with the schedule.
    step, steps : int
        Index of the step, from 0, and number of steps of the whole training.
    val_losses : sequence of float
        Validation losses of the finished epochs.
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
    """Return half a cosine, which falls from 1 to 0 as `progress` goes from 0 to 1."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def _plateau_rate(recipe: Recipe, val_losses: Sequence[float]) -> float:
    """Compute the rate as in Keras' ReduceLROnPlateau: an epoch must gain 1e-4, and a reduction resets the count."""
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
    """Whether the last `early_stopping` epochs have not lowered the validation loss."""
    if not recipe.early_stopping or not val_losses:
        return False
    since_best = len(val_losses) - 1 - val_losses.index(min(val_losses))
    return since_best >= recipe.early_stopping
