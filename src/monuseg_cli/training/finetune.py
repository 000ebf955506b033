"""Initialisation of a training with the weights of another one."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from monuseg_cli.core.errors import ContaminationError, InputError
from monuseg_cli.dataset.leakage import Footprint, list_seen
from monuseg_cli.models import registry
from monuseg_cli.models.card import Card
from monuseg_cli.models.weights import load_model
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.splits import Subset
from monuseg_cli.training.targets import CLASSES


def adopt_architecture(recipe: Recipe, card: Card) -> Recipe:
    """Return the recipe with the architecture, options and auxiliary target of the initial weights.

    Raises
    ------
    InputError
        If no auxiliary target has their classes.
    """
    second = next((target for target, classes in CLASSES.items() if classes == card.classes), None)
    if second is None:
        message = f"no `aux_target` has the classes {', '.join(card.classes)}; choose other weights with `init`"
        raise InputError(message)
    options = {name: value for name, value in card.options.items() if name != "dropout"}
    return replace(recipe, arch=card.architecture, options=options, aux_target=second)


def require_unseen(val: Subset, card: Card, weights: Path) -> None:
    """Refuse to validate on cases that the weights were trained on, whatever they are called.

    Raises
    ------
    ContaminationError
        If they were trained on one.
    """
    seen = sorted(list_seen(dict(zip(val.cases, map(Footprint.parse, val.pixels), strict=True)), card))
    if seen:
        message = (
            f"{weights} was trained on {len(seen)} of the validation cases (the first: {seen[0]}), so the validation "
            "scores would be too high; choose the `fold` that it was validated on, or another `val`"
        )
        raise ContaminationError(message)


@torch.no_grad()
def transfer_weights(model: nn.Module, recipe: Recipe, weights: Path) -> Card:
    """Load the weights of a file into a model; the output channels of the last layer may differ.

    In the last layer, channels of classes that both have are copied; the others keep their random values.

    Parameters
    ----------
    model : torch.nn.Module
        Model built by the recipe; modified in place.
    recipe : Recipe
        Architecture, options and auxiliary target of `model`.
    weights : Path
        Weights file to start from.

    Returns
    -------
    Card
        Card of the weights.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If the weights are unusable, or have another architecture or other options.
    """
    source, card = load_model(weights)
    defaults = registry.get(card.architecture).defaults  # for options newer than the weights
    required, given = ({**defaults, **options, "dropout": 0} for options in (recipe.model_options(), card.options))
    if (recipe.arch, required) != (card.architecture, given):
        differences = {name: value for name, value in given.items() if required.get(name) != value}
        details = f" with {differences}" if differences else ""
        message = f"{weights} is of {card.architecture}{details}, which a {recipe.arch} cannot start from"
        raise InputError(message)
    last, source_last = _last_layer(model), _last_layer(source)
    bias = last.bias
    assert bias is not None
    assert source_last.bias is not None
    rows = {"weight": last.weight.clone(), "bias": bias.clone()}
    per_class = len(source_last.bias) // card.out_channels  # several where the network computes logits of 2 x 2 pixels
    for channel, name in enumerate(CLASSES[recipe.aux_target]):
        if name in card.classes:
            own, theirs = (slice(n * per_class, (n + 1) * per_class) for n in (channel, card.classes.index(name)))
            rows["weight"][own] = source_last.weight[theirs]
            rows["bias"][own] = source_last.bias[theirs]
    source_last.weight, source_last.bias = nn.Parameter(rows["weight"]), nn.Parameter(rows["bias"])
    model.load_state_dict(source.state_dict())
    return card


def _last_layer(model: nn.Module) -> nn.Conv2d:
    """Return the layer that computes the logits, the last convolution of every architecture."""
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)][-1]
