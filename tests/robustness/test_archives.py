"""Archives that are unsafe, damaged or not what they seem."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from robustness.conftest import Says
from support.tissue import aperio_xml, draw_tissue, tiff_bytes

CASE = "TCGA-A7-A13E-01Z-00-DX1"
OTHER = "TCGA-18-5592-01Z-00-DX1"
OF_TEST = "TCGA-HT-8564-01Z-00-DX1"
GOOD = {f"top/{CASE}.tif": tiff_bytes(draw_tissue(16, 0)[0], "train"), f"top/{CASE}.xml": aperio_xml([]).encode()}

Change = Callable[[zipfile.ZipFile], None]


def adding(name: str, content: bytes = b"x") -> Change:
    return lambda archive: archive.writestr(zipfile.ZipInfo(name), content)


def adding_case(stem: str) -> Change:
    def change(archive: zipfile.ZipFile) -> None:
        for kind in ("tif", "xml"):
            archive.writestr(f"top/{stem}.{kind}", b"x")

    return change


def link(archive: zipfile.ZipFile) -> None:
    entry = zipfile.ZipInfo("top/link.tif")
    entry.external_attr = 0o120777 << 16
    archive.writestr(entry, "/etc/passwd")


def encrypted(archive: zipfile.ZipFile) -> None:
    archive.filelist[0].flag_bits |= 1


def claiming(size: int, entries: int = 1) -> Change:
    """Add entries that state a size which is not theirs."""

    def change(archive: zipfile.ZipFile) -> None:
        for number in range(entries):
            archive.writestr(f"top/{number}.txt", b"content")
            archive.filelist[-1].file_size = size

    return change


def longer_than_stated(archive: zipfile.ZipFile) -> None:
    archive.filelist[0].file_size = 10


def by_lzma(archive: zipfile.ZipFile) -> None:
    archive.writestr("top/readme.txt", bytes(100), zipfile.ZIP_LZMA)


def nested(archive: zipfile.ZipFile) -> None:
    archive.filelist.clear()
    archive.writestr("inner.zip", b"PK")


def a_page_for_an_annotation(archive: zipfile.ZipFile) -> None:
    archive.writestr(f"top/{OTHER}.xml", b"<html/>")
    archive.writestr(f"top/{OTHER}.tif", b"x")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(adding("../evil.tif"), id="climbing"),
        pytest.param(adding("/etc/evil.tif"), id="absolute"),
        pytest.param(adding("a\\..\\..\\evil.tif"), id="backslashes"),
        pytest.param(adding("C:/evil.tif"), id="drive"),
        pytest.param(link, id="link"),
        pytest.param(encrypted, id="encrypted"),
        pytest.param(claiming(65 << 20), id="large entry"),
        pytest.param(claiming(60 << 20, 20), id="large in all"),
        pytest.param(longer_than_stated, id="longer than stated"),
        pytest.param(by_lzma, id="lzma"),
        pytest.param(adding(f"elsewhere/{CASE}.tif"), id="twice"),
        pytest.param(nested, id="nested"),
        pytest.param(adding(f"top/{OTHER}.tif"), id="image alone"),
        pytest.param(adding(f"top/{OTHER}.xml"), id="annotation alone"),
        pytest.param(lambda archive: [adding(f"top/other.{kind}")(archive) for kind in ("tif", "xml")], id="no case"),
        pytest.param(
            lambda archive: [adding(f"{OF_TEST}.{kind}")(archive) for kind in ("tif", "xml")], id="both splits"
        ),
        pytest.param(a_page_for_an_annotation, id="page"),
    ],
)
def test_entries_that_are_refused(says: Says, tmp_path: Path, change: Change) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in GOOD.items():
            archive.writestr(zipfile.ZipInfo(name), content)
        change(archive)
    says("download", "--archive", tmp_path / "a.zip", "--allow-unverified", "--home", tmp_path / "new")


def cut(content: bytes) -> bytes:
    return content[:-200]


def flipped(content: bytes) -> bytes:
    return content[:140] + bytes([content[140] ^ 0xFF]) + content[141:]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(cut, id="cut"),
        pytest.param(flipped, id="flipped"),
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: b"no archive", id="text"),
    ],
)
def test_files_that_are_no_whole_archive(says: Says, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in GOOD.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    (tmp_path / "a.zip").write_bytes(damage((tmp_path / "a.zip").read_bytes()))
    says("download", "--archive", tmp_path / "a.zip", "--allow-unverified", "--home", tmp_path / "new")


def test_an_archive_of_the_split_that_is_left_out(says: Says, small_archive: Path, tmp_path: Path) -> None:
    words = ("--archive", small_archive, "--allow-unverified", "--split", "train", "--home", tmp_path / "new")
    says("download", *words)


def test_two_archives_of_one_split(says: Says, small_archive: Path, tmp_path: Path) -> None:
    """None of them is unpacked, since it is unclear which is meant."""
    copy = shutil.copy(small_archive, tmp_path / "copy.zip")
    words = ("--archive", small_archive, "--archive", copy, "--allow-unverified", "--home", tmp_path / "new")
    says("download", *words)
