"""``monuseg predict``."""

from pathlib import Path
from typing import Annotated

import typer

from monuseg_cli.cli.console import Session, command, table
from monuseg_cli.models.devices import Device


@command(example="monuseg predict slide.tif -o mask.png --model unet-se")
def predict(
    session: Session,
    image: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Images, slides, or folders of them.")],
    output: Annotated[
        str, typer.Option("-o", "--output", help="A .png or .tif; for several a folder, or a pattern with {stem}.")
    ],
    model: Annotated[str, typer.Option(metavar="RUN|WEIGHTS", help="A run's name or folder, or a weights file.")],
    mpp: Annotated[
        float | None, typer.Option(help="Micrometres per pixel.", show_default="as the image states")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Probability from which on a pixel counts.", show_default="the model's")
    ] = None,
    min_area_um2: Annotated[
        float | None, typer.Option("--min-area-um2", help="Drop smaller nuclei.", show_default="the model's")
    ] = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="Write one integer a nucleus instead of a mask (.tif).")
    ] = False,
    overlay: Annotated[
        str | None, typer.Option(help="Also write the image with outlines (.png); file, folder or pattern.")
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = "auto",
) -> None:
    """Find the nuclei in images and slides, and write them as masks or label images."""
    from monuseg_cli.prediction.predict import PredictConfig
    from monuseg_cli.prediction.predict import predict as run

    weights = session.home.find_weights(model)
    config = PredictConfig(tuple(image), output, weights, mpp, threshold, min_area_um2, labels, overlay, device)
    result = run(config, session.progress)
    rows = table("image", "width x height", "um/px", "nuclei", "seconds")
    for one in result.predictions:
        size = f"{one.width} x {one.height}"
        scale = f"{one.mpp:.4f}" if one.mpp else "not stated"
        rows.add_row(one.image.name, size, scale, str(one.nuclei), f"{one.seconds:.1f}")
    folders = sorted({str(one.output.parent) for one in result.predictions})
    written = str(result.predictions[0].output) if len(result.predictions) == 1 else ", ".join(folders)
    session.show(
        result,
        *((rows, f"Written: {written}") if result.predictions else ()),
        f"Model: {weights} ({result.card.architecture}, {result.card.licence})",
    )
    for _, error in result.failures:
        session.fail(error)
    if result.failures:
        raise typer.Exit(result.failures[0][1].exit_code)
