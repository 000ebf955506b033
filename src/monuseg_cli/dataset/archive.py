"""Zip archives from unknown sources: unsafe and damaged ones are refused."""

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from monuseg_cli.core.errors import InputError, first_line

MAX_ENTRY_BYTES = 64 << 20
"""A larger entry is refused; the largest one of a known data set has 5 MB."""

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeError)
"""Errors that zipfile and its decompressors raise for damaged archives."""

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ZipFiles:
    """The files in a zip, by path."""

    archive: zipfile.ZipFile

    def names(self) -> list[str]:
        """List the paths of all files."""
        return sorted(entry.filename for entry in self.archive.infolist() if not entry.is_dir())

    def read(self, name: str) -> bytes:
        """Read one file; zipfile verifies its checksum."""
        return b"".join(read_chunks(self.archive, self.archive.getinfo(name)))


def damaged(path: Path, error: Exception, remedy: str) -> InputError:
    """Build the error for an archive that zipfile cannot read."""
    return InputError(f"{path} is damaged, or not a zip archive ({first_line(error)}); {remedy}")


@contextmanager
def open_archive(path: Path, max_bytes: int, remedy: str) -> Iterator[ZipFiles]:
    """Open a zip after checking that all entries are safe to unpack.

    Parameters
    ----------
    path : Path
        The zip.
    max_bytes : int
        It is refused if it unpacks to more.
    remedy : str
        The remedy that messages state.

    Raises
    ------
    InputError
        If it is not a zip, damaged, unsafe or too large; also if damage is found later, while it is read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if (size := sum(entry.file_size for entry in archive.infolist())) > max_bytes:
                message = f"{path} is refused: it unpacks to {size} bytes, more than the whole data set; {remedy}"
                raise InputError(message)
            for entry in archive.infolist():
                refuse_unsafe(path, entry, remedy)
            yield ZipFiles(archive)
    except DAMAGED as error:
        raise damaged(path, error, remedy) from error
    except OSError as error:
        if isinstance(error, InputError) or error.filename != str(path):
            raise
        message = f"cannot read {path}: {error.strerror or error}; check the path and its permissions"
        raise InputError(message) from error


def refuse_unsafe(path: Path, entry: zipfile.ZipInfo, remedy: str) -> None:
    """Check that an entry stays inside the folder, and is an ordinary file of moderate size.

    Raises
    ------
    InputError
        If it does not.
    """
    name = entry.orig_filename
    parts = re.split(r"[/\\]", name)
    problem = None
    if name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        problem = "would land outside the folder"
    elif stat.S_ISLNK(entry.external_attr >> 16):
        problem = "is a symbolic link"
    elif entry.flag_bits & 0x1:
        problem = "is encrypted"
    elif entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        problem = f"is compressed by method {entry.compress_type}, which can unpack to anything"
    elif entry.file_size > MAX_ENTRY_BYTES:
        problem = f"unpacks to {entry.file_size} bytes, more than any file of the data set"
    if problem:
        message = f"{path} is refused: its entry {name!r} {problem}; {remedy}"
        raise InputError(message)


def read_chunks(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Read an entry in chunks. Errors of reading are raised as damage, to distinguish them from errors of writing."""
    try:
        with archive.open(entry) as source:
            while chunk := source.read(_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise zipfile.BadZipFile(str(error)) from error
