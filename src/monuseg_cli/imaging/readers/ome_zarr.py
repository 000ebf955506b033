"""Local OME-Zarr stores, of Zarr 2 and 3 (OME-NGFF 0.1 to 0.5), through zarr."""

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.errors import first_line
from monuseg_cli.core.schema import SchemaError, read_as, show_value
from monuseg_cli.imaging.channels import Channel, order_channels
from monuseg_cli.imaging.decoding import DECODING_ERRORS, require_moderate
from monuseg_cli.imaging.depth import count_samples, find_depth
from monuseg_cli.imaging.ome import read_ome
from monuseg_cli.imaging.orientation import Window
from monuseg_cli.imaging.readers.base import ImageInfo, Level, OnDamage, Role, role_of_name
from monuseg_cli.imaging.readers.openslide import EXTRA_HINT, SKIP_HINT
from monuseg_cli.imaging.readers.series_and_plane import note_plane, require_plane
from monuseg_cli.imaging.scale import Scale, make_scale, um_per_unit
from monuseg_cli.imaging.to_rgb import Conversion, ImageError

_OLD_AXES = ("t", "c", "z", "y", "x")
_SEARCHED_PX = 4_000_000
_REWRITE = "write the store again, with bioformats2raw"


@dataclass(frozen=True, slots=True)
class _Multiscale:
    """An image of a store: the arrays of its levels, finest first, and their metadata."""

    name: str
    role: Role
    axes: tuple[str, ...]
    arrays: tuple[Any, ...]
    scale: Scale | None
    order: tuple[int, ...]
    reason: str
    problem: str | None

    def size(self, axis: str) -> int:
        """Length along an axis of level 0; 1 if there is no such axis."""
        return int(self.arrays[0].shape[self.axes.index(axis)]) if axis in self.axes else 1

    def shape_of(self, level: int) -> tuple[int, int]:
        """Height and width of a level."""
        shape = self.arrays[level].shape
        return int(shape[self.axes.index("y")]), int(shape[self.axes.index("x")])


class OmeZarrReader:
    """The images of a store; see `Reader`.

    Parameters
    ----------
    path : Path
        A store, or an image in it.

    Raises
    ------
    ImageError
        If it contains no OME-Zarr image.
    """

    def __init__(self, path: Path) -> None:
        try:
            import zarr
        except ModuleNotFoundError as error:
            message = f"OME-Zarr is read through zarr, which is not installed; {EXTRA_HINT}"
            raise ImageError(message) from error
        self.kind = "OME-Zarr"
        try:
            group = zarr.open_group(str(path), mode="r")
        except DECODING_ERRORS as error:
            message = f"a Zarr store without OME-Zarr images ({first_line(error)}); name the folder that contains them"
            raise ImageError(message) from error
        try:
            self._images = list(_list_images(group, path))
        except ImageError:
            raise
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            kind = "" if isinstance(error, SchemaError) else f"{type(error).__name__}: "
            message = f"its metadata are not those of OME-Zarr ({kind}{first_line(error)}); {_REWRITE}"
            raise ImageError(message) from error
        if not self._images:
            what = "a plate of wells" if "plate" in _attributes(group) else "a Zarr store without OME-Zarr images"
            message = f"it is {what}; name the folder of an image in it"
            raise ImageError(message)
        self.images = tuple(
            ImageInfo(
                name=image.name,
                shape=image.shape_of(0),
                role=image.role,
                scale=image.scale,
                planes=image.size("z"),
                problem=image.problem,
                levels=len(image.arrays),
            )
            for image in self._images
        )

    def open(self, index: int, plane: int | None, on_damage: OnDamage) -> "_ZarrImage":
        """Open an image; see `Reader.open`.

        Raises
        ------
        ImageError
            If it cannot be read as H&E.
        """
        image = self._images[index]
        if image.problem:
            raise ImageError(image.problem)
        count = image.size("z")
        if plane is None:
            return _ZarrImage(image, (count - 1) // 2, "the middle one", on_damage)
        return _ZarrImage(image, require_plane(plane, count), "as asked for", on_damage)

    def close(self) -> None:
        """Do nothing: a store has no open file."""


class _ZarrImage:
    """The pixels of an image at one focal plane; see `OpenImage`."""

    def __init__(self, image: _Multiscale, plane: int, reason: str, on_damage: OnDamage) -> None:
        self._image, self._on_damage = image, on_damage
        self._lock = threading.Lock()
        self.plane = plane
        dtype = np.dtype(image.arrays[0].dtype)
        samples = len(image.order)
        self._conversion = Conversion(dtype.newbyteorder("="), samples)
        self._arrays = [_with_fill(array, self._conversion.white) for array in image.arrays]
        described = []
        for number, array in enumerate(self._arrays):
            shape = image.shape_of(number)
            chunk = tuple(int(array.chunks[image.axes.index(axis)]) for axis in "yx")
            require_moderate(chunk, self._conversion.bytes_per_pixel)
            described.append(Level(shape, image.shape_of(0)[1] / shape[1], (chunk[0], chunk[1]), _codecs(array)))
        self.levels = tuple(described)
        if dtype == np.uint16:
            self._conversion = self._find_depth()
            self._arrays = [_with_fill(array, self._conversion.white) for array in image.arrays]
        times = f"the first of {image.size('t')} times taken" if image.size("t") > 1 else None
        notes = (image.reason, times, note_plane(plane, image.size("z"), reason), self._conversion.note())
        self.notes = tuple(note for note in notes if note)
        self.origin = (0, 0)
        self.sparse = True

    def _find_depth(self) -> Conversion:
        """Set how many of 16 bits are in use, by the largest sample."""
        small = [number for number, level in enumerate(self.levels) if math.prod(level.shape) <= _SEARCHED_PX]
        number = small[0] if small else len(self.levels) - 1
        array, shape = _with_fill(self._image.arrays[number], 0), self.levels[number].shape
        side = math.isqrt(_SEARCHED_PX)
        top, left = (max((length - side) // 2, 0) for length in shape)
        window = slice(top, min(top + side, shape[0])), slice(left, min(left + side, shape[1]))
        bits, source = find_depth(count_samples(self._samples(array, window)))
        return replace(self._conversion, bits=bits, bits_source=source)

    def read(self, level: int, window: Window) -> NDArray[np.uint8]:
        """Read rows and columns of a level."""
        with self._lock:
            array = self._arrays[level]
            try:
                return self._conversion.apply(self._samples(array, window))
            except DECODING_ERRORS as error:
                if isinstance(error, ImageError):
                    raise
                if self._on_damage is None:
                    where = f"row {window[0].start}, column {window[1].start}"
                    message = f"damaged at {where}: {first_line(error)}; {SKIP_HINT}"
                    raise ImageError(message) from error
            return self._read_around(level, window)

    def _read_around(self, level: int, window: Window) -> NDArray[np.uint8]:
        """Read chunk by chunk, and leave damaged chunks white."""
        rows, cols = window
        tall, wide = self.levels[level].chunk
        pixels = np.full((rows.stop - rows.start, cols.stop - cols.start, 3), 255, dtype=np.uint8)
        for row in range(rows.start // tall * tall, rows.stop, tall):
            for col in range(cols.start // wide * wide, cols.stop, wide):
                down = slice(max(row, rows.start), min(row + tall, rows.stop))
                across = slice(max(col, cols.start), min(col + wide, cols.stop))
                try:
                    part = self._conversion.apply(self._samples(self._arrays[level], (down, across)))
                except DECODING_ERRORS as error:
                    if isinstance(error, ImageError):
                        raise
                    if self._on_damage:
                        self._on_damage(f"level {level}, row {row}, column {col}")
                    continue
                place = slice(down.start - rows.start, down.stop - rows.start)
                pixels[place, across.start - cols.start : across.stop - cols.start] = part
        return pixels

    def _samples(self, array: Any, window: Window) -> NDArray[np.generic]:
        """Read samples (H, W, channels), in native byte order."""
        axes = self._image.axes
        at: dict[str, Any] = {"y": window[0], "x": window[1], "z": self.plane, "c": slice(None)}
        pixels = np.asarray(array[tuple(at.get(axis, 0) for axis in axes)])
        pixels = self._blacken(array, pixels, window)
        kept = [axis for axis in axes if axis in "cyx"]
        pixels = pixels.transpose([kept.index(axis) for axis in "yxc" if axis in kept])
        pixels = pixels.reshape(*pixels.shape[:2], -1)
        return pixels[..., list(self._image.order)].astype(self._conversion.dtype, copy=False)

    def _blacken(self, array: Any, pixels: NDArray[np.generic], window: Window) -> NDArray[np.generic]:
        """Set chunks that only some channels lack to 0: writers omit chunks of zeros, for example of one colour in ink.

        If all channels lack a chunk, nothing was scanned, and the pixels stay white.
        """
        axes = self._image.axes
        if "c" not in axes or array.shards is not None or array.chunks[axes.index("c")] > 1:
            return pixels
        kept = [axis for axis in axes if axis in "cyx"]
        tall, wide = (array.chunks[axes.index(axis)] for axis in "yx")
        folder = Path(array.store_path.store.root) / array.path
        for i, j in product(
            *(range(part.start // side, -(-part.stop // side)) for part, side in zip(window, (tall, wide), strict=True))
        ):
            at = {"y": i, "x": j, "z": self.plane // (array.chunks[axes.index("z")] if "z" in axes else 1)}
            keys = [
                array.metadata.encode_chunk_key(tuple({**at, "c": c}.get(axis, 0) for axis in axes))
                for c in range(array.shape[axes.index("c")])
            ]
            missing = [c for c, key in enumerate(keys) if not (folder / key).exists()]
            if missing and len(missing) < len(keys):
                inside: dict[str, Any] = {
                    "c": missing,
                    "y": slice(max(i * tall - window[0].start, 0), (i + 1) * tall - window[0].start),
                    "x": slice(max(j * wide - window[1].start, 0), (j + 1) * wide - window[1].start),
                }
                pixels[tuple(inside[axis] for axis in kept)] = 0
        return pixels


def _list_images(group: Any, path: Path) -> Iterator[_Multiscale]:
    """List the images of a store: its own, else those of the groups 0, 1, ... as bioformats2raw writes them."""
    attributes = _attributes(group)
    if attributes.get("multiscales"):
        yield from _images_of(group, attributes, "")
        return
    metadata = path / "OME" / "METADATA.ome.xml"
    document = read_ome(metadata.read_text(encoding="utf-8", errors="replace")) if metadata.is_file() else None
    names = [image.name for image in document.images] if document else []
    for number in sorted(int(folder.name) for folder in path.iterdir() if folder.name.isdecimal()):
        if str(number) in group:
            inside = group[str(number)]
            yield from _images_of(inside, _attributes(inside), names[number] if number < len(names) else "")


def _attributes(group: Any) -> Mapping[str, Any]:
    """Return the attributes of OME-Zarr, which version 0.5 stores under the key "ome"."""
    attributes = dict(group.attrs)
    inside = attributes.get("ome")
    return inside if isinstance(inside, dict) else attributes


def _images_of(group: Any, attributes: Mapping[str, Any], name: str) -> Iterator[_Multiscale]:
    for multiscale in _mappings(attributes, "multiscales"):
        datasets = _mappings(multiscale, "datasets")
        arrays = [_find_array(group, read_as(str, dataset.get("path"), "path")) for dataset in datasets]
        if not arrays:
            message = "has no levels"
            raise SchemaError(message, "datasets")
        old_axes = list(_OLD_AXES[-len(arrays[0].shape) :])
        stated = read_as(list[str | dict[str, Any]], multiscale.get("axes") or old_axes, "axes")
        described = [axis if isinstance(axis, dict) else {"name": axis} for axis in stated]
        axes = tuple(read_as(str, axis.get("name"), "axes").lower() for axis in described)
        units = [read_as(str, axis.get("unit") or "", "unit") for axis in described]
        order, reason, problem = _find_channels(attributes, axes, arrays[0])
        own_name = name or str(multiscale.get("name") or "").strip("/")
        fits = set(axes) <= set(_OLD_AXES) and {"y", "x"} <= set(axes) and len(axes) == len(arrays[0].shape)
        if not fits:
            problem = f"its axes are {', '.join(axes)}, not those of an image; save it as OME-TIFF"
            yield _Multiscale(own_name, "scan", ("y", "x"), (arrays[0],), None, (0,), "", problem)
            continue
        levels = _finest_first(arrays, axes)
        yield _Multiscale(
            name=own_name,
            role=role_of_name(own_name),
            axes=axes,
            arrays=levels,
            scale=_read_scale(multiscale, datasets[arrays.index(levels[0])], axes, units),
            order=order,
            reason=reason,
            problem=problem,
        )


def _mappings(content: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a list of mappings in attributes, empty where there is none."""
    return read_as(list[dict[str, Any]], content.get(name) or [], name)


def _find_array(group: Any, path: str) -> Any:
    import zarr

    array = group[path]
    if not isinstance(array, zarr.Array):
        message = "is not an array"
        raise SchemaError(message, f"level {show_value(path)}")
    return array


def _finest_first(arrays: Sequence[Any], axes: Sequence[str]) -> tuple[Any, ...]:
    """Sort the levels by width; arrays that are not smaller than level 0 along both axes are not levels."""
    x, y = axes.index("x"), axes.index("y")
    base = max(arrays, key=lambda array: array.shape[x] * array.shape[y])
    coarser = [array for array in arrays if array.shape[x] < base.shape[x] and array.shape[y] < base.shape[y]]
    return (base, *sorted(coarser, key=lambda array: -array.shape[x]))


def _find_channels(
    attributes: Mapping[str, Any], axes: Sequence[str], array: Any
) -> tuple[tuple[int, ...], str, str | None]:
    """Return which channels are red, green and blue, how this is known, and the problem if they are not."""
    problem = None
    dtype = np.dtype(array.dtype)
    try:
        Conversion(dtype.newbyteorder("=")).require_clear()
    except ImageError as error:
        problem = str(error)
    count = array.shape[axes.index("c")] if "c" in axes else 1
    if count == 1:
        return (0,), "", problem
    omero = attributes.get("omero")
    described = _mappings(omero, "channels") if isinstance(omero, dict) else []
    channels = [Channel(str(channel.get("label") or ""), _colour(channel.get("color"))) for channel in described]
    found = order_channels(channels, count, 8 * dtype.itemsize)
    if found.order is None:
        return (0,), "", problem or f"it has {found.reason}, not red, green and blue; save it as 8-bit RGB"
    return found.order, f"planes joined to RGB ({found.reason})", problem


def _colour(text: Any) -> tuple[int, int, int] | None:
    """Read a colour such as FF0000."""
    try:
        value = int(str(text).lstrip("#")[:6], 16)
    except ValueError:
        return None
    return value >> 16, value >> 8 & 255, value & 255


def _read_scale(
    multiscale: Mapping[str, Any], dataset: Mapping[str, Any], axes: Sequence[str], units: Sequence[str | None]
) -> Scale | None:
    """Read the scale of level 0: the product of its own factors and those of all levels."""
    factors = dict.fromkeys(axes, 1.0)
    is_stated = False
    for source in (multiscale, dataset):
        for transformation in _mappings(source, "coordinateTransformations"):
            if transformation.get("type") == "scale":
                values = read_as(list[float], transformation.get("scale"), "scale")
                if len(values) == len(axes):
                    is_stated = True
                    for axis, value in zip(axes, values, strict=True):
                        factors[axis] *= value
    um = {axis: um_per_unit(unit) for axis, unit in zip(axes, units, strict=True)}
    if not is_stated or not um["x"] or not um["y"]:
        return None
    return make_scale(factors["x"] * um["x"], factors["y"] * um["y"], "OME-Zarr's scale")


def _with_fill(array: Any, value: int) -> Any:
    """Return the array with another fill value, which missing chunks get."""
    import zarr

    metadata = {**array.metadata.to_dict(), "fill_value": value}
    return zarr.Array.from_dict(array.store_path, metadata)


def _codecs(array: Any) -> str:
    names = [type(codec).__name__.removesuffix("Codec") for codec in array.compressors]
    return ", ".join(names) or "none"
