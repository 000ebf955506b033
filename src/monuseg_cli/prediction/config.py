"""What a prediction is asked for."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from monuseg_cli.core.errors import InputError
from monuseg_cli.imaging.scale import MAX_MPP, MIN_MPP
from monuseg_cli.models.devices import Device
from monuseg_cli.prediction.adapt import Adapt
from monuseg_cli.prediction.engines.select import EngineName
from monuseg_cli.prediction.outputs import OutputSpec
from monuseg_cli.prediction.roi import Roi


@dataclass(frozen=True, slots=True)
class SlideSettings:
    """How each slide is predicted on.

    Parameters
    ----------
    mpp : float, optional
        Micrometres per pixel of the image, in place of what it states.
    region : tuple of int, optional
        First column, first row, width and height of the part that is predicted on, in pixels of level 0; pictures are
        of this part alone, nuclei in the coordinates of the whole slide.
    tissue_only : bool
        Leave out what looks like glass.
    skip_damaged : bool
        Take tiles of the slide that cannot be read for glass.
    adapt : {"auto", "off"}
        Whether the slide's stain is matched to that of the model's training images.
    rois : tuple of Roi
        Only nuclei whose centre is in one of these; all, where there is none.
    series, plane : int, optional
        Which image of the file, and which focal plane, in place of those that `Slide` chooses.
    """

    mpp: float | None = None
    region: tuple[int, int, int, int] | None = None
    tissue_only: bool = True
    skip_damaged: bool = False
    adapt: Adapt = "auto"
    rois: tuple[Roi, ...] = ()
    series: int | None = None
    plane: int | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises
        ------
        InputError
            If the scale cannot be that of a slide, or `adapt` is unknown.
        """
        if self.mpp is not None and not MIN_MPP <= self.mpp <= MAX_MPP:
            message = f"`mpp` must lie within {MIN_MPP} and {MAX_MPP}, not be {self.mpp}"
            raise InputError(message)
        if self.adapt not in get_args(Adapt):
            message = f"`adapt` takes {' or '.join(get_args(Adapt))}, not {self.adapt!r}"
            raise InputError(message)


@dataclass(frozen=True, slots=True)
class PredictConfig:
    """What `predict` does.

    Parameters
    ----------
    images : tuple of Path
        Image files, or folders of which every image is taken.
    outputs : OutputSpec
        What is written, and where.
    weights : Path
        Weights file of the model.
    cache : Path
        Folder for what engines make of weights, to be found there the next time.
    settings : SlideSettings
        How each slide is predicted on.
    threshold, min_area_um2 : float, optional
        In place of the card's.
    part, num_parts : int
        Of all images, taken in turn, only those of this part are predicted on, 1 to `num_parts`.
    overwrite : bool
        Also predict on images whose outputs are there, made in the same way.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to compute.
    engine : {"auto", "torch", "openvino"}
        What runs the network.
    scheduler : str, optional
        Address of a Dask scheduler whose workers predict, an image each at a time; they must see the same files.
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
