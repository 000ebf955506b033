"""The parameters of the post-processing, which stand in the card of every weights file; standard library only."""

import math
from dataclasses import dataclass, fields


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
    peak_radius_um : float
        A peak of the smoothed relief counts where no higher one lies within this, along rows and columns.

    Raises
    ------
    ValueError
        If a value cannot be used.
    """

    threshold: float = 0.5
    min_area_um2: float = 8.0
    smoothing_um: float = 0.5
    peak_radius_um: float = 2.5

    def __post_init__(self) -> None:
        """Check every value."""
        if not 0 < self.threshold < 1:
            message = f"threshold must be above 0 and below 1, not {self.threshold}"
            raise ValueError(message)
        for length in fields(self)[1:]:
            if not 0 <= getattr(self, length.name) < math.inf:
                message = f"{length.name} must be a finite number of at least 0, not {getattr(self, length.name)}"
                raise ValueError(message)
