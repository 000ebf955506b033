"""Weights files: safetensors with the model card in the header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from monuseg_cli.core.atomic import write_bytes
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import BEST_WEIGHTS, DEFAULT_MODEL, SHIPPED, WEIGHTS_SUFFIX, Home
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.models import registry
from monuseg_cli.models.card import Card

if TYPE_CHECKING:
    from torch import Tensor, nn

_CARD_KEY = "monuseg_card"
_ANOTHER = "take another file, or train again"


def save_weights(path: Path, state: Mapping[str, Tensor], card: Card) -> None:
    """Write weights and card to a safetensors file atomically; floating-point tensors may have any width.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    write_bytes(path, save(tensors, metadata={_CARD_KEY: card.to_json()}))


def read_card(path: Path) -> Card:
    """Read only the card of a weights file; torch is not needed.

    Raises
    ------
    MissingError
        If there is no such file.
    InputError
        If it is not a safetensors file, is truncated, or has no card.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError as error:
        message = f"no weights file {path}; those at hand are listed by: monuseg models"
        raise MissingError(message) from error
    except (SafetensorError, OSError) as error:
        remedy = "copy it again; pickled weights are refused, since they can run code"
        message = f"{path} is not a complete safetensors file ({error}); {remedy}"
        raise InputError(message) from error
    if _CARD_KEY not in metadata:
        message = f"{path} has no model card; use weights written by monuseg train"
        raise InputError(message)
    try:
        card = Card.from_json(metadata[_CARD_KEY])
        registry.get(card.architecture).check_options(card.options)
    except ValueError as error:
        message = f"{path}: {error}; {_ANOTHER}"
        raise InputError(message) from error
    return card


def load_model(path: Path) -> tuple[nn.Module, Card]:
    """Build the model of a weights file, with its weights, in evaluation mode.

    Raises
    ------
    MissingError
        If there is no such file.
    InputError
        If its card or its weights are unusable, or do not match.
    """
    import torch
    from safetensors.torch import load_file

    card = read_card(path)
    try:
        with torch.device("meta"):  # takes no memory, however large the network of the card is
            model = registry.create(
                card.architecture, in_channels=card.in_channels, out_channels=card.out_channels, **card.options
            )
    except InputError as error:
        message = f"{path}: {error}; {_ANOTHER}"
        raise InputError(message) from error
    state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in load_file(path).items()}
    try:
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        message = f"{path}: the weights are not those of {card.architecture}, which its card names; {_ANOTHER}"
        raise InputError(message) from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
        message = f"{path}: some weights are not finite numbers; {_ANOTHER}"
        raise InputError(message)
    return model.eval(), card


def find_all_weights(home: Home) -> dict[str, Path]:
    """Return the weights files of the default model, of all models in `home` and of its runs (the best), by name."""
    runs = {path.parent.name: path for path in sorted(home.runs.glob(f"*/{BEST_WEIGHTS}"))}
    models = {path.stem: path for path in sorted(home.models.glob(f"*{WEIGHTS_SUFFIX}"))}
    return {DEFAULT_MODEL: SHIPPED} | models | runs


def list_weights(home: Home, progress: Progress = SILENT) -> dict[str, Card]:
    """Read the cards of all weights that `find_all_weights` returns, by name.

    Unusable files are skipped with a warning.
    """
    cards = {}
    for name, path in find_all_weights(home).items():
        progress.detail(f"reads the card of {path}")
        try:
            cards[name] = read_card(path)
        except (InputError, MissingError) as error:
            progress.warn(f"{name} is left out: {error}")
    return cards
