"""Measure how the workers of a Dask cluster divide slides.

usage: python benchmarks/cluster.py HOME FOLDER     (Linux)

Six slides of 5,000 x 5,000 px of tissue, by `monuseg predict --scheduler` with a mask and GeoJSON, with one worker and
with two, each bound to a core of its own: seconds from the start of the command to its end, in turns, and the ratio of
the medians. Workers have predicted once before. HOME and FOLDER are those of benchmarks/prediction.py, whose slides are
used.
"""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import machine
from distributed import LocalCluster

from monuseg_cli.core.home import Home
from prediction import slide

SLIDES = 6
SIDE = 5000
WORKERS = (1, 2)
ROUNDS = 2


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[str]:
    """Run a scheduler and workers of one core each; yield the scheduler's address."""
    with LocalCluster(n_workers=0, dashboard_address=None) as scheduler:  # type: ignore[no-untyped-call] # Dask's
        address: str = scheduler.scheduler_address
        command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny"]
        processes = [
            subprocess.Popen(
                [*command, "--no-dashboard"],
                preexec_fn=partial(os.sched_setaffinity, 0, {core}),
                stderr=subprocess.DEVNULL,
            )
            for core in range(workers)
        ]
        try:
            yield address
        finally:
            for process in processes:
                process.terminate()
                process.wait()


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
            with cluster(count) as address:
                words = ["predict", slides, *outputs, "--scheduler", address, "--home", home.root]
                command = [sys.executable, "-m", "monuseg_cli", *map(str, words)]
                machine.run(command)
                shutil.rmtree(out)
                seconds[count].append(machine.run(command)[0])
                shutil.rmtree(out)
    medians = {count: statistics.median(of_count) for count, of_count in seconds.items()}
    for count, median in medians.items():
        print(f"workers: {count}   {median:.1f} s for {SLIDES} slides")
    print(f"ratio {medians[1] / medians[2]:.2f} (bar 1.9)")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Home.resolve(Path(sys.argv[1])), Path(sys.argv[2]).resolve())
