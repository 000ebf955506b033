"""Images -> nuclei, each image from file to file."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from monuseg_cli.atomic import require_writable
from monuseg_cli.errors import InputError, MissingError, MonusegError
from monuseg_cli.images import SUFFIXES
from monuseg_cli.models.devices import Device, pick_device, place
from monuseg_cli.models.weights import Card, load_model
from monuseg_cli.nuclei import separate
from monuseg_cli.outlines import draw_outlines
from monuseg_cli.prediction.engine import TILE_PX, count_tiles, predict_probability
from monuseg_cli.prediction.slide import MAX_MPP, MIN_MPP, Slide
from monuseg_cli.prediction.writers import write_mask_png, write_picture, write_tiff
from monuseg_cli.progress import SILENT, Progress

SAME_SCALE = 0.05
"""Images whose scale differs from the model's by less than this share are not resampled."""

MAX_PIXELS = 200_000_000
"""Larger images are refused: everything is held in memory, about 60 bytes a pixel."""

_BYTES_PER_PIXEL = 60
_OUTPUT_SUFFIXES = (".png", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class PredictConfig:
    """What `predict` does.

    Parameters
    ----------
    images : tuple of Path
        Image files, or folders of which every image is taken.
    output : str
        A file that ends in .png, .tif or .tiff; or for several images a folder, or a pattern such as
        ``out/{stem}.png``.
    weights : Path
        Weights file of the model.
    mpp : float, optional
        Micrometres per pixel of the images, in place of what they state.
    threshold, min_area_um2 : float, optional
        In place of the card's.
    labels : bool
        Write one integer a nucleus instead of a mask; for TIFF.
    overlay : str, optional
        Where to write the image with outlines, a file, folder or pattern as for `output`; PNG.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to compute.
    """

    images: tuple[Path, ...]
    output: str
    weights: Path
    mpp: float | None = None
    threshold: float | None = None
    min_area_um2: float | None = None
    labels: bool = False
    overlay: str | None = None
    device: Device = "auto"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was found in one image.

    Parameters
    ----------
    image, output : Path
        Source and result.
    overlay : Path or None
        The image with outlines, if one was asked for.
    height, width : int
        Pixels of the image and of the result.
    mpp : float or None
        Micrometres per pixel that was used; None where neither the image nor the user stated it.
    nuclei : int
        Their number.
    seconds : float
        From opening the image to the written result.
    """

    image: Path
    output: Path
    overlay: Path | None
    height: int
    width: int
    mpp: float | None
    nuclei: int
    seconds: float


@dataclass(frozen=True, slots=True)
class PredictResult:
    """All predictions, the images that failed with the reason, and the card of the model used."""

    weights: Path
    card: Card
    predictions: tuple[Prediction, ...]
    failures: tuple[tuple[Path, MonusegError], ...]


def predict(config: PredictConfig, progress: Progress = SILENT) -> PredictResult:
    """Find the nuclei of one or more images and write them.

    An image that states another scale than the model's is resampled for the model, and the result is brought back to
    the pixels of the image. One image's failure does not stop the others: it is recorded in the result.

    Raises
    ------
    MissingError
        If an image or the weights do not exist.
    InputError
        If an option, the weights or the outputs' names cannot be used; nothing is written then.
    """
    images = find_images(config.images)
    places = plan_outputs(images, config)
    _check_numbers(config)
    device = pick_device(config.device)
    model, card = load_model(config.weights)
    place(model, device)
    predictions: list[Prediction] = []
    failures: list[tuple[Path, MonusegError]] = []
    for image, (output, overlay) in zip(images, places, strict=True):
        try:
            predictions.append(_predict_one(image, output, overlay, config, model, card, device, progress))
        except MonusegError as error:
            failures.append((image, error))
    return PredictResult(config.weights, card, tuple(predictions), tuple(failures))


def find_images(paths: Sequence[Path]) -> list[Path]:
    """List the images named, and those in the folders named, in order of name.

    Raises
    ------
    MissingError
        If a path does not exist.
    InputError
        If a folder holds no image, or a path is neither file nor folder.
    """
    images: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if _is_image(file))
            if not inside:
                message = f"no image in the folder {path} (looked for {', '.join(sorted(SUFFIXES))})"
                raise InputError(message)
            images += inside
        elif path.is_file():
            images.append(path)
        elif path.exists():
            message = f"{path} is neither a file nor a folder"
            raise InputError(message)
        else:
            message = f"no image {path}"
            raise MissingError(message)
    return images


def _is_image(file: Path) -> bool:
    """Tell images in a folder from other files; hidden ones are litter, or half-written."""
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def plan_outputs(images: Sequence[Path], config: PredictConfig) -> list[tuple[Path, Path | None]]:
    """Give the output and the overlay of every image, before anything is computed.

    Raises
    ------
    InputError
        If two of them would be the same file, one would replace an image, or a suffix is not known.
    """
    suffixes = (".tif", ".tiff") if config.labels else _OUTPUT_SUFFIXES
    outputs = [_place(config.output, image, suffixes) for image in images]
    overlays = [_place(config.overlay, image, (".png",)) if config.overlay else None for image in images]
    planned = [path for path in (*outputs, *overlays) if path is not None]
    twice = [path for path, count in Counter(planned).items() if count > 1]
    if twice:
        message = f"{twice[0]} would be written more than once; give a folder, or a pattern such as out/{{stem}}.png"
        raise InputError(message)
    sources = {image.resolve() for image in images}
    for path in planned:
        if path.resolve() in sources:
            message = f"{path} is an image to predict on, and would be replaced by its result"
            raise InputError(message)
    return list(zip(outputs, overlays, strict=True))


def _place(pattern: str, image: Path, suffixes: tuple[str, ...]) -> Path:
    if not pattern or set(pattern.replace("{stem}", "")) & set("{}"):
        message = f"{pattern!r} is no name to write to; the one pattern is {{stem}}, as in out/{{stem}}.png"
        raise InputError(message)
    path = Path(pattern)
    if path.is_dir() or pattern.endswith(("/", "\\")) or not path.suffix:
        return path / f"{image.stem}{suffixes[0]}"
    if path.suffix.lower() not in suffixes:
        message = f"cannot write {path}: the name must end in {' or '.join(suffixes)}"
        if path.suffix.lower() in _OUTPUT_SUFFIXES:
            message = f"cannot write labels to {path}: one integer a nucleus needs a name that ends in .tif"
        raise InputError(message)
    return Path(pattern.replace("{stem}", image.stem))


def _check_numbers(config: PredictConfig) -> None:
    if config.mpp is not None and not MIN_MPP <= config.mpp <= MAX_MPP:
        message = f"--mpp must lie within {MIN_MPP} and {MAX_MPP}, not be {config.mpp}"
        raise InputError(message)
    if config.threshold is not None and not 0 < config.threshold < 1:
        message = f"--threshold must be above 0 and below 1, not {config.threshold}"
        raise InputError(message)
    if config.min_area_um2 is not None and not 0 <= config.min_area_um2 < math.inf:
        message = f"--min-area-um2 must be a finite number of at least 0, not {config.min_area_um2}"
        raise InputError(message)


def _predict_one(
    image: Path,
    output: Path,
    overlay: Path | None,
    config: PredictConfig,
    model: nn.Module,
    card: Card,
    device: torch.device,
    progress: Progress,
) -> Prediction:
    began = time.perf_counter()
    for path in (output, overlay):
        if path is not None:
            require_writable(path)
    with Slide(image) as slide:
        mpp = _scale(slide, config, card, progress)
        if slide.note:
            progress.info(f"{image.name}: {slide.note}")
        scale = (mpp or card.mpp) / card.mpp
        _require_fits(slide, scale)
        pixels, shape = _read_at_scale(slide, scale)
        with progress.task(image.name, count_tiles(pixels.shape[:2]), "tiles") as task:
            maps = predict_probability(pixels, model, card, device, task)
        del pixels
        labels = separate(
            _resize_maps(maps, shape),
            card.classes,
            threshold=config.threshold or card.threshold,
            min_area_um2=card.min_area_um2 if config.min_area_um2 is None else config.min_area_um2,
            mpp=mpp or card.mpp,
        )
        _write(output, labels, config.labels, mpp)
        if overlay is not None:
            write_picture(overlay, draw_outlines(slide.read_region(0, 0, 0, *shape), labels))
    return Prediction(
        image=image,
        output=output,
        overlay=overlay,
        height=shape[0],
        width=shape[1],
        mpp=mpp,
        nuclei=int(labels.max(initial=0)),
        seconds=time.perf_counter() - began,
    )


def _scale(slide: Slide, config: PredictConfig, card: Card, progress: Progress) -> float | None:
    mpp = config.mpp or slide.mpp
    if mpp is None:
        progress.info(
            f"{slide.path.name} states no credible scale: taken as {card.mpp} um/px, the model's; --mpp sets another"
        )
    return mpp


def _require_fits(slide: Slide, scale: float) -> None:
    """Refuse an image that is too large for memory, at its own size or at the model's, padded to a whole tile."""
    pixels = max(math.prod(max(round(side * factor), TILE_PX) for side in slide.shape) for factor in (1.0, scale))
    if pixels > MAX_PIXELS:
        height, width = slide.shape
        message = (
            f"{slide.path}: {width}x{height} pixels, {pixels / 1e6:.0f} megapixels as the model sees them, would take "
            f"about {pixels * _BYTES_PER_PIXEL / 2**30:.0f} GiB of memory; up to {MAX_PIXELS / 1e6:.0f} megapixels "
            "are read, so cut out a part"
        )
        raise InputError(message)


def _read_at_scale(slide: Slide, scale: float) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Read the nearest finer level, whole, and resample it by `scale` model pixels per pixel of level 0."""
    level = slide.level_for(1 / scale)
    height, width = slide.levels[level].shape
    pixels = slide.read_region(level, 0, 0, height, width)
    factor = scale * slide.levels[level].downsample
    if abs(factor - 1) > SAME_SCALE:
        size = (max(round(width * factor), 1), max(round(height * factor), 1))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    return pixels, slide.shape


def _resize_maps(maps: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    if maps.shape[1:] == shape:
        return maps
    pictures = [Image.fromarray(plane) for plane in maps]  # 32-bit floating point, Pillow's mode F
    size = (shape[1], shape[0])
    return np.stack([np.asarray(picture.resize(size, Image.Resampling.BILINEAR)) for picture in pictures])


def _write(path: Path, labels: NDArray[np.int32], as_labels: bool, mpp: float | None) -> None:
    if path.suffix.lower() == ".png":
        write_mask_png(path, labels)
    else:
        write_tiff(path, labels if as_labels else (labels > 0).astype(np.uint8) * 255, mpp)
