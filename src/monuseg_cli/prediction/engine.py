"""Tiles -> probabilities: what runs the network."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.models.card import Card


class Engine(Protocol):
    """Runs a network over tiles.

    Attributes
    ----------
    card : Card
        The network's.
    batch : int
        How many tiles it likes at a time.
    """

    card: Card
    batch: int

    def run(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Give the maps of tiles of one size, each by itself.

        Parameters
        ----------
        tiles : ndarray of shape (N, H, W, 3), uint8

        Returns
        -------
        ndarray of shape (N, C, H, W), float32
            Within 0..1, a map for each of the card's classes.
        """
