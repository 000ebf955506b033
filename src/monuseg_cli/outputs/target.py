"""Destinations of the tables of nuclei: a file or a binary stream.

Each writer of a format is a context manager that yields a function to append nuclei. Its file appears when the context
ends without an error. In place of a path, a binary stream is written to.
"""

import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from monuseg_cli.core.atomic import writing
from monuseg_cli.nuclei.detections import Detections

NucleiWriter = Callable[[Detections], None]
Target = Path | BinaryIO

_GZIP_LEVEL = 6


@contextmanager
def open_text(target: Target) -> Iterator[io.TextIOWrapper]:
    """Open a destination for text in UTF-8; a stream is flushed at the end, and stays open."""
    with ExitStack() as stack:
        if isinstance(target, Path):
            file = cast(BinaryIO, stack.enter_context(stack.enter_context(writing(target)).open("wb")))
            if target.suffix.lower() == ".gz":  # neither name nor time, so that the same nuclei make the same file
                packed = gzip.GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=file, mtime=0)
                file = cast(BinaryIO, stack.enter_context(packed))
        else:
            file = target
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        try:
            yield text
            text.flush()
        finally:
            text.detach()
