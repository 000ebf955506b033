"""OME-Zarr stores, of both versions of Zarr."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray

CHUNK = 64
_TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
RGB = ({"label": "Red", "color": "FF0000"}, {"label": "Green", "color": "00FF00"}, {"label": "Blue", "color": "0000FF"})


def write_ome_zarr(
    path: Path,
    pixels: NDArray[Any],
    axes: str,
    *,
    zarr_format: Literal[2, 3] = 3,
    mpp: float | None = 0.25,
    unit: str | None = "micrometer",
    channels: Sequence[dict[str, str]] = RGB,
    name: str = "",
    **options: Any,
) -> Path:
    """Write an image of two levels, as OME-NGFF 0.4 (Zarr 2) or 0.5 (Zarr 3), into a store or a group of one.

    Chunks that are zero all over are not written, as writers of Zarr do by default.
    """
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    datasets = []
    for level in range(2):
        step = tuple(slice(None, None, 2**level if axis in "yx" else None) for axis in axes)
        part = np.ascontiguousarray(pixels[step])
        chunks = tuple(CHUNK if axis in "yx" else 1 for axis in axes)
        array = group.create_array(str(level), shape=part.shape, chunks=chunks, dtype=part.dtype, **options)
        array[...] = part
        scale = [(mpp or 1.0) * 2**level if axis in "yx" else 1.0 for axis in axes]
        datasets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    described = [
        {"name": axis, "type": _TYPES[axis], **({"unit": unit} if unit and axis in "zyx" else {})} for axis in axes
    ]
    version = "0.4" if zarr_format == 2 else "0.5"
    multiscale: dict[str, Any] = {"axes": described, "datasets": datasets, "name": name}
    attributes: dict[str, Any] = {"multiscales": [multiscale]}
    if channels:
        attributes["omero"] = {"channels": list(channels)}
    if zarr_format == 2:
        multiscale["version"] = version
        group.attrs.update(attributes)
    else:
        group.attrs["ome"] = {"version": version, **attributes}
    return path
