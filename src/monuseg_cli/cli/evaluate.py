"""``monuseg evaluate``."""

import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from monuseg_cli.cli import complete
from monuseg_cli.cli.console import THREADS_HELP, Session, command, table
from monuseg_cli.cli.masks import DATA_HELP
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import DEFAULT_MODEL
from monuseg_cli.dataset.catalog import KumarSplit
from monuseg_cli.models.devices import Device

if TYPE_CHECKING:
    from monuseg_cli.evaluation.evaluate import EvaluateConfig
    from monuseg_cli.evaluation.folders import FoldersConfig
    from monuseg_cli.evaluation.results import EvaluateResult, Evaluation

_cases = partial(typer.Option, rich_help_panel="Cases")
_output = partial(typer.Option, rich_help_panel="Output")
_method = partial(typer.Option, rich_help_panel="Method")
_folders = partial(typer.Option, rich_help_panel="Output of other tools")
_LABELS_WIDTH = 38  # columns for a case's id, its mark and its organ
_SCORE_WIDTH = 6
_FIRST = ("f1", "aji", "pq", "iou", "soft_dice", "precision", "recall", "accuracy", "loss")
"""Order in which scores are shown on a narrow terminal."""


@command(
    {
        "a run, on its validation cases": "monuseg evaluate unet-se",
        "two runs, compared on the test cases": "monuseg evaluate unet-se unet --split test",
        "the model in the package, on your own annotated images": "monuseg evaluate --data slides/",
        "with a report of every image and nucleus": "monuseg evaluate unet-se unet --report report.html",
        "masks of another tool": "monuseg evaluate --predictions masks/ --reference truth/",
    }
)
def evaluate(
    session: Session,
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN|WEIGHTS...]",
            help="Runs or weights files; each is compared with the first.",
            show_default=DEFAULT_MODEL,
            autocompletion=complete.weights,
        ),
    ] = None,
    data: Annotated[Path | None, _cases(metavar="FOLDER", help=DATA_HELP, show_default="MoNuSeg")] = None,
    split: Annotated[
        Literal["val", "test", "train", "all"] | None,
        _cases(
            help="Validation, test or training cases of the models, or all cases of --data.",
            show_default="val, or all of --data unseen by the models",
        ),
    ] = None,
    fold: Annotated[int | None, _cases(help="Validation cases of this fold, 1 to 5.")] = None,
    kumar: Annotated[KumarSplit | None, _cases(help="Part of the split of Kumar et al. 2017.")] = None,
    cases: Annotated[
        str | None, _cases(metavar="ID,ID...", help="These cases; a part of an id is enough if only one has it.")
    ] = None,
    include_train: Annotated[
        bool, _cases("--include-train", help="Also score cases that a model was trained on, marked with *.")
    ] = False,
    output: Annotated[
        Path | None,
        _output("-o", "--output", metavar="FOLDER", help="Folder for the scores.", show_default="beside the weights"),
    ] = None,
    report: Annotated[
        Path | None, _output(metavar="FILE", help="Also write a page with scores, plots, images and nuclei (.html).")
    ] = None,
    plots: Annotated[
        Path | None, _output(metavar="FOLDER", help="Also write the plots of the report, each as .svg and .pdf.")
    ] = None,
    overlays: Annotated[
        bool, _output("--overlays", help="Also write images with outlines: reference yellow, prediction green.")
    ] = False,
    protocol: Annotated[
        Literal["image", "notebook"],
        _method(help="Whole images with blended tiles, or windows of 256 px as in the baseline's notebooks."),
    ] = "image",
    adapt: Annotated[
        Literal["auto", "off"],
        _method(help="Match each image's stain to that of the training images, if the model states it."),
    ] = "auto",
    tta: Annotated[bool, _method("--tta", help="Average over the eight orientations of each tile.")] = False,
    device: Annotated[Device, _method(help="Where the network runs.")] = "auto",
    threads: Annotated[int | None, _method(help=THREADS_HELP, show_default="PyTorch's choice")] = None,
    predictions: Annotated[
        list[Path] | None, _folders(metavar="FOLDER", help="Masks or label images to score; may be repeated.")
    ] = None,
    reference: Annotated[
        Path | None, _folders(metavar="FOLDER", help="The reference: PNG, TIFF, NPY, GeoJSON or Aperio XML.")
    ] = None,
    images: Annotated[Path | None, _folders(metavar="FOLDER", help="The images themselves, for --report.")] = None,
) -> None:
    """Score models, or the output of other tools, against a reference."""
    from monuseg_cli.evaluation.cases import CaseChoice
    from monuseg_cli.evaluation.evaluate import EvaluateConfig
    from monuseg_cli.evaluation.evaluate import evaluate as run
    from monuseg_cli.evaluation.folders import FoldersConfig, evaluate_folders

    if (models and predictions) or bool(predictions) != bool(reference):
        message = "give either models, or --predictions and --reference"
        raise InputError(message)
    of_cases: dict[str, object] = {"--data": data, "--split": split, "--fold": fold, "--kumar": kumar, "--cases": cases}
    of_cases["--include-train"] = include_train
    if predictions:
        _require_unused({**of_cases, "--overlays": overlays, "--protocol": protocol != "image"}, "with --predictions")
    else:
        _require_unused({"--images": images}, "without --predictions")
    if protocol == "notebook":
        files = {"--report": report, "--plots": plots, "--overlays": overlays, "--output": output}
        _require_unused(files, "with --protocol notebook")
    if predictions and reference:
        folders = FoldersConfig(tuple(predictions), reference, images, output, report, plots)
        _show_scores(session, evaluate_folders(folders, session.progress), folders)
        return
    choice = CaseChoice(split, fold, kumar, tuple(cases.split(",")) if cases else (), data)
    weights = tuple(session.home.find_weights(model) for model in models or [DEFAULT_MODEL])
    written = (overlays, output, report, plots)
    config = EvaluateConfig(session.home, weights, choice, include_train, *written, adapt, tta, device, threads)
    if protocol == "notebook":
        _show_notebook(session, config)
    else:
        _show_scores(session, run(config, session.progress), config)


def _require_unused(options: Mapping[str, object], where: str) -> None:
    for option, value in options.items():
        if value:
            message = f"{option} has no effect {where}; leave it out"
            raise InputError(message)


def _show_scores(session: Session, result: "EvaluateResult", config: "EvaluateConfig | FoldersConfig") -> None:
    places, written = _written(result, config)
    if len(result.evaluations) > 1:
        session.show(result, *_comparison_lines(result), *places, written=written)
        return
    (evaluation,) = result.evaluations
    lines: list[str | Table] = [*_image_table(evaluation, session.out.width)]
    if any(image.trained_on for image in evaluation.images):
        lines.append("* the model was trained on this case")
    seconds = "  ".join(f"{name} {value:.1f}" for name, value in evaluation.seconds.items())
    then = None
    if evaluation.card:
        lines.append(f"Model: {evaluation.name} ({evaluation.card.architecture}, epoch {evaluation.card.epoch})")
        then = f"predict IMAGE -o mask.png --model {shlex.quote(evaluation.name)}"
    lines.append(f"Seconds: {seconds}")
    session.show(result, *lines, *places, then=then, written=written)


def _written(result: "EvaluateResult", config: "EvaluateConfig | FoldersConfig") -> tuple[list[str], list[Path]]:
    """Return a line for each kind of output with its places, and all places."""
    from monuseg_cli.evaluation.evaluate import EvaluateConfig
    from monuseg_cli.evaluation.results import comparison_files, overlays_folder

    kinds: list[tuple[str, Sequence[Path]]] = []
    for one in result.evaluations:
        kinds.append(("Scores", one.files))
        if one.folder and isinstance(config, EvaluateConfig) and config.overlays:
            kinds.append(("Overlays", [overlays_folder(one.folder)]))
    if result.differences and config.output:
        kinds.append(("Comparison", comparison_files(config.output)))
    if config.report:
        kinds.append(("Report", [config.report]))
    lines = [f"{kind}: {', '.join(map(str, paths))}" for kind, paths in kinds if paths]
    if result.plots:
        lines.append(f"Plots: {len(result.plots)} files in {config.plots}/")
    return lines, [*(path for _, paths in kinds for path in paths), *result.plots]


def _fitting(names: Sequence[str], titles: Mapping[str, str], width: int) -> list[str]:
    """Return the names of the scores whose columns fit into a terminal, in their order."""
    chosen: list[str] = []
    room = width - _LABELS_WIDTH
    for name in sorted(names, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST)):
        room -= max(len(titles[name]), _SCORE_WIDTH) + 2
        if room < 0:
            break
        chosen.append(name)
    return [name for name in names if name in chosen]


def _image_table(evaluation: "Evaluation", width: int) -> list[Table | str]:
    from monuseg_cli.evaluation.tables import TITLES, closing_rows, format_score, shown_scores

    summary = evaluation.summary
    all_names = shown_scores(summary.mean)
    names = _fitting(all_names, TITLES, width)
    rows = table("", "organ", *(TITLES[name] for name in names))
    rows.columns[1].justify = "left"

    def add(label: str, organ: str, scores: object, style: str = "") -> None:
        rows.add_row(label, organ, *(format_score(getattr(scores, name)) for name in names), style=style)

    for image in evaluation.images:
        add(f"{image.case_id}{' *' if image.trained_on else ''}", image.organ, image.scores)
    for label, organ, scores in closing_rows(evaluation.organs, summary):
        add(label, organ, scores, style="bold" if scores is summary.mean else "")
    left_out = [TITLES[name] for name in all_names if name not in names]
    return [rows, *([f"A wider terminal also shows {', '.join(left_out)}"] if left_out else [])]


def _comparison_lines(result: "EvaluateResult") -> tuple[Table, str]:
    from monuseg_cli.evaluation.tables import TITLES, format_interval, format_score, is_best, shown_scores

    summaries = [evaluation.summary for evaluation in result.evaluations]
    means = [summary.mean for summary in summaries]
    first = result.evaluations[0].name
    rows = table(
        "mean over images" if summaries[0].images > 1 else "one image",
        *(evaluation.name for evaluation in result.evaluations),
        *(f"{difference.name} minus {first}" for difference in result.differences),
    )
    for name in shown_scores(*means):
        cells = []
        for summary in summaries:
            best = is_best(name, summary.mean, means)
            mean = f"{format_score(getattr(summary.mean, name))}{'*' if best else ' '}"
            cells.append(Text(f"{mean}{format_interval(summary, name)}", style="bold" if best else ""))
        for difference in result.differences:
            cells.append(
                Text(f"{format_score(getattr(difference.mean, name), '+')}{format_interval(difference, name, '+')}")
            )
        rows.add_row(TITLES[name], *cells)
    count = f"{summaries[0].images} {'image' if summaries[0].images == 1 else 'images'} ({result.evaluations[0].cases})"
    trained = _trained_on([sum(image.trained_on for image in one.images) for one in result.evaluations])
    intervals = "; intervals of 95 % by a bootstrap over cases" if summaries[0].images > 1 else ""
    return rows, f"{count}{intervals}; * best{trained}"


def _show_notebook(session: Session, config: "EvaluateConfig") -> None:
    from monuseg_cli.evaluation.evaluate import evaluate_as_notebook

    result = evaluate_as_notebook(config, session.progress)
    rows = table("windows of 256 px, as the notebooks", "loss", "accuracy", "soft Dice", "F1", "windows", "images")
    for one in result.evaluations:
        scores = one.scores
        figures = [f"{value:.4f}" for value in (scores.loss, scores.accuracy, scores.soft_dice, scores.f1)]
        label = f"{one.name} on {one.cases}{' *' if one.trained_on else ''}"
        rows.add_row(label, *figures, str(scores.windows), str(one.images))
    marked = (
        ["* the model was trained on some of these cases"] if any(one.trained_on for one in result.evaluations) else []
    )
    session.show(result, rows, *marked, written=())


def _trained_on(counts: Sequence[int]) -> str:
    return f"; trained on {', '.join(map(str, counts))} of these cases" if any(counts) else ""
