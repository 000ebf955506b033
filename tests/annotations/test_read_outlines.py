import json
from pathlib import Path

import numpy as np
import pytest

from monuseg_cli.annotations.read_labels import read_labels_of
from monuseg_cli.annotations.read_outlines import read_outlines, require_annotated_part, require_pixels
from monuseg_cli.core.errors import InputError
from monuseg_cli.nuclei.polygons import area_of
from monuseg_cli.nuclei.rasterise import rasterise
from monuseg_cli.nuclei.trace import trace
from support.own import feature, region, write_geojson
from support.tissue import Polygon, draw_tissue, ellipse

NUCLEI = [ellipse(20, 20, 6, 8), ellipse(60, 30, 7, 7), ellipse(40, 70, 8, 6)]
AROUND = ellipse(45, 45, 44, 44)
SHAPE = (96, 96)


def written(path: Path, *features: dict[str, object]) -> Path:
    write_geojson(path, features)
    return path


def drawn(polygons: list[Polygon]) -> np.ndarray:
    return rasterise(polygons, SHAPE).labels > 0


@pytest.mark.parametrize(
    ("around", "reason"),
    [
        (feature(AROUND), "outlines around other objects"),
        (feature(AROUND, classification={"name": "Tumor"}), "outlines around other objects"),
        (feature(AROUND, classification={"name": "Tissue"}), "class Tissue"),
        (feature(AROUND, classification="Ignore*"), "class Ignore*"),
        (feature(AROUND, objectType="tile"), "tiles"),
        (feature(AROUND, objectType="tma_core"), "TMA cores"),
    ],
)
@pytest.mark.parametrize("kind", ["annotation", "detection"])
def test_outlines_around_nuclei_are_left_out(tmp_path: Path, around: dict[str, object], reason: str, kind: str) -> None:
    nuclei = [feature(polygon, objectType=kind) for polygon in NUCLEI]
    read = read_labels_of(written(tmp_path / "a.geojson", around, *nuclei), SHAPE)
    assert np.array_equal(read.labels > 0, drawn(NUCLEI))
    assert dict(read.left_out) == {reason: 1}


def test_one_detection_inside_makes_a_parent_and_one_outline_inside_does_not(tmp_path: Path) -> None:
    large, small = ellipse(45, 45, 12, 12), ellipse(45, 45, 4, 4)
    path = written(tmp_path / "a.geojson", feature(large), feature(small, objectType="detection"))
    assert read_outlines(path).left_out == {"outlines around other objects": 1}
    assert len(read_outlines(written(tmp_path / "b.geojson", feature(large), feature(small))).nuclei) == 2
    slips = [feature(ellipse(40, 45, 0.4, 0.4)), feature(ellipse(50, 45, 0.4, 0.4))]
    assert len(read_outlines(written(tmp_path / "c.geojson", feature(large), *slips)).nuclei) == 3


@pytest.mark.parametrize("object_type", ["annotation", ""])
def test_a_drawn_outline_around_many_nuclei_is_none_whatever_its_class(tmp_path: Path, object_type: str) -> None:
    around = feature(AROUND, objectType=object_type, classification={"name": "Nuclei"})
    many = [feature(ellipse(row, col, 4, 4)) for row in (25, 45, 65) for col in (25, 65)]
    outlines = read_outlines(written(tmp_path / "a.geojson", around, *many))
    assert (len(outlines.nuclei), outlines.left_out) == (6, {"outlines around other objects": 1})
    few = read_outlines(written(tmp_path / "b.geojson", around, *many[:4]))  # nucleoli, say
    assert (len(few.nuclei), few.left_out) == (5, {})


def test_a_single_outline_as_large_as_tissue_is_left_out(tmp_path: Path) -> None:
    shape, tissue = (400, 400), ellipse(200, 200, 150, 150)
    path = written(tmp_path / "a.geojson", feature(tissue))
    with pytest.raises(InputError, match=r"contains no nuclei, only outlines the size of tissue \(1\)"):
        read_labels_of(path, shape, 0.25)
    beside = written(tmp_path / "b.geojson", feature(tissue), feature(ellipse(20, 20, 8, 8)))
    for mpp in (0.25, None):
        read = read_labels_of(beside, shape, mpp)
        assert (read.labels > 0).sum() == pytest.approx(64 * np.pi, rel=0.05)
        assert read.left_out == {"outlines the size of tissue": 1}
    enlarged = written(tmp_path / "d.geojson", feature(ellipse(200, 200, 70, 70)))  # a nucleus of 154 um2 at 0.1 um/px
    assert read_labels_of(enlarged, shape, 0.1).labels.max() == read_labels_of(enlarged, shape, None).labels.max() == 1
    found = written(tmp_path / "c.geojson", feature(tissue, objectType="detection"))
    assert (read_labels_of(found, shape, 0.25).labels > 0).sum() == pytest.approx(np.pi * 150**2, rel=0.02)


def test_a_file_of_other_things_alone_is_an_error(tmp_path: Path) -> None:
    point: dict[str, object] = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [3, 4]}}
    path = written(tmp_path / "a.geojson", point, point, feature(AROUND, classification="Tissue"))
    with pytest.raises(
        InputError, match=r"a.geojson contains no nuclei, only class Tissue \(1\), points \(2\); export"
    ):
        read_outlines(path)


def test_parts_and_holes_of_one_nucleus_are_kept_whole(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, dtype=np.int32)
    labels[10:30, 10:30], labels[15:20, 15:20], labels[40:50, 60:70] = 1, 0, 1
    labels[60:80, 20:40] = 2
    contours = trace(labels)
    features: list[dict[str, object]] = []
    for number in (1, 2):
        rings = [contours.ring(int(index))[:, ::-1].tolist() for index in np.flatnonzero(contours.labels == number)]
        holes = contours.holes[contours.labels == number]
        outer = [[ring] for ring, hole in zip(rings, holes, strict=True) if not hole]
        outer[0] += [ring for ring, hole in zip(rings, holes, strict=True) if hole]
        geometry = {"type": "MultiPolygon", "coordinates": outer}
        features.append({"type": "Feature", "geometry": geometry, "properties": {"objectType": "detection"}})
    outlines = read_outlines(written(tmp_path / "a.geojson", *features))
    assert [area_of(ring) for ring in outlines.nuclei] == [475, 400]
    raster = rasterise(outlines.nuclei, SHAPE)
    np.testing.assert_array_equal(raster.labels, labels)


XML = '<Annotations MicronsPerPixel="0.25">{}</Annotations>'
LAYER = '<Annotation Id="1" Name="{}">{}<Regions>{}</Regions></Annotation>'
DESCRIPTION = '<Attributes><Attribute Name="Description" Id="0" Value="{}"/></Attributes>'


def region_xml(polygon: Polygon, text: str = "") -> str:
    vertices = "".join(f'<Vertex X="{col}" Y="{row}"/>' for row, col in polygon)
    own = DESCRIPTION.format("of a region")
    return f'<Region Id="1" Text="{text}">{own}<Vertices>{vertices}</Vertices></Region>'


@pytest.mark.parametrize("layer", [("Tissue", ""), ("", DESCRIPTION.format("tissue outline"))])
def test_a_layer_of_tissue_in_an_xml_holds_no_nuclei(tmp_path: Path, layer: tuple[str, str]) -> None:
    nuclei = LAYER.format("Nuclei", "", "".join(map(region_xml, NUCLEI)))
    path = tmp_path / "a.xml"
    path.write_text(XML.format(nuclei + LAYER.format(*layer, region_xml(AROUND))))
    read = read_labels_of(path, SHAPE)
    assert np.array_equal(read.labels > 0, drawn(NUCLEI))
    assert list(read.left_out.values()) == [1]
    assert "tissue" in next(iter(read.left_out)).lower()


def negative_xml(polygon: Polygon) -> str:
    return region_xml(polygon).replace("<Region ", '<Region NegativeROA="1" ')


def test_a_negative_region_inside_an_outline_of_its_layer_is_a_hole(tmp_path: Path) -> None:
    outer, hole = ellipse(45, 45, 20, 20), ellipse(45, 45, 5, 5)
    same = LAYER.format("", "", negative_xml(hole) + region_xml(outer))
    apart = LAYER.format("a", "", region_xml(outer)) + LAYER.format("b", "", negative_xml(hole))
    alone = LAYER.format("", "", negative_xml(hole))
    for layers, nuclei, pixels in (
        (same, 1, drawn([outer]) & ~drawn([hole])),
        (apart, 2, drawn([outer])),
        (alone, 1, drawn([hole])),
    ):
        (tmp_path / "a.xml").write_text(XML.format(layers))
        read = read_labels_of(tmp_path / "a.xml", SHAPE)
        assert len(np.unique(read.labels)) - 1 == nuclei
        assert np.array_equal(read.labels > 0, pixels)


def test_negative_regions_inside_a_parent_stay_nuclei(tmp_path: Path) -> None:
    layer = LAYER.format("", "", region_xml(AROUND) + "".join(map(region_xml, NUCLEI[:2])) + negative_xml(NUCLEI[2]))
    (tmp_path / "a.xml").write_text(XML.format(layer))
    read = read_labels_of(tmp_path / "a.xml", SHAPE)
    assert np.array_equal(read.labels > 0, drawn(NUCLEI))
    assert read.left_out == {"outlines around other objects": 1}


def test_a_layer_of_regions_in_an_xml_marks_the_annotated_part(tmp_path: Path) -> None:
    box = np.array([(0, 0), (0, 48), (96, 48), (96, 0)])
    layers = LAYER.format("", "", "".join(map(region_xml, NUCLEI))) + LAYER.format("Region", "", region_xml(box, "val"))
    (tmp_path / "a.xml").write_text(XML.format(layers))
    (found,) = read_outlines(tmp_path / "a.xml").regions
    assert (found.name, found.box) == ("val", (0, 0, 96, 48))


@pytest.mark.parametrize("class_name", ["Region*", "Region", "region"])
def test_a_region_is_one_with_and_without_its_star(tmp_path: Path, class_name: str) -> None:
    rectangle = region("val", 10, 20, 30, 40)
    rectangle["properties"] = {"name": "val", "objectType": "annotation", "classification": class_name}
    outlines = read_outlines(written(tmp_path / "a.geojson", rectangle, *map(feature, NUCLEI)))
    assert [(one.name, one.box) for one in outlines.regions] == [("val", (10, 20, 30, 40))]
    assert len(outlines.nuclei) == 3


def test_nothing_is_labelled_outside_of_regions(tmp_path: Path) -> None:
    boxes = [(10, 5, 30, 40), (30, 60, 40, 36)]
    features = [region("", *box) for box in boxes] + [feature(polygon) for polygon in NUCLEI]
    read = read_labels_of(written(tmp_path / "a.geojson", *features), SHAPE)
    inside = np.zeros(SHAPE, dtype=bool)
    for row, col, height, width in boxes:
        inside[row : row + height, col : col + width] = True
    np.testing.assert_array_equal(read.labels > 0, drawn(NUCLEI) & inside)
    assert len(np.unique(read.labels)) == 3  # the background, and the two nuclei that reach into a region


@pytest.mark.parametrize("mpp", [0.25, 0.5, None])
def test_coordinates_in_micrometres_are_refused(tmp_path: Path, mpp: float | None) -> None:
    _, polygons = draw_tissue(256, seed=3)
    scale = mpp or 0.5
    path = written(tmp_path / "um.geojson", *(feature(polygon * scale) for polygon in polygons))
    size = 256 * scale
    with pytest.raises(InputError, match=rf"like micrometres: all are within {size:g} x {size:g}.*by {scale:g} um/px"):
        read_labels_of(path, (256, 256), mpp)
    pixels = written(tmp_path / "px.geojson", *(feature(polygon) for polygon in polygons))
    require_pixels(pixels, read_outlines(pixels), (256, 256), mpp)


def test_small_nuclei_in_a_corner_do_not_count_as_micrometres(tmp_path: Path) -> None:
    corner = [ellipse(row, col, 6, 6) for row in (15, 40) for col in (15, 40)]
    path = written(tmp_path / "a.geojson", *map(feature, corner))
    assert read_labels_of(path, (400, 400), 0.25).labels.max() == 4


@pytest.mark.parametrize(
    ("shape", "nuclei", "mpp", "is_slide", "is_refused"),
    [
        ((5000, 5001), 10_000, 0.25, False, True),
        ((5000, 5000), 10_000, 0.25, False, False),  # as many as 1.6 mm2 may well have
        ((5000, 5000), 100, 0.25, False, True),
        ((2000, 2001), 1000, 0.25, True, True),
        ((2000, 2001), 60, 0.25, False, False),
        ((2000, 2001), 60, 0.5, False, True),
        ((2000, 2001), 40, None, False, True),
        ((2000, 2000), 0, 0.25, True, False),
    ],
)
def test_outlines_on_a_whole_slide_need_a_region(
    shape: tuple[int, int], nuclei: int, mpp: float | None, is_slide: bool, is_refused: bool
) -> None:
    if is_refused:
        with pytest.raises(InputError, match=r'on a whole slide.*; draw a rectangle of class "Region\*"'):
            require_annotated_part(Path("a.geojson"), (), nuclei, shape, mpp, is_slide)
    else:
        require_annotated_part(Path("a.geojson"), (), nuclei, shape, mpp, is_slide)


def test_what_qupath_itself_writes_for_a_cell_with_several_parts(tmp_path: Path) -> None:
    cell = feature(ellipse(40, 40, 20, 20), objectType="cell")
    parts = [feature(ellipse(40, 30, 4, 4))["geometry"], feature(ellipse(40, 50, 4, 4))["geometry"]]
    cell["nucleusGeometry"] = {
        "type": "MultiPolygon",
        "coordinates": [json.loads(json.dumps(part))["coordinates"] for part in parts],
    }
    read = read_labels_of(written(tmp_path / "a.geojson", cell), SHAPE)
    assert read.labels.max() == 1
    assert (read.labels > 0).sum() == pytest.approx(2 * np.pi * 16, rel=0.1)
