"""All settings of a training, in one frozen dataclass."""

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

_RENAMED: Mapping[str, str] = {"second_target": "aux_target", "averaging": "ema_decay", "blank": "blank_prob"}
"""Settings of recipes that an earlier version saved, and what they are called now."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained, down to the random numbers.

    Parameters
    ----------
    arch : str
        Architecture, a name in the registry.
    options : mapping
        Options of the architecture that differ from its defaults.
    dropout : float
        Share of values dropped in training, for architectures that have an option ``dropout``: the U-Nets, behind every
        pooling and every concatenation.
    pretrained : bool
        Start from ImageNet weights of the backbone, for architectures that have one.
    init : str
        Start from these weights, a run's name or a file; empty: from random ones. Only the last layer may differ in its
        channels, of which those of the same class are taken over.
    train : str
        Folder of own data to train on, as `monuseg_cli.dataset.folder.scan_folder` reads it; empty: MoNuSeg.
    val : str
        Folder of own data to validate on; empty: what `train` leaves for that.
    also : tuple of str
        More data to train on beside that: public data sets by name (``"nuinsseg"``) or folders of own data, with
        ``:WEIGHT`` behind them if wanted (``"nuinsseg:0.125"``): so many times `crops_per_case` crops of each of their
        cases. They are resampled to one scale, and never validated on.
    train_set : int
        30 (the challenge's train set) or 37 (with the 7 bonus cases).
    fold : int
        Which of the five folds is left out to validate on, of MoNuSeg or of own data that say nothing else.
    patch_px, stride_px, edge, rescale
        How patches are cut; see `PatchesConfig`.
    crop_px : int
        Side of what the network sees: random crops of the train patches, a grid of windows over the validation ones.
    crops_per_case : int
        Crops that are taken of every train case in an epoch, from its patches in turn.
    aux_target : {"none", "boundary", "distance", "hv"}
        What the network learns beside the nuclei themselves, to separate those that touch: their boundaries, the
        distance from them, or the horizontal and vertical place in the nucleus.
    loss : {"bce", "dice", "bce+dice", "focal", "focal+dice", "lovasz", "bce+lovasz"}
        What is minimised for the nuclei: binary cross-entropy, 1 - soft Dice over the batch, focal loss and Lovász
        hinge, or the sum of two.
    epochs : int
        How many times the crops of every train case are seen.
    batch_size : int
        Crops a step; in a distributed training, of each process.
    learning_rate : float
        Peak learning rate of AdamW.
    weight_decay : float
        Of AdamW.
    schedule : {"constant", "cosine", "one-cycle", "plateau"}
        ``"cosine"``: a linear rise over the first twentieth of all steps, then half a cosine down to 0.
        ``"one-cycle"``: half a cosine up from a 25th over three tenths of all steps, then half a cosine down to 0.
        ``"plateau"``: a tenth, down to 1e-6, whenever `plateau_patience` epochs have not lowered the validation loss.
    plateau_patience : int
        See `schedule`.
    early_stopping : int
        Stop when that many epochs have not lowered the validation loss; 0: never.
    ema_decay : float
        Decay of the exponential moving average of the weights, which is what is validated and kept; 0: no averaging.
    flips : bool
        Whether crops are flipped and turned by right angles.
    warp : float
        Share of crops that are scaled, turned freely and bent.
    scale : float
        Warped crops are scaled by up to 1 + `scale`, or down to its inverse.
    rotation_deg : float
        Warped crops are turned by up to this, either way.
    elastic_px : float
        Warped crops are bent: points 32 px apart are moved by this standard deviation.
    stain : float
        Haematoxylin and eosin are scaled by up to 1 ± `stain` in optical density, and their hues varied; 0: not at all.
    pale, dark : float
        Haematoxylin and eosin are multiplied by factors between these two in optical density, log-uniform, together or
        each by its own, in place of 1 ± `stain`; 1 and 1: not.
    scanner : float
        Gamma and saturation vary by up to this, the white point of each channel by half of it; 0: not at all.
    blank_prob : float
        Share of crops in place of which there is a picture without nuclei: glass, a plain colour, ink, stained flakes.
    brightness : float
        Intensities are scaled by up to 1 ± `brightness`.
    degrade : float
        Share of crops that are blurred, the same share that get noise, and that are compressed; each drawn by itself.
    blur_px : float
        Largest standard deviation of the Gaussian that blurs.
    noise : float
        Largest standard deviation of the noise, of intensities within 0..1.
    jpeg_quality : int
        Lowest quality of the compression.
    amp : {"none", "bf16", "fp16"}
        Automatic mixed precision: what can be is computed in 16 bits. fp16 needs CUDA.
    seed : int
        Of the weights' initial values, the order and variation of crops, and dropout.
    workers : int
        Processes that prepare crops; 0 prepares them in a thread beside the training.
    """

    arch: str = "unet-se"
    options: Mapping[str, bool | int | float] = field(default_factory=dict)
    dropout: float = 0.0
    pretrained: bool = False
    init: str = ""
    train: str = ""
    val: str = ""
    also: tuple[str, ...] = ()
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
    pale: float = 1.0
    dark: float = 1.0
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
            If one cannot be used.
        """
        types = {setting.name: setting.type for setting in dataclasses.fields(self)}
        check_settings({name: getattr(self, name) for name in types}, types)
        self.more_data()
        self.monuseg_cases()

    def more_data(self) -> tuple[MoreData, ...]:
        """Read what `also` names.

        Raises
        ------
        InputError
            If a name is empty or comes twice, or a weight is not above 0.
        """
        return parse_more(self.also)

    def monuseg_cases(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """List the ids of MoNuSeg's cases that are trained on, and of those that the fold leaves out to validate on.

        Raises
        ------
        InputError
            If there is no such fold or train set.
        """
        val = validation_fold(self.fold)
        return tuple(case_id for case_id in train_set(self.train_set) if case_id not in val), val

    def to_dict(self) -> dict[str, Any]:
        """Return every setting with its value, in plain types."""
        values = {setting.name: getattr(self, setting.name) for setting in dataclasses.fields(self)}
        return {**values, "options": dict(self.options), "also": list(self.also)}

    def model_options(self) -> dict[str, bool | int | float]:
        """Return every option that the architecture is built with."""
        defaults = registry.get(self.arch).options
        dropout = {"dropout": self.dropout} if "dropout" in defaults else {}
        return {**defaults, **dropout, **self.options}

    def save(self, path: Path) -> None:
        """Write the recipe as TOML, whole or not at all."""
        write_text(path, tomli_w.dumps(self.to_dict()))

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "Recipe":
        """Build a recipe from settings by their names; those that an earlier version saved are understood.

        Raises
        ------
        InputError
            If there is no such setting, or a value cannot be used.
        """
        current = {_RENAMED.get(name, name): value for name, value in settings.items()}
        known = [setting.name for setting in dataclasses.fields(cls)]
        for name in current:
            if name not in known:
                message = f"no such setting {name}{did_you_mean(name, known)}"
                raise InputError(message)
        if isinstance(current.get("also"), list):
            current["also"] = tuple(current["also"])
        return cls(**current)

    @classmethod
    def load(cls, path: Path) -> "Recipe":
        """Read a recipe written by `save`.

        Raises
        ------
        MissingError
            If there is none.
        InputError
            If it is no TOML, or has an unknown setting or a value that cannot be used.
        """
        if is_special_file(path):
            message = f"{path} is no regular file; take the recipe.toml that a training has saved"
            raise InputError(message)
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
            return cls.from_dict(content)
        except FileNotFoundError as error:
            message = f"no recipe {path}"
            raise MissingError(message) from error
        except InputError as error:
            message = f"{path}: {str(error).replace('`', '')}"  # a file spells its settings as Python does
            raise InputError(message) from error
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, RecursionError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            message = f"{path} is no recipe ({reason}); take the recipe.toml that a training has saved"
            raise InputError(message) from error
