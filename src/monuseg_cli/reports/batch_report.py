"""The report of several slides: one HTML page with a row per slide, which links to the report of each."""

import html
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from monuseg_cli.classes.card import Colour
from monuseg_cli.core.atomic import write_text
from monuseg_cli.core.errors import MonusegError
from monuseg_cli.outputs.result import Prediction
from monuseg_cli.outputs.summary_tables import describe_warnings
from monuseg_cli.reports.slide_report import format_density, read_data
from monuseg_cli.reports.svg import draw_swatch
from monuseg_cli.reports.template import fill, stylesheet

_MOST_BARS = 60
_JPEG = "data:image/jpeg;base64,"


@dataclass(frozen=True, slots=True)
class BatchReportInput:
    """What the page shows: the predictions, the images that failed, a line on the model, and colours of classes."""

    predictions: Sequence[Prediction]
    failures: Sequence[tuple[Path, MonusegError]]
    model: str
    colours: Mapping[str, Colour]


def write_batch_report(path: Path, shown: BatchReportInput) -> None:
    """Write the page; thumbnails are taken from the reports of the slides.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    number = len(shown.predictions) + len(shown.failures)
    doubtful = [one for one in shown.predictions if one.warnings or one.damaged]
    parts = {
        "__COUNT__": f"{number} slides",
        "__STYLE__": stylesheet(),
        "__MODEL__": html.escape(shown.model),
        "__WARNINGS__": _warnings(doubtful, shown.failures),
        "__NUMBERS__": _numbers(shown),
        "__TABLE__": _table(path, shown),
        "__PLOT__": _draw_densities(shown.predictions),
        "__CLASSES__": _classes(shown.predictions, shown.colours),
        "__REGIONS__": _regions(shown.predictions),
    }
    write_text(path, fill("monuseg_cli.reports", "batch_report.html", parts))


def _warnings(doubtful: Sequence[Prediction], failures: Sequence[tuple[Path, MonusegError]]) -> str:
    lines = [f"{image.name} failed: {error}" for image, error in failures]
    for one in doubtful:
        lines += [f"{one.outputs.image.name}: {text}" for text in describe_warnings(one.warnings, one.damaged)]
    if not lines:
        return ""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f'<div class="warnings" role="note"><p>Check these slides</p><ul>{items}</ul></div>'


def _numbers(shown: BatchReportInput) -> str:
    nuclei = sum(one.nuclei for one in shown.predictions)
    tissue = sum(one.tissue_mm2 for one in shown.predictions)
    numbers = [("slides", f"{len(shown.predictions)}", ""), ("nuclei", f"{nuclei:,}", "")]
    numbers += [("tissue", f"{tissue:,.3g}", "mm²"), ("density", format_density(nuclei, tissue), "per mm²")]
    if shown.failures:
        numbers.insert(1, ("failed", str(len(shown.failures)), ""))
    return "".join(f"<div><dt>{name}</dt><dd>{value} <small>{unit}</small></dd></div>" for name, value, unit in numbers)


def _table(path: Path, shown: BatchReportInput) -> str:
    titles = ("px", "µm/px", "tissue, mm²", "nuclei", "per mm²", "median area, µm²", "median haematoxylin")
    heading = "".join(f"<th>{title}</th>" for title in titles)
    rows = "".join(_row(path, one) for one in shown.predictions)
    for image, error in shown.failures:
        name = html.escape(image.name)
        rows += (
            f'<tr><td></td><td class="text">{name}</td><td class="text bad" colspan="{len(titles)}">failed (exit code '
            f"{error.exit_code})</td></tr>"
        )
    return f'<table><thead><tr><th></th><th class="text">slide</th>{heading}</tr></thead><tbody>{rows}</tbody></table>'


def _row(path: Path, one: Prediction) -> str:
    name, cell = html.escape(one.outputs.image.name), ""
    if one.outputs.report:
        link = quote(Path(os.path.relpath(one.outputs.report, path.parent)).as_posix())
        name = f'<a href="{html.escape(link)}">{name}</a>'
        picture = str(read_data(one.outputs.report).get("thumbnail", ""))
        if picture.startswith(_JPEG):
            cell = f'<img class="thumbnail" alt="Thumbnail" src="{html.escape(picture)}">'
    medians = [one.medians.get(key) for key in ("area_um2", "haematoxylin_mean")]
    texts = (
        f"{one.width:,} x {one.height:,}",
        f"{one.mpp:.4g}" if one.mpp else "not stated",
        f"{one.tissue_mm2:,.3g}",
        f"{one.nuclei:,}",
        format_density(one.nuclei, one.tissue_mm2),
        *("-" if median is None else f"{median:.3g}" for median in medians),
    )
    return f'<tr><td>{cell}</td><td class="text">{name}</td>{"".join(f"<td>{text}</td>" for text in texts)}</tr>'


def _draw_densities(predictions: Sequence[Prediction]) -> str:
    # matplotlib takes half a second to import, so it is imported only for a report
    from monuseg_cli.outputs.figures import BLUE, begin, to_svg

    ordered = sorted((one for one in predictions if one.tissue_mm2), key=lambda one: -one.per_mm2)
    if not ordered:
        return '<p class="soft">No slide has tissue.</p>'
    drawn = ordered[:_MOST_BARS]
    figure, axes = begin(size=(7, 0.9 + 0.24 * len(drawn)))
    places = range(len(drawn))
    axes.barh(places, [one.per_mm2 for one in drawn], color=BLUE, zorder=2)
    axes.set_yticks(places, [one.outputs.image.name for one in drawn], parse_math=False)
    axes.tick_params(labelsize=8)
    axes.set_xlabel("nuclei per mm² of tissue", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylim(len(drawn) - 0.4, -0.6)
    rest = f"the {_MOST_BARS} densest of {len(ordered)} slides" if len(ordered) > len(drawn) else "densest first"
    about = f"Nuclei per mm² of tissue, {rest}"
    return (
        f'<figure><div role="img" aria-label="{about}">{to_svg(figure)}</div><figcaption>{about}</figcaption></figure>'
    )


def _classes(predictions: Sequence[Prediction], colours: Mapping[str, Colour]) -> str:
    if not colours:
        return ""
    rows = "".join(
        f'<tr><td class="text">{html.escape(one.outputs.image.name)}</td>'
        + "".join(f"<td>{_share(one.classes.get(name, 0), one.nuclei)}</td>" for name in colours)
        + "</tr>"
        for one in predictions
    )
    heading = "".join(f"<th>{draw_swatch(colour)} {html.escape(name)}</th>" for name, colour in colours.items())
    table = f'<table><thead><tr><th class="text">slide</th>{heading}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<section><h2>Classes</h2><div class="wide">{table}</div></section>'


def _share(nuclei: int, of: int) -> str:
    return f"{nuclei:,} ({nuclei / of:.1%})" if of else "0"


def _regions(predictions: Sequence[Prediction]) -> str:
    rows = "".join(
        f'<tr><td class="text">{html.escape(one.outputs.image.name)}</td><td class="text">{html.escape(roi.name)}</td>'
        f"<td>{roi.mm2:.4f}</td><td>{roi.nuclei:,}</td><td>{format_density(roi.nuclei, roi.mm2)}</td></tr>"
        for one in predictions
        for roi in one.rois
    )
    if not rows:
        return ""
    heading = (
        '<th class="text">slide</th><th class="text">region</th><th>mm²</th><th>nuclei</th><th>nuclei per mm²</th>'
    )
    table = f"<table><thead><tr>{heading}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<section><h2>Regions</h2><div class="wide">{table}</div></section>'
