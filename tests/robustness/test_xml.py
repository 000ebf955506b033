"""Annotations that are hostile, damaged or absurd."""

import json
from pathlib import Path

import numpy as np
import pytest

from monuseg_cli.core.home import Home
from monuseg_cli.dataset.manifest import Dataset
from robustness.conftest import Says
from support.processes import measure
from support.table import Row, hold
from support.tissue import aperio_xml, ellipse

ROUND = ellipse(20, 20, 8, 10)
ANGLES = np.arange(5) * 4 * np.pi / 5
STAR = np.column_stack([20 + 15 * np.sin(ANGLES), 20 + 15 * np.cos(ANGLES)])
WELL = aperio_xml([ROUND])
ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "nucleus"}">' for n in range(10))
BOMB = f'<?xml version="1.0"?><!DOCTYPE b [{ENTITIES}]><Annotations>&a9;</Annotations>'
EXTERNAL = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><Annotations>&b;</Annotations>'


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param(WELL[:-40], id="cut"),
        pytest.param("<svg/>", id="other"),
        pytest.param(bytes(range(256)), id="binary"),
        pytest.param(BOMB, id="entities"),
        pytest.param(BOMB.encode("utf-16"), id="entities in UTF-16"),
        pytest.param(EXTERNAL, id="external"),
        pytest.param('<?xml version="1.0" encoding="foo"?><Annotations/>', id="encoding"),
        pytest.param(aperio_xml([ROUND, ROUND * np.nan]), id="nan"),
        pytest.param(aperio_xml([ROUND, ROUND * np.inf]), id="infinite"),
        pytest.param(aperio_xml([ROUND, ROUND * 1e8]), id="huge"),
        pytest.param(WELL.replace('X="', 'X="two', 1), id="words"),
        pytest.param(WELL.replace("X=", "U=", 1), id="no X"),
        pytest.param('<Annotations><Vertex X="1" Y="1"/><Region/></Annotations>', id="before a region"),
    ],
)
def test_annotations_that_are_refused(says: Says, home: Home, content: str | bytes) -> None:
    dataset = Dataset.load(home.dataset)
    path = dataset.annotation_path(dataset.of_split("train")[0])
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    (home.dataset / "masks" / "manifest.json").unlink()
    says("masks", "--home", home.root)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(aperio_xml([STAR]), id="star"),
        pytest.param(aperio_xml([np.concatenate([ROUND, ROUND])]), id="twice around"),
        pytest.param(aperio_xml([np.repeat(ROUND, 50, axis=0)]), id="repeated vertices"),
        pytest.param(aperio_xml([np.array([[-9e6, -9e6], [-9e6, 9e6], [9e6, 9e6], [9e6, -9e6]])]), id="far corners"),
        pytest.param("<Annotations>" + "<a>" * 50_000 + "</a>" * 50_000 + "</Annotations>", id="deep"),
        pytest.param(aperio_xml([ROUND - 1000]), id="negative"),
    ],
)
def test_implausible_outlines_are_refused_or_reported(says: Says, picture: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "a.xml").write_text(content)
    says("show", picture, "--labels", tmp_path / "a.xml", "-o", tmp_path / "shown.png")


@pytest.mark.parametrize("kind", ["10^6 vertices", "10^6 vertices across", "10^4 regions over all"])
def test_a_million_vertices_stay_within_memory(row: Row, picture: Path, tmp_path: Path, kind: str) -> None:
    """In memory that is measured."""
    vertex = '<Vertex X="{}" Y="{}"/>'
    up_and_down = "".join(vertex.format(79 * (n * 37 % 100) / 100, (n % 2) * 10 + 20) for n in range(1000))
    content = {
        "10^6 vertices": "".join(vertex.format(n % 80, 20 + n % 3) for n in range(1000)) * 1000,
        "10^6 vertices across": up_and_down * 1000,
        "10^4 regions over all": "".join(vertex.format(x, y) for x, y in ((0, 0), (80, 0), (80, 80), (0, 80))),
    }[kind]
    regions = 10_000 if "regions" in kind else 1
    region = f"<Region><Vertices>{content}</Vertices></Region>" * regions
    (tmp_path / "a.xml").write_text(f"<Annotations><Annotation><Regions>{region}</Regions></Annotation></Annotations>")
    result, gib = measure("show", picture, "--labels", tmp_path / "a.xml", "-o", tmp_path / "shown.png")
    hold(row, result.returncode, result.stdout, result.stderr, tmp_path)
    assert gib < 1  # without a bound on what is held at a time, the second and third kind take more


def test_a_reference_that_is_hostile(says: Says, tmp_path: Path) -> None:
    for folder in ("predictions", "references"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "predictions" / "a.npy", np.zeros((8, 8), dtype=np.int32))
    (tmp_path / "references" / "a.xml").write_text(EXTERNAL)
    says("evaluate", "--predictions", tmp_path / "predictions", "--reference", tmp_path / "references")


def drawn(kind: str, class_name: str = "", shape: str = "Polygon") -> dict[str, object]:
    """Make an object of QuPath: a square, or a point."""
    coordinates = [[[0, 0], [60, 0], [60, 60], [0, 60], [0, 0]]] if shape == "Polygon" else [5, 5]
    properties = {"objectType": kind, "classification": {"name": class_name}}
    return {"type": "Feature", "geometry": {"type": shape, "coordinates": coordinates}, "properties": properties}


def test_regions_of_interest_of_another_image(says: Says, weights: Path, picture: Path, tmp_path: Path) -> None:
    square = [[[900, 900], [960, 900], [960, 960], [900, 960], [900, 900]]]
    (tmp_path / "rois.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": square}))
    rois = ("--roi", tmp_path / "rois.geojson")
    says("predict", picture, "-o", tmp_path / "m.png", "--model", weights, "--engine", "torch", *rois)


def test_a_whole_export_as_regions_of_interest(says: Says, weights: Path, picture: Path, tmp_path: Path) -> None:
    content = [
        drawn("annotation", "Tumor"),
        drawn("annotation", "Ignore*"),
        drawn("cell"),
        drawn("annotation", "", "Point"),
    ]
    (tmp_path / "rois.geojson").write_text(json.dumps(content))
    rois = ("--roi", tmp_path / "rois.geojson")
    result = says("predict", picture, "-o", tmp_path / "m.png", "--model", weights, "--engine", "torch", *rois)
    assert "picture.png: Tumor" in result.stdout


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(json.dumps({"type": "Polygon", "coordinates": [[[0, 0], [0, float("nan")], [9, 9]]]}), id="nan"),
        pytest.param(json.dumps({"type": "Point", "coordinates": [0, 0]}), id="no polygon"),
        pytest.param(json.dumps(drawn("detection")), id="detections"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param(json.dumps({"type": "Polygon", "coordinates": [[["a", "b"]] * 4]}), id="words"),
        pytest.param("<kml/>", id="other"),
    ],
)
def test_regions_of_interest_that_are_refused(
    says: Says, weights: Path, picture: Path, tmp_path: Path, content: str
) -> None:
    (tmp_path / "rois.geojson").write_text(content)
    rois = ("--roi", tmp_path / "rois.geojson")
    says("predict", picture, "-o", tmp_path / "m.png", "--model", weights, "--engine", "torch", *rois)
