"""Masks and label images of a slide -> nuclei in memory, outlined and measured as `monuseg measure` does."""

from pathlib import Path

from monuseg_cli.annotations.geojson_stream import OnShare
from monuseg_cli.annotations.read_labels import LABEL_SUFFIXES
from monuseg_cli.core.progress import SILENT_TASK, Progress
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.measurement.given_nuclei import layout_of, read_windows
from monuseg_cli.measurement.measure_windows import measured
from monuseg_cli.nuclei.columns import columns_of
from monuseg_cli.nuclei.rois import RoiCounter
from monuseg_cli.prediction.config import SlideSettings
from monuseg_cli.viewer.nucleus_set import NucleusSet, join, pack_shapes
from monuseg_cli.viewer.read_nuclei import NucleiFile

_NOT_SHOWN = ("id", "row_px", "col_px")
_IN_PIXELS = {"um2": "px^2", "um": "px"}


def is_label_image(path: Path) -> bool:
    """Return whether the name of a file is that of a mask or a label image."""
    return path.suffix.lower() in LABEL_SUFFIXES


def measure_labels(path: Path, slide: Slide, mpp: float | None, on_share: OnShare, progress: Progress) -> NucleiFile:
    """Outline and measure the nuclei of a mask or a label image; their names are its values.

    Parameters
    ----------
    path : Path
        The mask or label image, of the size of the slide.
    slide : Slide
        The open slide, which no other thread reads.
    mpp : float or None
        Micrometres per pixel of level 0; without it, lengths and areas are in pixels.
    on_share : callable
        Receives the share of the nuclei that has been measured.
    progress : Progress
        Receives doubts about the labels.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If it cannot be read, is no label image, or is that of another image; or if the slide is damaged.
    """
    settings = SlideSettings(mpp or 1.0)
    layout = layout_of(slide, settings)
    windows, left_out = read_windows(path, layout, progress)
    columns = [column.name for column in columns_of(has_probability=False) if column.name not in _NOT_SHOWN]
    titles = {name: name if mpp else _in_pixels(name) for name in columns}
    parts: list[NucleusSet] = []
    for found in measured(slide, windows, settings, RoiCounter((), layout.frame), layout, SILENT_TASK):
        names = [str(number) for number in found.columns["id"].tolist()]
        measurements = {title: found.columns[name].astype("float32") for name, title in titles.items()}
        parts.append(pack_shapes(names, [""] * len(names), found.shapes, measurements))
        on_share(len(parts) / len(windows))
    return NucleiFile(join(parts), (), left_out)


def _in_pixels(name: str) -> str:
    """Return the name of a column that was computed at 1 um per pixel: "area_um2" becomes "area_px^2"."""
    words, _, unit = name.rpartition("_")
    return f"{words}_{_IN_PIXELS[unit]}" if unit in _IN_PIXELS else name
