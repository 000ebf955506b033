import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

from conftest import Monuseg
from monuseg_cli.imaging.slide import Slide


def test_demo_writes_an_overlay_and_names_the_next_command(monuseg: Monuseg, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    result = monuseg("demo", "-o", folder)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "OpenSlide's test data (openslide.org), CC0" in lines[0]
    (seen,) = (line for line in lines if line.startswith("See the outlines: "))
    assert seen.endswith(f" {folder / 'overlay.png'}")
    (seen,) = (line for line in lines if line.startswith("See the report: "))
    assert seen.endswith(f" {folder / 'report.html'}")
    sample, overlay, mask = (
        np.asarray(Image.open(folder / name)) for name in ("tissue.jpg", "overlay.png", "mask.png")
    )
    assert sample.shape == overlay.shape == (512, 512, 3)
    assert 0.01 < (sample != overlay).any(axis=2).mean() < 0.2
    assert 0.02 < (mask > 0).mean() < 0.3
    with Slide(folder / "tissue.jpg") as slide:
        assert round(slide.mpp or 0, 3) == 0.499  # as the file states, so that it can be predicted on like any other
    features = json.loads((folder / "nuclei.geojson").read_text(encoding="utf-8"))["features"]
    with (folder / "nuclei.csv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    again = monuseg("demo", "-o", folder, "--json", "--quiet")  # nothing is left as it is because it was done before
    content = json.loads(again.stdout)
    assert content["prediction"]["nuclei"] == len(features) == len(rows) > 100
    assert f"{len(rows):,}" in (folder / "report.html").read_text(encoding="utf-8")
    assert content["overlay"] == str(folder / "overlay.png")


def test_a_file_as_folder_of_the_demo_is_refused(monuseg: Monuseg, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert monuseg("demo", "-o", tmp_path / "file").exit_code == 5
