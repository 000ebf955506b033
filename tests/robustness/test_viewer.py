"""Slides, nuclei and settings with which no viewer can be started."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from robustness.conftest import Says

POINT = {"type": "FeatureCollection", "features": [{"geometry": {"type": "Point", "coordinates": [1, 2]}}]}
NUCLEI = {
    "cut short": ("a.geojson", '{"type": "FeatureCollection", "features": [{"type": "Feat'),
    "points": ("a.geojson", json.dumps(POINT)),
    "text": ("a.parquet", "a text that is long enough for a file"),
    "other columns": ("a.csv", "x,y\n1,2\n"),
    "another format": ("a.docx", ""),
    "missing": ("a.geojson", None),
}


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.mark.parametrize("kind", NUCLEI)
def test_nuclei_that_cannot_be_viewed(kind: str, picture: Path, says: Says) -> None:
    name, text = NUCLEI[kind]
    path = picture.with_name(name)
    if text is not None:
        path.write_text(text)
    says("view", picture, "--nuclei", path, "--no-browser")


def test_a_slide_that_does_not_exist(tmp_path: Path, says: Says) -> None:
    says("view", tmp_path / "a.svs", "--no-browser")


def test_a_port_that_is_in_use(picture: Path, taken_port: int, says: Says) -> None:
    says("view", picture, "--port", taken_port, "--no-browser")


def test_a_scale_of_zero(picture: Path, says: Says) -> None:
    says("view", picture, "--mpp", 0, "--no-browser")
