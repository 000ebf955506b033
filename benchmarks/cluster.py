"""Measure how the workers of a Dask cluster divide slides.

usage: python benchmarks/cluster.py HOME FOLDER

Eight slides of 3,000 x 3,000 px of tissue, by `monuseg predict --scheduler` with a mask and GeoJSON, on one core per
worker: seconds with one worker and with two, in turns, from the start of the command to its end; and the ratio of the
medians. Workers have predicted once before. HOME and FOLDER are those of benchmarks/prediction.py, whose slides are
used.
"""

import shutil
import statistics
import sys
from pathlib import Path

import machine
from distributed import LocalCluster

from monuseg_cli.core.home import Home
from prediction import slide

SLIDES = 8
SIDE = 3000
WORKERS = (1, 2)
ROUNDS = 3


def main(home: Home, folder: Path) -> None:
    """Print the seconds of each number of workers, and their ratio."""
    slides = folder / "cluster"
    slides.mkdir(exist_ok=True)
    for number in range(SLIDES):
        shutil.copy(slide(home, folder, SIDE, full=True), slides / f"{number}.tif")
    out = folder / "cluster-out"
    outputs = [word for suffix in (".png", ".geojson") for word in ("-o", f"{out}/{{stem}}{suffix}")]
    seconds: dict[int, list[float]] = {count: [] for count in WORKERS}
    for _ in range(ROUNDS):
        for count in WORKERS:
            cluster = LocalCluster(  # type: ignore[no-untyped-call] # Dask's
                n_workers=count, threads_per_worker=1, dashboard_address=None
            )
            with cluster:
                words = ["predict", slides, *outputs, "--threads", 1, "--scheduler", cluster.scheduler_address]
                command = [sys.executable, "-m", "monuseg_cli", *map(str, words), "--home", str(home.root)]
                machine.run(command)
                shutil.rmtree(out)
                seconds[count].append(machine.run(command)[0])
                shutil.rmtree(out)
    medians = {count: statistics.median(of_count) for count, of_count in seconds.items()}
    for count, median in medians.items():
        print(f"workers: {count}   {median:.1f} s for {SLIDES} slides")
    print(f"ratio {medians[1] / medians[2]:.2f} (bar: 1.9)")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Home.resolve(Path(sys.argv[1])), Path(sys.argv[2]).resolve())
