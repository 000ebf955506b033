import json
from pathlib import Path

import numpy as np
import tifffile

from conftest import Monuseg
from support.scanners import write_ndpi, write_scn
from support.tissue import draw_tissue

SCAN, _ = draw_tissue(128, seed=3)
MACRO = np.full((1170, 404, 3), 235, np.uint8)


def test_all_images_of_a_file_are_listed_and_the_one_taken_is_marked(monuseg: Monuseg, tmp_path: Path) -> None:
    path = write_scn(tmp_path / "a.scn", [(SCAN, (6_575_000, 32_800_000)), (SCAN[:100], (9_000_000, 9_000_000))], MACRO)
    result = monuseg("slide-info", path)
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["0", "image_1", "macro", "404", "x", "1170", "-", "1"] in rows
    assert ["1", "image_2", "scan", "128", "x", "128", "0.2500", "1", "taken"] in rows
    assert ["2", "image_3", "scan", "128", "x", "100", "0.2500", "1"] in rows
    assert "Scale: 0.2500 um/px (Leica's view)" in result.stdout
    assert "the largest of several images used (number 1 'image_2'); choose another with --series" in result.stdout


def test_another_image_is_shown_where_it_is_asked_for(monuseg: Monuseg, tmp_path: Path) -> None:
    path = write_scn(tmp_path / "a.scn", [(SCAN, (6_575_000, 32_800_000))], MACRO)
    content = json.loads(monuseg("slide-info", path, "--series", 0, "--json").stdout)
    assert (content["series"], content["levels"][0]["shape"], content["mpp"]) == (0, [1170, 404], None)
    assert [image["role"] for image in content["images"]] == ["macro", "scan"]
    assert content["origin"] == [0, 0]


def test_focal_planes_are_counted(monuseg: Monuseg, tmp_path: Path) -> None:
    path = write_ndpi(tmp_path / "a.ndpi", {-3000: SCAN, 0: SCAN, 3000: SCAN}, MACRO[:100])
    shown = monuseg("slide-info", path).stdout
    assert "focal plane 1 of 3 used (z = 0); choose another with --plane" in shown
    content = json.loads(monuseg("slide-info", path, "--plane", 2, "--json").stdout)
    assert (content["plane"], content["images"][0]["planes"]) == (2, 3)


def test_a_file_of_one_image_needs_no_list(monuseg: Monuseg, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", SCAN, photometric="rgb", metadata=None)
    assert "taken" not in monuseg("slide-info", tmp_path / "a.tif").stdout
