"""Classes as QuPath exports them: regions around nuclei, and nuclei with a class each."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Told
from monuseg_cli.classification.annotated_classes import BLOCK_UM, read_class_annotations
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.progress import SILENT
from support.classes import COLOURS, box, classified, write_features

CENTRES = np.array([(50.0, 50.0), (50.0, 150.0), (250.0, 50.0), (900.0, 900.0)])
"""Row and column: in the first region, in the second, in the third, in none."""

REGIONS = [
    classified(box(0, 0, 100, 100), "Round"),
    classified(box(0, 100, 100, 100), "Long"),
    classified(box(200, 0, 100, 100), "Round"),
]


def assigned(path: Path, features: list[dict[str, Any]], um_per_px: float = 0.5) -> list[tuple[int, str, str]]:
    found = read_class_annotations(write_features(path / "a.geojson", features)).assign(CENTRES, um_per_px)
    return list(zip(found.index.tolist(), found.names, found.groups, strict=True))


def test_nuclei_have_the_class_of_the_region_around_them(tmp_path: Path) -> None:
    expected = [(0, "Round", "region 1"), (1, "Long", "region 2"), (2, "Round", "region 3")]
    assert assigned(tmp_path, REGIONS) == expected


def test_nuclei_with_classes_of_their_own_are_grouped_by_regions_or_squares(tmp_path: Path) -> None:
    nuclei = [
        classified(box(40, 40, 20, 20), "Round", "detection"),
        classified(box(40, 140, 20, 20), "Long", "cell"),
        classified(box(890, 890, 20, 20), "Long", "detection"),
    ]
    frames = [classified(box(0, 0, 200, 200), "Region*"), classified(box(800, 800, 200, 200), "")]
    assert assigned(tmp_path, [*nuclei, *frames]) == [
        (0, "Round", "frame 1"),
        (1, "Long", "frame 1"),
        (3, "Long", "frame 2"),
    ]
    side = int(900 * 0.5 // BLOCK_UM)
    assert assigned(tmp_path, nuclei) == [
        (0, "Round", "square 0, 0"),
        (1, "Long", "square 0, 0"),
        (3, "Long", f"square {side}, {side}"),
    ]


def test_nuclei_in_objects_of_several_classes_have_none(tmp_path: Path) -> None:
    features = [*REGIONS, classified(box(0, 0, 60, 60), "Long"), classified(box(200, 0, 60, 60), "Round")]
    found = read_class_annotations(write_features(tmp_path / "a.geojson", features)).assign(CENTRES, 0.5)
    assert found.index.tolist() == [1, 2]
    assert found.unclear == 1


def test_objects_without_a_nucleus_are_counted(tmp_path: Path) -> None:
    features = [
        *REGIONS,
        classified(box(500, 0, 60, 60), "Long"),
        classified(box(600, 0, 60, 60), "Long"),
        classified(box(700, 0, 60, 60), "Round"),
        classified(box(40, 40, 20, 20), "Round", "detection"),
        classified(box(440, 40, 20, 20), "Round", "detection"),
    ]
    found = read_class_annotations(write_features(tmp_path / "a.geojson", features)).assign(CENTRES, 0.5)
    assert found.empty_regions == {"Long": 2, "Round": 1}
    assert found.empty_nuclei == 1


def test_what_is_no_class_is_left_out_and_counted(tmp_path: Path) -> None:
    others = [
        classified(box(0, 0, 100, 100), "Ignore*"),
        classified(box(0, 0, 100, 100), "Nucleus", "detection"),
        classified(box(0, 0, 100, 100), "", "detection"),
        classified(box(0, 0, 100, 100), "Round", "tile"),
    ]
    told = Told()
    path = write_features(tmp_path / "a.geojson", [*REGIONS, *others])
    assert read_class_annotations(path, told).names == ["Round", "Long", "Round"]
    assert told.lines == [
        f"left out of {path}: class Ignore* (1), nuclei without a class (2), objects of type tile (1)"
    ]
    with pytest.raises(InputError, match=r"has no object with a class, only .*; give regions or nuclei a class"):
        read_class_annotations(write_features(tmp_path / "b.geojson", others))


def test_regions_without_a_class_are_left_out_unless_they_group_nuclei(tmp_path: Path) -> None:
    frame, nucleus = classified(box(0, 0, 90, 90), ""), classified(box(40, 40, 20, 20), "Round", "detection")
    path, told = tmp_path / "a.geojson", Told()
    read_class_annotations(write_features(path, [*REGIONS, nucleus, frame]), told)
    assert told.lines == []
    read_class_annotations(write_features(path, [*REGIONS, frame]), told)
    assert told.lines == [f"left out of {path}: regions without a class (1)"]


@pytest.mark.parametrize(
    ("classification", "colour"),
    [
        ({"name": "Round", "color": [200, 40, 10]}, (200, 40, 10)),
        ({"name": "Round", "colorRGB": -3_670_006}, (200, 0, 10)),
        ({"name": "Round", "color": [200, 40, 1000]}, None),
        ({"name": "Round"}, None),
        ("Round", None),
    ],
)
def test_colours_are_read_as_the_versions_of_qupath_write_them(
    tmp_path: Path, classification: object, colour: tuple[int, ...] | None
) -> None:
    feature = classified(box(0, 0, 100, 100), "")
    feature["properties"]["classification"] = classification
    found = read_class_annotations(write_features(tmp_path / "a.geojson", [feature]))
    assert found.names == ["Round"]
    assert found.colours == ({"Round": colour} if colour else {})


def test_a_region_that_crosses_itself_is_what_its_outline_surrounds(tmp_path: Path) -> None:
    bow = np.array([(0, 0), (100, 100), (100, 0), (0, 100)], dtype=np.float64)
    found = read_class_annotations(write_features(tmp_path / "a.geojson", [classified(bow, "Round")]))
    assert found.assign(np.array([(90.0, 50.0), (50.0, 90.0)]), 0.5).index.tolist() == [0]


@pytest.mark.parametrize("name", ["a\nb", "x" * 101])
def test_names_that_no_table_can_show_are_refused(tmp_path: Path, name: str) -> None:
    path = write_features(tmp_path / "a.geojson", [classified(box(0, 0, 9, 9), name)])
    with pytest.raises(InputError, match="must be printable, and have at most 100 characters"):
        read_class_annotations(path)


def test_the_surroundings_of_all_objects_are_known(tmp_path: Path) -> None:
    found = read_class_annotations(write_features(tmp_path / "a.geojson", REGIONS), SILENT)
    (roi,) = found.around(0.5)
    points = np.array([(50.0, 50.0), (50.0, 299.0), (399.0, 50.0), (50.0, 301.0)])
    assert roi.contains(points).tolist() == [True, True, True, False]
    assert set(COLOURS) == set(found.colours)
