"""Weights with their card: safetensors files whose header says everything that is needed to use them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from monuseg_cli.atomic import write_bytes
from monuseg_cli.errors import InputError, MissingError
from monuseg_cli.models import registry
from monuseg_cli.paths import BEST_WEIGHTS, Home

if TYPE_CHECKING:
    from torch import Tensor, nn

SCHEMA = 1
_CARD_KEY = "monuseg_card"
_JSON_KINDS: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "tuple": (list,),
    "Mapping": (dict,),
}


@dataclass(frozen=True, slots=True)
class Card:
    """What must be known of weights to use and to judge them; stored as JSON in the file's header.

    Parameters
    ----------
    architecture : str
        Name in the registry.
    options : mapping
        Every option that the architecture was built with.
    in_channels, out_channels : int
        Channels of the image and of the logits.
    classes : tuple of str
        What each channel of the logits means.
    mean, std : tuple of float
        The network sees (pixel / 255 - mean) / std, channel by channel.
    mpp : float
        Micrometres per pixel of the images it was trained on.
    threshold : float
        Probability from which on a pixel belongs to a nucleus.
    min_area_um2 : float
        Smaller nuclei are dropped.
    licence, attribution : str
        Of the weights, which follow the data's.
    train_set : int
        Size of the train set that the cases were taken from, 30 or 37.
    train_cases, val_cases : tuple of str
        Ids of the cases that were trained on, and that chose the best epoch.
    data_sha256 : str
        Hash of the archive that the cases came from.
    data_verified : bool
        Whether that is the published one.
    epoch : int
        Number of epochs after which the weights were taken.
    scores : mapping of str to float
        Validation scores of these weights, over patches.
    recipe : mapping
        The resolved recipe.
    version : str
        Version of monuseg that wrote the file.
    """

    architecture: str
    options: Mapping[str, Any]
    mpp: float
    licence: str
    attribution: str
    train_set: int
    train_cases: tuple[str, ...]
    val_cases: tuple[str, ...]
    data_sha256: str
    data_verified: bool
    epoch: int
    scores: Mapping[str, float]
    recipe: Mapping[str, Any]
    version: str
    in_channels: int = 3
    out_channels: int = 1
    classes: tuple[str, ...] = ("nucleus",)
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    threshold: float = 0.5
    min_area_um2: float = 8.0
    schema: int = SCHEMA

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read a card.

        Raises
        ------
        ValueError
            If it is not JSON, lacks a field, has an unknown one, or a value that cannot be used.
        """
        content = json.loads(text)
        if not isinstance(content, dict):
            message = "the card is no JSON object"
            raise ValueError(message)
        if content.get("schema") != SCHEMA:
            message = f"the card has schema {content.get('schema')}, this version reads {SCHEMA}"
            raise ValueError(message)
        known = {part.name: part for part in fields(cls)}
        required = {name for name, part in known.items() if part.default is MISSING}
        if strange := sorted((required - content.keys()) | (content.keys() - known.keys())):
            message = f"the card lacks, or should not have, the field {strange[0]!r}"
            raise ValueError(message)
        for name, value in content.items():
            kinds = _JSON_KINDS[str(known[name].type).split("[")[0]]
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                message = f"the card's {name} cannot be {value!r}"
                raise ValueError(message)
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in content.items()
        }
        card = cls(**values)
        positive = (card.mpp, *card.std, 1 - card.threshold, card.threshold, card.in_channels, card.out_channels)
        lengths = {len(card.mean), len(card.std), card.in_channels}
        if not all(0 < number < math.inf for number in positive) or not card.min_area_um2 >= 0 or len(lengths) > 1:
            message = "the card's mpp, mean, std, threshold, min_area_um2 or channels cannot be used"
            raise ValueError(message)
        if len(set(card.classes)) != card.out_channels or card.classes[0] != "nucleus":
            message = f"the card's classes {card.classes} cannot be those of {card.out_channels} channels"
            raise ValueError(message)
        return card

    def to_json(self) -> str:
        """Write the card as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)


def save_weights(path: Path, state: Mapping[str, Tensor], card: Card) -> None:
    """Write weights and card to a safetensors file, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    write_bytes(path, save(tensors, metadata={_CARD_KEY: card.to_json()}))


def read_card(path: Path) -> Card:
    """Read the card of a weights file, and nothing else; torch is not needed.

    Raises
    ------
    MissingError
        If there is no such file.
    InputError
        If it is no safetensors file, is cut off, or has no card.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError as error:
        message = f"no weights file {path}"
        raise MissingError(message) from error
    except (SafetensorError, OSError) as error:
        message = f"{path} is no whole safetensors file ({error}); pickled weights are refused, since they can run code"
        raise InputError(message) from error
    if _CARD_KEY not in metadata:
        message = f"{path} has no card, so nothing tells how to use it; was it made by monuseg train?"
        raise InputError(message)
    try:
        return Card.from_json(metadata[_CARD_KEY])
    except (ValueError, TypeError) as error:
        message = f"{path}: {error}"
        raise InputError(message) from error


def load_model(path: Path) -> tuple[nn.Module, Card]:
    """Build the model that a weights file is of, with its weights, in evaluation mode.

    Raises
    ------
    MissingError
        If there is no such file.
    InputError
        If its card or its weights cannot be used, or do not fit each other.
    """
    import torch
    from safetensors.torch import load_file

    card = read_card(path)
    try:
        model = registry.create(
            card.architecture, in_channels=card.in_channels, out_channels=card.out_channels, **card.options
        )
    except (InputError, TypeError, ValueError, RuntimeError) as error:  # options of a wrong kind or size
        message = f"{path}: {error}"
        raise InputError(message) from error
    state = load_file(path)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        message = f"{path}: the weights are not those of {card.architecture}, which its card names"
        raise InputError(message) from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
        message = f"{path}: some weights are not finite numbers"
        raise InputError(message)
    return model.eval(), card


def list_weights(home: Home) -> dict[str, Card]:
    """Read the cards of all runs' best weights and of all models in `home`, by the name they are called by.

    Files that are no weights are passed over.
    """
    runs = {path.parent.name: path for path in sorted(home.runs.glob(f"*/{BEST_WEIGHTS}"))}
    models = {path.stem: path for path in sorted(home.models.glob("*.safetensors"))}
    cards = {}
    for name, path in (models | runs).items():
        with suppress(InputError):
            cards[name] = read_card(path)
    return cards
