"""Measure how fast nuclei are scored, and how fast a report opens.

usage: python benchmarks/evaluation.py metrics
       python benchmarks/evaluation.py report FILE.html

metrics
    AJI, PQ and detection of a pair of label images of 1000x1000 px with about 1,800 nuclei, against the plain way: for
    every true nucleus, the masks of the predicted ones that it overlaps, compared pixel by pixel. Then of 2000x2000 px
    with four times the nuclei, which should take four times as long.
report
    Seconds from opening the page to its first image shown, in Debian's Chromium, and the file's size.
"""

import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import sync_playwright

from monuseg_cli.metrics.instance import aji, aji_plus, detections, find_overlaps, panoptic_quality

Labels = NDArray[np.int32]
SPACING = 23.5
ROUNDS = 5


def draw(size: int, random: np.random.Generator) -> Labels:
    """Draw discs on a grid, each slightly displaced, so that some touch."""
    labels = np.zeros((size, size), dtype=np.int32)
    centres = np.arange(SPACING / 2, size, SPACING)
    number = 0
    for row in centres:
        for col in centres:
            number += 1
            y, x = np.array([row, col]) + random.normal(0, 2, 2)
            radius = random.uniform(6, 12)
            top, left = max(int(y - radius), 0), max(int(x - radius), 0)
            rows, cols = np.ogrid[top : int(y + radius) + 2, left : int(x + radius) + 2]
            window = labels[top : int(y + radius) + 2, left : int(x + radius) + 2]
            rows, cols = rows[: window.shape[0]], cols[:, : window.shape[1]]
            window[(rows - y) ** 2 + (cols - x) ** 2 < radius**2] = number
    return labels


def ours(reference: Labels, prediction: Labels) -> tuple[float, float]:
    """Score with one table of overlaps."""
    overlaps = find_overlaps(reference, prediction)
    detections(overlaps)
    return aji(overlaps).index, panoptic_quality(overlaps).pq


def plain(reference: Labels, prediction: Labels) -> tuple[float, float]:
    """Score with masks, one pair at a time."""
    masks = {label: prediction == label for label in np.unique(prediction) if label}
    used, iou_sum, matches = set(), 0.0, 0
    above = below = 0
    truths = [label for label in np.unique(reference) if label]
    for label in truths:
        nucleus = reference == label
        best, best_iou, pair = 0, 0.0, (0, int(nucleus.sum()))
        for other in np.unique(prediction[nucleus]):
            if other:
                shared, either = int((nucleus & masks[other]).sum()), int((nucleus | masks[other]).sum())
                if shared / either > best_iou:
                    best, best_iou, pair = other, shared / either, (shared, either)
        above, below = above + pair[0], below + pair[1]
        used.add(best)
        if best_iou > 0.5:
            iou_sum, matches = iou_sum + best_iou, matches + 1
    below += sum(int(mask.sum()) for label, mask in masks.items() if label not in used)
    return above / below, 2 * iou_sum / (len(truths) + len(masks))


def _seconds(score: Callable[[Labels, Labels], object], pair: tuple[Labels, Labels], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        score(*pair)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def metrics() -> None:
    """Print seconds and ratios."""
    random = np.random.default_rng(0)
    small, large = ((draw(size, random), draw(size, random)) for size in (1000, 2000))
    nuclei = len(np.unique(small[0])) - 1
    assert np.allclose(ours(*small), plain(*small), atol=1e-12)
    fast, slow = _seconds(ours, small, ROUNDS), _seconds(plain, small, 1)
    larger = _seconds(ours, large, ROUNDS)
    one_to_one = _seconds(lambda *pair: aji_plus(find_overlaps(*pair)), small, ROUNDS)
    print(f"{nuclei} nuclei: AJI, PQ and detection {fast:.3f} s (bar 0.15), AJI+ {one_to_one:.3f} s")
    print(f"plain {slow:.1f} s: {slow / fast:.0f} times as long (bar 20)")
    print(f"four times the pixels and nuclei: {larger / fast:.2f} times the time (bar 4.6)")


def report(path: Path) -> None:
    """Print the page's size, and how long it takes to open."""
    times = []
    with sync_playwright() as playwright:
        for _ in range(ROUNDS):
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            tab = browser.new_page()
            began = time.perf_counter()
            tab.goto(path.absolute().as_uri())
            tab.wait_for_function("labels.truth && document.getElementById('base').complete")
            times.append(time.perf_counter() - began)
            browser.close()
    print(f"{path.stat().st_size / 1e6:.1f} MB (bar 40), opens in {statistics.median(times):.2f} s (bar 3)")


def main() -> None:
    """Run the benchmark named on the command line."""
    match sys.argv[1:]:
        case ["metrics"]:
            metrics()
        case ["report", path]:
            report(Path(path))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
