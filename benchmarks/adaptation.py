"""Measure what stain adaptation costs: `--adapt auto` against `--adapt off`, in turns.

usage: python benchmarks/adaptation.py HOME FOLDER [--slide FILE]

HOME is a folder that `monuseg download --home HOME` filled; FOLDER keeps slides of 3,000 px, which are made of its
train images: as they are, and with a fifth of both stains, where adaptation acts. Printed are the medians of the
ratios of each round: of the CPU seconds of the process, which other work on the machine changes little, and of its
wall time; and seconds per mm2 of tissue, and how many nuclei were found and had to be separated.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import tifffile
from elsewhere import stain

from monuseg_cli.core.home import Home
from prediction import slide

ROUNDS = 5
PALE = 0.2


def predict(home: Home, image: Path, folder: Path, adapt: str) -> tuple[float, float, float, int, bool]:
    """Predict in a process; return CPU and wall seconds, mm2 of tissue, nuclei, and whether the stain was matched."""
    mask = folder / "adaptation.png"
    words = [sys.executable, "-m", "monuseg_cli", "predict", image, "-o", mask, "--overwrite", "--adapt", adapt]
    began = time.perf_counter()
    process = subprocess.Popen([*map(str, words), "--quiet", "--home", home.root], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    assert status == 0, status
    found = json.loads(mask.with_name(f"{mask.name}.monuseg.json").read_text(encoding="utf-8"))["found"]
    return usage.ru_utime + usage.ru_stime, wall, found["tissue_mm2"], found["nuclei"], bool(found["stain"])


def pale(image: Path) -> Path:
    """Return a slide with a share of the stains of another, which is built if it does not exist."""
    path = image.with_name(f"pale-{image.name}")
    if not path.exists():
        pixels = stain(PALE, PALE)(tifffile.imread(image))
        with tifffile.TiffWriter(path) as file:
            file.write(pixels, tile=(256, 256), photometric="rgb", resolution=(4e4, 4e4), resolutionunit="CENTIMETER")
    return path


def main() -> None:
    """Print a line for each slide."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slide", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    home = Home.resolve(options.home)
    made = slide(home, options.folder, 3000, full=True)
    for image in (made, pale(made), *([options.slide] if options.slide else [])):
        predict(home, image, options.folder, "auto")  # compiles the model, once
        ratios, costs = [], []
        for number in range(ROUNDS):
            order = ("auto", "off") if number % 2 else ("off", "auto")
            taken = {adapt: predict(home, image, options.folder, adapt) for adapt in order}
            on, off = taken["auto"], taken["off"]
            ratios.append((on[0] / off[0], on[1] / off[1]))
            costs.append((on[0] / on[2], off[0] / off[2]))
        cpu, wall = (statistics.median(part) for part in zip(*ratios, strict=True))
        with_it, without = (statistics.median(part) for part in zip(*costs, strict=True))
        act = "acts" if on[-1] else "does not act"
        print(
            f"{image.name}: adaptation {act}; CPU x{cpu:.3f}, wall x{wall:.3f}; {with_it:.2f} and {without:.2f} CPU "
            f"seconds per mm2, {on[3]} and {off[3]} nuclei",
            flush=True,
        )


if __name__ == "__main__":
    main()
