import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from monuseg_cli.core.home import Home
from monuseg_cli.viewer.find_prediction import find_prediction
from support.tissue import draw_tissue

Monuseg = Callable[..., Result]
RECORD = "slide.geojson.monuseg.json"


@pytest.fixture
def slide(tmp_path: Path, trained_home: Home, monuseg: Monuseg) -> Path:
    """A slide with a prediction in a folder below it."""
    path = tmp_path / "slides" / "slide.png"
    path.parent.mkdir()
    Image.fromarray(draw_tissue(90, seed=2)[0]).save(path)
    words = ("-o", path.parent / "out" / "slide.csv", "-o", path.parent / "out" / "slide.geojson", "--mpp", 0.25)
    result = monuseg("predict", path, *words, "--model", "unet-se", "--engine", "torch", "--home", trained_home.root)
    assert result.exit_code == 0, result.output
    return path


def change(record: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(record.read_text())
    change(content)
    record.write_text(json.dumps(content))


def test_a_prediction_near_the_slide_is_found_by_its_record(slide: Path, tmp_path: Path) -> None:
    out = slide.parent / "out"
    found = find_prediction(slide)
    assert found is not None
    assert found.path == out / "slide.geojson"  # it has outlines
    assert found.mpp == 0.25
    assert found.tissue_mm2
    assert found.about.endswith("unet-se")
    out.rename(tmp_path / "elsewhere")
    assert find_prediction(slide) is None
    away = find_prediction(slide, (tmp_path,))
    assert away is not None
    assert away.path == tmp_path / "elsewhere" / "slide.geojson"
    away.path.unlink()
    table = find_prediction(slide, (tmp_path,))
    assert table is not None
    assert table.path.name == "slide.csv"


def test_a_prediction_on_another_slide_of_that_name_is_not_taken(slide: Path) -> None:
    with slide.open("ab") as file:
        file.write(b"changed")
    assert find_prediction(slide) is None


def test_the_latest_of_several_is_taken(slide: Path) -> None:
    out = slide.parent / "out"
    other = slide.parent / "other"
    other.mkdir()
    for path in out.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    (record,) = other.glob("*.monuseg.json")
    for age, folder in ((-60, out), (60, other)):
        os.utime(record, (record.stat().st_mtime + age,) * 2)
        found = find_prediction(slide)
        assert found is not None
        assert found.path.parent == folder


def test_regions_of_the_prediction_are_shown(slide: Path) -> None:
    (record,) = (slide.parent / "out").glob("*.monuseg.json")
    change(record, lambda content: content["settings"].update(region=[10, 20, 30, 40]))
    part = find_prediction(slide)
    assert part is not None
    assert [roi.name for roi in part.regions] == ["Predicted region"]
    assert not part.in_regions_only
    assert part.regions[0].contains(np.array([(20.0, 10.0), (59, 39), (61, 20), (30, 41)])).tolist() == [
        True, True, False, False,
    ]  # fmt: skip
    ring = [[0, 0], [0, 9], [9, 9]]
    change(record, lambda content: content["settings"].update(rois=[["here", [[ring]]]]))
    named = find_prediction(slide)
    assert named is not None
    assert [(roi.name, roi.area_px) for roi in named.regions] == [("here", 40.5)]
    assert named.in_regions_only


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"image": 3}', '{"image": {"name": "slide.png"}}'])
def test_other_records_are_passed_over(slide: Path, text: str) -> None:
    (slide.parent / "a.monuseg.json").write_text(text)
    assert find_prediction(slide) is not None
