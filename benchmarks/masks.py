"""Measure whether making masks is bound by rasterising or by overhead.

Times `build_masks` for every case of the data set, with all its reading and writing, against the least that a plain
solution has to do: parse the XML files with the standard library's parser, take out the vertices and fill each
polygon with scikit-image; nothing is resolved, checked or written. The bar: at most 1.5 times as long.

usage: python benchmarks/masks.py DATASET_FOLDER [ROUNDS]

DATASET_FOLDER is where `monuseg download` put the data (``HOME/data/monuseg``). Its masks are removed and rebuilt.
"""

import shutil
import statistics
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from skimage.draw import polygon

from monuseg_cli.dataset.config import MasksConfig
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.dataset.masks import build_masks, masks_folder


def plain(dataset: Dataset) -> None:
    """Parse with ElementTree and fill with scikit-image, later regions over earlier ones."""
    for case in dataset.cases:
        labels = np.zeros((1000, 1000), dtype=np.int32)
        root = ElementTree.parse(dataset.annotation_path(case)).getroot()
        for number, region in enumerate(root.iter("Region"), start=1):
            vertices = [(float(vertex.attrib["Y"]), float(vertex.attrib["X"])) for vertex in region.iter("Vertex")]
            if len(vertices) >= 3:
                rows, cols = np.array(vertices).T
                rows, cols = polygon(rows, cols, labels.shape)  # type: ignore[no-untyped-call] # scikit-image has no types
                labels[rows, cols] = number


def main() -> None:
    """Alternate between the two, so that the ratio is robust against drifts of the machine's speed."""
    root = Path(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    dataset = Dataset.load(root)
    ratios = []
    for _ in range(rounds):
        began = time.perf_counter()
        plain(dataset)
        middle = time.perf_counter()
        shutil.rmtree(masks_folder(root), ignore_errors=True)
        build_masks(MasksConfig(root))
        ended = time.perf_counter()
        ratios.append((ended - middle) / (middle - began))
        print(f"plain {middle - began:6.2f} s   monuseg masks {ended - middle:6.2f} s   ratio {ratios[-1]:.2f}")
    print(f"{len(dataset.cases)} cases, median ratio {statistics.median(ratios):.2f} (bar: 1.5)")


if __name__ == "__main__":
    main()
