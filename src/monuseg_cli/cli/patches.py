"""``monuseg patches``."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from monuseg_cli.cli.console import Session, command
from monuseg_cli.cli.masks import DATA_HELP
from monuseg_cli.dataset.config import PatchesConfig, PatchFormat
from monuseg_cli.dataset.manifest import CaseSplit
from monuseg_cli.imaging.tiling import Edge
from monuseg_cli.training.recipes import BUILT_IN

_DEFAULT = PatchesConfig(dataset=Path())
_CROP_PX = BUILT_IN["default"].crop_px


@command(
    {
        "with the defaults": "monuseg patches",
        "smaller patches that overlap by half": "monuseg patches --patch-px 256 --stride-px 128",
    }
)
def patches(
    session: Session,
    data: Annotated[Path | None, typer.Option(metavar="FOLDER", help=DATA_HELP, show_default="MoNuSeg")] = None,
    patch_px: Annotated[int, typer.Option(help="Side of the patches in pixels.")] = _DEFAULT.patch_px,
    stride_px: Annotated[int, typer.Option(help="Step between patches in pixels.")] = _DEFAULT.stride_px,
    edge: Annotated[
        Edge, typer.Option(help="At the edge of an image: shift the last patch inwards, or drop the rest.")
    ] = _DEFAULT.edge,
    rescale: Annotated[
        bool, typer.Option(help="Resample 20x cases to 0.25 um/px; your own data always are.")
    ] = _DEFAULT.rescale,
    split: Annotated[CaseSplit, typer.Option(help="Cases to cut.")] = _DEFAULT.split,
    format: Annotated[
        PatchFormat, typer.Option(help="png: also write image and mask of every patch as PNG.")
    ] = _DEFAULT.format,
) -> None:
    """Cut images and masks into patches for training."""
    from monuseg_cli.dataset.patches import build_patches, pictures_folder
    from monuseg_cli.dataset.prepare import open_dataset

    dataset = open_dataset(session.home, data, session.progress)
    config = PatchesConfig(dataset.root, patch_px, stride_px, edge, rescale or data is not None, split, format)
    result = build_patches(config, session.progress)
    state = "newly cut" if result.made else "already cut"
    per_case = f"{result.patches / result.cases:.4g} each"
    settings: dict[str, tuple[object, object]] = {
        "--patch-px": (patch_px, _DEFAULT.patch_px),
        "--stride-px": (stride_px, _DEFAULT.stride_px),
        "--edge": (edge, _DEFAULT.edge),
        "--crop-px": (min(_CROP_PX, patch_px), _CROP_PX),
    }
    other = "".join(f" {option} {value}" for option, (value, default) in settings.items() if value != default)
    if rescale != _DEFAULT.rescale:
        other += " --rescale" if rescale else " --no-rescale"
    model = f"--train {shlex.quote(str(data))} --init default --recipe fine-tune" if data else "--arch unet-se"
    lines = [
        f"Patches: {result.folder}, {result.patches} of {patch_px}x{patch_px} px from {result.cases} cases "
        f"({per_case}, {state})"
    ]
    written = [result.folder]
    if format == "png":
        written.append(pictures_folder(result.folder))
        lines.append(f"Pictures: {written[-1]}")
    session.show(result, *lines, then=f"train {model}{other}", written=written)
