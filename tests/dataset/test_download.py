import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from monuseg_cli.core.errors import DownloadError, InputError, MissingError, OutputError, VerificationError
from monuseg_cli.dataset.catalog import ARCHIVES
from monuseg_cli.dataset.config import DownloadConfig
from monuseg_cli.dataset.download import download
from monuseg_cli.dataset.manifest import Dataset
from support.drive import VIRUS_PAGE, drive, like_drive, publish
from support.tissue import aperio_xml, draw_tissue, tiff_bytes

CASE = "TCGA-A7-A13E-01Z-00-DX1"
QUOTA_PAGE = b"<html><title>Google Drive - Quota exceeded</title>Too many users have viewed or downloaded this file"


def local(home: Path, *archives: Path, **overrides: Any) -> DownloadConfig:
    return DownloadConfig(home, archives=archives, **{"allow_unverified": True, **overrides})


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_both_archives_are_unpacked_and_recorded(tmp_path: Path, archives: tuple[Path, Path]) -> None:
    result = download(local(tmp_path / "data", *archives))
    assert result.unpacked == ("train", "test")
    dataset = Dataset.load(tmp_path / "data")
    assert dataset == result.dataset
    assert [len(dataset.of_split(split)) for split in ("train", "test")] == [37, 14]
    case = dataset.select([CASE])[0]
    assert (case.organ, case.split, case.mpp) == ("breast", "train", 0.25)
    assert hashlib.sha256(dataset.image_path(case).read_bytes()).hexdigest() == case.image_sha256
    assert hashlib.sha256(dataset.annotation_path(case).read_bytes()).hexdigest() == case.annotation_sha256
    source = dataset.archive_of("train")
    assert source is not None
    assert source.sha256 == hashlib.sha256(archives[0].read_bytes()).hexdigest()
    assert not source.verified
    assert len(files_below(tmp_path / "data")) == 2 * 51 + 1


def test_a_second_time_nothing_is_unpacked(tmp_path: Path, archives: tuple[Path, Path]) -> None:
    config = local(tmp_path, *archives)
    download(config)
    (tmp_path / "test" / "images" / "mark").touch()
    download(config)
    assert (tmp_path / "test" / "images" / "mark").exists()
    next((tmp_path / "test" / "annotations").iterdir()).unlink()
    download(config)
    assert not (tmp_path / "test" / "images" / "mark").exists()


def test_an_unpublished_hash_is_an_error_with_both(tmp_path: Path, archives: tuple[Path, Path]) -> None:
    with pytest.raises(VerificationError, match="`allow_unverified=True`") as caught:
        download(local(tmp_path / "data", archives[1], allow_unverified=False))
    assert ARCHIVES["test"].sha256 in str(caught.value)
    assert hashlib.sha256(archives[1].read_bytes()).hexdigest() in str(caught.value)
    assert not (tmp_path / "data").exists()
    assert archives[1].exists()


Entries = dict[str, bytes]
GOOD: Entries = {
    f"top/{CASE}.tif": tiff_bytes(draw_tissue(16, 0)[0], "train"),
    f"top/{CASE}.xml": aperio_xml([]).encode(),
}


def pack(path: Path, entries: Entries) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return path


def test_empty_invalid_and_missing_archives_are_one_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="contains no image with an annotation"):
        download(local(tmp_path / "data", pack(tmp_path / "a.zip", {"readme.txt": b""})))
    (tmp_path / "b.zip").write_bytes(b"no archive")
    with pytest.raises(InputError, match="not a zip archive"):
        download(local(tmp_path / "data", tmp_path / "b.zip"))
    with pytest.raises(MissingError, match=r"no archive .*gone.zip"):
        download(local(tmp_path / "data", tmp_path / "gone.zip"))
    with pytest.raises(InputError, match="cannot read"):
        download(local(tmp_path / "data", tmp_path))


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, archives: tuple[Path, Path]) -> dict[str, bytes]:
    return publish(archives, monkeypatch)


def test_archives_are_downloaded_verified_and_unpacked(tmp_path: Path, published: dict[str, bytes]) -> None:
    with drive(like_drive(published)) as (url, asked):
        result = download(DownloadConfig(tmp_path, drive_url=url))
        assert result.unpacked == ("train", "test")
        assert asked == list(published)
        assert all(source.verified for source in result.dataset.archives)
        assert download(DownloadConfig(tmp_path, drive_url=url)).unpacked == ()
        assert len(asked) == 2


@pytest.mark.parametrize(
    ("status", "headers", "body", "reason"),
    [
        (200, {"Content-Type": "text/html"}, VIRUS_PAGE, "cannot scan the file for viruses"),
        (200, {"Content-Type": "application/octet-stream"}, VIRUS_PAGE, "cannot scan the file for viruses"),
        (200, {"Content-Type": "text/html"}, QUOTA_PAGE, "its quota for today is exhausted"),
        (200, {"Content-Type": "text/html"}, b"<html>Sign in", "a web page instead of the file"),
        (200, {"Content-Length": "5000"}, b"PK half of it", "the download"),
        (404, {}, b"", "the server answered 404"),
        (500, {}, b"", "the server answered 500"),
    ],
)
def test_what_is_not_the_file_is_explained_in_one_line(
    tmp_path: Path, status: int, headers: dict[str, str], body: bytes, reason: str
) -> None:
    with drive(lambda _: (status, headers, body)) as (url, _), pytest.raises(DownloadError, match=reason) as caught:
        download(DownloadConfig(tmp_path, drive_url=url))
    assert "\n" not in str(caught.value)
    assert "monuseg download --archive" in str(caught.value)
    assert files_below(tmp_path) == set()


def test_a_file_that_is_not_the_published_one_is_not_kept(tmp_path: Path, published: dict[str, bytes]) -> None:
    with drive(like_drive(published)) as (url, _):
        swapped = dict(zip(published, reversed(published.values()), strict=True))
        with drive(like_drive(swapped)) as (wrong, _), pytest.raises((VerificationError, InputError)):
            download(DownloadConfig(tmp_path, drive_url=wrong, splits=("test",)))
        damaged = {name: body + b"tail" for name, body in published.items()}
        with drive(like_drive(damaged)) as (wrong, _), pytest.raises(VerificationError):
            download(DownloadConfig(tmp_path, drive_url=wrong, splits=("train",)))
        assert files_below(tmp_path) == set()
        assert download(DownloadConfig(tmp_path, drive_url=url)).unpacked == ("train", "test")


def test_an_unreachable_server_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="the download failed"):
        download(DownloadConfig(tmp_path, drive_url="http://127.0.0.1:9/download"))


def test_the_mirror_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert DownloadConfig(tmp_path).drive_url == "https://drive.usercontent.google.com/download"
    monkeypatch.setenv("MONUSEG_DRIVE_URL", "https://mirror.example/get")
    assert DownloadConfig(tmp_path).drive_url == "https://mirror.example/get"


def test_a_damaged_manifest_is_one_error(tmp_path: Path) -> None:
    path = Dataset.manifest_path(tmp_path)
    for content in ("{", "{}", json.dumps({"schema": 99}), json.dumps({"schema": 1, "archives": [{}], "cases": []})):
        path.write_text(content)
        with pytest.raises(InputError, match="monuseg download"):
            Dataset.load(tmp_path)


def test_a_data_set_below_a_file_is_refused(tmp_path: Path, archives: tuple[Path, Path]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        download(local(tmp_path / "file" / "data", archives[1]))
