"""A data set on disk: which cases are there, from which archive or folder, with which hashes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from monuseg_cli.core.atomic import write_json
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import is_special_file
from monuseg_cli.imaging.tiling import Box

SCHEMA = 1

CaseSplit = Literal["train", "val", "test"]
CASE_SPLITS: tuple[CaseSplit, ...] = ("train", "val", "test")
"""MoNuSeg has no ``"val"``: its folds take validation cases out of the train split."""


@dataclass(frozen=True, slots=True)
class SourceArchive:
    """The archive or folder that a split came from, its SHA-256, and whether that is the published one.

    That of a folder is the hash of its cases' files.
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
        TCGA barcode; of a case from elsewhere, its image's stem and the beginning of the image's hash, so that the same
        image is the same case in whatever folder it lies.
    organ : str
        Organ as the challenge gives it, or the folder's own table.
    split : {"train", "val", "test"}
        Which archive it came from, or what the folder's own table says.
    mpp : float or None
        Micrometres per pixel as the annotation's root, the folder's own table or the image states it; None where none
        does.
    image, annotation : str
        Paths of the image and the annotation, relative to the data set's folder, with forward slashes; of a case from
        elsewhere, absolute.
    image_sha256, annotation_sha256 : str
        Hashes of the two files.
    box : Box or None
        The part of the image that is the case; None: all of it.
    image_pixels, pixels : str
        Hashes of the pixels of the image and of the case; empty: not computed yet. See
        `monuseg_cli.dataset.leakage`.
    """

    case_id: str
    organ: str
    split: CaseSplit
    mpp: float | None
    image: str
    annotation: str
    image_sha256: str
    annotation_sha256: str
    box: Box | None = None
    image_pixels: str = ""
    pixels: str = ""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Case":
        """Make a case of its line in a manifest."""
        box = content.get("box")
        return cls(**{**content, "box": tuple(box) if box else None})


@dataclass(frozen=True, slots=True)
class Dataset:
    """All cases below one folder.

    Parameters
    ----------
    root : Path
        The folder that holds ``manifest.json``.
    archives : tuple of SourceArchive
        One per split that is there.
    cases : tuple of Case
        In order of case id.
    """

    root: Path
    archives: tuple[SourceArchive, ...] = ()
    cases: tuple[Case, ...] = ()

    @staticmethod
    def manifest_path(root: Path) -> Path:
        """Give the path of the manifest of the data set in `root`."""
        return root / "manifest.json"

    @classmethod
    def load(cls, root: Path) -> "Dataset":
        """Read the manifest in `root`.

        Raises
        ------
        MissingError
            If there is none, that is, nothing was downloaded to `root`.
        InputError
            If it cannot be understood.
        """
        path = cls.manifest_path(root)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["schema"] != SCHEMA:
                raise ValueError(content["schema"])
            archives = tuple(SourceArchive(**archive) for archive in content["archives"])
            return cls(root, archives, tuple(Case.from_json(case) for case in content["cases"]))
        except FileNotFoundError as error:
            message = f"no data set in {root}; get it with: monuseg download"
            raise MissingError(message) from error
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            message = f"{path} is damaged, or not of schema {SCHEMA}; remove it and run: monuseg download"
            raise InputError(message) from error

    def save(self) -> None:
        """Write the manifest, whole or not at all."""
        content = {
            "schema": SCHEMA,
            "archives": [asdict(archive) for archive in self.archives],
            "cases": [asdict(case) for case in self.cases],
        }
        write_json(self.manifest_path(self.root), content)

    def archive_of(self, split: CaseSplit) -> SourceArchive | None:
        """Give the archive that `split` came from, None where the split is not there."""
        return next((archive for archive in self.archives if archive.split == split), None)

    @property
    def splits(self) -> tuple[CaseSplit, ...]:
        """The splits that are there."""
        return tuple(split for split in CASE_SPLITS if self.archive_of(split))

    def of_split(self, *splits: CaseSplit) -> tuple[Case, ...]:
        """List the cases of `splits`.

        Raises
        ------
        MissingError
            If one of the splits was not downloaded.
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
            If one of them is not there; the message counts and names the first.
        """
        there = {case.case_id for case in self.cases}
        if missing := [case_id for case_id in case_ids if case_id not in there]:
            message = f"{len(missing)} cases are not in {self.root} (the first: {missing[0]}); run: monuseg download"
            raise MissingError(message)
        return tuple(case for case in self.cases if case.case_id in set(case_ids))

    def image_path(self, case: Case) -> Path:
        """Give the path of the case's image."""
        return self.root / case.image

    def annotation_path(self, case: Case) -> Path:
        """Give the path of the case's annotation."""
        return self.root / case.annotation


def sha256_of(path: Path) -> str:
    """Hash a file.

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
