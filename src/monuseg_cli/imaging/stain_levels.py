"""How strongly tissue is stained, as cards keep it; standard library only."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StainLevels:
    """How strongly tissue is stained: the 50th and the 95th percentile of each stain's optical density.

    Parameters
    ----------
    haematoxylin, eosin : tuple of float
        Natural optical density along the directions of `monuseg_cli.imaging.stains.STAINS`; in ascending order.

    Raises
    ------
    ValueError
        If a pair is not two finite numbers in ascending order.
    """

    haematoxylin: tuple[float, float]
    eosin: tuple[float, float]

    def __post_init__(self) -> None:
        """Check the numbers."""
        for pair in (self.haematoxylin, self.eosin):
            match pair:
                case (int() | float() as low, int() | float() as high) if -math.inf < low <= high < math.inf:
                    continue
            message = f"stain levels must be two finite numbers in ascending order, not {pair!r}"
            raise ValueError(message)
