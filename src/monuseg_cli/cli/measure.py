"""``monuseg measure``."""

from pathlib import Path
from typing import Annotated

import typer

from monuseg_cli.cli.console import Session, command
from monuseg_cli.cli.predict import classes_table, regions_table


@command(
    {
        "nuclei of a label image": "monuseg measure tissue.tif --nuclei labels.tif -o nuclei.csv",
        "the same for Excel, with the counts of regions": (
            "monuseg measure tissue.tif --nuclei labels.tif -o a.xlsx --roi regions.geojson"
        ),
        "cells that QuPath found, with their neighbours": (
            "monuseg measure a.svs --nuclei a.geojson -o a.csv --measurements neighbours"
        ),
        "everything, of an image that does not state its scale": (
            "monuseg measure a.png --nuclei mask.png -o a.csv --measurements all --mpp 0.25"
        ),
    }
)
def measure(
    session: Session,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The image or slide.")],
    nuclei: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Its nuclei: a label image or mask (PNG, TIFF, NPY), GeoJSON or Aperio XML, in pixels at full "
            "resolution.",
        ),
    ],
    output: Annotated[
        list[Path],
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Table to write; may be repeated: .csv, .xlsx, .geojson, .geojson.gz, .parquet (GeoParquet) "
            "or .zarr (SpatialData).",
        ),
    ],
    measurements: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Further columns: texture (of haematoxylin, Haralick), neighbours (distances, numbers, density), or "
            "all; may be repeated.",
            show_default="size, shape, haematoxylin",
        ),
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Give each nucleus a class, by a file of monuseg classify.")
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a table with a row on the image (.csv; .xlsx has the regions)."),
    ] = None,
    roi_summary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a table with a row per region of --roi (.csv).")
    ] = None,
    mpp: Annotated[
        float | None,
        typer.Option(help="Scale of the image in micrometres per pixel.", show_default="as stated in the image"),
    ] = None,
    roi: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Only nuclei inside these regions: a GeoJSON exported from QuPath."),
    ] = None,
    series: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Which image of the file, as numbered by slide-info.", show_default="the largest scan"
        ),
    ] = None,
    plane: Annotated[
        int | None,
        typer.Option(metavar="N", help="Which focal plane, from 0.", show_default="z = 0, or the middle one"),
    ] = None,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Read unreadable tiles as white; their number is reported.")
    ] = False,
) -> None:
    """Measure nuclei that any tool found: size, shape, stain, texture, neighbours."""
    from monuseg_cli.annotations.read_rois import read_rois
    from monuseg_cli.classes.classes_file import read_classes
    from monuseg_cli.measurement.measure_nuclei import MeasureConfig, measure_nuclei
    from monuseg_cli.prediction.config import SlideSettings, choose_measurements

    settings = SlideSettings(
        mpp,
        skip_damaged=skip_damaged,
        rois=read_rois(roi, session.progress) if roi else (),
        series=series,
        plane=plane,
        measurements=choose_measurements(measurements or ()),
        classes=read_classes(classes) if classes else None,
    )
    config = MeasureConfig(image, nuclei, tuple(output), settings, summary, roi_summary)
    result = measure_nuclei(config, session.progress)
    lines = [regions_table((image.name, area) for area in result.rois)] if result.rois else []
    if result.classes:
        lines.append(classes_table([(image.name, result.classes)]))
    written = ", ".join(map(str, result.outputs))
    session.show(
        result, *lines, f"Written: {written}, {result.nuclei} nuclei at {result.mpp:.4g} um/px", written=result.outputs
    )
