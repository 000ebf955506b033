"""Image -> probabilities, tile by tile."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from monuseg_cli.models.normalise import normalise
from monuseg_cli.models.weights import Card
from monuseg_cli.progress import SILENT_TASK, Task
from monuseg_cli.tiling import grid

TILE_PX = 256
OVERLAP_PX = 64
_BATCH = 4


def count_tiles(shape: tuple[int, int]) -> int:
    """Count the tiles that an image of this height and width is cut into."""
    return len(grid(shape, TILE_PX, TILE_PX - OVERLAP_PX))


def blending_window(size: int, overlap: int) -> NDArray[np.float32]:
    """Weight the pixels of a tile so that overlapping tiles blend without a border.

    The weight rises linearly over `overlap` pixels from each side, is 1 between, and is positive everywhere.

    Returns
    -------
    ndarray of shape (size, size), float32
    """
    ramp = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1))
    profile = np.minimum(ramp / (overlap + 1), 1.0).astype(np.float32)
    return np.outer(profile, profile)


@torch.inference_mode()
def run_network(tiles: NDArray[np.uint8], model: nn.Module, card: Card, device: torch.device) -> NDArray[np.float32]:
    """Run the network over tiles of one size, each by itself.

    Parameters
    ----------
    tiles : ndarray of shape (N, H, W, 3), uint8
    model : torch.nn.Module
        In evaluation mode, on `device`.
    card : Card
        The model's.
    device : torch.device
        Where to compute.

    Returns
    -------
    ndarray of shape (N, C, H, W), float32
        Within 0..1, a map for each of the card's classes.
    """
    # (N, H, W, C) seen as (N, C, H, W) is channels-last already
    pixels = torch.from_numpy(tiles).to(device).permute(0, 3, 1, 2).float() / 255
    probabilities: NDArray[np.float32] = model(normalise(pixels, card)).sigmoid().float().cpu().numpy()
    return probabilities


def predict_probability(
    image: NDArray[np.uint8], model: nn.Module, card: Card, device: torch.device, task: Task = SILENT_TASK
) -> NDArray[np.float32]:
    """Run the network over an image in overlapping tiles, and blend them.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8
        At the model's scale; any size.
    model : torch.nn.Module
        In evaluation mode, on `device`.
    card : Card
        The model's.
    device : torch.device
        Where to compute.
    task : Task
        Is advanced by one for every tile.

    Returns
    -------
    ndarray of shape (C, H, W), float32
        Within 0..1, a map for each of the card's classes.
    """
    height, width = image.shape[:2]
    below, right = max(TILE_PX - height, 0), max(TILE_PX - width, 0)
    padded = np.pad(image, ((0, below), (0, right), (0, 0)), mode="symmetric")
    window = blending_window(TILE_PX, OVERLAP_PX)
    total = np.zeros((card.out_channels, *padded.shape[:2]), dtype=np.float32)
    weight = np.zeros(padded.shape[:2], dtype=np.float32)
    corners = grid(padded.shape[:2], TILE_PX, TILE_PX - OVERLAP_PX)
    for first in range(0, len(corners), _BATCH):
        batch = corners[first : first + _BATCH]
        tiles = np.stack([padded[row : row + TILE_PX, col : col + TILE_PX] for row, col in batch])
        for (row, col), probability in zip(batch, run_network(tiles, model, card, device), strict=True):
            total[:, row : row + TILE_PX, col : col + TILE_PX] += probability * window
            weight[row : row + TILE_PX, col : col + TILE_PX] += window
            task.advance()
    return np.ascontiguousarray((total / weight)[:, :height, :width])
