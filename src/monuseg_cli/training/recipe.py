"""The recipe: all settings of a training, in one frozen dataclass."""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import tomli_w

from monuseg_cli.core.atomic import write_text
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import is_special_file
from monuseg_cli.core.schema import show_value
from monuseg_cli.core.suggest import did_you_mean
from monuseg_cli.dataset.catalog import train_set, validation_fold
from monuseg_cli.imaging.tiling import Edge
from monuseg_cli.models import registry
from monuseg_cli.training.mixture import MoreData, parse_more
from monuseg_cli.training.recipe_checks import check_settings

Loss = Literal["bce", "dice", "bce+dice", "focal", "focal+dice", "lovasz", "bce+lovasz"]
AuxTarget = Literal["none", "boundary", "distance", "hv"]
Schedule = Literal["constant", "cosine", "one-cycle", "plateau"]
Amp = Literal["none", "bf16", "fp16"]

_RENAMED: Mapping[str, str] = {
    "second_target": "aux_target",
    "averaging": "ema_decay",
    "blank": "blank_prob",
    "also": "extra_data",
    "pale": "stain_min",
    "dark": "stain_max",
}
"""Settings in recipes of earlier versions, with their current names."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings of a training, which determine it down to the random numbers.

    Parameters
    ----------
    arch : str
        Architecture, a name in the registry.
    options : mapping
        Options of the architecture that differ from its defaults.
    dropout : float
        Dropout rate, for architectures with an option ``dropout``: the U-Nets, after every pooling and concatenation.
    pretrained : bool
        Initialise the backbone with ImageNet weights, for architectures that have some.
    init : str
        Start from these weights, a run's name or a file; empty: from random weights. Only the channels of the last
        layer may differ; those of common classes are copied.
    teacher : str
        Learn to repeat the predictions of these weights, a run's name or a file, besides the annotations; empty: only
        the annotations. Their classes must be those of the training.
    teacher_weight : float
        Share of the teacher in the loss.
    train : str
        Folder of own data to train on, as `monuseg_cli.dataset.folder.scan_folder` reads it; empty: MoNuSeg.
    val : str
        Folder of own data to validate on; empty: the validation part of `train`.
    extra_data : tuple of str
        Additional training data: public data sets by name (``"nuinsseg"``) or folders of own data, optionally with
        ``:WEIGHT`` (``"nuinsseg:0.125"``), which multiplies `crops_per_case` for their cases. They are resampled to
        one scale, and never used for validation.
    train_set : int
        30 (the challenge's train set) or 37 (with the 7 bonus cases).
    fold : int
        Validation fold, 1 to 5, of MoNuSeg or of own data without a validation part.
    patch_px, stride_px, edge, rescale
        How patches are cut; see `PatchesConfig`.
    crop_px : int
        Side of the network's input: random crops of the train patches, a grid of windows over the validation patches.
    crops_per_case : int
        Crops per train case and epoch, taken from its patches in turn.
    aux_target : {"none", "boundary", "distance", "hv"}
        Auxiliary target, to separate touching nuclei: their boundaries, the distance from the boundary, or the
        horizontal and vertical position in the nucleus.
    loss : {"bce", "dice", "bce+dice", "focal", "focal+dice", "lovasz", "bce+lovasz"}
        Loss of the nuclei: binary cross-entropy, 1 - soft Dice over the batch, focal loss and Lovász hinge, or the sum
        of two.
    epochs : int
        Number of passes over the crops of all train cases.
    batch_size : int
        Crops per step; in distributed training, per process.
    learning_rate : float
        Peak learning rate of AdamW.
    weight_decay : float
        Weight decay of AdamW.
    schedule : {"constant", "cosine", "one-cycle", "plateau"}
        ``"cosine"``: linear warm-up over 1/20 of all steps, then cosine decay to 0.
        ``"one-cycle"``: cosine rise from 1/25 of the peak over 3/10 of all steps, then cosine decay to 0.
        ``"plateau"``: a tenth of the rate, down to 1e-6, after `plateau_patience` epochs without a lower validation
        loss.
    plateau_patience : int
        See `schedule`.
    early_stopping : int
        Stop after this many epochs without a lower validation loss; 0: never.
    ema_decay : float
        Decay of the exponential moving average of the weights, which is validated and saved; 0: no averaging.
    flips : bool
        Whether crops are flipped and rotated by multiples of 90 degrees.
    warp : float
        Fraction of crops that are scaled, rotated freely and elastically deformed.
    scale : float
        Warped crops are scaled by up to 1 + `scale`, or down to its inverse.
    rotation_deg : float
        Warped crops are rotated by up to this angle in either direction.
    elastic_px : float
        Standard deviation of the elastic deformation of warped crops, at mesh points 32 px apart.
    stain : float
        Haematoxylin and eosin are scaled by up to 1 ± `stain` in optical density, and their hues vary; 0: off.
    stain_min, stain_max : float
        Haematoxylin and eosin are multiplied in optical density by log-uniform factors between these two, common or
        separate, instead of 1 ± `stain`; 1 and 1: off.
    scanner : float
        Gamma and saturation vary by up to this, the white point of each channel by half of it; 0: off.
    blank_prob : float
        Fraction of crops replaced by an image without nuclei: glass, a plain colour, ink or stained flakes.
    brightness : float
        Intensities are scaled by up to 1 ± `brightness`.
    degrade : float
        Probability that a crop is blurred, gets noise, or is compressed; the three are drawn independently.
    blur_px : float
        Largest standard deviation of the Gaussian blur.
    noise : float
        Largest standard deviation of the noise, for intensities within 0..1.
    jpeg_quality : int
        Lowest JPEG quality of the compression.
    amp : {"none", "bf16", "fp16"}
        Automatic mixed precision, in 16 bits where possible. fp16 needs CUDA.
    seed : int
        Seed of the initial weights, the order and augmentation of crops, and dropout.
    workers : int
        Number of processes that prepare crops; 0: a thread does.
    """

    arch: str = "unet-se"
    options: Mapping[str, Any] = field(default_factory=dict)
    dropout: float = 0.0
    pretrained: bool = False
    init: str = ""
    teacher: str = ""
    teacher_weight: float = 0.5
    train: str = ""
    val: str = ""
    extra_data: tuple[str, ...] = ()
    train_set: int = 30
    fold: int = 1
    patch_px: int = 512
    stride_px: int = 488
    edge: Edge = "shift"
    rescale: bool = False
    crop_px: int = 256
    crops_per_case: int = 16
    aux_target: AuxTarget = "boundary"
    loss: Loss = "bce+dice"
    epochs: int = 40
    batch_size: int = 4
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    schedule: Schedule = "cosine"
    plateau_patience: int = 6
    early_stopping: int = 0
    ema_decay: float = 0.995
    flips: bool = True
    warp: float = 0.5
    scale: float = 0.25
    rotation_deg: float = 45.0
    elastic_px: float = 2.0
    stain: float = 0.3
    stain_min: float = 1.0
    stain_max: float = 1.0
    scanner: float = 0.0
    blank_prob: float = 0.0
    brightness: float = 0.0
    degrade: float = 0.0
    blur_px: float = 2.0
    noise: float = 0.05
    jpeg_quality: int = 30
    amp: Amp = "none"
    seed: int = 0
    workers: int = 0

    def __post_init__(self) -> None:
        """Check every value.

        Raises
        ------
        InputError
            If a value is invalid.
        """
        types = {setting.name: setting.type for setting in dataclasses.fields(self)}
        check_settings({name: getattr(self, name) for name in types}, types)
        self.more_data()
        self.monuseg_cases()

    def more_data(self) -> tuple[MoreData, ...]:
        """Parse `extra_data`.

        Raises
        ------
        InputError
            If a name is empty or occurs twice, or a weight is not above 0.
        """
        return parse_more(self.extra_data)

    @property
    def loss_terms(self) -> str:
        """The terms that the loss sums up: ``"bce + dice, boundary"``. Losses of other terms cannot be compared."""
        terms = self.loss.replace("+", " + ")
        return terms if self.aux_target == "none" else f"{terms}, {self.aux_target}"

    def monuseg_cases(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """List the ids of MoNuSeg's training cases, and of the validation cases of the fold.

        Raises
        ------
        InputError
            If the fold or the train set does not exist.
        """
        val = validation_fold(self.fold)
        return tuple(case_id for case_id in train_set(self.train_set) if case_id not in val), val

    def to_dict(self) -> dict[str, Any]:
        """Return all settings in plain types."""
        values = {setting.name: getattr(self, setting.name) for setting in dataclasses.fields(self)}
        return {**values, "options": dict(self.options), "extra_data": list(self.extra_data)}

    def model_options(self) -> dict[str, bool | int | float]:
        """Return all options to build the architecture with."""
        defaults = registry.get(self.arch).defaults
        dropout = {"dropout": self.dropout} if "dropout" in defaults else {}
        return {**defaults, **dropout, **self.options}

    def save(self, path: Path) -> None:
        """Write the recipe as TOML, atomically."""
        write_text(path, tomli_w.dumps(self.to_dict()))

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "Recipe":
        """Build a recipe from settings by name; names of earlier versions are accepted.

        Raises
        ------
        InputError
            If a setting is unknown, or a value is invalid.
        """
        current = {_RENAMED.get(name, name): value for name, value in settings.items()}
        known = [setting.name for setting in dataclasses.fields(cls)]
        for name in current:
            if name not in known:
                shown = name if name.isidentifier() else show_value(name)
                message = f"no such setting {shown}{did_you_mean(name, known)}"
                raise InputError(message)
        if isinstance(current.get("extra_data"), list):
            current["extra_data"] = tuple(current["extra_data"])
        return cls(**current)

    @classmethod
    def load(cls, path: Path) -> "Recipe":
        """Read a recipe written by `save`.

        Raises
        ------
        MissingError
            If the file does not exist.
        InputError
            If the file is not TOML, or has an unknown setting or an invalid value.
        """
        if is_special_file(path):
            message = f"{path} is not a regular file; use a recipe.toml saved by a training"
            raise InputError(message)
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
            return cls.from_dict(content)
        except FileNotFoundError as error:
            message = f"no recipe {path}"
            raise MissingError(message) from error
        except InputError as error:
            problem = str(error).replace("`", "")  # settings in a file have their Python names
            message = f"{path}: {problem}{'' if '; ' in problem else '; correct it in the file'}"
            raise InputError(message) from error
        except (OSError, ValueError, RecursionError) as error:  # TOMLDecodeError, UnicodeDecodeError, absurd numbers
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            message = f"{path} is not a recipe ({reason}); use a recipe.toml saved by a training"
            raise InputError(message) from error
