"""Builds what a stage needs and is missing."""

from pathlib import Path

from monuseg_cli.core.errors import MissingError
from monuseg_cli.core.home import Home
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.dataset.catalog import OTHER_DATASETS
from monuseg_cli.dataset.config import MasksConfig, PatchesConfig
from monuseg_cli.dataset.folder import scan_folder
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.dataset.masks import build_masks
from monuseg_cli.dataset.patches import PatchStore, build_patches


def open_dataset(home: Home, own: Path | None, progress: Progress = SILENT) -> Dataset:
    """Open MoNuSeg, another public data set by name, or a folder of your own, which is scanned each time.

    Parameters
    ----------
    home : Home
        Where data sets are kept.
    own : Path or None
        None: MoNuSeg; a name in `monuseg_cli.dataset.catalog.OTHER_DATASETS`: that data set; else a folder.
    progress : Progress
        Receives the number of images in a folder.

    Raises
    ------
    MonusegError
        As `scan_folder` and `Dataset.load` do.
    """
    if own is None:
        return Dataset.load(home.dataset)
    if (name := str(own)) in OTHER_DATASETS:
        root = home.other_dataset(name)
        if not Dataset.manifest_path(root).is_file():
            message = f"no data set in {root}; get it with: monuseg download --dataset {name} --archive FILE"
            raise MissingError(message)
        return Dataset.load(root)
    return scan_folder(own, home.own_data(own), progress)


def prepare_masks(config: MasksConfig, progress: Progress = SILENT) -> None:
    """Build missing masks, and report how many.

    Raises
    ------
    MonusegError
        As `build_masks` does.
    """
    result = build_masks(config, progress)
    if result.made:
        progress.info(f"made {result.made} missing masks in {result.folder}")


def prepare_patches(config: PatchesConfig, progress: Progress = SILENT) -> PatchStore:
    """Build missing masks and patches, report how many, and open the store.

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
