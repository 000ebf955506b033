"""What each stage of the data set is asked for.

Standard library only: the command line takes its defaults from here, and its help must not wait for numpy.
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
"""Environment variable that replaces `DRIVE_URL`, for networks that reach Google Drive through a mirror only."""

PatchFormat = Literal["npy", "png"]


def _drive_url() -> str:
    return os.environ.get(DRIVE_URL_VARIABLE) or DRIVE_URL


@dataclass(frozen=True, slots=True)
class DownloadConfig:
    """What `download` fetches and from where.

    Parameters
    ----------
    dataset : Path
        Folder that the data set is unpacked to.
    splits : tuple of {"train", "test"}
        Which splits to fetch. With `archives`: which splits these may hold.
    archives : tuple of Path
        Local archives to take instead of the network.
    allow_unverified : bool
        Take an archive whose SHA-256 is not the published one, and record its true hash.
    drive_url : str
        Where Google Drive serves large files; by default `DRIVE_URL`, unless MONUSEG_DRIVE_URL names another.
    """

    dataset: Path
    splits: tuple[Split, ...] = SPLITS
    archives: tuple[Path, ...] = ()
    allow_unverified: bool = False
    drive_url: str = field(default_factory=_drive_url)


@dataclass(frozen=True, slots=True)
class MasksConfig:
    """What `build_masks` makes.

    Parameters
    ----------
    dataset : Path
        Folder of the data set (the one with ``manifest.json``).
    splits : tuple of {"train", "val", "test"}, optional
        Which cases. None: those of every split that is there.
    preview : bool
        Also write each image with its outlines drawn on.
    """

    dataset: Path
    splits: tuple[CaseSplit, ...] | None = None
    preview: bool = False


@dataclass(frozen=True, slots=True)
class PatchesConfig:
    """How patches are cut.

    Parameters
    ----------
    dataset : Path
        Folder of the data set.
    patch_px, stride_px : int
        Side of a patch, and the step from one to the next. 1000 = 512 + 488: with the defaults 4 patches cover
        every pixel of an image of 1000x1000, and training crops what it needs out of them.
    edge : {"shift", "drop"}
        Where the regular steps do not end at the image's edge: move a last patch back to it, or leave the rest out.
    rescale : bool
        Resample cases that state a scale other than 40x, such as MoNuSeg's three of 20x, to 0.25 um/px first.
    split : {"train", "val", "test"}
        Which cases are cut.
    format : {"npy", "png"}
        ``"png"`` writes, beside the arrays, an image and a mask that a person can open for every patch.
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
        """The store that these settings make; other settings make another."""
        scale = "-rescaled" if self.rescale else ""
        return self.dataset / "patches" / f"{self.split}-{self.patch_px}-{self.stride_px}-{self.edge}{scale}"
