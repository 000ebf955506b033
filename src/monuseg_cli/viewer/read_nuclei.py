"""Files of nuclei, of monuseg or of other tools, read into memory."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from monuseg_cli.annotations.aperio_xml import read_annotation
from monuseg_cli.annotations.geojson import Feature
from monuseg_cli.annotations.geojson_stream import OnShare, stream_features
from monuseg_cli.annotations.object_classes import describe_left_out, meaning_of, why_not_roi
from monuseg_cli.annotations.read_outlines import GEOJSON_SUFFIXES
from monuseg_cli.classes.card import Colour
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import is_special_file
from monuseg_cli.nuclei.columns import ALL_COLUMNS
from monuseg_cli.viewer.geoparquet import read_colours, read_groups
from monuseg_cli.viewer.nucleus_set import NucleusSet, join, pack

_AT_ONCE = 1000
_ROW, _COL = "row_px", "col_px"
_WORDS = ("id", "class", "region")
"""Columns of a table that are no measurements."""

_NOT_SHOWN = {name for column in ALL_COLUMNS if column.group == "network" for name in (column.name, column.label)}
"""Features of the network: many, and none of them means anything by itself."""


@dataclass(frozen=True, slots=True)
class NucleiFile:
    """The content of a file of nuclei.

    Parameters
    ----------
    nuclei : NucleusSet
        The nuclei.
    regions : tuple of Feature
        Annotated regions, with their polygons.
    left_out : mapping of str to int
        Number of objects that are neither, by what they are, in the plural.
    colours : mapping of str to tuple of int
        Colours of classes, where the file states them.
    """

    nuclei: NucleusSet
    regions: tuple[Feature, ...]
    left_out: Mapping[str, int]
    colours: Mapping[str, Colour] = field(default_factory=dict)


def read_nuclei(path: Path, on_share: OnShare) -> NucleiFile:
    """Read the nuclei of a slide from a file.

    In GeoJSON, objects that are detections or cells, or whose class is "Nucleus", are nuclei; annotations beside them
    are regions. If a file holds annotations only, each outline is a nucleus, except those of class "Region".

    Parameters
    ----------
    path : Path
        GeoParquet or GeoJSON of monuseg, QuPath or another tool, Aperio XML, or a table of monuseg (CSV), which has no
        outlines.
    on_share : callable
        Receives the share of the file that has been read.

    Raises
    ------
    MissingError
        If the file does not exist, or pyarrow, which reads GeoParquet, is not installed.
    InputError
        If it cannot be read, is of another format, or contains no nuclei but other objects.
    """
    name = path.name.lower()
    for suffixes, read in _READERS.items():
        if name.endswith(suffixes):
            with np.errstate(over="ignore"):  # of numbers beyond 32 bits, which become infinite
                found = read(path, on_share)
            shown = {name: values for name, values in found.nuclei.measurements.items() if name not in _NOT_SHOWN}
            for column in shown.values():
                column[~np.isfinite(column)] = np.nan
            found = replace(found, nuclei=replace(found.nuclei, measurements=shown))
            if not len(found.nuclei) and found.left_out:
                others = describe_left_out(found.left_out)
                message = f"{path} contains no nuclei, only {others}; export the outlines of nuclei"
                raise InputError(message)
            return found
    message = f"cannot read nuclei from {path}; give a file that ends in {' or '.join(SUFFIXES)}"
    raise InputError(message)


class _Packer:
    """Packs features block by block."""

    def __init__(self) -> None:
        self._parts: list[NucleusSet] = []
        self._waiting: list[Feature] = []
        self.colours: dict[str, Colour] = {}

    def add(self, feature: Feature) -> None:
        """Add a nucleus."""
        if feature.colour and feature.class_name:
            self.colours.setdefault(feature.class_name, feature.colour)
        self._waiting.append(feature)
        if len(self._waiting) >= _AT_ONCE:
            self._pack()

    def finish(self) -> NucleusSet:
        """Return all nuclei."""
        self._pack()
        return join(self._parts)

    def _pack(self) -> None:
        self._parts.append(
            pack(
                [feature.name for feature in self._waiting],
                [feature.class_name for feature in self._waiting],
                [feature.polygons for feature in self._waiting],
                [feature.measurements for feature in self._waiting],
            )
        )
        self._waiting.clear()


def _sort(features: Iterator[tuple[Feature | None, str]]) -> NucleiFile:
    """Sort features into nuclei and regions."""
    found, left_out = _Packer(), Counter[str]()
    others: list[Feature] = []
    has_nuclei = False
    for feature, lacks in features:
        if feature is None:
            left_out[lacks] += 1
        elif meaning_of(feature.class_name, feature.object_type).kind == "nucleus":
            found.add(feature)
            has_nuclei = True
        else:
            others.append(feature)
    regions = []
    for feature in others:
        meaning = meaning_of(feature.class_name, feature.object_type)
        if meaning.kind == "outline" and not has_nuclei:
            found.add(feature)
        elif reason := why_not_roi(feature.class_name, feature.object_type):
            left_out[reason] += 1
        elif has_nuclei or meaning.kind == "region":
            regions.append(feature)
        else:
            left_out[meaning.reason] += 1
    return NucleiFile(found.finish(), tuple(regions), left_out, found.colours)


def _read_geojson(path: Path, on_share: OnShare) -> NucleiFile:
    return _sort(stream_features(path, on_share))


def _read_aperio(path: Path, on_share: OnShare) -> NucleiFile:
    annotation = read_annotation(path)
    on_share(1.0)
    places = zip(annotation.polygons, annotation.layers, annotation.texts, strict=True)
    return _sort((Feature(text, layer, "", ((ring,),)), "") for ring, layer, text in places)


def _read_csv(path: Path, on_share: OnShare) -> NucleiFile:
    """Read a table of monuseg: centres and measurements."""
    if is_special_file(path):
        message = f"{path} is not a regular file; name a table of nuclei"
        raise InputError(message)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            if _ROW not in header or _COL not in header:
                message = f"{path} has no columns {_ROW} and {_COL}; give a table of monuseg"
                raise InputError(message)
            columns = list(zip(*rows, strict=True)) or [()] * len(header)
        table = dict(zip(header, columns, strict=True))
        numbers = {
            name: np.array([float(cell or "nan") for cell in cells], dtype=np.float64)
            for name, cells in table.items()
            if name not in _WORDS
        }
    except (OSError, ValueError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        message = f"{path} is not a table of nuclei ({error}); predict again"
        raise InputError(message) from error
    on_share(1.0)
    count = len(columns[0])
    centres = np.stack([numbers.pop(_ROW), numbers.pop(_COL)], axis=1)
    nothing = np.zeros(count + 1, dtype=np.int64)
    nuclei = NucleusSet(
        table.get("id") or [str(number) for number in range(1, count + 1)],
        table.get("class") or [""] * count,
        centres,
        np.empty((0, 2), dtype=np.float32),
        np.zeros(1, dtype=np.int64),
        np.empty(0, dtype=bool),
        nothing,
        {name: values.astype(np.float32) for name, values in numbers.items()},
    )
    return NucleiFile(nuclei, (), {})


def _read_parquet(path: Path, on_share: OnShare) -> NucleiFile:
    parts, left_out = [], Counter[str]()
    for part, others, share in read_groups(path):
        parts.append(part)
        left_out["geometries that are not polygons"] += others
        on_share(share)
    return NucleiFile(join(parts), (), +left_out, read_colours(path))


_READERS: Mapping[tuple[str, ...], Callable[[Path, OnShare], NucleiFile]] = {
    (".parquet",): _read_parquet,
    GEOJSON_SUFFIXES: _read_geojson,
    (".csv",): _read_csv,
    (".xml",): _read_aperio,
}

SUFFIXES = tuple(suffix for suffixes in _READERS for suffix in suffixes)
"""Suffixes of the files that are read; of the outputs of a prediction, the first one that fits is taken."""
