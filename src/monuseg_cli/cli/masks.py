"""``monuseg masks``."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from monuseg_cli.cli.console import Session, command, table

DATA_HELP = "Your own data: images/ and annotations/ (GeoJSON, Aperio XML, label images, masks)."
"""Help of the option --data of several commands."""


@command(
    {
        "masks of MoNuSeg": "monuseg masks",
        "masks of your own annotations, with overlays to check them": "monuseg masks --data slides/ --preview",
    }
)
def masks(
    session: Session,
    data: Annotated[Path | None, typer.Option(metavar="FOLDER", help=DATA_HELP, show_default="MoNuSeg")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Also write each image with its outlines.")] = False,
) -> None:
    """Build a label image and a binary mask of each case from its annotation."""
    from monuseg_cli.dataset.config import MasksConfig
    from monuseg_cli.dataset.masks import build_masks, previews_folder
    from monuseg_cli.dataset.prepare import open_dataset

    dataset = open_dataset(session.home, data, session.progress)
    result = build_masks(MasksConfig(dataset.root, preview=preview), session.progress)
    made = {case.case_id: case for case in result.cases}
    rows = table("split", "cases", "regions", "nuclei", "left out", "area / drawn")
    for split in dataset.splits:
        cases = [made[case.case_id] for case in dataset.of_split(split)]
        left_out = sum(case.degenerate + case.outside + case.hidden for case in cases)
        drawn = sum(case.drawn_area_px for case in cases)
        ratio = f"{sum(case.raster_area_px for case in cases) / drawn:.4f}" if drawn else "-"
        regions, nuclei = sum(case.regions for case in cases), sum(case.nuclei for case in cases)
        rows.add_row(split, str(len(cases)), str(regions), str(nuclei), str(left_out), ratio)
    then = f"train --train {shlex.quote(str(data))} --init default --recipe fine-tune" if data else "patches"
    lines = [f"Masks: {result.folder} ({result.made} cases newly built)"]
    written = [result.folder]
    if preview:
        written.append(previews_folder(dataset.root))
        lines.append(f"Pictures: {written[-1]}")
    session.show(result, rows, *lines, then=then, written=written)
