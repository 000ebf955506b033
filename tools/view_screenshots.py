"""Make the pictures of docs/view.md: predict on CMU-1, view it, and take screenshots.

usage: python tools/view_screenshots.py CMU-1-Small-Region.svs

The slide is a test slide of OpenSlide, freely distributable: https://openslide.cs.cmu.edu/download/openslide-testdata/
"""

import io
import json
import shutil
import subprocess
import sys
import tempfile
from itertools import takewhile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from monuseg_cli import load

IMAGES = Path(__file__).parents[1] / "docs" / "images"
REGIONS = {
    "Epidermis": [
        (1080, 700), (1250, 560), (1420, 700), (1460, 1000), (1280, 1450), (1150, 1900), (1040, 2250), (960, 2000),
        (1060, 1500), (1130, 1100),
    ],
    "Dermis": [(900, 900), (1050, 900), (1020, 1500), (900, 2200), (780, 2300), (830, 1500)],
}  # fmt: skip
"""Corners of regions, x and y, drawn by eye."""

CLOSE_UP = "#x=0.505&y=0.682&z=5.2&c=2"
_QUALITY = 80


def write_regions(path: Path) -> Path:
    """Write the regions as QuPath does."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[*corners, corners[0]]]},
            "properties": {"objectType": "annotation", "name": name},
        }
        for name, corners in REGIONS.items()
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def take(tab: Page, name: str) -> None:
    """Write a screenshot as JPEG, once all tiles are shown."""
    tab.wait_for_selector('#stage[data-nuclei="ready"][data-settled="true"]')
    tab.wait_for_timeout(500)
    with Image.open(io.BytesIO(tab.screenshot())) as picture:
        picture.convert("RGB").save(IMAGES / name, quality=_QUALITY, optimize=True)


def main(slide: Path, folder: Path) -> None:
    """Write both pictures."""
    copy = folder / slide.name
    shutil.copy(slide, copy)
    load().predict_slide(copy, [copy.with_suffix(".geojson")])
    regions = write_regions(folder / "regions.json")
    words = ["view", str(copy), "--regions", str(regions), "--no-browser", "--json"]
    server = subprocess.Popen([sys.executable, "-m", "monuseg_cli", *words], stdout=subprocess.PIPE, text=True)
    said = takewhile(lambda line: line != "}\n", server.stdout or ())
    address = json.loads("".join(said) + "}")["address"]
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 720})
        tab.goto(address)
        take(tab, "view-slide.jpg")
        tab = browser.new_page(viewport={"width": 1280, "height": 720})
        tab.goto(address + CLOSE_UP)
        tab.wait_for_selector('#stage[data-nuclei="ready"]')
        tab.locator("#slide").click(position={"x": 700, "y": 108})
        take(tab, "view-nuclei.jpg")
        browser.close()
    server.terminate()
    server.wait()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1]), Path(temporary))
