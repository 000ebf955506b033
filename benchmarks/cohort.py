"""Compute what the prediction of a cohort costs, from one slide that is measured.

usage: python benchmarks/cohort.py HOME SLIDE [--slides N] [--mm2 AREA] [--cores N]

Predicts on SLIDE in a process of its own, with a mask, GeoJSON, a table and GeoParquet, and measures its seconds, its
CPU time, its peak memory, and the bytes that it reads and writes. Everything but memory is proportional to the area of
tissue, so it is multiplied with that of the cohort: N slides (10,000) of AREA mm2 of tissue (100), on N cores (64), of
which each process uses as many as it was measured on. HOME is a home whose cache holds the converted model, or gets it.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import machine

from monuseg_cli.core.stages import usable_cores

SUFFIXES = (".png", ".geojson", ".csv", ".parquet")
HOUR = 3600


def main(home: Path, image: Path, slides: int, mm2: float, cores: int) -> None:
    """Print what was measured, and what the cohort costs."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, f"of{suffix}") for suffix in SUFFIXES]
        words: Sequence[str | Path] = [word for path in outputs for word in ("-o", path)]
        command = [sys.executable, "-m", "monuseg_cli", "predict", image, *words, "--overwrite", "--home", home]
        machine.run(command)  # converts and compiles the model, and fills the file system's cache
        before = machine.cpu_seconds()
        seconds, peak = machine.run(command)
        cpu = machine.cpu_seconds() - before
        found = json.loads(Path(f"{outputs[0]}.monuseg.json").read_text(encoding="utf-8"))["found"]
        written = sum(path.stat().st_size for path in outputs)
    tissue, own = found["tissue_mm2"], usable_cores()
    print(
        f"{image.name}: {tissue:.2f} mm2 of tissue, {found['nuclei']} nuclei: {seconds:.1f} s on {own} cores, "
        f"{cpu:.1f} s of CPU, {peak / 2**30:.2f} GiB, {image.stat().st_size / 1e6:.0f} MB in the file, "
        f"{written / 1e6:.0f} MB written"
    )
    area = slides * mm2
    at_once = max(cores // own, 1)
    hours = seconds / tissue * area / at_once / HOUR
    terabytes_in, terabytes_out = (size / tissue * area / 1e12 for size in (image.stat().st_size, written))
    print(
        f"{slides} slides of {mm2:g} mm2 of tissue: {cpu / tissue * area / HOUR:.0f} hours of CPU; on {cores} cores, "
        f"{at_once} slides at a time, {hours:.0f} hours, {at_once * peak / 2**30:.0f} GiB, "
        f"{terabytes_in:.1f} TB read ({terabytes_in * 1e6 / (hours * HOUR):.0f} MB/s), {terabytes_out:.1f} TB written"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--slides", type=int, default=10_000)
    parser.add_argument("--mm2", type=float, default=100.0)
    parser.add_argument("--cores", type=int, default=64)
    options = parser.parse_args()
    os.environ.pop("MONUSEG_HOME", None)
    main(options.home, options.slide.resolve(), options.slides, options.mm2, options.cores)
