"""The interface of inference engines."""

import copy
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError
from monuseg_cli.models.card import Card

if TYPE_CHECKING:
    from monuseg_cli.prediction.engines.encoder import Encoder


class EngineError(InputError):
    """An engine that is installed, but cannot run a model on this machine.

    Parameters
    ----------
    engine : str
        Name of the engine in `open_engine`.
    reason : str
        Why, as one short line.
    """

    def __init__(self, engine: str, reason: str) -> None:
        super().__init__(engine, reason)  # what pickle builds it from
        self.engine, self.reason = engine, reason

    def __str__(self) -> str:
        """Return the message with its remedy."""
        return f"`engine={self.engine}` cannot be used: {self.reason}; use `engine=torch`"


class Engine(Protocol):
    """Runs a network over tiles.

    Attributes
    ----------
    name : str
        "torch" or "openvino".
    card : Card
        Card of the network.
    """

    name: str
    card: Card

    def prepare(self, height: int, width: int) -> None:
        """Begin to load what `run` needs for tiles of this size, in a thread, and return at once."""

    def run(self, tiles: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Yield the maps of equally sized tiles in order; some tiles are consumed before the first maps are yielded.

        Parameters
        ----------
        tiles : iterable of ndarray of shape (H, W, 3), uint8

        Yields
        ------
        ndarray of shape (C, H, W), float32
            Within 0..1, one map per class of the card.
        """

    def open_encoder(self) -> "Encoder":
        """Return the encoder of the network, which PyTorch runs."""


def with_card(engine: Engine, card: Card) -> Engine:
    """Return an engine that shares the loaded network, for a card with other post-processing."""
    other = copy.copy(engine)
    other.card = card
    return other
