"""``monuseg predict``."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from monuseg_cli.cli import complete
from monuseg_cli.cli.command import end_with_usage_error
from monuseg_cli.cli.config_file import FileKind
from monuseg_cli.cli.console import THREADS_HELP, Session, command, table
from monuseg_cli.cli.option_names import with_options
from monuseg_cli.core.home import DEFAULT_MODEL
from monuseg_cli.models.devices import Device

if TYPE_CHECKING:
    from monuseg_cli.classes.classes_file import NucleusClassifier
    from monuseg_cli.nuclei.rois import Roi, RoiCount
    from monuseg_cli.outputs.result import Prediction
    from monuseg_cli.prediction.batch import PredictResult
    from monuseg_cli.prediction.dry_run import PredictPlan

_output = partial(typer.Option, rich_help_panel="Output")
_scale = partial(typer.Option, rich_help_panel="Scale and region")
_model = partial(typer.Option, rich_help_panel="Model and engine")
_many = partial(typer.Option, rich_help_panel="Many images")


def read_mpp(text: str | float) -> float | str:
    """Read the scale of an image, as a number or the word "estimate", from the command line or a config file."""
    if text == "estimate":
        return text
    try:
        return float(text)
    except (TypeError, ValueError) as error:
        message = "it should be a number or estimate"
        raise typer.BadParameter(message) from error


@command(
    {
        "a mask of a slide": "monuseg predict slide.svs -o mask.png",
        "every image in a folder": "monuseg predict slides/ -o masks/",
        "outlines for QuPath, a table of nuclei, and a picture to check them": (
            "monuseg predict slide.svs -o a.geojson -o a.csv --overlay a.png"
        ),
        "a part of a slide that does not state its scale": (
            "monuseg predict a.tif -o part.png --region 0 0 2000 2000 --mpp 0.25"
        ),
        "the nuclei for Python, and for further outputs in seconds": "monuseg predict slide.svs -o nuclei.parquet",
        "a report to look at, and a table of all slides for Excel": (
            "monuseg predict slides/ --report report/ --summary slides.xlsx"
        ),
        "a table for another program": "monuseg predict slide.svs -o - --format csv | head",
        "on a Dask cluster": "monuseg predict slides/ -o masks/ --scheduler tcp://head:8786",
    }
)
def predict(
    session: Session,
    image: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Images, slides, or folders of them.")],
    output: Annotated[
        list[str] | None,
        _output(
            "-o",
            "--output",
            metavar="FILE",
            help="File to write; may be repeated. The suffix sets the format: .png mask, .tif mask or label image, "
            ".geojson for QuPath, .geojson.gz compressed, .csv or .xlsx table, .parquet (GeoParquet), "
            ".zarr (SpatialData), .svg or .pdf histograms. For several images, a folder or a pattern "
            "with {stem}; - is the standard output.",
        ),
    ] = None,
    format: Annotated[
        Literal["png", "tif", "geojson", "geojson.gz", "csv", "parquet", "xlsx", "zarr", "svg", "pdf"] | None,
        _output(help="Format where -o does not state it: of a folder, or of -.", show_default="png; tif with --labels"),
    ] = None,
    labels: Annotated[
        bool, _output("--labels", help="Write a label image into the .tif: one integer per nucleus.")
    ] = False,
    simplify: Annotated[
        float | None,
        _output(
            metavar="PX",
            help="Simplify the outlines in GeoJSON by at most this distance, in pixels: 0.5 at 20x, 1 at 40x.",
            show_default="follow the pixels exactly",
        ),
    ] = None,
    overlay: Annotated[
        str | None, _output(metavar="FILE", help="Also write the image with outlines (.png); file, folder or pattern.")
    ] = None,
    probability: Annotated[
        str | None, _output(metavar="FILE", help="Also write the probability of nuclei (.tif), at the model's scale.")
    ] = None,
    save_tissue_mask: Annotated[
        str | None, _output(metavar="FILE", help="Also write the mask of detected tissue (.png), at low resolution.")
    ] = None,
    measurements: Annotated[
        list[str] | None,
        _output(
            metavar="NAME",
            help="Further columns of tables: texture (of haematoxylin, Haralick), neighbours (distances, numbers, "
            "density), all (both), network (the network's own features, for monuseg classify); may be repeated.",
            show_default="size, shape, haematoxylin",
        ),
    ] = None,
    classes: Annotated[
        Path | None,
        _output(metavar="FILE", help="Give each nucleus a class, by a file of monuseg classify."),
    ] = None,
    report: Annotated[
        str | None,
        _output(
            metavar="FILE",
            help="Also write a report (.html): density, histograms, fields with outlines. For several images, one of "
            "each, and an overview.",
        ),
    ] = None,
    summary: Annotated[
        str | None,
        _output(metavar="FILE", help="Also write a table with a row per image (.csv; .xlsx has the regions, too)."),
    ] = None,
    roi_summary: Annotated[
        str | None, _output(metavar="FILE", help="Also write a table with a row per region of --roi (.csv).")
    ] = None,
    mpp: Annotated[
        Any,
        _scale(
            parser=read_mpp,
            metavar="NUMBER",
            help="Scale of the image in micrometres per pixel; estimate: from the image, roughly.",
            show_default="as stated in the image",
        ),
        FileKind(float | Literal["estimate"]),
    ] = None,
    region: Annotated[
        tuple[int, int, int, int] | None,
        _scale(metavar="X Y WIDTH HEIGHT", help="Predict on this part only, in pixels at full resolution."),
    ] = None,
    roi: Annotated[
        Path | None,
        _scale(metavar="FILE", help="Keep only nuclei inside these regions: a GeoJSON exported from QuPath."),
    ] = None,
    series: Annotated[
        int | None,
        _scale(
            metavar="N", help="Which image of the file, as numbered by slide-info.", show_default="the largest scan"
        ),
    ] = None,
    plane: Annotated[
        int | None, _scale(metavar="N", help="Which focal plane, from 0.", show_default="z = 0, or the middle one")
    ] = None,
    tissue_mask: Annotated[bool, _scale(help="Skip glass: predict on tissue only.")] = True,
    skip_damaged: Annotated[
        bool, _scale("--skip-damaged", help="Treat unreadable tiles as glass; their number is reported.")
    ] = False,
    adapt: Annotated[
        Literal["auto", "off"],
        _model(help="Match the slide's stain to that of the training images, if the model states it."),
    ] = "auto",
    tta: Annotated[
        bool,
        _model("--tta", help="Average over the eight orientations of each tile: a little better, eight times as slow."),
    ] = False,
    model: Annotated[
        str,
        _model(
            metavar="RUN|WEIGHTS",
            help="Name or folder of a run, or a weights file.",
            show_default=f"{DEFAULT_MODEL}, in the package",
            autocompletion=complete.weights,
        ),
    ] = DEFAULT_MODEL,
    threshold: Annotated[
        float | None, _model(help="Lowest probability of a nuclear pixel.", show_default="the model's")
    ] = None,
    min_area_um2: Annotated[float | None, _model(help="Drop smaller nuclei.", show_default="the model's")] = None,
    engine: Annotated[
        Literal["auto", "torch", "openvino"],
        _model(help="What runs the network; auto: OpenVINO on a CPU if it is installed, else PyTorch."),
    ] = "auto",
    device: Annotated[Device, _model(help="Where the network runs.")] = "auto",
    threads: Annotated[int | None, _model(help=THREADS_HELP, show_default="the engine's choice")] = None,
    overwrite: Annotated[
        bool,
        _many(
            "--overwrite",
            help="Also predict on images that were done, or whose nuclei were kept, with the same settings.",
        ),
    ] = False,
    scheduler: Annotated[
        str | None, _many(metavar="TCP://...", help="Distribute the images over the workers of this Dask scheduler.")
    ] = None,
    dry_run: Annotated[
        bool, _many("--dry-run", help="Only check and list what would be read, written, skipped and refused.")
    ] = False,
    num_parts: Annotated[int, _many(help="Divide the images into this many parts, for job arrays.")] = 1,
    part: Annotated[int, _many(help="Predict on this part, from 1.")] = 1,
) -> None:
    """Find the nuclei in images and slides: masks, label images, GeoJSON, tables."""
    from monuseg_cli.outputs.plan import STANDARD_OUTPUT, OutputSpec
    from monuseg_cli.prediction.batch import predict as run
    from monuseg_cli.prediction.config import PredictConfig, SlideSettings, choose_measurements

    results = tuple(output or ())
    if not results and not any((overlay, probability, save_tissue_mask, report, summary, roi_summary)):
        end_with_usage_error("monuseg predict needs an output, such as -o mask.png", "monuseg predict")
    if STANDARD_OUTPUT in results:
        if session.as_json:
            end_with_usage_error("--json and -o - both write to the standard output; leave one out")
        session = replace(session, out=session.errors)
    config = PredictConfig(
        images=tuple(image),
        outputs=OutputSpec(
            results, labels, overlay, probability, save_tissue_mask, format, simplify, report, summary, roi_summary
        ),
        weights=session.home.find_weights(model),
        cache=session.home.cache,
        settings=SlideSettings(
            mpp,
            region,
            tissue_mask,
            skip_damaged,
            adapt,
            _read_rois(session, roi) if roi else (),
            series,
            plane,
            tta,
            choose_measurements(measurements or ()),
            _read_classes(classes) if classes else None,
        ),
        threshold=threshold,
        min_area_um2=min_area_um2,
        part=part,
        num_parts=num_parts,
        overwrite=overwrite,
        device=device,
        engine=engine,
        scheduler=scheduler,
        threads=threads,
    )
    if dry_run:
        from monuseg_cli.prediction.dry_run import plan_predict

        _show_plan(session, plan_predict(config, session.progress))
        return
    _show(session, run(config, session.progress))


def _read_rois(session: Session, path: Path) -> "tuple[Roi, ...]":
    from monuseg_cli.annotations.read_rois import read_rois

    return read_rois(path, session.progress)


def _read_classes(path: Path) -> "NucleusClassifier":
    from monuseg_cli.classes.classes_file import read_classes

    return read_classes(path)


def _show(session: Session, result: "PredictResult") -> None:
    """Print the results, then all failures; the exit code is that of the first failure."""
    lines: list[str | Table] = []
    if result.skipped:
        total = len(result.skipped) + len(result.predictions) + len(result.failures)
        lines.append(f"Skipped, done before: {len(result.skipped)} of {total}; --overwrite predicts again")
    if result.predictions:
        lines.append(_images_table(result.predictions))
        if counts := [(one.outputs.image.name, area) for one in result.predictions for area in one.rois]:
            lines.append(regions_table(counts))
        if classes := [(one.outputs.image.name, one.classes) for one in result.predictions if one.classes]:
            lines.append(classes_table(classes))
        lines.append(f"Written: {_written(result.predictions)}")
    if result.together.files:
        lines.append(f"On all images: {', '.join(map(str, result.together.files))}")
    name = session.home.name_of_weights(result.weights)
    written = [path for one in result.predictions for path in one.outputs.files]
    written += result.together.files
    session.show(
        _short(result), *lines, f"Model: {name} ({result.card.architecture}, {result.card.licence})", written=written
    )
    for _, error in result.failures:
        session.fail(error)
    if result.failures:
        raise typer.Exit(result.failures[0][1].exit_code)


def _show_plan(session: Session, plan: "PredictPlan") -> None:
    """Print a dry run, then what would be refused; the exit code is that of the first refusal."""
    unknown = "to be estimated" if plan.is_scale_estimated else "not stated"
    rows = table("image", "width x height", "um/px", "resampled", "would be", "files")
    for column in rows.columns[-2:]:
        column.justify = "left"
    for one in plan.images:
        size = f"{one.width} x {one.height}" if one.width else "-"
        scale = f"{one.mpp:.4f}" if one.mpp else unknown if one.width else "-"
        resampled = "-" if one.step is None else "no" if one.step == 1 else f"by {1 / one.step:.3g}"
        files = [*map(str, one.outputs.files), *(["the standard output"] if one.outputs.stream else [])]
        done = {"predict": "predicted", "remake": "remade", "skip": "skipped", "refuse": "refused"}[one.action]
        rows.add_row(one.outputs.image.name, size, scale, resampled, done, ", ".join(files))
    together = [f"On all images: {', '.join(map(str, plan.together.files))}"] if plan.together.files else []
    name = session.home.name_of_weights(plan.weights)
    threads = f", threads: {plan.threads}" if plan.threads else ""
    refused = [(one.outputs.image, one.error) for one in plan.images if one.error]
    session.show(
        {
            "dry_run": True,
            "weights": plan.weights,
            "model": {"architecture": plan.card.architecture, "licence": plan.card.licence},
            "engine": plan.engine,
            "threads": plan.threads,
            "images": plan.images,
            "together": plan.together,
        },
        rows,
        *together,
        f"Model: {name} ({plan.card.architecture}, {plan.card.licence}), {plan.card.mpp} um/px, {plan.engine}{threads}",
        "Dry run: nothing was computed or written",
        written=(),
    )
    for _, error in refused:
        session.fail(error)
    if refused:
        raise typer.Exit(refused[0][1].exit_code)


def _short(result: "PredictResult") -> dict[str, object]:
    """Return the result for --json: without the card, which `monuseg models card` prints."""
    return {
        "weights": result.weights,
        "model": {"architecture": result.card.architecture, "licence": result.card.licence},
        "predictions": result.predictions,
        "skipped": result.skipped,
        "failures": [
            {"file": path, "code": error.exit_code, "message": with_options(str(error))}
            for path, error in result.failures
        ],
        "together": result.together,
    }


def _images_table(predictions: "tuple[Prediction, ...]") -> Table:
    rows = table("image", "width x height", "um/px", "nuclei", "per mm2 of tissue", "seconds")
    for one in predictions:
        size = f"{one.width} x {one.height}"
        estimate = " (estimated)" if one.mpp_range else ""
        scale = f"{one.mpp:.4f}{estimate}" if one.mpp else "not stated"
        rows.add_row(one.outputs.image.name, size, scale, str(one.nuclei), f"{one.per_mm2:.0f}", f"{one.seconds:.1f}")
    return rows


def regions_table(counts: "Iterable[tuple[str, RoiCount]]") -> Table:
    """Build a table of regions of interest, each with the name of its image."""
    rows = table("region of interest", "mm2", "nuclei", "nuclei per mm2")
    for image, area in counts:
        density = f"{area.nuclei / area.mm2:.0f}" if area.mm2 else "-"
        rows.add_row(f"{image}: {area.name}", f"{area.mm2:.3f}", str(area.nuclei), density)
    return rows


def classes_table(counts: "Iterable[tuple[str, Mapping[str, int]]]") -> Table:
    """Build a table of the classes of each image: number and share of nuclei."""
    rows = table("class", "nuclei", "share")
    for image, of_image in counts:
        total = max(sum(of_image.values()), 1)
        for name, nuclei in of_image.items():
            rows.add_row(f"{image}: {name}", str(nuclei), f"{nuclei / total:.1%}")
    return rows


def _written(predictions: "tuple[Prediction, ...]") -> str:
    """List the files of one image; for several images, return their number and folders."""
    files = [path for one in predictions for path in one.outputs.files]
    if not files:
        return "the standard output" if any(one.outputs.stream for one in predictions) else "no file of an image"
    if len(predictions) == 1:
        return ", ".join(map(str, files))
    return f"{len(files)} files in {', '.join(sorted({f'{path.parent}{os.sep}' for path in files}))}"
