"""Model cards: the metadata stored with weights."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, NoReturn

from monuseg_cli.nuclei.postprocess_params import PostprocessParams, upgrade_params

SCHEMA = 1
_RENAMED: Mapping[str, str] = {"separation": "postprocess"}
"""Fields in cards of earlier versions, with their current names."""

_JSON_KINDS: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "tuple": (list,),
    "Mapping": (dict,),
    "PostprocessParams": (dict,),
}


@dataclass(frozen=True, slots=True)
class Card:
    """The metadata needed to use and to judge weights; stored as JSON in the header of the weights file.

    Parameters
    ----------
    architecture : str
        Name in the registry.
    options : mapping
        All options the architecture was built with.
    in_channels, out_channels : int
        Channels of the image and of the logits.
    classes : tuple of str
        Meaning of each channel of the logits.
    mean, std : tuple of float
        Normalisation per channel: the network's input is (pixel / 255 - mean) / std.
    mpp : float
        Micrometres per pixel of the training images.
    postprocess : PostprocessParams
        Parameters that turn the network's maps into nuclei.
    licence, attribution : str
        Of the weights; they follow those of the data.
    train_set : int
        Size of the train set that the cases were taken from, 30 or 37.
    train_cases, val_cases : tuple of str
        Ids of the cases that were trained on, and that chose the best epoch.
    train_pixels : tuple of str
        Footprints of the training cases, which identify their pixels, by `monuseg_cli.dataset.leakage.Footprint`. Empty
        in cards of earlier versions.
    data_sha256 : str
        SHA-256 of the archive that the cases come from.
    data_verified : bool
        Whether that is the published hash.
    epoch : int
        Number of epochs after which the weights were saved.
    scores : mapping of str to float
        Validation scores of these weights during training, over windows.
    results : mapping of str to mapping of str to float
        Scores on whole images, as means over images, keyed by the set of images.
    recipe : mapping
        The resolved recipe.
    version : str
        Version of monuseg that wrote the file.
    data_sets : mapping of str to mapping
        The training data sets by name, with cases, weight, hash, licence and attribution of each; empty in files of
        earlier versions, which supported a single data set.
    averaged : mapping of str to float
        If the weights are an average: the names of the averaged weights, with their shares. Empty otherwise.
    stain : mapping of str to tuple of float
        Stain levels of the training tissue by `monuseg_cli.imaging.stains.find_levels`, as the mean over images; the
        target of stain matching. Empty: not measured, and no image is matched.
    ranges : mapping of str to tuple of float
        Lowest and highest input value of each convolution, by its name, for engines that compute in 8 bits. Empty:
        they compute in higher precision. See `monuseg_cli.models.quantise`.
    use : str
        Intended use, and its limits.
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
    train_pixels: tuple[str, ...] = ()
    postprocess: PostprocessParams = field(default_factory=PostprocessParams)
    results: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    data_sets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    averaged: Mapping[str, float] = field(default_factory=dict)
    stain: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    use: str = "Research on H&E tissue. Not a medical device: not for diagnosis or treatment."
    schema: int = SCHEMA

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """Read a card.

        Raises
        ------
        ValueError
            If the text is not JSON, or a field is missing, unknown or has an unusable value.
        """
        content = _read_object(text)
        known = {part.name: part for part in fields(cls)}
        required = {name for name, part in known.items() if part.default is MISSING and part.default_factory is MISSING}
        if strange := sorted((required - content.keys()) | (content.keys() - known.keys())):
            message = f"the card lacks, or should not have, the field {strange[0]!r}"
            raise ValueError(message)
        for name, value in content.items():
            kinds = _JSON_KINDS[getattr(known[name].type, "__name__", "")]
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                _refuse(name, value)
        card = cls(**{name: _FROM_JSON.get(name, _to_tuple)(value) for name, value in content.items()})
        _check_numbers(card)
        _check_classes(card)
        return card

    def to_json(self) -> str:
        """Write the card as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)


def _read_object(text: str) -> dict[str, Any]:
    """Read the fields of a card of this schema, under their current names."""
    content = json.loads(text)
    if not isinstance(content, dict):
        message = "the card is not a JSON object"
        raise ValueError(message)
    content = {_RENAMED.get(name, name): value for name, value in content.items()}
    if content.get("schema") != SCHEMA:
        message = f"the card has schema {content.get('schema')}, this version reads {SCHEMA}"
        raise ValueError(message)
    return content


def _refuse(name: str, value: object) -> NoReturn:
    message = f"the card's {name} cannot be {value!r}"
    raise ValueError(message)


def _to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _read_postprocess(content: Mapping[str, Any]) -> PostprocessParams:
    try:
        return PostprocessParams(**upgrade_params(content))
    except (TypeError, ValueError) as error:
        message = f"the card's postprocess cannot be used ({error})"
        raise ValueError(message) from error


def _read_scores(scores: Any) -> Mapping[str, float]:
    numbers = scores.values() if isinstance(scores, dict) else [None]
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
        _refuse("scores", scores)
    return dict(scores)


def _read_results(results: Mapping[str, Any]) -> Mapping[str, Mapping[str, float]]:
    return {cases: _read_scores(scores) for cases, scores in results.items()}


def _read_ranges(ranges: Mapping[str, Any]) -> Mapping[str, tuple[float, float]]:
    return {name: _read_range(name, bounds) for name, bounds in ranges.items()}


def _read_range(name: str, bounds: Any) -> tuple[float, float]:
    match bounds:
        case [int() | float() as low, int() | float() as high] if -math.inf < low <= 0 < high < math.inf:
            return float(low), float(high)
    _refuse(f"range of {name}", bounds)


def _read_averaged(shares: Mapping[str, Any]) -> Mapping[str, float]:
    if not all(isinstance(share, int | float) and 0 < share < 1 for share in shares.values()):
        _refuse("averaged", shares)
    return dict(shares)


def _read_stain(stain: Mapping[str, Any]) -> Mapping[str, tuple[float, float]]:
    return {name: _read_percentiles(name, pair) for name, pair in stain.items()}


def _read_percentiles(name: str, pair: Any) -> tuple[float, float]:
    match pair:
        case [int() | float() as middle, int() | float() as high] if -math.inf < middle <= high < math.inf:
            return float(middle), float(high)
    _refuse(f"stain of {name}", pair)


_FROM_JSON: Mapping[str, Callable[[Any], Any]] = {
    "postprocess": _read_postprocess,
    "scores": _read_scores,
    "results": _read_results,
    "averaged": _read_averaged,
    "stain": _read_stain,
    "ranges": _read_ranges,
}
"""Converters of fields that JSON cannot represent directly; in any other field, a list becomes a tuple."""


def _check_numbers(card: Card) -> None:
    positive = (card.mpp, *card.std, card.in_channels, card.out_channels)
    lengths = {len(card.mean), len(card.std), card.in_channels}
    if not all(0 < number < math.inf for number in positive) or len(lengths) > 1:
        message = "the card's mpp, mean, std or channels cannot be used"
        raise ValueError(message)


def _check_classes(card: Card) -> None:
    if len(set(card.classes)) != card.out_channels or card.classes[0] != "nucleus":
        message = f"the card's classes {card.classes} cannot be those of {card.out_channels} channels"
        raise ValueError(message)


def describe(card: Card, name: str) -> str:
    """Write a human-readable model card as Markdown."""
    options = ", ".join(f"{option} {value}" for option, value in card.options.items())
    recipe = ", ".join(f"{setting} {value}" for setting, value in card.recipe.items() if value not in ("", {}, False))
    postprocess = ", ".join(f"{part} {value}" for part, value in asdict(card.postprocess).items())
    results = {"validation windows, during training": card.scores, **card.results}
    verified = "" if card.data_verified else " (not the published archive)"
    data = f"Train set of {card.train_set}, archive {card.data_sha256[:12]}{verified}"
    if card.recipe.get("train"):
        data = f"Own data, {card.train_set} cases, hash {card.data_sha256[:12]}"
    averaged = ", ".join(f"{share:.0%} of {weights}" for weights, share in card.averaged.items())
    stain = ", ".join(f"{name} {middle:.2f} and {high:.2f}" for name, (middle, high) in card.stain.items())
    shares = ", ".join(f"{part['cases']} of {data_set}" for data_set, part in card.data_sets.items())
    lines = [
        f"# {name}",
        card.use,
        f"Licence: {card.licence}. Data: {card.attribution}.",
        "## Network",
        f"{card.architecture} ({options}): {card.in_channels} channels in, {', '.join(card.classes)} out.",
        f"Scale: {card.mpp} um/px. Input: intensities of 0 to 1, normalised by mean {_list(card.mean)} "
        f"and standard deviation {_list(card.std)}.",
        f"Post-processing: {postprocess}.",
        *(["OpenVINO runs it in 8 bits, PyTorch in 32; all scores here are for 32 bits."] if card.ranges else []),
        "## Training",
        f"Epoch {card.epoch} of: {recipe}.",
        *([f"These weights are a mean: {averaged}."] if averaged else []),
        *([f"Stain of its tissue, optical density, 50th and 95th percentile: {stain}."] if stain else []),
        f"{data}; monuseg {card.version}.",
        f"Trained on {len(card.train_cases)}{f' ({shares})' if shares else ''}: {', '.join(card.train_cases)}.",
        f"Validated on {len(card.val_cases)}: {', '.join(card.val_cases)}.",
        "## Scores",
        "\n".join(f"- {cases}: {_scores(scores)}" for cases, scores in results.items()),
    ]
    return "\n\n".join(lines)


def _list(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:.4g}" for value in values)


def _scores(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
