"""The result of one image: what was found, and the files written for it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any

from monuseg_cli.core.schema import FROM_0, POSITIVE, read_as
from monuseg_cli.imaging.stains import StainLevels
from monuseg_cli.nuclei.rois import RoiCount
from monuseg_cli.outputs.plan import Outputs

_Count = Annotated[int, FROM_0]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The result of one image.

    Parameters
    ----------
    outputs : Outputs
        The image, and the files written for it.
    height, width : int
        Size of the image, or of its region, in pixels of level 0.
    mpp : float or None
        Micrometres per pixel of level 0 that were used; None if neither the image nor the user stated it.
    tissue_mm2 : float
        Area of tissue; without tissue detection, the whole area that was predicted on.
    nuclei : int
        Number of nuclei.
    seconds : float
        Wall time from opening the image to the last written file.
    rois : tuple of RoiCount
        Nuclei in each region of interest.
    damaged : tuple of str
        Unreadable tiles of the slide, which were treated as glass.
    stain : StainLevels
        Stain levels of the slide, which were matched to those of the training images; empty without matching.
    warnings : tuple of str
        Why the result is implausible; see `find_doubt`.
    medians : mapping of str to float
        Median of each measurement of the nuclei; empty without nuclei.
    made_from : str, optional
        File of nuclei, found before, that the outputs were made from; None: the network ran.
    classes : mapping of str to int
        Number of nuclei of each class; empty without a classifier.
    mpp_range : tuple of float, optional
        If `mpp` was estimated from the image: the range that contains the true scale of 19 in 20 images.
    """

    outputs: Outputs
    height: int
    width: int
    mpp: float | None
    tissue_mm2: float
    nuclei: int
    seconds: float
    rois: tuple[RoiCount, ...]
    damaged: tuple[str, ...]
    stain: StainLevels
    warnings: tuple[str, ...]
    medians: Mapping[str, float] = field(default_factory=dict)
    made_from: str | None = None
    classes: Mapping[str, int] = field(default_factory=dict)
    mpp_range: tuple[float, float] | None = None

    def facts(self) -> dict[str, Any]:
        """Return what is known of the slide, whichever files are written of it."""
        not_of_the_slide = ("outputs", "seconds", "made_from")
        return {name: value for name, value in asdict(self).items() if name not in not_of_the_slide}

    @classmethod
    def from_facts(cls, outputs: Outputs, facts: object) -> "Prediction":
        """Build a prediction from its other fields, as read from JSON.

        Raises
        ------
        SchemaError
            If they are not those of a prediction.
        """
        found = read_as(_Found, facts)
        return cls(outputs, **{part.name: getattr(found, part.name) for part in fields(found)})

    @property
    def per_mm2(self) -> float:
        """Nuclei per square millimetre of tissue; 0 without tissue."""
        return self.nuclei / self.tissue_mm2 if self.tissue_mm2 else 0.0


@dataclass(frozen=True, slots=True)
class _Found:
    """The part of a record, or of a file of nuclei, that becomes a `Prediction` again."""

    height: _Count
    width: _Count
    mpp: Annotated[float, POSITIVE] | None
    tissue_mm2: Annotated[float, FROM_0]
    nuclei: _Count
    seconds: Annotated[float, FROM_0]
    rois: tuple[RoiCount, ...]
    damaged: tuple[str, ...]
    stain: Mapping[str, tuple[float, float]]
    warnings: tuple[str, ...]
    medians: Mapping[str, float] = field(default_factory=dict)
    made_from: str | None = None
    classes: Mapping[str, _Count] = field(default_factory=dict)
    mpp_range: tuple[float, float] | None = None
