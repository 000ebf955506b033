"""``monuseg masks``."""

from typing import Annotated

import typer

from monuseg_cli.cli.console import Session, command, table


@command(example="monuseg masks --preview")
def masks(
    session: Session,
    preview: Annotated[bool, typer.Option("--preview", help="Also write each image with its outlines.")] = False,
) -> None:
    """Make a label image and a binary mask of every case from its XML outlines."""
    from monuseg_cli.dataset.config import MasksConfig
    from monuseg_cli.dataset.masks import build_masks

    result = build_masks(MasksConfig(session.home.dataset, preview=preview), session.progress)
    rows = table("case", "regions", "nuclei", "left out", "area / drawn")
    for case in result.cases:
        left_out = case.degenerate + case.outside + case.hidden
        ratio = f"{case.raster_area_px / case.drawn_area_px:.4f}" if case.drawn_area_px else "-"
        rows.add_row(case.case_id, str(case.regions), str(case.nuclei), str(left_out), ratio)
    made = f"{len(result.cases)} cases ({result.made} made now), {sum(case.nuclei for case in result.cases)} nuclei"
    session.show(result, rows, f"Masks: {result.folder}, {made}", then="patches")
