"""Official archives, downloaded or local -> checked images and annotations."""

import os
import re
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from monuseg_cli.annotations.aperio_xml import read_mpp
from monuseg_cli.core.atomic import writing, writing_folder
from monuseg_cli.core.errors import DownloadError, InputError, MissingError, VerificationError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.dataset.archive import DAMAGED, damaged, read_chunks, refuse_unsafe
from monuseg_cli.dataset.catalog import ARCHIVES, CATALOG, Archive, Split
from monuseg_cli.dataset.config import DownloadConfig
from monuseg_cli.dataset.manifest import Case, Dataset, SourceArchive, sha256_of

MAX_ARCHIVE_BYTES = 1 << 30
"""An archive that unpacks to more is refused; the larger one of the two has 200 MB."""

_OFFICIAL = "fetch the official archive with: monuseg download"

_TIMEOUT_S = 60
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class DownloadResult:
    """The data set, and which splits were unpacked by this call."""

    dataset: Dataset
    unpacked: tuple[Split, ...]


@dataclass(frozen=True, slots=True)
class _Added:
    """A split that was unpacked from an archive: its source and its cases."""

    source: SourceArchive
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class _Pair:
    """The two entries of one case in an archive."""

    case_id: str
    image: zipfile.ZipInfo
    annotation: zipfile.ZipInfo


def download(config: DownloadConfig, progress: Progress = SILENT) -> DownloadResult:
    """Download, check and unpack the official archives, and write the manifest of the data set.

    Without local archives, a split that exists already is not downloaded again. All archives are unpacked before any of
    their files becomes visible, and the manifest is written last.

    Raises
    ------
    DownloadError
        If the download fails, or Google Drive sends a web page instead of the file.
    VerificationError
        If an archive's SHA-256 is not the published one and `allow_unverified` is not set.
    InputError
        If an archive is damaged, unsafe, or not one of MoNuSeg, or two contain the same split.
    MissingError
        If a local archive does not exist.
    OutputError
        If the data set cannot be written.
    """
    dataset = _load(config.dataset)
    added: dict[Split, _Added] = {}
    with ExitStack() as folders:
        for archive in config.archives or _fetch_missing(config, dataset, progress):
            try:
                _add_archive(config, dataset, archive, added, folders, progress)
            except (InputError, VerificationError):
                if not config.archives:
                    archive.unlink()  # a downloaded file: the next call must not use it
                raise
        if added:
            _load(config.dataset).withdraw(tuple(added))
    if added:
        dataset = _load(config.dataset)  # another process may have added a split meanwhile
        for of_split in added.values():
            dataset = dataset.with_split(of_split.source, of_split.cases)
        dataset.save()
    return DownloadResult(dataset, tuple(added))


def _load(root: Path) -> Dataset:
    """Read the manifest in `root`; without one, the data set has no cases yet."""
    return Dataset.load(root) if Dataset.manifest_path(root).is_file() else Dataset(root)


def _fetch_missing(config: DownloadConfig, dataset: Dataset, progress: Progress) -> list[Path]:
    missing = []
    for split in config.splits:
        if _is_there(dataset, split):
            progress.info(f"the {split} split is in {config.dataset} already")
        else:
            missing.append(_fetch(config, ARCHIVES[split], progress))
    return missing


def _is_there(dataset: Dataset, split: Split) -> bool:
    cases = [case for case in dataset.cases if case.split == split]
    files = [path for case in cases for path in (dataset.image_path(case), dataset.annotation_path(case))]
    return bool(cases) and all(path.is_file() for path in files)


def _fetch(config: DownloadConfig, archive: Archive, progress: Progress) -> Path:
    """Download one archive to the folder ``archives``, unless it is there already."""
    path = config.dataset / "archives" / archive.name
    url = f"{config.drive_url}?id={archive.drive_id}&export=download&confirm=t"
    progress.detail(f"downloads {url}, unless {path} exists")
    if not path.is_file():
        with writing(path) as part:
            _stream(url, part, archive, progress)
    return path


def _stream(url: str, output: Path, archive: Archive, progress: Progress) -> None:
    """Write the response to `output`, or raise an error that explains what the server sent instead."""
    import requests  # slow to import, and not needed for local archives

    remedy = f"fetch {url} with a browser and run: monuseg download --archive '{archive.name}'"
    try:
        with requests.get(url, stream=True, timeout=_TIMEOUT_S) as answer:
            if answer.status_code != 200:
                message = f"{archive.name}: the server answered {answer.status_code} {answer.reason}; {remedy}"
                raise DownloadError(message)
            total = int(answer.headers.get("Content-Length", 0)) or None
            received = 0
            with output.open("wb") as file, progress.task(archive.name, total, "bytes") as task:
                for chunk in answer.iter_content(_CHUNK_BYTES):
                    if not received:
                        _refuse_page(chunk, answer.headers.get("Content-Type", ""), archive, remedy)
                    file.write(chunk)
                    received += len(chunk)
                    task.advance(len(chunk))
    except requests.RequestException as error:
        message = f"{archive.name}: the download failed ({_short(error)}); {remedy}"
        raise DownloadError(message) from error
    if total is not None and received != total:
        message = f"{archive.name}: the download ended after {received} of {total} bytes; try again, or {remedy}"
        raise DownloadError(message)


def _short(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error))[:120]


def _refuse_page(start: bytes, content_type: str, archive: Archive, remedy: str) -> None:
    """Check that the response is not a web page, which Google Drive may send with status 200 instead of a file."""
    text = start[:65536].lower()
    if "html" not in content_type.lower() and not text.lstrip().startswith((b"<!doctype html", b"<html")):
        return
    if b"quota" in text or b"too many users" in text:
        reason = "Google Drive refuses: too many people downloaded the file, and its quota for today is exhausted"
    elif b"virus" in text:
        reason = (
            "Google Drive asks to confirm that it cannot scan the file for viruses, and did not accept the confirmation"
        )
    else:
        reason = "the server sent a web page instead of the file"
    message = f"{archive.name}: {reason}; {remedy}"
    raise DownloadError(message)


def _add_archive(
    config: DownloadConfig,
    dataset: Dataset,
    path: Path,
    added: dict[Split, _Added],
    folders: ExitStack,
    progress: Progress,
) -> None:
    """Check and unpack one archive; its folder becomes visible when `folders` is closed."""
    if not os.path.lexists(path):
        message = f"no archive {path}; {_OFFICIAL}"
        raise MissingError(message)
    sha256 = sha256_of(path)
    progress.detail(f"{path}: SHA-256 {sha256}")
    try:
        with zipfile.ZipFile(path) as archive:
            pairs = _pairs(path, archive)
            split = _split_of(path, pairs)
            if split not in config.splits:
                message = f"{path} contains the {split} split, which `splits` excludes; omit one of the two"
                raise InputError(message)
            if split in added:
                message = f"{path} and {added[split].source.source} both contain the {split} split; omit one of the two"
                raise InputError(message)
            verified = _verify(config, path, split, sha256, progress)
            if (there := dataset.archive_of(split)) and there.sha256 == sha256 and _is_there(dataset, split):
                progress.info(f"the {split} split is in {config.dataset} already")
                return
            folder = folders.enter_context(writing_folder(config.dataset / split))
            cases = _unpack(path, archive, pairs, folder, progress)
    except DAMAGED as error:
        raise damaged(path, error, _OFFICIAL) from error
    added[split] = _Added(SourceArchive(split, path.name, sha256, verified), tuple(cases))


def _verify(config: DownloadConfig, path: Path, split: Split, sha256: str, progress: Progress) -> bool:
    official = ARCHIVES[split].sha256
    if sha256 == official:
        return True
    if not config.allow_unverified:
        message = (
            f"{path} has SHA-256 {sha256}, not the published {official}; if you trust it, add `allow_unverified=True`"
        )
        raise VerificationError(message)
    progress.warn(f"{path.name} is not the published archive; its hash {sha256} is recorded in the manifest")
    return False


def _pairs(path: Path, archive: zipfile.ZipFile) -> list[_Pair]:
    """Match every image with its annotation, after checking all entries."""
    if (size := sum(entry.file_size for entry in archive.infolist())) > MAX_ARCHIVE_BYTES:
        message = f"{path} is refused: it unpacks to {size} bytes, more than the whole data set; {_OFFICIAL}"
        raise InputError(message)
    images: dict[str, zipfile.ZipInfo] = {}
    annotations: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        refuse_unsafe(path, entry, _OFFICIAL)
        name = PurePosixPath(entry.filename)
        kind = {".tif": images, ".xml": annotations}.get(name.suffix.lower())
        is_litter = name.name.startswith("._") or "__MACOSX" in name.parts
        if entry.is_dir() or kind is None or is_litter:
            continue
        if name.stem in kind:
            message = f"{path} contains {name.name} twice; {_OFFICIAL}"
            raise InputError(message)
        kind[name.stem] = entry
    for these, others, lacking in ((images, annotations, "annotation"), (annotations, images, "image")):
        if orphans := sorted(these.keys() - others.keys()):
            message = f"{path}: {these[orphans[0]].filename} has no {lacking} ({len(orphans)} such files); {_OFFICIAL}"
            raise InputError(message)
    return [_Pair(stem, images[stem], annotations[stem]) for stem in sorted(images)]


def _split_of(path: Path, pairs: Sequence[_Pair]) -> Split:
    if not pairs:
        message = f"{path} contains no image with an annotation; {_OFFICIAL}"
        raise InputError(message)
    for pair in pairs:
        if pair.case_id not in CATALOG:
            message = f"{path}: {pair.image.filename} is not a case of MoNuSeg 2018; {_OFFICIAL}"
            raise InputError(message)
    splits = sorted({CATALOG[pair.case_id].split for pair in pairs})
    if len(splits) > 1:
        message = f"{path} mixes cases of the train and the test split; {_OFFICIAL}"
        raise InputError(message)
    return splits[0]


def _unpack(
    path: Path, archive: zipfile.ZipFile, pairs: Sequence[_Pair], folder: Path, progress: Progress
) -> list[Case]:
    """Write the files of every pair below `folder`, named by case id, and return the cases."""
    for kind in ("images", "annotations"):
        (folder / kind).mkdir()
    cases = []
    with progress.task(f"unpack {path.name}", len(pairs), "cases") as task:
        for pair in pairs:
            entry = CATALOG[pair.case_id]
            image = Path("images", f"{pair.case_id}.tif")
            annotation = Path("annotations", f"{pair.case_id}.xml")
            image_sha256 = _extract(archive, pair.image, folder / image)
            annotation_sha256 = _extract(archive, pair.annotation, folder / annotation)
            cases.append(
                Case(
                    case_id=pair.case_id,
                    organ=entry.organ,
                    split=entry.split,
                    mpp=_read_mpp(path, pair.annotation, folder / annotation),
                    image=(Path(entry.split) / image).as_posix(),
                    annotation=(Path(entry.split) / annotation).as_posix(),
                    image_sha256=image_sha256,
                    annotation_sha256=annotation_sha256,
                )
            )
            task.advance()
    return cases


def _read_mpp(path: Path, entry: zipfile.ZipInfo, extracted: Path) -> float | None:
    try:
        return read_mpp(extracted)
    except InputError as error:
        reason = str(error).removeprefix(f"{extracted}: ")
        message = f"{path}: {entry.filename}: {reason}"
        raise InputError(message) from error


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> str:
    """Unpack one entry, whose checksum zipfile verifies, and return the SHA-256 of the file."""
    with target.open("wb") as file:
        for chunk in read_chunks(archive, entry):
            file.write(chunk)
    return sha256_of(target)
