"""Label images with known errors, and folders of several systems' predictions."""

from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from monuseg_cli.evaluation.folders import FoldersConfig
from support.tissue import draw_tissue

SIDE = 120

# Of eight true nuclei in a grid, by number: 1 found, 2 missed, 3 and 4 merged, 5 split, 6 to 8 found.
PLACES = [(10 + 40 * (index // 4), 5 + 30 * (index % 4)) for index in range(8)]


def draw_labels() -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Draw the reference, and a prediction with an error of each kind."""
    truth, found = np.zeros((2, SIDE, SIDE), dtype=np.int32)
    for number, (row, col) in enumerate(PLACES, start=1):
        truth[row : row + 20, col : col + 20] = number
    for number in (1, 6, 7, 8):
        row, col = PLACES[number - 1]
        found[row : row + 20, col : col + 18] = 10 * number
    found[10:30, 65:115] = 34
    found[50:60, 5:25], found[60:70, 5:25] = 51, 52
    found[100:110, 100:110] = 99
    return truth, found


def write_folders(folder: Path, *systems: str) -> FoldersConfig:
    """Write two images, one of which is named to break out of a page if it could; every second system is perfect."""
    truth, found = draw_labels()
    picture, _ = draw_tissue(SIDE, seed=1)
    for part in ("truth", *systems, "images"):
        (folder / part).mkdir()
    for name in ("first", "x<script>alert(1)<!--"):
        np.save(folder / "truth" / f"{name}.npy", truth)
        for index, system in enumerate(systems):
            np.save(folder / system / f"{name}.npy", truth if index % 2 else found)
        (folder / "images" / f"{name}.png").write_bytes(imagecodecs.png_encode(picture))
    predictions = tuple(folder / system for system in systems)
    return FoldersConfig(predictions, folder / "truth", folder / "images", report=folder / "report.html")
