"""Model cards: the metadata stored with weights."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from monuseg_cli.core.schema import (
    FRACTION,
    FROM_0,
    FROM_1,
    INSIDE_0_1,
    POSITIVE,
    Range,
    SchemaError,
    parse_json,
    read_as,
    require_mapping,
    show_value,
)
from monuseg_cli.imaging.scale import MAX_MPP, MIN_MPP
from monuseg_cli.nuclei.postprocess_params import PostprocessParams, upgrade_params

SCHEMA: Literal[1] = 1
_RENAMED: Mapping[str, str] = {"separation": "postprocess"}
"""Fields in cards of earlier versions, with their current names."""

_SMALLEST_RANGE = 1e-4
"""Of the inputs of a convolution: 8 bits of less are not distinct."""

Count = Annotated[int, FROM_0]
Mean = Annotated[float, FRACTION]
Density = Annotated[float, Range(-10, 10)]
Input = Annotated[float, Range(-1e6, 1e6)]
Std = Annotated[float, Range(1e-3, 1e3)]


@dataclass(frozen=True, slots=True)
class TrainingData:
    """A training data set in a card: number of cases, weight, hash, licence and attribution."""

    cases: Count
    weight: Annotated[float, POSITIVE]
    sha256: str
    verified: bool
    licence: str
    attribution: str


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
    data_sets : mapping of str to TrainingData
        The training data sets by name; empty in files of earlier versions, which supported a single data set.
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
    mpp: Annotated[float, Range(MIN_MPP, MAX_MPP)]
    licence: str
    attribution: str
    train_set: Count
    train_cases: tuple[str, ...]
    val_cases: tuple[str, ...]
    data_sha256: str
    data_verified: bool
    epoch: Count
    scores: Mapping[str, float]
    recipe: Mapping[str, Any]
    version: str
    in_channels: Literal[3] = 3
    out_channels: Annotated[int, FROM_1] = 1
    classes: tuple[str, ...] = ("nucleus",)
    mean: tuple[Mean, Mean, Mean] = (0.0, 0.0, 0.0)
    std: tuple[Std, Std, Std] = (1.0, 1.0, 1.0)
    train_pixels: tuple[str, ...] = ()
    postprocess: PostprocessParams = field(default_factory=PostprocessParams)
    results: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    data_sets: Mapping[str, TrainingData] = field(default_factory=dict)
    averaged: Mapping[str, Annotated[float, INSIDE_0_1]] = field(default_factory=dict)
    stain: Mapping[str, tuple[Density, Density]] = field(default_factory=dict)
    ranges: Mapping[str, tuple[Input, Input]] = field(default_factory=dict)
    use: str = "Research on H&E tissue. Not a medical device: not for diagnosis or treatment."
    schema: Literal[1] = SCHEMA

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """Read a card.

        Raises
        ------
        ValueError
            If the text is not JSON, or a field is missing, unknown or has an unusable value.
        """
        try:
            content = _upgrade(require_mapping(parse_json(text)))
            if content.get("schema") != SCHEMA:
                message = f"has schema {show_value(content.get('schema'))}, this version reads {SCHEMA}"
                raise SchemaError(message)
            card = read_as(cls, content)
            _check_values(card)
        except SchemaError as error:
            owner = f"the card's {error.field}" if error.field else "the card"
            message = f"{owner} {error.problem}"
            raise ValueError(message) from error
        return card

    def to_json(self) -> str:
        """Write the card as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)


def _upgrade(content: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a card under their current names."""
    content = {_RENAMED.get(name, name): value for name, value in content.items()}
    if "postprocess" in content:
        content["postprocess"] = upgrade_params(content["postprocess"])
    return content


def _check_values(card: Card) -> None:
    if len(card.classes) != card.out_channels or card.classes[0] != "nucleus":
        message = f"cannot be those of {card.out_channels} channels: {', '.join(card.classes)}"
        raise SchemaError(message, "classes")
    if len(set(card.classes)) < len(card.classes):
        message = f"has a name twice: {', '.join(card.classes)}"
        raise SchemaError(message, "classes")
    for name, (low, high) in card.ranges.items():
        if not low <= 0 < _SMALLEST_RANGE <= high:
            message = f"must contain 0 to {_SMALLEST_RANGE}, not {low} to {high}"
            raise SchemaError(message, f"ranges.{name}")
    if card.stain:
        _check_stain(card.stain)


def _check_stain(stain: Mapping[str, tuple[float, float]]) -> None:
    from monuseg_cli.imaging.stains import STAIN_NAMES  # imports numpy

    if stain.keys() != set(STAIN_NAMES):
        message = f"must have {' and '.join(STAIN_NAMES)}, not {', '.join(stain)}"
        raise SchemaError(message, "stain")
    for name, (middle, high) in stain.items():
        if not middle <= high or high <= 0:
            message = f"must be two ascending numbers, the second above 0, not {middle} and {high}"
            raise SchemaError(message, f"stain.{name}")


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
    shares = ", ".join(f"{part.cases} of {data_set}" for data_set, part in card.data_sets.items())
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
