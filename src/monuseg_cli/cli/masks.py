"""``monuseg masks``."""

from typing import Annotated

import typer

from monuseg_cli.cli.console import Session, command, table
from monuseg_cli.dataset.catalog import CATALOG, SPLITS


@command(example="monuseg masks --preview")
def masks(
    session: Session,
    preview: Annotated[bool, typer.Option("--preview", help="Also write each image with its outlines.")] = False,
) -> None:
    """Make a label image and a binary mask of every case from its XML outlines."""
    from monuseg_cli.dataset.config import MasksConfig
    from monuseg_cli.dataset.masks import build_masks

    result = build_masks(MasksConfig(session.home.dataset, preview=preview), session.progress)
    rows = table("split", "cases", "regions", "nuclei", "left out", "area / drawn")
    for split in SPLITS:
        cases = [case for case in result.cases if CATALOG[case.case_id].split == split]
        if cases:
            left_out = sum(case.degenerate + case.outside + case.hidden for case in cases)
            drawn = sum(case.drawn_area_px for case in cases)
            ratio = f"{sum(case.raster_area_px for case in cases) / drawn:.4f}" if drawn else "-"
            regions, nuclei = sum(case.regions for case in cases), sum(case.nuclei for case in cases)
            rows.add_row(split, str(len(cases)), str(regions), str(nuclei), str(left_out), ratio)
    session.show(result, rows, f"Masks: {result.folder} ({result.made} cases made now)", then="patches")
