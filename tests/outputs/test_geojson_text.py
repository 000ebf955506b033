import uuid

import numpy as np
import pytest
import shapely

from monuseg_cli.imaging.coordinates import Frame
from monuseg_cli.nuclei.shapes import Shapes, outline, to_geojson
from monuseg_cli.nuclei.trace import trace
from monuseg_cli.outputs.geojson_text import geometry_texts, uuid_texts


def shapes_of_noise(step: float, corner: tuple[int, int], size: int = 60) -> Shapes:
    """Build outlines with holes and several parts: of random pixels with three labels."""
    labels = np.random.default_rng(3).integers(0, 4, (size, size)).astype(np.int32)
    return outline(trace(labels), Frame(corner, (step, step), 0.25))


def texts_one_by_one(shapes: Shapes) -> list[str]:
    return list(to_geojson(shapes))


@pytest.mark.parametrize("step", [1.0, 2.0, 0.5, 0.998, 1 / 3, 7.77])
@pytest.mark.parametrize("corner", [(0, 0), (7, 123_456)])
def test_outlines_are_written_as_one_by_one(step: float, corner: tuple[int, int]) -> None:
    shapes = shapes_of_noise(step, corner)
    assert {shape.geom_type for shape in shapes} == {"MultiPolygon"}
    assert list(geometry_texts(shapes)) == texts_one_by_one(shapes)


def test_each_nucleus_has_whole_numbers_or_not_by_itself() -> None:
    shapes = np.array([shapely.box(0, 0, 10, 1000), shapely.box(0.5, 0.25, 9, 3), shapely.box(0.125, 9, 90, 99.04)])
    texts = list(geometry_texts(shapes))
    assert texts == texts_one_by_one(shapes)
    assert "." not in texts[0]
    assert "[0.125,99.04]" in texts[2]
    assert "[9.0," in texts[1]


@pytest.mark.parametrize("place", [-3.0, 0.0001, 1e13])
def test_numbers_of_other_kinds_are_written_one_by_one(place: float) -> None:
    shapes = np.array([shapely.box(place, 0, place + 10, 8), shapely.box(0, 0, 1, 1)])
    assert list(geometry_texts(shapes)) == texts_one_by_one(shapes)


def test_more_outlines_than_fit_at_once_are_all_written() -> None:
    shapes = np.array([shapely.box(number, 0, number + 1, 1) for number in range(1001)])
    assert list(geometry_texts(shapes)) == texts_one_by_one(shapes)
    assert list(geometry_texts(shapes[:0])) == []


def test_ids_are_those_of_uuid5() -> None:
    namespace = uuid.uuid5(uuid.NAMESPACE_URL, "slide.svs")
    names = [f"{x:.3f} {x / 7:.3f}" for x in range(200)]
    assert list(uuid_texts(namespace, names)) == [str(uuid.uuid5(namespace, name)) for name in names]
