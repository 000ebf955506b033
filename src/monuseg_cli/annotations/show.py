"""An image with the outlines of its nuclei: the command `show`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.annotations.label_warnings import warn_doubts, warn_left_out
from monuseg_cli.annotations.read_labels import read_labels_of
from monuseg_cli.core.atomic import require_writable
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import resolve_links
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.imaging.read_image import read_image
from monuseg_cli.imaging.write import write_picture
from monuseg_cli.nuclei.draw_outlines import YELLOW, draw_outlines


@dataclass(frozen=True, slots=True)
class ShowConfig:
    """What `show_image` draws.

    Parameters
    ----------
    image : Path
        The image.
    output : Path
        The picture, a PNG.
    labels : Path, optional
        A mask, a label image, or outlines (GeoJSON or Aperio XML) of this image; None: no outlines.
    width_px : int
        Width of the outlines.
    """

    image: Path
    output: Path
    labels: Path | None = None
    width_px: int = 1


@dataclass(frozen=True, slots=True)
class ShowResult:
    """The picture, and the number of nuclei outlined on it."""

    output: Path
    nuclei: int


def show_image(config: ShowConfig, progress: Progress = SILENT) -> ShowResult:
    """Draw the outlines of labels on an image.

    If the labels are an annotation with regions, these are framed in yellow, and nuclei outside are not drawn.

    Raises
    ------
    MissingError
        If a file does not exist.
    InputError
        If a file cannot be read, the labels differ in size, or the output does not end in .png or is one of the inputs.
    OutputError
        If the picture cannot be written.
    """
    if config.output.suffix.lower() != ".png":
        message = f"cannot write {config.output}: the name must end in .png; choose another"
        raise InputError(message)
    if resolve_links(config.output) in {resolve_links(path) for path in (config.image, config.labels) if path}:
        message = f"{config.output} is an input, and would be replaced by the picture; choose another `output`"
        raise InputError(message)
    require_writable(config.output)
    pixels, note = read_image(config.image)
    progress.detail(f"{config.image}: {pixels.shape[1]} x {pixels.shape[0]} pixels{f', {note}' if note else ''}")
    nuclei = 0
    if config.labels:
        pixels, nuclei = _draw_labels(config, pixels, progress)
    write_picture(config.output, pixels)
    return ShowResult(config.output, nuclei)


def _draw_labels(config: ShowConfig, pixels: NDArray[np.uint8], progress: Progress) -> tuple[NDArray[np.uint8], int]:
    """Draw the outlines and annotated regions on an image; return it with the number of nuclei."""
    assert config.labels is not None
    read = read_labels_of(config.labels, (pixels.shape[0], pixels.shape[1]))
    if read.labels.shape != pixels.shape[:2]:
        (height, width), (rows, cols) = pixels.shape[:2], read.labels.shape
        sizes = f"{config.labels} is {cols}x{rows} pixels, the image {config.image} {width}x{height}"
        message = f"{sizes}; name the labels of this image"
        raise InputError(message)
    warn_left_out({config.labels.name: read.left_out}, progress)
    warn_doubts([(config.labels.name, read.doubts(None))], progress)
    drawn = draw_outlines(pixels, read.labels, width_px=config.width_px)
    if read.regions:
        progress.info(f"annotated regions: {len(read.regions)}; outlines outside of them are left out")
    for region in read.regions:
        row, col, height, width = region.box
        frame = np.zeros(read.labels.shape, dtype=np.int32)
        frame[row : row + height, col : col + width] = 1
        drawn = draw_outlines(drawn, frame, YELLOW, width_px=config.width_px)
    return drawn, int(np.count_nonzero(np.unique(read.labels)))
