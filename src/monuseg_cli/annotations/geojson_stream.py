"""GeoJSON read feature by feature, in memory that does not grow with the file."""

import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, cast

from monuseg_cli.annotations.geojson import (
    CONTENT_ERRORS,
    FILE_ERRORS,
    Feature,
    find_entry,
    list_features,
    not_geojson,
    read_feature,
)
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import is_special_file

_CHARACTERS = 1 << 20
_LIST_OF_FEATURES = re.compile(r'\s*(?:\[|\{.*?"features"\s*:\s*\[)', re.DOTALL)
_BETWEEN = re.compile(r"[\s,]*")

OnShare = Callable[[float], None]
"""Receives the share of the file that has been read, within 0..1."""


def stream_features(
    path: Path, on_share: OnShare, characters: int = _CHARACTERS
) -> Iterator[tuple[Feature | None, str]]:
    """Read the objects of a GeoJSON file one by one; the files are those that `read_geojson` reads.

    Parameters
    ----------
    path : Path
        A GeoJSON file, plain, compressed with gzip, or in a zip.
    on_share : callable
        Receives the progress.
    characters : int
        Number of characters that are read at a time.

    Yields
    ------
    feature : Feature or None
        The object; None if it has no area.
    lacks : str
        What it is instead, if it has no area.

    Raises
    ------
    MissingError
        If there is no such file.
    InputError
        If it is not GeoJSON, or a polygon of it cannot be used.
    """
    if is_special_file(path):
        message = f"{path} is not a regular file; name a GeoJSON file"
        raise InputError(message)
    with ExitStack() as stack:
        try:
            raw = stack.enter_context(path.open("rb"))
            text = io.TextIOWrapper(_unpack(raw, stack), encoding="utf-8-sig")
            contents = _list_objects(text, characters)
            size = max(path.stat().st_size, 1)
            for number, content in enumerate(contents, start=1):
                yield _read(path, content, number)
                on_share(raw.tell() / size)
        except FileNotFoundError as error:
            message = f"no annotations {path}; check its name"
            raise MissingError(message) from error
        except InputError:
            raise
        except FILE_ERRORS as error:
            raise not_geojson(path, error) from error


def _read(path: Path, content: Any, number: int) -> tuple[Feature | None, str]:
    try:
        return read_feature(content, number)
    except CONTENT_ERRORS as error:
        raise not_geojson(path, error, of_polygons=True) from error


def _unpack(raw: IO[bytes], stack: ExitStack) -> IO[bytes]:
    """Open a file for reading, decompressed if its first bytes are those of gzip or zip."""
    start = raw.read(2)
    raw.seek(0)
    if start == b"\x1f\x8b":
        return cast(IO[bytes], stack.enter_context(gzip.open(raw)))
    if start == b"PK":
        archive = stack.enter_context(zipfile.ZipFile(raw))
        return stack.enter_context(archive.open(find_entry(archive)))
    return raw


def _list_objects(text: io.TextIOWrapper, characters: int) -> Iterator[Any]:
    """Decode the objects of a list of features one by one; the whole text if it holds none."""
    decoder = json.JSONDecoder()
    ahead = text.read(characters)
    begin = _LIST_OF_FEATURES.match(ahead)
    if begin is None:
        yield from list_features(json.loads(ahead + text.read()))
        return
    place = begin.end()
    while True:
        place = _BETWEEN.match(ahead, place).end()  # type: ignore[union-attr] # it matches everywhere
        if ahead.startswith("]", place):
            return
        try:
            content, place = decoder.raw_decode(ahead, place)
        except ValueError:
            more = text.read(max(characters, len(ahead) - place))
            if not more:
                raise
            ahead, place = ahead[place:] + more, 0
        else:
            yield content
