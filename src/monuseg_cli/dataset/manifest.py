"""A data set on disk: its cases, their sources and hashes."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath
from typing import Annotated, Literal

from monuseg_cli.core.atomic import write_json
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import is_special_file
from monuseg_cli.core.schema import FROM_0, FROM_1, POSITIVE, is_file_name, parse_json, read_as, show_value

SCHEMA = 1

CaseSplit = Literal["train", "val", "test"]
CASE_SPLITS: tuple[CaseSplit, ...] = ("train", "val", "test")
"""MoNuSeg has no ``"val"``: validation cases are a fold of the train split."""


Start = Annotated[int, FROM_0]
Length = Annotated[int, FROM_1]


@dataclass(frozen=True, slots=True)
class SourceArchive:
    """The archive or folder of a split, its SHA-256, and whether that is the published one.

    For a folder, the hash is that of the files of its cases.
    """

    split: CaseSplit
    source: str
    sha256: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Case:
    """One image with its annotation.

    Parameters
    ----------
    case_id : str
        TCGA barcode; for other data, the stem of the image and the first digits of its hash, so that an image is the
        same case in any folder.
    organ : str
        Organ as stated by the challenge, or in the table of the folder.
    split : {"train", "val", "test"}
        The archive that contains it, or the split in the table of the folder.
    mpp : float or None
        Micrometres per pixel as stated by the annotation, the table of the folder or the image; None if not stated.
    image, annotation : str
        Paths of the image and the annotation, relative to the folder of the data set, with forward slashes; absolute
        for other data.
    image_sha256, annotation_sha256 : str
        Hashes of the two files.
    box : Box or None
        The part of the image that is the case; None: all of it.
    image_pixels, pixels : str
        Hashes of the pixels of the image and of the case, by `monuseg_cli.dataset.leakage`; empty: not computed yet.
    """

    case_id: str
    organ: str
    split: CaseSplit
    mpp: Annotated[float, POSITIVE] | None
    image: str
    annotation: str
    image_sha256: str
    annotation_sha256: str
    box: tuple[Start, Start, Length, Length] | None = None
    image_pixels: str = ""
    pixels: str = ""


@dataclass(frozen=True, slots=True)
class _Manifest:
    """The content of ``manifest.json``."""

    schema: Literal[1]
    archives: tuple[SourceArchive, ...]
    cases: tuple[Case, ...]

    def __post_init__(self) -> None:
        """Refuse what is there twice, and names and paths that lead out of the data set's folder."""
        for what, names in (
            ("split", [archive.split for archive in self.archives]),
            ("case", [case.case_id for case in self.cases]),
        ):
            if twice := [name for name, count in Counter(names).items() if count > 1]:
                message = f"the {what} {show_value(twice[0])} is there twice"
                raise ValueError(message)
        for case in self.cases:
            if not is_file_name(case.case_id):
                message = f"{show_value(case.case_id)} cannot be the name of a case"
                raise ValueError(message)
            for path in map(PurePath, (case.image, case.annotation)):
                if not path.is_absolute() and ".." in path.parts:
                    message = f"{show_value(str(path))} leads out of the folder"
                    raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Dataset:
    """All cases of one folder.

    Parameters
    ----------
    root : Path
        The folder that contains ``manifest.json``.
    archives : tuple of SourceArchive
        One per split of the data set.
    cases : tuple of Case
        Sorted by case id.
    """

    root: Path
    archives: tuple[SourceArchive, ...] = ()
    cases: tuple[Case, ...] = ()

    @staticmethod
    def manifest_path(root: Path) -> Path:
        """Return the path of the manifest of the data set in `root`."""
        return root / "manifest.json"

    @classmethod
    def load(cls, root: Path) -> "Dataset":
        """Read the manifest in `root`.

        Raises
        ------
        MissingError
            If there is none.
        InputError
            If it is damaged, or of another schema.
        """
        path = cls.manifest_path(root)
        try:
            content = read_as(_Manifest, parse_json(path.read_bytes()))
        except FileNotFoundError as error:
            message = f"no data set in {root}; get it with: monuseg download"
            raise MissingError(message) from error
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            message = f"{path} is damaged, or not of schema {SCHEMA} ({reason}); remove it and run: monuseg download"
            raise InputError(message) from error
        return cls(root, content.archives, content.cases)

    def save(self) -> None:
        """Write the manifest, completely or not at all."""
        content = {
            "schema": SCHEMA,
            "archives": [asdict(archive) for archive in self.archives],
            "cases": [asdict(case) for case in self.cases],
        }
        write_json(self.manifest_path(self.root), content)

    def with_split(self, source: SourceArchive, cases: Sequence[Case]) -> "Dataset":
        """Return the data set with the cases of a split, in place of those it has."""
        rest = self.without_splits((source.split,))
        of_all = sorted((*rest.cases, *cases), key=lambda case: case.case_id)
        return replace(rest, archives=(*rest.archives, source), cases=tuple(of_all))

    def without_splits(self, splits: Sequence[CaseSplit]) -> "Dataset":
        """Return the data set without the cases of some splits."""
        return replace(
            self,
            archives=tuple(archive for archive in self.archives if archive.split not in splits),
            cases=tuple(case for case in self.cases if case.split not in splits),
        )

    def withdraw(self, splits: Sequence[CaseSplit]) -> None:
        """Write the manifest without `splits`, whose files are about to be replaced.

        If the process is killed before it writes the new manifest, the old one does not describe the new files.
        """
        if set(splits) & set(self.splits):
            self.without_splits(splits).save()

    def archive_of(self, split: CaseSplit) -> SourceArchive | None:
        """Return the archive of a split; None if the data set does not have it."""
        return next((archive for archive in self.archives if archive.split == split), None)

    @property
    def splits(self) -> tuple[CaseSplit, ...]:
        """The splits of the data set."""
        return tuple(split for split in CASE_SPLITS if self.archive_of(split))

    def of_split(self, *splits: CaseSplit) -> tuple[Case, ...]:
        """List the cases of `splits`.

        Raises
        ------
        MissingError
            If the data set does not have one of the splits.
        """
        for split in splits:
            if self.archive_of(split) is None:
                message = f"the {split} split is not in {self.root}; get it with: monuseg download --split {split}"
                raise MissingError(message)
        return tuple(case for case in self.cases if case.split in splits)

    def select(self, case_ids: Sequence[str]) -> tuple[Case, ...]:
        """List the cases with these ids, in the order of the manifest.

        Raises
        ------
        MissingError
            If some do not exist; the message states their number, and names the first.
        """
        there = {case.case_id for case in self.cases}
        if missing := [case_id for case_id in case_ids if case_id not in there]:
            message = f"{len(missing)} cases are not in {self.root} (the first: {missing[0]}); run: monuseg download"
            raise MissingError(message)
        return tuple(case for case in self.cases if case.case_id in set(case_ids))

    def image_path(self, case: Case) -> Path:
        """Return the path of the image of a case."""
        return self.root / case.image

    def annotation_path(self, case: Case) -> Path:
        """Return the path of the annotation of a case."""
        return self.root / case.annotation


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    if is_special_file(path):
        message = f"{path} is not a regular file; check the path"
        raise InputError(message)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        message = f"cannot read {path}: {error.strerror or error}; check the path and its permissions"
        raise InputError(message) from error
