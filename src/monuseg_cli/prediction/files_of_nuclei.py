"""Files of nuclei of earlier predictions, found by the image whose nuclei they hold."""

import functools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from monuseg_cli.core.errors import InputError
from monuseg_cli.core.progress import Progress
from monuseg_cli.outputs import nuclei_parquet
from monuseg_cli.outputs.plan import Outputs

_PARTS = {"engine", "layout", "record", "found"}


class FilesOfNuclei:
    """The files of nuclei in folders, each of which is listed once, when it is first asked for.

    One is used for all images of a batch: each adds files to the folders, and listing them again for every image would
    take longer the more images there are.
    """

    def __init__(self) -> None:
        self._listed: dict[Path, list[tuple[Path, str | None]]] = {}

    def of(self, outputs: Outputs, progress: Progress) -> Iterator[Path]:
        """Yield the files in the folders of the outputs, or in the current folder, that hold nuclei of the image."""
        folders = dict.fromkeys(path.parent for path in outputs.files) or [Path()]
        for folder in folders:
            if folder not in self._listed:
                self._listed[folder] = _list(folder, progress)
            yield from (path for path, image in self._listed[folder] if image == outputs.image.name)


def _list(folder: Path, progress: Progress) -> list[tuple[Path, str | None]]:
    """List the files of nuclei in a folder, with the name of the image of each."""
    files = sorted(folder.glob(f"*{nuclei_parquet.SUFFIX}"))
    if files and not nuclei_parquet.has_pyarrow():
        progress.detail(f"{files[0]} is not read: pyarrow is not installed: pip install 'monuseg-cli[tables]'")
        return []
    found = []
    for path in files:
        with suppress(OSError):
            state = path.stat()
            found.append((path, _image_of(path, state.st_size, state.st_mtime_ns)))
    return found


@functools.cache
def _image_of(path: Path, size: int, modified_ns: int) -> str | None:
    """Return the name of the image whose nuclei a file holds; each state of a file is read once in a process."""
    try:
        about = nuclei_parquet.read_about(path)
        return str(about["record"]["image"]["name"]) if about.keys() >= _PARTS else None
    except (InputError, LookupError, TypeError):
        return None
