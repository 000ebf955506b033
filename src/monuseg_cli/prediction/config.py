"""Settings of a prediction."""

import numbers
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from monuseg_cli.core.errors import InputError
from monuseg_cli.core.extras import require_extra
from monuseg_cli.imaging.scale import MAX_MPP, MIN_MPP
from monuseg_cli.models.devices import Device
from monuseg_cli.nuclei.columns import Group
from monuseg_cli.nuclei.rois import Roi
from monuseg_cli.outputs.plan import OutputSpec
from monuseg_cli.prediction.engines.select import EngineName
from monuseg_cli.prediction.stain_adaptation import Adapt

if TYPE_CHECKING:
    from monuseg_cli.classes.classes_file import NucleusClassifier

ALL = "all"
"""Name of all measurements but those of the network, which mean nothing to a reader."""

ESTIMATE: Literal["estimate"] = "estimate"
"""In place of a scale: estimate it from the image."""


@dataclass(frozen=True, slots=True)
class SlideSettings:
    """Settings that apply to each slide.

    Parameters
    ----------
    mpp : float or "estimate", optional
        Micrometres per pixel of the image, instead of the value in its metadata; ``"estimate"``: as estimated from the
        image.
    region : tuple of int, optional
        First column, first row, width and height of the part to predict on, in pixels of level 0. Image outputs cover
        only this part; nuclei have the coordinates of the whole slide.
    tissue_only : bool
        Skip areas that look like glass.
    skip_damaged : bool
        Treat unreadable tiles of the slide as glass.
    adapt : {"auto", "off"}
        Whether the slide's stain is matched to that of the model's training images.
    rois : tuple of Roi
        Keep only nuclei whose centre lies in one of these regions; empty: keep all.
    series, plane : int, optional
        Which image of the file, and which focal plane, in place of those that `Slide` chooses.
    tta : bool
        Test-time augmentation: average the network over the eight orientations of each tile.
    measurements : tuple of {"texture", "neighbours", "network"}
        What is measured of each nucleus beside the columns that tables always have, and what `classes` need.
    classes : NucleusClassifier, optional
        Finds the classes of the nuclei.
    """

    mpp: float | Literal["estimate"] | None = None
    region: tuple[int, int, int, int] | None = None
    tissue_only: bool = True
    skip_damaged: bool = False
    adapt: Adapt = "auto"
    rois: tuple[Roi, ...] = ()
    series: int | None = None
    plane: int | None = None
    tta: bool = False
    measurements: tuple[Group, ...] = ()
    classes: "NucleusClassifier | None" = None

    def __post_init__(self) -> None:
        """Check the values, and convert numbers to plain ones.

        Raises
        ------
        InputError
            If the scale cannot be that of a slide, the region is not four whole numbers, or `adapt` or a measurement
            is unknown.
        MissingError
            If scikit-image is needed and not installed.
        """
        if self.mpp is not None and self.mpp != ESTIMATE:
            if isinstance(self.mpp, str):
                message = f"`mpp` must be a number or {ESTIMATE!r}, not {self.mpp!r}"
                raise InputError(message)
            mpp = require_number("mpp", self.mpp)
            if not MIN_MPP <= mpp <= MAX_MPP:
                message = f"`mpp` must be between {MIN_MPP} and {MAX_MPP}, not {mpp}"
                raise InputError(message)
            object.__setattr__(self, "mpp", mpp)
        if self.region is not None:
            object.__setattr__(self, "region", _require_region(self.region))
        if self.adapt not in get_args(Adapt):
            message = f"`adapt` takes {' or '.join(get_args(Adapt))}, not {self.adapt!r}"
            raise InputError(message)
        measurements = choose_measurements(self.measurements)
        if self.classes:
            measurements = choose_measurements((*measurements, *self.classes.card.measurements))
        object.__setattr__(self, "measurements", measurements)
        if "texture" in self.measurements:
            require_extra("texture", "texture", skimage="scikit-image")

    @property
    def given_mpp(self) -> float | None:
        """Micrometres per pixel that were given, or estimated before; None: those that the image states.

        Raises
        ------
        InputError
            If they are yet to be estimated.
        """
        if isinstance(self.mpp, str):
            message = f"`mpp` must be a number here: only a prediction can take {ESTIMATE!r}"
            raise InputError(message)
        return self.mpp


def require_number(name: str, value: object) -> float:
    """Return a setting as a float.

    Raises
    ------
    InputError
        If `value` is not a real number.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        message = f"`{name}` must be a number, not {value!r}"
        raise InputError(message)
    return float(value)


def choose_measurements(names: Iterable[str]) -> tuple[Group, ...]:
    """Return the measurements of these names, each once and in one order; see `ALL`.

    Raises
    ------
    InputError
        If a name is unknown, or a string is given in place of a list.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        message = f"`measurements` takes a list of names, not {names!r}"
        raise InputError(message)
    known, given = get_args(Group), tuple(names)
    for name in given:
        if name not in (*known, ALL):
            takes = f"`measurements` takes {', '.join(known)} or {ALL}"
            message = f"{takes}, not {name!r}; size, shape and haematoxylin are always measured"
            raise InputError(message)
    return tuple(name for name in known if name in given or (ALL in given and name != "network"))


def _require_region(region: object) -> tuple[int, ...]:
    sides = tuple(region) if isinstance(region, Iterable) else ()
    if len(sides) != 4 or not all(isinstance(side, numbers.Integral) for side in sides):
        message = f"`region` must be four whole numbers, X, Y, WIDTH and HEIGHT, not {region!r}"
        raise InputError(message)
    return tuple(int(side) for side in sides)


@dataclass(frozen=True, slots=True)
class PredictConfig:
    """Settings of `predict`.

    Parameters
    ----------
    images : tuple of Path
        Image files, or folders, of which every image is taken.
    outputs : OutputSpec
        The files to write.
    weights : Path
        Weights file of the model.
    cache : Path
        Folder in which engines keep the converted model.
    settings : SlideSettings
        Settings that apply to each slide.
    threshold, min_area_um2 : float, optional
        Override the values of the model's card.
    part, num_parts : int
        The images are dealt out in turn to `num_parts` parts; predict only on those of this part, 1 to `num_parts`.
    overwrite : bool
        Also predict on images whose outputs exist already, made with the same settings.
    device : {"auto", "cpu", "cuda", "mps"}
        Device that runs the network.
    engine : {"auto", "torch", "openvino"}
        Engine that runs the network.
    scheduler : str, optional
        Address of a Dask scheduler. Each of its workers predicts on one image at a time, and must see the same files.
    threads : int, optional
        Threads of the network on the CPU; by default, as many as the engine chooses.
    """

    images: tuple[Path, ...]
    outputs: OutputSpec
    weights: Path
    cache: Path
    settings: SlideSettings = field(default_factory=SlideSettings)
    threshold: float | None = None
    min_area_um2: float | None = None
    part: int = 1
    num_parts: int = 1
    overwrite: bool = False
    device: Device = "auto"
    engine: EngineName = "auto"
    scheduler: str | None = None
    threads: int | None = None
