"""Every knob of a training, in one frozen dataclass."""

import dataclasses
import math
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import tomli_w

from monuseg_cli.atomic import write_text
from monuseg_cli.dataset.catalog import train_set, validation_fold
from monuseg_cli.errors import InputError, MissingError
from monuseg_cli.models import registry
from monuseg_cli.tiling import Edge

Loss = Literal["bce", "bce+dice"]
Augment = Literal["none", "flips", "flips+colour"]
Schedule = Literal["constant", "cosine", "plateau"]

_KINDS: dict[str, tuple[type, ...]] = {"bool": (bool,), "int": (int,), "float": (int, float), "Mapping": (Mapping,)}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained, down to the random numbers.

    Parameters
    ----------
    arch : str
        Architecture, a name in the registry.
    options : mapping
        Options of the architecture that differ from its defaults.
    pretrained : bool
        Start from torchvision's ImageNet weights of the backbone, for architectures that have one.
    train_set : int
        30 (the challenge's train set) or 37 (with the 7 bonus cases).
    fold : int
        Which of the five folds is left out of the train set to validate on.
    patch_px, stride_px, edge
        How patches are cut; see `PatchesConfig`.
    epochs : int
        How many times every train patch is seen.
    batch_size : int
        Patches a step.
    learning_rate : float
        Peak learning rate of AdamW.
    weight_decay : float
        Of AdamW.
    schedule : {"constant", "cosine", "plateau"}
        ``"cosine"``: a linear rise over the first twentieth of all steps, then half a cosine down to 0.
        ``"plateau"``: a tenth, down to 1e-6, whenever `plateau_patience` epochs have not lowered the validation loss.
    plateau_patience : int
        See `schedule`.
    early_stopping : int
        Stop when that many epochs have not lowered the validation loss; 0: never.
    loss : {"bce", "bce+dice"}
        Mean binary cross-entropy, to which 1 - soft Dice over the batch can be added.
    augment : {"none", "flips", "flips+colour"}
        Right angles and flips; then also a random gain and offset for each colour channel.
    seed : int
        Of the weights' initial values, the order and augmentation of patches, and dropout.
    workers : int
        Processes that prepare patches beside the training one; 0 prepares them in it.
    """

    arch: str = "unet-se"
    options: Mapping[str, bool | int | float] = field(default_factory=lambda: types.MappingProxyType({}))
    pretrained: bool = False
    train_set: int = 30
    fold: int = 1
    patch_px: int = 256
    stride_px: int = 248
    edge: Edge = "shift"
    epochs: int = 40
    batch_size: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    schedule: Schedule = "cosine"
    plateau_patience: int = 6
    early_stopping: int = 0
    loss: Loss = "bce+dice"
    augment: Augment = "flips+colour"
    seed: int = 0
    workers: int = 0

    def __post_init__(self) -> None:
        """Check every value.

        Raises
        ------
        InputError
            If one cannot be used; the message names the option of the command line.
        """
        for knob in dataclasses.fields(self):
            value = getattr(self, knob.name)
            kinds = _KINDS.get(_kind(knob), (str,))
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                message = f"--{knob.name.replace('_', '-')} cannot be {value!r}"
                raise InputError(message)
        architecture = registry.get(self.arch)
        choices = {"edge": Edge, "loss": Loss, "augment": Augment, "schedule": Schedule}
        for name, literal in choices.items():
            if getattr(self, name) not in get_args(literal):
                message = f"--{name} takes {' or '.join(get_args(literal))}, not {getattr(self, name)!r}"
                raise InputError(message)
        least = {
            "patch_px": 1,
            "stride_px": 1,
            "epochs": 1,
            "batch_size": architecture.min_train_batch,
            "plateau_patience": 1,
            "early_stopping": 0,
            "seed": 0,
            "workers": 0,
        }
        for name, value in least.items():
            if getattr(self, name) < value:
                message = f"--{name.replace('_', '-')} must be at least {value} for {self.arch}"
                raise InputError(message)
        if not 0 < self.learning_rate < math.inf or not 0 <= self.weight_decay < math.inf:
            message = "--learning-rate must be above 0, --weight-decay not below, and both finite"
            raise InputError(message)
        if not self.train_cases():
            message = "no case is left to train on"
            raise InputError(message)

    def val_cases(self) -> tuple[str, ...]:
        """List the ids of the cases validated on."""
        return validation_fold(self.fold)

    def train_cases(self) -> tuple[str, ...]:
        """List the ids of the cases trained on: the train set without the validated ones."""
        return tuple(case_id for case_id in train_set(self.train_set) if case_id not in self.val_cases())

    def to_dict(self) -> dict[str, Any]:
        """Give every knob with its value, in plain types."""
        values = {knob.name: getattr(self, knob.name) for knob in dataclasses.fields(self)}
        return {**values, "options": dict(self.options)}

    def save(self, path: Path) -> None:
        """Write the recipe as TOML, whole or not at all."""
        write_text(path, tomli_w.dumps(self.to_dict()))

    @classmethod
    def load(cls, path: Path) -> "Recipe":
        """Read a recipe written by `save`.

        Raises
        ------
        MissingError
            If there is none.
        InputError
            If it is no TOML, or has an unknown knob or a value of the wrong kind.
        """
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
            return cls(**content)
        except FileNotFoundError as error:
            message = f"no recipe {path}"
            raise MissingError(message) from error
        except InputError as error:
            message = f"{path}: {error}"
            raise InputError(message) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
            message = f"{path} is no recipe ({error})"
            raise InputError(message) from error


def _kind(knob: "dataclasses.Field[Any]") -> str:
    """Name the type of a knob, without its parameters; a choice of words is named ``"Literal"``."""
    return str(getattr(knob.type, "__name__", knob.type))


BUILT_IN: Mapping[str, Recipe] = types.MappingProxyType(
    {
        "default": Recipe(),
        # The notebooks': Adam, binary cross-entropy, no augmentation, the last rows and columns never seen. The one
        # deviation is what this toolkit always does: validation is by case.
        "baseline": Recipe(
            stride_px=128,
            edge="drop",
            epochs=100,
            batch_size=16,
            learning_rate=1e-3,
            weight_decay=0.0,
            schedule="plateau",
            early_stopping=20,
            loss="bce",
            augment="none",
        ),
    }
)
"""The recipes that have a name."""


def find_recipe(name: str) -> Recipe:
    """Give a built-in recipe by its name, or read one from a TOML file.

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
        message = f"no recipe named {name!r}; name a file, or one of: {', '.join(BUILT_IN)}"
        raise MissingError(message)
    return Recipe.load(Path(name))
