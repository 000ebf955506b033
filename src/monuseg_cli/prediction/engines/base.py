"""Tiles -> probabilities: what runs the network."""

import copy
from collections.abc import Iterable, Iterator
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
    """

    card: Card

    def run(self, tiles: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Give the maps of tiles of one size, in their order; some tiles are taken before the first maps are given.

        Parameters
        ----------
        tiles : iterable of ndarray of shape (H, W, 3), uint8

        Yields
        ------
        ndarray of shape (C, H, W), float32
            Within 0..1, a map for each of the card's classes.
        """


def with_card(engine: Engine, card: Card) -> Engine:
    """Return an engine that runs the same network, which is not loaded again, for a card of other post-processing."""
    other = copy.copy(engine)
    other.card = card
    return other
