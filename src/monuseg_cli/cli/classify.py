"""``monuseg classify``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from monuseg_cli.cli import complete
from monuseg_cli.cli.console import Session, command, table
from monuseg_cli.core.home import DEFAULT_MODEL

if TYPE_CHECKING:
    from monuseg_cli.classes.card import ClassesCard, Score


@command(
    {
        "regions that were drawn and given classes in QuPath": (
            "monuseg classify slide.svs --annotations classes.geojson -o a.classes"
        ),
        "several slides, with a file of annotations named after each": (
            "monuseg classify a.svs b.svs --annotations drawn/ -o tissue.classes"
        ),
        "nuclei of another tool": ("monuseg classify a.svs --nuclei n.tif --annotations a.geojson -o a.classes"),
    }
)
def classify(
    session: Session,
    image: Annotated[list[Path], typer.Argument(metavar="SLIDE...", help="The annotated slides or images.")],
    annotations: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="Regions or nuclei with classes: a GeoJSON exported from QuPath for each slide, in the same order; or "
            "a folder with a file named after each slide.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="File to write: its name ends in .classes.")
    ],
    nuclei: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="The nuclei of each slide: .parquet of a prediction, label image, mask, GeoJSON or Aperio XML.",
            show_default="those that a prediction kept as .parquet beside the slide or the output, else predicted",
        ),
    ] = None,
    measurements: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Also learn from these measurements: texture (of haematoxylin, Haralick), network (the network's own "
            "features); may be repeated.",
            show_default="size, shape, haematoxylin",
        ),
    ] = None,
    mpp: Annotated[
        float | None,
        typer.Option(help="Scale of the images in micrometres per pixel.", show_default="as stated in the images"),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            metavar="RUN|WEIGHTS",
            help="Model that finds the nuclei: a run or a weights file.",
            show_default=f"{DEFAULT_MODEL}, in the package",
            autocompletion=complete.weights,
        ),
    ] = DEFAULT_MODEL,
    engine: Annotated[
        Literal["auto", "torch", "openvino"],
        typer.Option(help="What runs the network; auto: OpenVINO on a CPU if it is installed, else PyTorch."),
    ] = "auto",
) -> None:
    """Train a classifier of nuclei on regions or nuclei that were given classes."""
    from monuseg_cli.classification.classify import ClassifyConfig
    from monuseg_cli.classification.classify import classify as run
    from monuseg_cli.prediction.config import SlideSettings, choose_measurements

    config = ClassifyConfig(
        images=tuple(image),
        annotations=tuple(annotations),
        output=output,
        weights=session.home.find_weights(model),
        cache=session.home.cache,
        nuclei=tuple(nuclei or ()),
        settings=SlideSettings(mpp, measurements=choose_measurements(measurements or ())),
        engine=engine,
    )
    result = run(config, session.progress)
    card = result.card
    tried = ", ".join(f"{kind} {value:.3f}" for kind, value in card.validation.candidates.items())
    session.show(
        result,
        _scores_table(card),
        _confusion_table(card),
        f"Accuracy {_show(card.validation.accuracy)}, balanced {_show(card.validation.balanced_accuracy)}, in regions "
        f"that were held out ({card.validation.folds} folds)",
        f"Classifier: {card.model} (balanced accuracy: {tried})",
        *_without_network(card),
        f"Written: {result.output}",
        written=[result.output],
    )


def _show(score: "Score | None") -> str:
    return f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})" if score else "-"


def _without_network(card: "ClassesCard") -> list[str]:
    """Return the line on what the network's features are worth, where they are used."""
    score = card.validation.without_network
    return [f"Without the network's features: balanced accuracy {_show(score)}"] if score else []


def _scores_table(card: "ClassesCard") -> Table:
    rows = table("class", "nuclei", "regions", "recall", "precision", "F1")
    for one in card.classes:
        scores = card.validation.classes[one.name]
        shown = (_show(score) for score in (scores.recall, scores.precision, scores.f1))
        rows.add_row(one.name, str(one.nuclei), str(one.regions), *shown)
    return rows


def _confusion_table(card: "ClassesCard") -> Table:
    rows = table("annotated as", *(f"found as {name}" for name in card.names))
    for name, counts in zip(card.names, card.validation.confusion, strict=True):
        rows.add_row(name, *map(str, counts))
    return rows
