"""Outlines and ids of nuclei as text of GeoJSON, from arrays of digits and from hashes."""

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.nuclei.shapes import Shapes, ragged, to_geojson

_SHAPES_AT_ONCE = 1000  # the text of a point takes as many bytes as it may have digits
_LARGEST = 10**12  # in thousandths of a pixel
_ZERO, _COMMA, _POINT = b"0"[0], b","[0], b"."[0]


def geometry_texts(shapes: Shapes) -> Iterator[str]:
    """Yield outlines as GeoJSON geometries: the same as `to_geojson`, in a fraction of its time.

    Parameters
    ----------
    shapes : ndarray of shape (N,), object
        See `Shapes`.
    """
    for begin in range(0, len(shapes), _SHAPES_AT_ONCE):
        some = shapes[begin : begin + _SHAPES_AT_ONCE]
        points, *offsets = ragged(some)
        thousandths = np.rint(points * 1000)
        is_exact = bool((thousandths / 1000 == points).all() and (thousandths >= 0).all())
        if is_exact and thousandths.max(initial=0) < _LARGEST:
            yield from _fast_texts(thousandths.astype(np.int64), *offsets)
        else:
            yield from to_geojson(some)


def _fast_texts(
    points: NDArray[np.int64], rings: NDArray[np.intp], polygons: NDArray[np.intp], nuclei: NDArray[np.intp]
) -> Iterator[str]:
    """Yield the texts of outlines whose points are in thousandths; for the offsets, see `ragged`."""
    first = rings[polygons[nuclei[:-1]]]
    are_whole = np.logical_and.reduceat((points % 1000 == 0).all(axis=1), first)
    text, ends = _point_texts(points, np.repeat(are_whole, np.diff(rings[polygons[nuclei]])))
    bounds = [0, *ends.tolist()]
    lines = [text[bounds[begin] : bounds[end] - 1] for begin, end in pairwise(rings.tolist())]
    parts = [f"[[{'],['.join(lines[begin:end])}]]" for begin, end in pairwise(polygons.tolist())]
    for begin, end in pairwise(nuclei.tolist()):
        if end - begin == 1:
            yield f'{{"type":"Polygon","coordinates":{parts[begin]}}}'
        else:
            yield f'{{"type":"MultiPolygon","coordinates":[{",".join(parts[begin:end])}]}}'


def _point_texts(points: NDArray[np.int64], is_whole: NDArray[np.bool_]) -> tuple[str, NDArray[np.intp]]:
    """Return ``[x,y],`` of all points (P, 2) in thousandths, and where each ends; whole numbers where asked for."""
    columns: list[NDArray[np.uint8] | int] = []
    shown: list[NDArray[np.bool_] | bool] = []
    for number, values in enumerate(points.T):
        columns.append(_COMMA if number else b"["[0])
        shown.append(True)
        whole, part = np.divmod(values, 1000)
        for power in range(len(str(int(whole.max(initial=0)))) - 1, -1, -1):
            columns.append((whole // 10**power % 10 + _ZERO).astype(np.uint8))
            shown.append(True if power == 0 else whole >= 10**power)
        if is_whole.all():
            continue
        digits = [part // 100, part // 10 % 10, part % 10]
        columns += [_POINT, *((digit + _ZERO).astype(np.uint8) for digit in digits)]
        shown += [~is_whole, ~is_whole, ~is_whole & (part % 100 > 0), ~is_whole & (part % 10 > 0)]
    table = np.empty((len(points), len(columns) + 2), dtype=np.uint8)
    is_shown = np.ones(table.shape, dtype=bool)
    for index, (column, where) in enumerate(zip(columns, shown, strict=True)):
        table[:, index], is_shown[:, index] = column, where
    table[:, -2:] = tuple(b"],")
    return table[is_shown].tobytes().decode("ascii"), np.cumsum(is_shown.sum(axis=1))


def uuid_texts(namespace: uuid.UUID, names: Iterable[str]) -> Iterator[str]:
    """Yield the UUID of each name in a namespace: ``str(uuid.uuid5(namespace, name))``."""
    begun = hashlib.sha1(namespace.bytes, usedforsecurity=False)
    for name in names:
        digest = begun.copy()
        digest.update(name.encode())
        text = digest.hexdigest()
        variant = "89ab"[int(text[16], 16) & 3]
        yield f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"
