"""Atomic writes of files and folders.

Everything is written next to its destination under a hidden name that ends in ``.part`` (before the suffix) and then
moved by `os.replace`. A process that dies at any moment leaves either the old content or the new, never a partial file.
"""

import errno
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from monuseg_cli.core.errors import MonusegError, OutputError

_HOST = re.sub(r"[^A-Za-z0-9]", "", platform.node())[:16]
_LIST_AGAIN_AFTER = 50  # times what listing a folder took; with thousands of files in it, more than writing another one
_HIDDEN: dict[Path, tuple[float, tuple[str, ...]]] = {}
_REASONS = {
    errno.ENOSPC: "the disk is full; make room, or write elsewhere",
    errno.EDQUOT: "the disk quota is used up; make room, or write elsewhere",
    errno.EFBIG: "the file would be larger than the system allows; write elsewhere",
    errno.EACCES: "permission denied; write elsewhere",
    errno.EPERM: "permission denied; write elsewhere",
    errno.EROFS: "the file system is read-only; write elsewhere",
    errno.ENOTDIR: "a part of the path is not a folder; write elsewhere",
    errno.EEXIST: "a file of that name is in the way; move it, or write elsewhere",
    errno.EISDIR: "it is a folder; write elsewhere",
    errno.ENAMETOOLONG: "the name is too long; give a shorter one",
    errno.ELOOP: "its links lead in a circle; write elsewhere",
}


def _part_name(path: Path) -> Path:
    return path.with_name(f"{_part_prefix(path)}{os.getpid()}.part{path.suffix}")


def _old_name(part: Path) -> Path:
    return part.with_suffix(".old")


def _part_prefix(path: Path) -> str:
    return f".{path.stem}.{_HOST}-"


def _remove_parts_of_the_dead(path: Path) -> None:
    """Remove partial files of `path` left behind by processes of this machine that no longer run."""
    if os.name != "posix":
        return
    prefix = _part_prefix(path)
    for part in (path.with_name(name) for name in _hidden_in(path.parent) if name.startswith(prefix)):
        number = part.name.removeprefix(prefix).split(".")[0]
        is_ours = part.name in (f"{prefix}{number}.part{path.suffix}", _old_name(part).name)
        if is_ours and number.isdigit() and not _is_alive(int(number)):
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)


def _hidden_in(folder: Path) -> tuple[str, ...]:
    """List the hidden names in a folder, as they are or were a moment ago: see `_LIST_AGAIN_AFTER`."""
    place, began = folder.absolute(), time.monotonic()
    kept_until, names = _HIDDEN.get(place, (0.0, ()))
    if began >= kept_until:
        with os.scandir(place) as entries:
            names = tuple(entry.name for entry in entries if entry.name.startswith("."))
        taken = time.monotonic() - began
        _HIDDEN[place] = (began + _LIST_AGAIN_AFTER * taken, names)
    return names


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True


@contextmanager
def _as_output_error(path: Path) -> Iterator[None]:
    """Convert an OSError about `path` into an OutputError; errors about other files, and our own, pass through."""
    try:
        yield
    except MonusegError:
        raise
    except OSError as error:
        if error.filename is not None:
            named = Path(os.fsdecode(error.filename))
            if not named.is_relative_to(path.parent) and not path.is_relative_to(named):
                raise
        reason = _REASONS.get(error.errno or 0) or f"{error.strerror or error}; write elsewhere"
        message = f"cannot write {path}: {reason}"
        raise OutputError(message) from error


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`, and move it to `path` when the body ends without an error.

    Parameters
    ----------
    path : Path
        Destination; its folder is created if it is missing.

    Yields
    ------
    Path
        The temporary path, with the suffix of `path`.

    Raises
    ------
    OutputError
        If the destination is not a regular file, or writing fails for lack of space, permission or the like.
    """
    part = _part_name(path)
    with _as_output_error(path):
        if path.exists() and not path.is_file():
            message = f"cannot write {path}: it exists and is not a regular file; write elsewhere"
            raise OutputError(message)
        make_folder(path.parent)
        _remove_parts_of_the_dead(path)
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder next to `path`, and replace `path` by it when the body ends without an error.

    An existing folder is moved aside first and removed afterwards. A crash in between leaves no folder of that name,
    never a half-filled one.
    """
    part = _part_name(path)
    old = _old_name(part)
    with _as_output_error(path):
        make_folder(path.parent)
        try:
            _remove_parts_of_the_dead(path)
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            yield part
            _put_in_place(part, path, old)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def _put_in_place(part: Path, path: Path, old: Path) -> None:
    """Move `part` to `path`, and an existing `path` to `old`; of concurrent processes, the last wins."""
    while True:
        with suppress(FileNotFoundError):
            path.replace(old)
        try:
            part.replace(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            shutil.rmtree(old, ignore_errors=True)
        else:
            return


def require_writable(path: Path) -> None:
    """Check, before long work, that a file could be created at `path`; nothing is created.

    Raises
    ------
    OutputError
        If a part of the path is not a folder, or its deepest existing folder is not writable.
    """
    ancestor = next(folder for folder in path.absolute().parents if folder.exists())
    if not ancestor.is_dir() or not os.access(ancestor, os.W_OK):
        reason = "permission denied, or a read-only file system" if ancestor.is_dir() else "it is not a folder"
        message = f"cannot write {path}: {ancestor}: {reason}; write elsewhere"
        raise OutputError(message)


def make_folder(path: Path) -> None:
    """Create the folder `path` and its parents; raise OutputError if that fails."""
    with _as_output_error(path):
        path.mkdir(parents=True, exist_ok=True)


def make_new_folder(path: Path) -> bool:
    """Create the folder `path` and its parents; return False, and change nothing, if the name exists already."""
    make_folder(path.parent)
    with _as_output_error(path):
        try:
            path.mkdir()
        except FileExistsError:
            return False
        return True


def remove(path: Path) -> None:
    """Remove the file `path` if it exists."""
    with _as_output_error(path):
        path.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes | bytearray) -> None:
    """Write `content` to `path` atomically."""
    with writing(path) as part:
        part.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` as UTF-8, atomically."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` as indented JSON, atomically; paths in it become strings."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, default=os.fspath) + "\n")
