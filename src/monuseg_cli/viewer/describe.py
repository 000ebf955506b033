"""The state of the viewer as JSON, for its page."""

import shlex
from collections.abc import Callable
from typing import Any

import numpy as np

from monuseg_cli.imaging.folder import stem_of
from monuseg_cli.viewer import colours
from monuseg_cli.viewer.nuclei_tiles import Overlay
from monuseg_cli.viewer.pyramid import FINER_LEVELS, TILE_PX
from monuseg_cli.viewer.regions import PER_MEGAPIXEL, PER_MM2, RegionCount
from monuseg_cli.viewer.session import Shown, ViewSession
from monuseg_cli.viewer.units import split_unit

_RAMP_STOPS = 16
_CLICK_PX = 12.0
"""A click finds a nucleus without an outline up to this distance from its centre, in pixels of level 0."""


def describe(session: ViewSession, wording: Callable[[str], str] = str) -> dict[str, Any]:
    """Describe the slide and its nuclei.

    Parameters
    ----------
    session : ViewSession
        What is shown.
    wording : callable
        Rewrites messages, which name settings as Python does.
    """
    height, width = session.slide.shape
    pyramid = session.pyramid
    return {
        "slide": {
            "name": session.config.slide.name,
            "kind": session.slide.kind,
            "width": width,
            "height": height,
            "mpp": session.mpp,
            "tile": TILE_PX,
            "first": pyramid.first,
            "full": pyramid.full,
            "finer": FINER_LEVELS,
        },
        "nuclei": _describe_nuclei(session, wording),
    }


def describe_nucleus(session: ViewSession, row: float, col: float) -> dict[str, Any] | None:
    """Describe the nucleus at a point, in pixels of level 0; None if there is none."""
    shown = session.shown
    found = shown.nuclei.find(row, col, _CLICK_PX) if shown else None
    if shown is None or found is None:
        return None
    nuclei = shown.nuclei
    centre = nuclei.centres[found]
    values = [
        {"name": words, "unit": unit, "value": float(column[found])}
        for name, column in nuclei.measurements.items()
        for words, unit in (split_unit(name),)
        if not np.isnan(column[found])
    ]
    return {
        "name": str(nuclei.names[found]),
        "className": nuclei.class_names[found],
        "row": float(centre[0]),
        "col": float(centre[1]),
        "values": values,
        "rings": [ring[:, ::-1].tolist() for ring in nuclei.outline(found)],
    }


def _describe_nuclei(session: ViewSession, wording: Callable[[str], str]) -> dict[str, Any]:
    path = session.nuclei_path
    if session.error:
        return {"state": "failed", "message": wording(str(session.error))}
    if path is None:
        slide = session.config.slide
        output = f"{stem_of(slide)}.parquet"
        return {"state": "none", "command": f"monuseg predict {shlex.quote(str(slide))} -o {shlex.quote(output)}"}
    shown = session.shown
    if shown is None:
        return {"state": "reading", "share": session.share, "file": path.name}
    made = session.made
    return {
        "state": "ready",
        "file": path.name,
        "about": made.about if made else "",
        "warnings": [wording(warning) for warning in made.warnings] if made else [],
        "leftOut": shown.left_out,
        "densityUnit": PER_MM2 if session.mpp else PER_MEGAPIXEL,
        "areaUnit": "mm²" if session.mpp else "megapixels",
        "whole": _describe_region(shown.whole),
        "regions": [_describe_region(region) for region in shown.regions],
        "coarsest": shown.overlay.coarsest_step,
        "colours": _describe_colours(shown, session.mpp),
        "ramp": _describe_ramp(),
        "plain": colours.to_hex(colours.OUTLINE),
    }


def _describe_ramp() -> list[str]:
    stops = np.linspace(1, colours.RAMP_STEPS, _RAMP_STOPS).round().astype(int)
    return [colours.to_hex(colour) for colour in colours.ramp()[stops]]


def _describe_colours(shown: Shown, mpp: float | None) -> list[dict[str, Any]]:
    """Describe what nuclei can be coloured by; the numbers are those of `Shown.colouring`."""
    overlay = shown.overlay
    density = {"heat": overlay.heat("").limits, "heatName": "Density", "heatUnit": PER_MM2 if mpp else PER_MEGAPIXEL}
    choices: list[dict[str, Any]] = [{"number": 0, "name": "Nothing", **density}]
    if len(overlay.class_names) > 1:
        choices.append({"number": 1, "name": "Class", "classes": _describe_classes(overlay), **density})
    for number, name in enumerate(shown.nuclei.measurements, start=2):
        words, unit = split_unit(name)
        limits = overlay.by_measurement(name).limits
        heat = {"heat": overlay.heat(name).limits, "heatName": f"{words}, local mean", "heatUnit": unit}
        choices.append({"number": number, "name": words, "unit": unit, "limits": limits, **heat})
    return choices


def _describe_classes(overlay: Overlay) -> list[dict[str, str]]:
    palette = overlay.class_palette
    return [
        {"name": name, "colour": colours.to_hex(palette[1 + number % colours.RAMP_STEPS])}
        for number, name in enumerate(overlay.class_names)
    ]


def _describe_region(region: RegionCount) -> dict[str, Any]:
    rings = [ring[:, ::-1].round(1).tolist() for polygon in region.polygons for ring in polygon]
    return {
        "name": region.name,
        "nuclei": region.nuclei,
        "area": region.area,
        "density": region.density,
        "rings": rings,
    }
