"""The settings of each stage of the data set.

Standard library only: the command line takes defaults from here, and its help must not import numpy.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from monuseg_cli.dataset.catalog import SPLITS, Split
from monuseg_cli.dataset.manifest import CaseSplit
from monuseg_cli.imaging.tiling import Edge

DRIVE_URL = "https://drive.usercontent.google.com/download"
DRIVE_URL_VARIABLE = "MONUSEG_DRIVE_URL"
"""Environment variable that replaces `DRIVE_URL`, for networks that reach Google Drive only through a mirror."""

PatchFormat = Literal["npy", "png"]


def _drive_url() -> str:
    return os.environ.get(DRIVE_URL_VARIABLE) or DRIVE_URL


@dataclass(frozen=True, slots=True)
class DownloadConfig:
    """Settings of `download`.

    Parameters
    ----------
    dataset : Path
        Folder of the data set.
    splits : tuple of {"train", "test"}
        Splits to download. With `archives`: splits that these may contain.
    archives : tuple of Path
        Local archives, used instead of downloads.
    allow_unverified : bool
        Accept an archive whose SHA-256 is not the published one, and record its hash.
    drive_url : str
        URL at which Google Drive serves large files; default: the variable MONUSEG_DRIVE_URL, else `DRIVE_URL`.
    """

    dataset: Path
    splits: tuple[Split, ...] = SPLITS
    archives: tuple[Path, ...] = ()
    allow_unverified: bool = False
    drive_url: str = field(default_factory=_drive_url)


@dataclass(frozen=True, slots=True)
class MasksConfig:
    """Settings of `build_masks`.

    Parameters
    ----------
    dataset : Path
        Folder of the data set (the one with ``manifest.json``).
    splits : tuple of {"train", "val", "test"}, optional
        Splits of the cases. None: all splits of the data set.
    preview : bool
        Also write each image with outlines.
    """

    dataset: Path
    splits: tuple[CaseSplit, ...] | None = None
    preview: bool = False


@dataclass(frozen=True, slots=True)
class PatchesConfig:
    """Settings of `build_patches`.

    Parameters
    ----------
    dataset : Path
        Folder of the data set.
    patch_px, stride_px : int
        Side of a patch, and step from one patch to the next. Since 1000 = 512 + 488, the defaults cover an image
        of 1000x1000 pixels with 4 patches. Training takes crops from patches.
    edge : {"shift", "drop"}
        If the regular steps do not end at the edge of the image: move the last patch back, or drop the rest.
    rescale : bool
        First resample cases that state a scale other than 40x, such as the three at 20x in MoNuSeg, to 0.25 um/px.
    split : {"train", "val", "test"}
        Split of the cases.
    format : {"npy", "png"}
        ``"png"`` writes an image and a mask for every patch, in addition to the arrays, for viewing.
    """

    dataset: Path
    patch_px: int = 512
    stride_px: int = 488
    edge: Edge = "shift"
    rescale: bool = False
    split: CaseSplit = "train"
    format: PatchFormat = "npy"

    @property
    def folder(self) -> Path:
        """The folder of the store. Its name contains the settings, so that stores do not interfere."""
        scale = "-rescaled" if self.rescale else ""
        return self.dataset / "patches" / f"{self.split}-{self.patch_px}-{self.stride_px}-{self.edge}{scale}"
