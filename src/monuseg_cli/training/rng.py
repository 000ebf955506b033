"""Random numbers that are derived from what they are for, so that nothing has to be carried along."""

from typing import Literal

import numpy as np

_PURPOSES = {"order": 1, "crop": 2, "step": 3}


def derive(purpose: Literal["order", "crop", "step"], *numbers: int) -> np.random.Generator:
    """Give the generator of a purpose: of an epoch's order, of a crop, or of an epoch's steps (dropout).

    Parameters
    ----------
    purpose : {"order", "crop", "step"}
        Generators of different purposes are independent.
    *numbers : int
        Seed, epoch, and what else tells one generator of the purpose from another.
    """
    return np.random.default_rng([_PURPOSES[purpose], *numbers])
