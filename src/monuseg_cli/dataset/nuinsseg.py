"""NuInsSeg, in the published or the packed layout, from a folder or a zip -> a data set for all stages.

Mahbod et al., "NuInsSeg: A fully annotated dataset for nuclei instance segmentation in H&E-stained histological
images", Scientific Data 11, 2024 (doi 10.1038/s41597-024-03117-2; doi 10.5281/zenodo.10518968 for the data).
"""

import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from monuseg_cli.core.atomic import remove, writing_folder
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.core.schema import read_rows, show_value
from monuseg_cli.dataset.archive import open_archive
from monuseg_cli.dataset.catalog import NUINSSEG
from monuseg_cli.dataset.manifest import Case, CaseSplit, Dataset, SourceArchive, sha256_of

TISSUE, LABELS = "tissue images", "label masks modify"
"""Subfolders of each organ in the published layout. In the label images, borders between nuclei are background."""

MAX_BYTES = 4 << 30
"""A zip that unpacks to more is refused; the published one has 1.6 GB."""

_ORGAN_NAMES = {"salivory gland": "salivary gland", "tonsile": "tonsil"}
_SPECIES = ("human ", "mouse ")


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of view: its name, its organ, and the paths of its image and label image in the source."""

    name: str
    organ: str
    image: str
    labels: str

    @property
    def split(self) -> CaseSplit:
        """``"test"`` for the organs that are never trained on."""
        return "test" if self.organ in NUINSSEG.held_out_organs else "train"


class Source(Protocol):
    """Files in a folder or a zip, by path."""

    def names(self) -> list[str]:
        """List the paths of all files, with forward slashes."""
        ...

    def read(self, name: str) -> bytes:
        """Read one file."""
        ...


@dataclass(frozen=True, slots=True)
class _Folder:
    root: Path

    def names(self) -> list[str]:
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file())

    def read(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            message = f"cannot read {self.root / name}: {error.strerror or error}; check its permissions"
            raise InputError(message) from error


def read_nuinsseg(source: Path, root: Path, progress: Progress = SILENT) -> Dataset:
    """Copy the images and label images of NuInsSeg to a data set, and write its manifest.

    Held-out organs (`monuseg_cli.dataset.catalog.NUINSSEG`) are the test split, all others the train split. The scale
    is not published; the catalogue states an estimate.

    Parameters
    ----------
    source : Path
        A folder or a zip in either layout: as published, ``human bladder/tissue images/*.png`` and ``human
        bladder/label masks modify/*.tif`` for every organ; or packed, ``images/*``, ``labels/*`` and an ``index.csv``
        with the columns ``file`` and ``organ``.
    root : Path
        Where the data set is written.
    progress : Progress
        Receives the number of fields.

    Raises
    ------
    MissingError
        If the folder or zip does not exist.
    InputError
        If it has neither layout, is damaged or unsafe, or an image has no label image.
    OutputError
        If the data set cannot be written.
    """
    if not source.exists():
        message = f"no folder or zip {source}; the data set is at https://doi.org/10.5281/zenodo.10518968"
        raise MissingError(message)
    with _opened(source) as files:
        fields = _find_fields(source, files)
        cases: list[Case] = []
        with progress.task(f"unpack {source.name}", len(fields), "fields") as task, ExitStack() as folders:
            for split in ("train", "test"):
                of_split = [field for field in fields if field.split == split]
                if of_split:
                    folder = folders.enter_context(writing_folder(root / split))
                    for field in of_split:
                        cases.append(_copy(field, files, folder))
                        task.advance()
            remove(Dataset.manifest_path(root))  # the old manifest must never describe the new files
    sources = tuple(
        SourceArchive(split, source.name, _hash_of(cases, split, source), verified=False)
        for split in ("train", "test")
        if any(case.split == split for case in cases)
    )
    dataset = Dataset(root, sources, tuple(sorted(cases, key=lambda case: case.case_id)))
    dataset.save()
    return dataset


@contextmanager
def _opened(source: Path) -> Iterator[Source]:
    if source.is_dir():
        yield _Folder(source)
    else:
        with open_archive(source, MAX_BYTES, f"download it again from https://doi.org/{NUINSSEG.doi}") as archive:
            yield archive


def _find_fields(source: Path, files: Source) -> list[_Field]:
    names = [name for name in files.names() if not _is_litter(PurePosixPath(name))]
    indices = [name for name in names if PurePosixPath(name).name == "index.csv"]
    fields = _packed(source, files, indices[0], names) if indices else _published(names)
    if not fields:
        message = (
            f'{source} does not contain NuInsSeg: neither "{TISSUE}" and "{LABELS}" below a folder for each organ, nor '
            "images, labels and index.csv; name the folder or zip of the whole data set"
        )
        raise InputError(message)
    if lacking := [field.image for field in fields if field.labels not in set(names)]:
        message = f"{source}: {len(lacking)} images have no label image, the first: {lacking[0]}"
        raise InputError(message)
    if twice := [name for name, count in Counter(field.name for field in fields).items() if count > 1]:
        message = f"{source} has the image {twice[0]} twice; leave one of them out"
        raise InputError(message)
    return sorted(fields, key=lambda field: field.name)


def _published(names: list[str]) -> list[_Field]:
    """List the fields of the published layout; human and mouse organs are not distinguished."""
    fields = []
    for name in names:
        path = PurePosixPath(name)
        if path.parent.name == TISSUE and path.suffix.lower() == ".png":
            organ_folder = path.parents[1]
            labels = organ_folder / LABELS / f"{path.stem}.tif"
            fields.append(_Field(path.stem, _organ(organ_folder.name), name, labels.as_posix()))
    return fields


def _packed(source: Path, files: Source, index: str, names: list[str]) -> list[_Field]:
    """List the fields of the packed layout, by its table."""
    folder = PurePosixPath(index).parent
    by_stem = {(path.parent, path.stem): path.as_posix() for path in map(PurePosixPath, names)}
    fields = []
    try:
        rows = read_rows(io.StringIO(files.read(index).decode("utf-8-sig")))
    except ValueError as error:
        message = f"{source}: {index} cannot be read ({error}); save it as CSV in UTF-8"
        raise InputError(message) from error
    for row in rows:
        stem, organ = row.get("file", "").strip(), row.get("organ", "").strip()
        image = by_stem.get((folder / "images", stem))
        if not organ or image is None:
            what = show_value(stem) if stem else "a line"
            message = f"{source}: {index}: {what} names no organ, or no image in {folder / 'images'}; correct the table"
            raise InputError(message)
        fields.append(_Field(stem, _organ(organ), image, by_stem.get((folder / "labels", stem), "")))
    return fields


def _organ(name: str) -> str:
    organ = name.lower()
    for species in _SPECIES:
        organ = organ.removeprefix(species)
    return _ORGAN_NAMES.get(organ, organ)


def _is_litter(path: PurePosixPath) -> bool:
    return path.name.startswith(".") or "__MACOSX" in path.parts


def _copy(field: _Field, files: Source, folder: Path) -> Case:
    """Write the two files of a field below `folder`, and return the case."""
    written: Mapping[str, str] = {"images": field.image, "annotations": field.labels}
    places = {}
    for kind, name in written.items():
        (folder / kind).mkdir(exist_ok=True)
        places[kind] = Path(kind, f"{field.name}{PurePosixPath(name).suffix.lower()}")
        (folder / places[kind]).write_bytes(files.read(name))
    return Case(
        case_id=field.name,
        organ=field.organ,
        split=field.split,
        mpp=NUINSSEG.mpp,
        image=(Path(field.split) / places["images"]).as_posix(),
        annotation=(Path(field.split) / places["annotations"]).as_posix(),
        image_sha256=sha256_of(folder / places["images"]),
        annotation_sha256=sha256_of(folder / places["annotations"]),
    )


def _hash_of(cases: list[Case], split: str, source: Path) -> str:
    """Compute the SHA-256 of the zip, or one over the files of a split."""
    if source.is_file():
        return sha256_of(source)
    lines = sorted(f"{case.image_sha256} {case.annotation_sha256}\n" for case in cases if case.split == split)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
