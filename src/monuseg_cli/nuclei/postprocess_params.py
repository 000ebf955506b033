"""The parameters of the post-processing, which the card of every weights file contains; standard library only."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_SMOOTHING_UM = 20.0
"""More than the diameter of a nucleus; a filter of any width would need any amount of memory."""

_RENAMED: Mapping[str, str] = {"depth": "saddle_depth"}


@dataclass(frozen=True, slots=True)
class PostprocessParams:
    """Parameters of the post-processing, chosen for each set of weights and stored in their card.

    Parameters
    ----------
    threshold : float
        Probability at or above which a pixel belongs to a nucleus, above 0 and below 1.
    min_area_um2 : float
        Area in square micrometres below which nuclei are dropped.
    smoothing_um : float
        Standard deviation in micrometres of the Gaussian that smooths the elevation map, so that ragged outlines do not
        split nuclei.
    saddle_depth : float
        Relative saddle depth, above 0 and below 1. Two maxima are two nuclei if the elevation between them falls by at
        least this fraction of the lower maximum.

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
        if not 0 <= self.min_area_um2 < math.inf:
            message = f"min_area_um2 must be a finite number of at least 0, not {self.min_area_um2}"
            raise ValueError(message)
        if not 0 <= self.smoothing_um <= MAX_SMOOTHING_UM:
            message = f"smoothing_um must be at least 0 and at most {MAX_SMOOTHING_UM}, not {self.smoothing_um}"
            raise ValueError(message)


def upgrade_params(content: Any) -> Any:
    """Rename parameters that an earlier version wrote as JSON; return anything else unchanged."""
    if not isinstance(content, Mapping):
        return content
    return {_RENAMED.get(name, name): value for name, value in content.items()}
