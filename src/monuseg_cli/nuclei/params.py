"""The parameters of the post-processing, which stand in the card of every weights file; standard library only."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Separation:
    """How maps become nuclei; it belongs to the weights, which it was chosen for.

    Parameters
    ----------
    threshold : float
        Probability from which on a pixel belongs to a nucleus, within 0 and 1.
    min_area_um2 : float
        Smaller nuclei are dropped, in square micrometres.
    smoothing_um : float
        Standard deviation of the Gaussian that smooths the relief, so that ragged outlines do not split.
    depth : float
        Share by which the relief must fall from a nucleus' peak towards a neighbour for them to be two, within 0 and 1.

    Raises
    ------
    ValueError
        If a value cannot be used.
    """

    threshold: float = 0.5
    min_area_um2: float = 7.0
    smoothing_um: float = 0.85
    depth: float = 0.06

    def __post_init__(self) -> None:
        """Check every value."""
        for name in ("threshold", "depth"):
            if not 0 < getattr(self, name) < 1:
                message = f"{name} must be above 0 and below 1, not {getattr(self, name)}"
                raise ValueError(message)
        for name in ("min_area_um2", "smoothing_um"):
            if not 0 <= getattr(self, name) < math.inf:
                message = f"{name} must be a finite number of at least 0, not {getattr(self, name)}"
                raise ValueError(message)
