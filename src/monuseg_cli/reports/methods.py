"""The section of a report on how its numbers were computed."""

import html
from collections.abc import Mapping
from typing import Any

_SETTINGS = {
    "tissue_only": "glass is skipped",
    "skip_damaged": "unreadable tiles are treated as glass",
    "tta": "mean over the eight orientations of each tile",
}


def list_facts(about: Mapping[str, Any], mpp: float) -> str:
    """Return the image, the model and all settings as HTML, in pairs of ``<dt>`` and ``<dd>``.

    Parameters
    ----------
    about : mapping
        See `describe_nuclei`.
    mpp : float
        Micrometres per pixel of level 0.
    """
    record, layout, found = about["record"], about["layout"], about["found"]
    facts = {
        "software": about.get("software", "not stated"),
        "image": record["image"]["name"],
        "size of the file": f"{record['image']['bytes']:,} bytes",
        "scale": f"{mpp:.6g} µm/px{_describe_source(layout, found)}; the network ran at {layout['map_mpp']:.4g}",
        "region": "x {1}, y {0}, width {3}, height {2}".format(*layout["region"]),
        "model": f"{record['model']['architecture']}, SHA-256 {record['model']['sha256']}",
        "licence of the model": about.get("licence", "not stated"),
        "engine": about["engine"],
        "post-processing": ", ".join(f"{name} {value}" for name, value in record["postprocess"].items()),
        **_describe_classes(about.get("classes")),
        "settings": _describe_settings(record["settings"]),
        "stain": _describe_stain(found["stain"]),
        "nucleus in a region": "counts where its centre lies",
        "eccentricity": "of the ellipse with the same second moments",
        "haematoxylin": "mean optical density (base 10), by the stain vectors of Ruifrok and Johnston (2001)",
    }
    return "".join(f"<dt>{name}</dt><dd>{html.escape(str(text))}</dd>" for name, text in facts.items())


def _describe_classes(classes: Mapping[str, Any] | None) -> dict[str, str]:
    return {"classes": f"{classes['file']}, {classes['model']}, SHA-256 {classes['sha256']}"} if classes else {}


def _describe_source(layout: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Return where the scale comes from, if neither the image nor the user stated it."""
    if found.get("mpp_range"):
        low, high = found["mpp_range"]
        return f", estimated from the image ({low:.3g} to {high:.3g})"
    return "" if layout["mpp"] else ", assumed"


def _describe_settings(settings: Mapping[str, Any]) -> str:
    said = [text for name, text in _SETTINGS.items() if settings.get(name)]
    if settings.get("mpp") and not isinstance(settings["mpp"], str):
        said.append("the scale was given by the user")
    if settings.get("rois"):
        said.append(f"only nuclei in {len(settings['rois'])} regions of interest")
    said += [f"{name} {settings[name]}" for name in ("series", "plane") if settings.get(name) is not None]
    return "; ".join(said) or "none"


def _describe_stain(stain: Mapping[str, Any]) -> str:
    if not stain:
        return "as it is in the image"
    levels = "; ".join(f"{name} {low:.3f} and {high:.3f}" for name, (low, high) in stain.items())
    return f"matched to the training images of the model; before, 50th and 95th percentile: {levels}"
