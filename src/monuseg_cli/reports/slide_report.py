"""The report of one slide: a self-contained HTML page, which works offline."""

import html
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.atomic import write_text
from monuseg_cli.imaging.coordinates import Layout
from monuseg_cli.imaging.scaled_source import read_thumbnail
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.nuclei.detections import Detections
from monuseg_cli.nuclei.distributions import Distributions
from monuseg_cli.nuclei.rois import Roi
from monuseg_cli.outputs.summary_tables import describe_warnings
from monuseg_cli.outputs.target import NucleiWriter
from monuseg_cli.reports.density_grid import DensityGrid
from monuseg_cli.reports.density_map import Density, draw_map
from monuseg_cli.reports.methods import list_facts
from monuseg_cli.reports.sample_fields import FieldPicker, draw_field
from monuseg_cli.reports.svg import draw_swatch
from monuseg_cli.reports.template import fill, jpeg_uri, stylesheet

SUFFIX = ".html"
_LONGEST_PX = 1400
_LONGEST_SMALL_PX = 220
_DATA = re.compile(r'<script type="application/json" id="slide">(.*?)</script>', re.DOTALL)


@contextmanager
def slide_report(
    path: Path,
    slide: Slide,
    layout: Layout,
    mpp: float,
    tissue: NDArray[np.bool_],
    rois: tuple[Roi, ...],
    about: Mapping[str, Any],
) -> Iterator[NucleiWriter]:
    """Collect nuclei, and write the report when the context ends.

    Memory is needed for a grid of cells of 25 um, for the values that measurements have, and for the outlines in 400
    fields, but not for all nuclei.

    Parameters
    ----------
    path : Path
        Destination.
    slide : Slide
        The open slide, which is read for the map and for the fields.
    layout : Layout
        Where the maps lie on the slide.
    mpp : float
        Micrometres per pixel of level 0; those of the model if the slide states none.
    tissue : ndarray of shape (H, W), bool
        Mask of tissue of the region, of any size.
    rois : tuple of Roi
        Regions of interest.
    about : mapping
        What the nuclei were made of; `found` in it is read when the context ends. See `describe_nuclei`.
    """
    grid = DensityGrid(layout.region, mpp, tissue)
    picker, measured = FieldPicker(grid, layout.region), Distributions()

    def add(found: Detections) -> None:
        if len(found):
            grid.add(np.stack([found.columns["row_px"], found.columns["col_px"]], axis=1))
            measured.add(found.columns)
            picker.add(found)

    yield add
    write_text(path, _fill(slide, layout, mpp, rois, grid, picker, measured, about))


def read_data(path: Path) -> dict[str, Any]:
    """Read what a report provides for the overview page: ``thumbnail``, a data URI. Empty if it is not a report."""
    try:
        found = _DATA.search(path.read_text(encoding="utf-8"))
        data = json.loads(found[1]) if found else {}
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _fill(
    slide: Slide,
    layout: Layout,
    mpp: float,
    rois: tuple[Roi, ...],
    grid: DensityGrid,
    picker: FieldPicker,
    measured: Distributions,
    about: Mapping[str, Any],
) -> str:
    # matplotlib takes half a second to import, so it is imported only for a report
    from monuseg_cli.reports.histograms import draw_distributions

    found, name = about["found"], slide.path.name
    fields, density = picker.pick(), Density(grid.per_mm2())
    thumbnail = read_thumbnail(slide, max(max(layout.shape) / _LONGEST_PX, 1), layout.region)
    small = thumbnail[
        :: -(-max(thumbnail.shape) // _LONGEST_SMALL_PX), :: -(-max(thumbnail.shape) // _LONGEST_SMALL_PX)
    ]
    colours = about.get("classes", {}).get("colours", {})
    data = json.dumps({"thumbnail": jpeg_uri(np.ascontiguousarray(small))})
    parts = {
        "__TITLE__": html.escape(name),
        "__STYLE__": stylesheet(),
        "__SUBTITLE__": html.escape(_describe_size(layout, mpp, found)),
        "__WARNINGS__": _warnings(found, layout, mpp),
        "__NUMBERS__": _numbers(found),
        "__MAP__": draw_map(thumbnail, density, layout.region, mpp, fields, rois),
        "__LOW__": f"{density.low:,.0f}",
        "__HIGH__": f"{density.high:,.0f}",
        "__RAMP__": density.ramp(),
        "__CLASSES__": _classes(about),
        "__REGIONS__": _regions(found["rois"]),
        "__PLOTS__": draw_distributions(measured),
        "__FIELDS_NOTE__": _describe_fields(len(fields)),
        "__FIELDS__": "".join(draw_field(slide, field, number, mpp, colours) for number, field in enumerate(fields, 1)),
        "__FACTS__": list_facts(about, mpp),
        "__DATA__": data.replace("<", "\\u003c"),
    }
    return fill("monuseg_cli.reports", "slide_report.html", parts)


def _describe_size(layout: Layout, mpp: float, found: Mapping[str, Any]) -> str:
    height, width = layout.shape
    size = f"{width:,} x {height:,} px, {width * mpp / 1000:.2f} x {height * mpp / 1000:.2f} mm"
    source = " (assumed)" if layout.mpp is None else " (estimated)" if found.get("mpp_range") else ""
    return f"{size}, {mpp:.4g} µm/px{source}"


def _warnings(found: Mapping[str, Any], layout: Layout, mpp: float) -> str:
    texts = describe_warnings(found["warnings"], found["damaged"])
    if layout.mpp is None:
        texts.insert(0, f"the image states no scale; {mpp} um/px, that of the model, is assumed for all areas")
    if not texts:
        return ""
    items = "".join(f"<li>{html.escape(text)}</li>" for text in texts)
    return f'<div class="warnings" role="note"><p>Check this result</p><ul>{items}</ul></div>'


def _numbers(found: Mapping[str, Any]) -> str:
    tissue, nuclei, medians = found["tissue_mm2"], found["nuclei"], found["medians"]
    shown = [("nuclei", f"{nuclei:,}", ""), ("tissue", f"{tissue:,.3g}", "mm²")]
    if tissue:
        shown.append(("density", f"{nuclei / tissue:,.0f}", "per mm²"))
    if medians:
        shown.append(("median area", f"{medians['area_um2']:.1f}", "µm²"))
        shown.append(("median eccentricity", f"{medians['eccentricity']:.2f}", ""))
        shown.append(("median haematoxylin", f"{medians['haematoxylin_mean']:.2f}", "OD"))
    return "".join(f"<div><dt>{title}</dt><dd>{value} <small>{unit}</small></dd></div>" for title, value, unit in shown)


def _classes(about: Mapping[str, Any]) -> str:
    """Return the number and share of the nuclei of each class; empty without classes."""
    counts: Mapping[str, int] = about["found"].get("classes") or {}
    if not counts:
        return ""
    stated, total = about["classes"], max(sum(counts.values()), 1)
    rows = "".join(
        f'<tr><td class="text">{draw_swatch(stated["colours"][name])} {html.escape(name)}</td><td>{nuclei:,}</td>'
        f"<td>{nuclei / total:.1%}</td></tr>"
        for name, nuclei in counts.items()
    )
    heading = '<th class="text">class</th><th>nuclei</th><th>share</th>'
    score = "accuracy {value:.3f} ({low:.3f} to {high:.3f})".format(**stated["accuracy"])
    note = f"By {html.escape(stated['file'])}, {stated['model']}: {score} in annotated regions that were held out."
    table = f"<table><thead><tr>{heading}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<section><h2>Classes</h2><div class="wide">{table}</div><p class="soft small">{note}</p></section>'


def _regions(rois: list[dict[str, Any]]) -> str:
    if not rois:
        return ""
    rows = "".join(
        f'<tr><td class="text">{html.escape(roi["name"])}</td><td>{roi["mm2"]:.4f}</td><td>{roi["nuclei"]:,}</td>'
        f"<td>{format_density(roi['nuclei'], roi['mm2'])}</td></tr>"
        for roi in rois
    )
    heading = '<th class="text">region</th><th>mm²</th><th>nuclei</th><th>nuclei per mm²</th>'
    table = f"<table><thead><tr>{heading}</tr></thead><tbody>{rows}</tbody></table>"
    note = "Of the whole area of each region, with or without tissue. Where regions overlap, a nucleus counts in each."
    return f'<section><h2>Regions</h2><div class="wide">{table}</div><p class="soft small">{note}</p></section>'


def format_density(nuclei: int, mm2: float) -> str:
    """Return nuclei per square millimetre as text; a dash without an area."""
    return f"{nuclei / mm2:,.0f}" if mm2 else "-"


def _describe_fields(number: int) -> str:
    if not number:
        return "No tissue was found."
    return (
        f"{number} fields with tissue, at equal steps in the order of their number of nuclei. On large slides, they "
        "are picked among 400 that were drawn at random. Check the outlines before you use the numbers above."
    )
