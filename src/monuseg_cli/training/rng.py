"""Random generators derived from their purpose, so that no random state has to be stored."""

from typing import Literal

import numpy as np

_PURPOSES = {"order": 1, "crop": 2, "step": 3}


def derive(purpose: Literal["order", "crop", "step"], *numbers: int) -> np.random.Generator:
    """Build the generator for a purpose: an epoch's order, a crop, or an epoch's steps (dropout).

    Parameters
    ----------
    purpose : {"order", "crop", "step"}
        Generators of different purposes are independent.
    *numbers : int
        Seed, epoch, and further numbers that identify the generator within its purpose.
    """
    return np.random.default_rng([_PURPOSES[purpose], *numbers])
