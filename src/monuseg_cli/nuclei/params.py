"""The parameters of the post-processing, which stand in the card of every weights file; standard library only."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_RENAMED: Mapping[str, str] = {"depth": "saddle_depth"}


@dataclass(frozen=True, slots=True)
class PostprocessParams:
    """How maps become nuclei; chosen for each set of weights, and kept in their card.

    Parameters
    ----------
    threshold : float
        Probability at or above which a pixel belongs to a nucleus, above 0 and below 1.
    min_area_um2 : float
        Smaller nuclei are dropped, in square micrometres.
    smoothing_um : float
        Standard deviation of the Gaussian that smooths the elevation map, so that ragged outlines do not split.
    saddle_depth : float
        Relative saddle depth: share of the lower of two maxima by which the elevation must fall between them for them
        to be two nuclei, above 0 and below 1.

    Raises
    ------
    ValueError
        If a value cannot be used.
    """

    threshold: float = 0.5
    min_area_um2: float = 7.0
    smoothing_um: float = 0.85
    saddle_depth: float = 0.06

    def __post_init__(self) -> None:
        """Check every value."""
        for name in ("threshold", "saddle_depth"):
            if not 0 < getattr(self, name) < 1:
                message = f"{name} must be above 0 and below 1, not {getattr(self, name)}"
                raise ValueError(message)
        for name in ("min_area_um2", "smoothing_um"):
            if not 0 <= getattr(self, name) < math.inf:
                message = f"{name} must be a finite number of at least 0, not {getattr(self, name)}"
                raise ValueError(message)


def upgrade_params(content: Any) -> Any:
    """Give parameters that an earlier version wrote as JSON the names of today; anything else is returned as it is."""
    if not isinstance(content, Mapping):
        return content
    return {_RENAMED.get(name, name): value for name, value in content.items()}
