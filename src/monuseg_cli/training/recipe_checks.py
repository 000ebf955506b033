"""Validation of a recipe's settings: types, ranges and combinations."""

from collections.abc import Mapping
from typing import Any

from monuseg_cli.core.errors import InputError
from monuseg_cli.core.schema import (
    FRACTION,
    FRACTION_BELOW_1,
    FROM_0,
    POSITIVE,
    Range,
    SchemaError,
    read_as,
    require_in,
)
from monuseg_cli.models import registry

BEST_JPEG_QUALITY = 100
_PX = Range(1, 16_384)
_MANY = Range(1, 1_000_000)

RANGES: Mapping[str, Range] = {
    "dropout": FRACTION_BELOW_1,
    "patch_px": _PX,
    "stride_px": _PX,
    "crop_px": _PX,
    "crops_per_case": _MANY,
    "epochs": _MANY,
    "batch_size": Range(1, 65_536),
    "learning_rate": POSITIVE,
    "weight_decay": FROM_0,
    "plateau_patience": _MANY,
    "early_stopping": FROM_0,
    "teacher_weight": Range(0, 1, open_below=True),
    "ema_decay": FRACTION_BELOW_1,
    "warp": FRACTION,
    "scale": Range(0, 10),
    "rotation_deg": Range(0, 360),
    "elastic_px": Range(0, 100),
    "stain": FRACTION,
    "stain_min": Range(0, 1, open_below=True),
    "stain_max": Range(1, 100),
    "scanner": FRACTION_BELOW_1,
    "blank_prob": FRACTION_BELOW_1,
    "brightness": FRACTION_BELOW_1,
    "degrade": FRACTION,
    "blur_px": Range(0, 100),
    "noise": Range(0, 10),
    "jpeg_quality": Range(1, BEST_JPEG_QUALITY),
    "seed": Range(0, 2**63, open_above=True),
    "workers": Range(0, 256),
}
"""Ranges of all numbers except `fold` and `train_set`, whose values the catalogue checks."""


def check_settings(settings: Mapping[str, Any], types: Mapping[str, Any]) -> None:
    """Check every setting, then the combinations.

    Parameters
    ----------
    settings : mapping of str to object
        All settings of a recipe, by name.
    types : mapping of str to type
        Types of the settings; a ``Literal`` lists the values of a setting.

    Raises
    ------
    InputError
        If a setting is invalid.
    """
    for name, value in settings.items():
        try:
            read_as(types[name], value)
            if name in RANGES:
                require_in(RANGES[name], value)
        except SchemaError as error:
            message = f"`{name}`{error.field} {error.problem}"
            raise InputError(message) from error
    registry.get(settings["arch"]).check_options(settings["options"])
    for check in (_check_batch_size, _check_crop, _check_start, _check_data):
        check(settings)


def _check_batch_size(settings: Mapping[str, Any]) -> None:
    least = registry.get(settings["arch"]).min_train_batch
    if settings["batch_size"] < least:
        message = f"`batch_size` must be at least {least} for {settings['arch']}, not {settings['batch_size']}"
        raise InputError(message)


def _check_crop(settings: Mapping[str, Any]) -> None:
    crop, patch = settings["crop_px"], settings["patch_px"]
    if crop > patch:
        message = f"`crop_px={crop}` does not fit into `patch_px={patch}`"
        raise InputError(message)


def _check_start(settings: Mapping[str, Any]) -> None:
    if settings["init"] and settings["pretrained"]:
        message = "`init` and `pretrained` both set the initial weights; use `pretrained=False`, or leave out `init`"
        raise InputError(message)


def _check_data(settings: Mapping[str, Any]) -> None:
    if settings["val"] and not settings["train"]:
        message = "`val` needs `train`: a folder of own data to train on"
        raise InputError(message)
