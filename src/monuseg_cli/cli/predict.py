"""``monuseg predict``."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from monuseg_cli.cli import complete
from monuseg_cli.cli.console import Session, command, table
from monuseg_cli.core.home import DEFAULT_MODEL
from monuseg_cli.models.devices import Device

_MANY = "Many images"


@command(example="monuseg predict slide.tif -o mask.png")
def predict(
    session: Session,
    image: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Images, slides, or folders of them.")],
    output: Annotated[
        list[str],
        typer.Option(
            "-o",
            "--output",
            help="By its suffix: .png mask, .tif mask or labels, .geojson for QuPath, .csv; may be repeated. "
            "For several images a folder, or a pattern with {stem}.",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            metavar="RUN|WEIGHTS",
            help="A run's name or folder, a weights file, or default.",
            autocompletion=complete.weights,
        ),
    ] = DEFAULT_MODEL,
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
        bool, typer.Option("--labels", help="Write one integer a nucleus into a .tif, instead of a mask.")
    ] = False,
    overlay: Annotated[
        str | None, typer.Option(help="Also write the image with outlines (.png); file, folder or pattern.")
    ] = None,
    probability: Annotated[
        str | None, typer.Option(help="Also write the probability of nuclei (.tif), at the model's scale.")
    ] = None,
    region: Annotated[
        tuple[int, int, int, int] | None,
        typer.Option(metavar="X Y WIDTH HEIGHT", help="Only this part, in pixels of full resolution."),
    ] = None,
    roi: Annotated[
        Path | None, typer.Option(help="Only nuclei in these regions: GeoJSON, as QuPath exports annotations.")
    ] = None,
    tissue_mask: Annotated[bool, typer.Option(help="Leave out what looks like glass.")] = True,
    save_tissue_mask: Annotated[
        str | None, typer.Option(help="Also write where tissue was found (.png), small.")
    ] = None,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Take tiles that cannot be read for glass; they are counted.")
    ] = False,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="TCP://...", help="Hand the images to a running Dask cluster, one by one.", rich_help_panel=_MANY
        ),
    ] = None,
    num_parts: Annotated[
        int, typer.Option(help="For job arrays: divide the images into so many parts.", rich_help_panel=_MANY)
    ] = 1,
    part: Annotated[int, typer.Option(help="Which part to predict on, from 1.", rich_help_panel=_MANY)] = 1,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Also images that were done before, in the same way.", rich_help_panel=_MANY),
    ] = False,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = "auto",
    engine: Annotated[
        Literal["auto", "torch", "openvino"],
        typer.Option(help="What runs the network; auto takes OpenVINO on a CPU, where it is installed."),
    ] = "auto",
) -> None:
    """Find the nuclei in images and slides, and write them as masks or label images."""
    from monuseg_cli.prediction.batch import predict as run
    from monuseg_cli.prediction.config import PredictConfig, SlideSettings
    from monuseg_cli.prediction.outputs import OutputSpec
    from monuseg_cli.prediction.roi import read_rois

    weights = session.home.find_weights(model)
    spec = OutputSpec(tuple(output), labels, overlay, probability, save_tissue_mask)
    settings = SlideSettings(mpp, region, tissue_mask, skip_damaged, read_rois(roi) if roi else ())
    config = PredictConfig(
        images=tuple(image),
        outputs=spec,
        weights=weights,
        cache=session.home.cache,
        settings=settings,
        threshold=threshold,
        min_area_um2=min_area_um2,
        part=part,
        num_parts=num_parts,
        overwrite=overwrite,
        device=device,
        engine=engine,
        scheduler=scheduler,
    )
    result = run(config, session.progress)
    rows = table("image", "width x height", "um/px", "nuclei", "per mm2 of tissue", "seconds")
    for one in result.predictions:
        size = f"{one.width} x {one.height}"
        scale = f"{one.mpp:.4f}" if one.mpp else "not stated"
        rows.add_row(one.outputs.image.name, size, scale, str(one.nuclei), f"{one.per_mm2:.0f}", f"{one.seconds:.1f}")
    regions = table("region of interest", "mm2", "nuclei", "nuclei per mm2")
    for one in result.predictions:
        for area in one.rois:
            density = f"{area.nuclei / area.mm2:.0f}" if area.mm2 else "-"
            regions.add_row(f"{one.outputs.image.name}: {area.name}", f"{area.mm2:.3f}", str(area.nuclei), density)
    written = [str(path) for one in result.predictions for path in one.outputs.files]
    if len(result.predictions) > 1:
        folders = sorted({f"{path.parent}{os.sep}" for one in result.predictions for path in one.outputs.files})
        written = [f"{len(written)} files in {', '.join(folders)}"]
    total = len(result.skipped) + len(result.predictions) + len(result.failures)
    there = [f"Done before, and left as it is: {len(result.skipped)} of {total}; --overwrite predicts anew"]
    session.show(
        result,
        *(there if result.skipped else ()),
        *(
            (rows, *((regions,) if regions.row_count else ()), f"Written: {', '.join(written)}")
            if result.predictions
            else ()
        ),
        f"Model: {session.home.name_of_weights(weights)} ({result.card.architecture}, {result.card.licence})",
    )
    for _, error in result.failures:
        session.fail(error)
    if result.failures:
        raise typer.Exit(result.failures[0][1].exit_code)
