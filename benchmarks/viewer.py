"""Time the viewer on a large slide: start, first view, single tiles, and memory.

usage: python benchmarks/viewer.py SLIDE.tif [NUCLEI]

SLIDE is made by `benchmarks/make_slide.py`. NUCLEI outlines of random size (200000 by default) are placed on its
tissue, and written beside it. The first view is timed in a headless Chromium.
"""

import json
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import sync_playwright

from monuseg_cli.imaging.slide import Slide
from monuseg_cli.viewer.pyramid import TILE_PX, Pyramid

LARGEST_FIRST_VIEW_S = 1.0
LARGEST_TILE_S = 0.1
LARGEST_MEMORY_BYTES = 1 << 30
_GLASS = 235
_TILES_PER_LEVEL = 12
_POINTS = 40


def centres(slide: Path, count: int) -> NDArray[np.float64]:
    """Draw positions on tissue, (count, 2), row and column; the darker the tissue, the more."""
    random = np.random.default_rng(0)
    with Slide(slide) as opened:
        level = opened.levels[-1]
        small = opened.read_region(len(opened.levels) - 1, 0, 0, *level.shape)
    weight = (_GLASS - small.mean(axis=-1)).clip(0) ** 2
    cells = random.choice(weight.size, count, p=(weight / weight.sum()).ravel())
    places = np.stack(np.unravel_index(cells, weight.shape), axis=1)
    return np.asarray((places + random.random((count, 2))) * level.downsample)


def write_nuclei(slide: Path, count: int) -> Path:
    """Write outlines as GeoJSON that follows pixel edges to the pixel."""
    path = slide.with_name(f"{slide.stem}-{count}.geojson")
    random = np.random.default_rng(1)
    angles = np.linspace(0, 2 * np.pi, _POINTS)
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type":"FeatureCollection","features":[')
        for number, (row, col) in enumerate(centres(slide, count).tolist()):
            tall, wide = random.gamma(20, 0.6, 2)
            turn = random.uniform(0, np.pi)
            down, right = tall * np.sin(angles), wide * np.cos(angles)
            x = (col + right * np.cos(turn) + down * np.sin(turn)).round().astype(int)
            y = (row + down * np.cos(turn) - right * np.sin(turn)).round().astype(int)
            measurements = {"Area µm^2": tall * wide * np.pi / 16, "Probability": random.uniform(0.5, 1)}
            feature = {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [np.stack([x, y], axis=1).tolist()]},
                "properties": {"objectType": "detection", "name": str(number + 1), "measurements": measurements},
            }
            file.write(("," if number else "") + "\n" + json.dumps(feature, separators=(",", ":"), ensure_ascii=False))
        file.write("\n]}\n")
    return path


def tile_seconds(address: str, pyramid: Pyramid, kind: str, finer: int) -> Iterator[float]:
    """Yield the time that each of some tiles of every level takes, when it is asked for first."""
    random = np.random.default_rng(2)
    for level in range(pyramid.first, pyramid.full + finer + 1):
        rows, cols = (int(np.ceil(side / pyramid.step(level) / TILE_PX)) for side in pyramid.shape)
        for _ in range(min(_TILES_PER_LEVEL, rows * cols)):
            row, col = random.integers(rows), random.integers(cols)
            began = time.perf_counter()
            urllib.request.urlopen(f"{address}{kind}/{level}/{row}/{col}").read()
            yield time.perf_counter() - began


def first_view(address: str) -> tuple[float, float]:
    """Return the seconds until the page shows the slide, and until it shows the nuclei."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 860})
        began = time.perf_counter()
        tab.goto(address)
        tab.wait_for_selector('#stage[data-settled="true"]')
        slide = time.perf_counter() - began
        tab.wait_for_selector('#stage[data-nuclei="ready"][data-settled="true"]', timeout=120_000)
        nuclei = time.perf_counter() - began
        browser.close()
    return slide, nuclei


def peak_bytes(pid: int) -> int:
    """Return the most resident memory that a process has had so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def main(slide: Path, count: int) -> bool:
    """Print the figures; whether all are within their limits."""
    nuclei = write_nuclei(slide, count)
    words = ["view", str(slide), "--nuclei", str(nuclei), "--no-browser", "--json", "--quiet"]
    began = time.perf_counter()
    server = subprocess.Popen([sys.executable, "-m", "monuseg_cli", *words], stdout=subprocess.PIPE, text=True)
    try:
        said = takewhile(lambda line: line != "}\n", server.stdout or ())
        address = json.loads("".join(said) + "}")["address"]
        started = time.perf_counter() - began
        slide_s, nuclei_s = first_view(address)
        with Slide(slide) as opened:
            pyramid = Pyramid(opened.shape)
        images = list(tile_seconds(address, pyramid, "image", 0))
        overlays = [
            *tile_seconds(address, pyramid, "overlay/2/0", 2),
            *tile_seconds(address, pyramid, "overlay/2/1", 2),
        ]
        memory = peak_bytes(server.pid)
    finally:
        server.terminate()
        server.wait()
    print(f"address printed after {started:.2f} s; first view {slide_s:.2f} s, with {count} nuclei {nuclei_s:.2f} s")
    for name, seconds in (("slide", images), ("nuclei", overlays)):
        median, slowest = 1e3 * statistics.median(seconds), 1e3 * max(seconds)
        print(f"tiles of the {name}: median {median:.0f} ms, slowest {slowest:.0f} ms")
    print(f"memory {memory / (1 << 30):.2f} GiB")
    return slide_s < LARGEST_FIRST_VIEW_S and max(images + overlays) < LARGEST_TILE_S and memory < LARGEST_MEMORY_BYTES


if __name__ == "__main__":
    sys.exit(not main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200_000))
