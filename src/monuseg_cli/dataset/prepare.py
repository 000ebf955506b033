"""What a stage needs and is not there yet, made in order."""

from pathlib import Path

from monuseg_cli.core.home import Home
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.dataset.config import MasksConfig, PatchesConfig
from monuseg_cli.dataset.folder import scan_folder
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.dataset.masks import build_masks
from monuseg_cli.dataset.patches import PatchStore, build_patches


def open_dataset(home: Home, own: Path | None, progress: Progress = SILENT) -> Dataset:
    """Give the data set of a folder of somebody's own, gathered anew, or else MoNuSeg.

    Raises
    ------
    MonusegError
        As `gather` and `Dataset.load` do.
    """
    return scan_folder(own, home.own_data(own), progress) if own else Dataset.load(home.dataset)


def prepare_masks(config: MasksConfig, progress: Progress = SILENT) -> None:
    """Make the masks that are missing, and say so.

    Raises
    ------
    MonusegError
        As `build_masks` does.
    """
    result = build_masks(config, progress)
    if result.made:
        progress.info(f"made {result.made} missing masks in {result.folder}")


def prepare_patches(config: PatchesConfig, progress: Progress = SILENT) -> PatchStore:
    """Make the masks and patches that are missing, say so, and open the store.

    Raises
    ------
    MonusegError
        As `build_masks` and `build_patches` do.
    """
    prepare_masks(MasksConfig(config.dataset, splits=(config.split,)), progress)
    result = build_patches(config, progress)
    if result.made:
        progress.info(f"cut {result.patches} missing patches into {result.folder}")
    return PatchStore.load(result.folder)
