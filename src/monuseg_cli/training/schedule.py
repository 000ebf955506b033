"""The course of the learning rate, a pure function of the step."""

import math

from monuseg_cli.training.recipe import Recipe

_WARMUP_SHARE = 0.05


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Give the learning rate of step `step` (from 0) of `steps` in the whole training."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    warmup = _WARMUP_SHARE * steps
    if step < warmup:
        return recipe.learning_rate * (step + 1) / (math.floor(warmup) + 1)
    progress = (step - warmup) / (steps - warmup)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
