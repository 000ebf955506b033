"""Bytes and tags at random, for a bounded time: whatever is given, an answer or one clear error."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from monuseg_cli.annotations.aperio_xml import read_annotation
from monuseg_cli.core.errors import InputError, MonusegError
from monuseg_cli.dataset.config import DownloadConfig
from monuseg_cli.dataset.download import download
from monuseg_cli.imaging.slide import Slide
from robustness.test_archives import GOOD
from support.fuzz import EXAMPLES, bounded, edited, edits, folder, one_line_about
from support.tissue import aperio_xml, draw_tissue, ellipse

PICTURE, _ = draw_tissue(64, seed=2)
XML = aperio_xml([ellipse(20, 20, 8, 10, vertices=6), ellipse(5, 9, 3, 2, vertices=4)]).encode()

vertices = st.tuples(st.text("0123456789.-+einfaNX_ ", max_size=6), st.text("0123456789.-", max_size=4))


@bounded
@given(edits, st.lists(vertices, max_size=8), st.sampled_from(["Vertex", "Region", "vertex", "Annotations"]))
def test_any_xml_is_read_or_one_error(
    changes: list[tuple[int, int, bytes]], added: list[tuple[str, str]], name: str
) -> None:
    more = "".join(f'<{name} X="{x}" Y="{y}"/>' for x, y in added).encode()
    with folder() as here:
        path = here / "a.xml"
        path.write_bytes(edited(XML.replace(b"</Vertices>", more + b"</Vertices>", 1), changes))
        try:
            annotation = read_annotation(path)
        except InputError as error:
            one_line_about(error, path)
        else:
            assert all(np.isfinite(polygon).all() and len(polygon) >= 3 for polygon in annotation.polygons)


@bounded
@given(edits, st.booleans())
def test_any_archive_is_unpacked_or_one_error(changes: list[tuple[int, int, bytes]], packed: bool) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, entry in GOOD.items():
            archive.writestr(zipfile.ZipInfo(name), entry, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)
    with folder() as here:
        path = here / "a.zip"
        path.write_bytes(edited(content.getvalue(), changes))
        try:
            result = download(DownloadConfig(here / "data", archives=(path,), allow_unverified=True))
        except MonusegError as error:
            one_line_about(error, path)
            assert [file.name for file in here.rglob("*") if file.is_file()] == ["a.zip"]
        else:
            assert all(result.dataset.image_path(case).is_file() for case in result.dataset.cases)
        assert {file.name for file in here.iterdir()} <= {"a.zip", "data"}


def _tiff(**options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, PICTURE, metadata=None, photometric="rgb", **options)
    return file.getvalue()


def _plain(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PICTURE).save(file, kind)
    return file.getvalue()


SLIDES: dict[str, Callable[[], bytes]] = {
    "TIFF": lambda: _tiff(tile=(16, 16)),
    "TIFF of zlib": lambda: _tiff(tile=(32, 32), compression="zlib"),
    "TIFF of LZW": lambda: _tiff(rowsperstrip=16, compression="lzw"),
    "TIFF of JPEG": lambda: _tiff(tile=(32, 32), compression="jpeg"),
    "PNG": lambda: _plain("PNG"),
    "JPEG": lambda: _plain("JPEG"),
    "BMP": lambda: _plain("BMP"),
    "WebP": lambda: _plain("WEBP"),
}


@pytest.mark.parametrize("kind", SLIDES)
@pytest.mark.filterwarnings("ignore")  # of Pillow's and tifffile's, about what they find; the command line shows none
def test_any_slide_is_read_or_one_error(kind: str) -> None:
    whole = SLIDES[kind]()

    @settings(bounded, max_examples=max(EXAMPLES // 4, 1))
    @given(edits, st.booleans())
    def read(changes: list[tuple[int, int, bytes]], at_the_ends: bool) -> None:
        if at_the_ends:  # where heads and tags are
            changes = [(place % 300 - 150, removed, new) for place, removed, new in changes]
        with folder() as here:
            path = here / "a.tif"
            path.write_bytes(edited(whole, changes))
            try:
                with Slide(path) as slide:
                    height, width = (min(side, 64) for side in slide.shape)
                    pixels = slide.read_region(0, 0, 0, height, width)
            except InputError as error:
                one_line_about(error, path)
            else:
                assert pixels.shape == (height, width, 3)
                assert pixels.dtype == np.uint8

    read()
