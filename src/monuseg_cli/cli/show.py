"""``monuseg show``."""

from pathlib import Path
from typing import Annotated

import typer

from monuseg_cli.cli.console import Session, command


@command(
    {
        "outlines of a mask": "monuseg show tissue.tif --labels mask.png -o overlay.png",
        "outlines of an annotation, wider": "monuseg show tissue.tif --labels tissue.xml -o look.png --width-px 3",
    }
)
def show(
    session: Session,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The image.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Picture to write (.png).")],
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Its mask or label image (PNG, TIFF, NPY), or annotation (Aperio XML, GeoJSON)."
        ),
    ] = None,
    width_px: Annotated[int, typer.Option(min=1, help="Width of the outlines in pixels.")] = 1,
) -> None:
    """Draw the outlines of nuclei on an image."""
    from monuseg_cli.annotations.show import ShowConfig, show_image

    result = show_image(ShowConfig(image, output, labels, width_px), session.progress)
    count = f", {result.nuclei} nuclei" if labels else ""
    session.show(result, f"Picture: {result.output}{count}", written=[result.output])
