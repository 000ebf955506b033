from pathlib import Path

import numpy as np
import pytest

from monuseg_cli.annotations.aperio_xml import read_annotation, read_mpp
from monuseg_cli.core.errors import InputError, MissingError
from support.tissue import aperio_xml, ellipse

TRIANGLE = np.array([[1.0, 2.0], [3.5, 4.0], [5.0, 0.25]])


def xml(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "a.xml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_vertices_come_as_row_and_column(tmp_path: Path) -> None:
    annotation = read_annotation(xml(tmp_path, aperio_xml([TRIANGLE, ellipse(9, 9, 2, 3)], mpp=0.2465)))
    np.testing.assert_array_equal(annotation.polygons[0], TRIANGLE)
    assert [len(polygon) for polygon in annotation.polygons] == [3, 24]
    assert annotation.mpp == 0.2465
    assert annotation.drawn_areas_px[0] == pytest.approx(6.1875, abs=0.05)


def test_every_annotation_counts_also_behind_an_empty_one(tmp_path: Path) -> None:
    region = (
        '<Region Id="7"><Vertices><Vertex X="1" Y="1"/><Vertex X="5" Y="1"/><Vertex X="5" Y="5"/></Vertices></Region>'
    )
    text = (
        f"<Annotations><Annotation><Regions>{region}</Regions></Annotation><Annotation><Regions/></Annotation>"
        f"<Annotation><Regions>{region.replace('7', '3')}</Regions></Annotation></Annotations>"
    )
    annotation = read_annotation(xml(tmp_path, text))
    assert len(annotation.polygons) == 2
    assert annotation.mpp is None
    assert np.isnan(annotation.drawn_areas_px).all()


def test_regions_of_fewer_than_three_vertices_are_counted(tmp_path: Path) -> None:
    line = '<Region Area="0.0"><Vertices><Vertex X="1" Y="1"/><Vertex X="2" Y="2"/></Vertices></Region><Region/>'
    annotation = read_annotation(xml(tmp_path, aperio_xml([TRIANGLE], more=line)))
    assert (len(annotation.polygons), annotation.degenerate) == (1, 2)
    assert len(annotation.drawn_areas_px) == 1


def test_a_file_without_regions_is_empty_and_no_error(tmp_path: Path) -> None:
    annotation = read_annotation(xml(tmp_path, "<Annotations><Annotation/></Annotations>"))
    assert (annotation.polygons, annotation.degenerate) == ((), 0)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no annotation .*gone.xml"):
        read_annotation(tmp_path / "gone.xml")


def test_the_scale_is_read_without_the_rest(tmp_path: Path) -> None:
    assert read_mpp(xml(tmp_path, '<Annotations MicronsPerPixel="0.5005"><Annotation> cut')) == 0.5005
    assert read_mpp(xml(tmp_path, "<Annotations/>")) is None
    assert read_mpp(xml(tmp_path, '<Annotations MicronsPerPixel="-1"/>')) is None
    with pytest.raises(InputError, match="not an Aperio annotation"):
        read_mpp(xml(tmp_path, "<html/>"))
