"""Validation of a recipe's settings: types, ranges and combinations."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from monuseg_cli.core.errors import InputError
from monuseg_cli.models import registry

BEST_JPEG_QUALITY = 100


@dataclass(frozen=True, slots=True)
class _Range:
    """Finite numbers from `least` to `most`; an open end is excluded."""

    least: float
    most: float = math.inf
    open_below: bool = False
    open_above: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.least if self.open_below else value >= self.least
        below = value < self.most if self.open_above else value <= self.most
        return above and below and math.isfinite(value)

    def __str__(self) -> str:
        lower = f"{'above' if self.open_below else 'at least'} {self.least}"
        upper = f"{'below' if self.open_above else 'at most'} {self.most}" if self.most < math.inf else "finite"
        return f"{lower} and {upper}"


_FROM_0, _FROM_1 = _Range(0), _Range(1)
_FRACTION, _FRACTION_BELOW_1 = _Range(0, 1), _Range(0, 1, open_above=True)

RANGES: Mapping[str, _Range] = {
    "dropout": _FRACTION_BELOW_1,
    "patch_px": _FROM_1,
    "stride_px": _FROM_1,
    "crop_px": _FROM_1,
    "crops_per_case": _FROM_1,
    "epochs": _FROM_1,
    "batch_size": _FROM_1,
    "learning_rate": _Range(0, open_below=True),
    "weight_decay": _FROM_0,
    "plateau_patience": _FROM_1,
    "early_stopping": _FROM_0,
    "ema_decay": _FRACTION_BELOW_1,
    "warp": _FRACTION,
    "scale": _FROM_0,
    "rotation_deg": _FROM_0,
    "elastic_px": _FROM_0,
    "stain": _FRACTION,
    "stain_min": _Range(0, 1, open_below=True),
    "stain_max": _FROM_1,
    "scanner": _FRACTION_BELOW_1,
    "blank_prob": _FRACTION_BELOW_1,
    "brightness": _FRACTION_BELOW_1,
    "degrade": _FRACTION,
    "blur_px": _FROM_0,
    "noise": _FROM_0,
    "jpeg_quality": _Range(1, BEST_JPEG_QUALITY),
    "seed": _Range(0, 2**63, open_above=True),
    "workers": _FROM_0,
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
        _check_type(name, value, types[name])
        if name in RANGES and value not in RANGES[name]:
            message = f"`{name}` must be {RANGES[name]}, not {value}"
            raise InputError(message)
    for check in (_check_batch_size, _check_crop, _check_start, _check_data):
        check(settings)


def _check_type(name: str, value: object, expected: Any) -> None:
    if get_origin(expected) is Literal:
        if value not in get_args(expected):
            message = f"`{name}` takes {' or '.join(get_args(expected))}, not {value!r}"
            raise InputError(message)
        return
    accepted = (int, float) if expected is float else get_origin(expected) or expected
    if not isinstance(value, accepted) or (isinstance(value, bool) and expected is not bool):
        message = f"`{name}` cannot be {value!r}"
        raise InputError(message)


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
