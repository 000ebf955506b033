"""Label images alone, shown on their slide: the same nuclei and numbers as in tables."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage import measure

from conftest import Monuseg, Told
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import Home
from monuseg_cli.nuclei.rasterise import rasterise
from monuseg_cli.viewer.describe import describe, describe_nucleus
from monuseg_cli.viewer.find_prediction import find_prediction
from monuseg_cli.viewer.session import Shown, ViewConfig, ViewSession
from support.tissue import draw_tissue

SIDE_PX = 150
PICTURE, OUTLINES = draw_tissue(SIDE_PX, seed=4)
LABELS = 7 * rasterise(OUTLINES, (SIDE_PX, SIDE_PX)).labels
"""With gaps between the numbers."""

REGIONS: list[Any] = measure.regionprops(LABELS)  # type: ignore[no-untyped-call] # scikit-image has no types


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    tifffile.imwrite(tmp_path / "labels.tif", LABELS)
    Image.fromarray(PICTURE).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def shown(config: ViewConfig, told: Told | None = None) -> Shown:
    with ViewSession(config, told or Told()) as session:
        session.wait()
        if session.shown is None:
            raise session.error or AssertionError
        return session.shown


def test_nuclei_have_the_outlines_of_their_labels_and_the_numbers_of_measure(monuseg: Monuseg, slide: Path) -> None:
    labels, table = slide.with_name("labels.tif"), slide.with_name("m.csv")
    assert monuseg("measure", slide, "--nuclei", labels, "-o", table, "--mpp", 0.25).exit_code == 0
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    nuclei = shown(ViewConfig(slide, labels, mpp=0.25)).nuclei
    assert list(nuclei.names) == [row["id"] for row in rows]
    assert set(nuclei.measurements) == set(rows[0]) - {"id", "row_px", "col_px"}
    for name, values in nuclei.measurements.items():
        np.testing.assert_allclose(values, [float(row[name] or "nan") for row in rows], rtol=1e-6)
    known = {str(one.label): one for one in REGIONS}
    assert known.keys() == set(nuclei.names)
    for index, name in enumerate(nuclei.names):
        np.testing.assert_allclose(nuclei.centres[index], np.add(known[name].centroid, 0.5), atol=1e-3)
        top, left, bottom, right = known[name].bbox
        assert nuclei.boxes[:, index].tolist() == [top, left, bottom, right]


def test_without_a_scale_lengths_and_areas_are_in_pixels(slide: Path) -> None:
    config = ViewConfig(slide, slide.with_name("labels.tif"))
    with ViewSession(config) as session:
        session.wait()
        colours = {choice["name"]: choice.get("unit") for choice in describe(session)["nuclei"]["colours"]}
        row, col = REGIONS[0].centroid
        found = describe_nucleus(session, row + 0.5, col + 0.5)
    assert (colours["Area"], colours["Perimeter"], colours["Solidity"]) == ("px²", "px", "")
    assert found is not None
    (area,) = (value for value in found["values"] if value["name"] == "Area")
    assert (area["unit"], area["value"]) == ("px²", np.count_nonzero(int(found["name"]) == LABELS))


def test_the_label_image_of_a_prediction_is_found_and_its_mask_is_not(
    monuseg: Monuseg, trained_home: Home, slide: Path
) -> None:
    out = slide.parent / "out"
    common = ("--model", "unet-se", "--engine", "torch", "--mpp", 0.25, "--home", trained_home.root, "--overwrite")
    assert monuseg("predict", slide, "-o", out / "a.tif", *common).exit_code == 0
    assert find_prediction(slide) is None
    probability = ("--probability", out / "0.tif")  # earlier in order of name
    assert monuseg("predict", slide, "-o", out / "a.tif", "--labels", *probability, *common).exit_code == 0
    found = find_prediction(slide)
    assert found is not None
    assert found.path == out / "a.tif"
    assert len(shown(ViewConfig(slide)).nuclei) == tifffile.imread(out / "a.tif").max()
    part = ("--region", 10, 20, 100, 90)
    assert monuseg("predict", slide, "-o", out / "a.tif", "--labels", *part, *common).exit_code == 0
    assert find_prediction(slide) is None


def test_labels_of_another_image_are_refused(slide: Path) -> None:
    tifffile.imwrite(slide.with_name("small.tif"), LABELS[:90])
    with pytest.raises(InputError, match=r"small\.tif: the labels are 150x90 pixels, the image is 150x150"):
        shown(ViewConfig(slide, slide.with_name("small.tif")))
