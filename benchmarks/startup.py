"""Measure how long the command line and the package take to load, relative to their libraries.

usage: python benchmarks/startup.py [ROUNDS]

Median seconds of `python -c "import typer, rich"`, of `monuseg --help`, of `monuseg models`, of `monuseg predict` on an
image of 256 x 256 px, and of Python importing the package or nothing, each in a process of its own, taken in turn so
that a machine that slows down slows all of them; and their ratios to the first, round by round. Then what importing the
package adds to a start of Python.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from PIL import Image

BAR = 3.0
PACKAGE, PYTHON = "import monuseg_cli", "import sys"
PACKAGE_BAR_MS = 20
ROUNDS = 21


def _seconds(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main(rounds: int) -> None:
    """Print the medians and ratios."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MONUSEG_HOME"] = str(Path(folder, "home"))
        with Image.open(str(files("monuseg_cli.prediction") / "shipped" / "tissue.jpg")) as sample:
            sample.crop((0, 256, 256, 512)).save(Path(folder, "image.png"), dpi=sample.info["dpi"])
        _measure(rounds, Path(folder, "image.png"))


def _measure(rounds: int, image: Path) -> None:
    monuseg = shutil.which("monuseg") or sys.exit("monuseg is not installed")
    plain = 'python -c "import typer, rich"'
    commands = {
        plain: (sys.executable, "-c", "import typer, rich"),
        "monuseg --help": (monuseg, "--help"),
        "monuseg models": (monuseg, "models"),
        "monuseg predict, 256 px": (
            monuseg,
            "predict",
            str(image),
            "-q",
            "--overwrite",
            "-o",
            str(image.with_name("mask.png")),
        ),
        PACKAGE: (sys.executable, "-c", "import monuseg_cli"),
        PYTHON: (sys.executable, "-c", "import sys"),
    }
    for command in commands.values():
        _seconds(command)  # the first run fills the file system's cache
    times = [{name: _seconds(command) for name, command in commands.items()} for _ in range(rounds)]
    for name in commands:
        median = statistics.median(one[name] for one in times)
        ratio = statistics.median(one[name] / one[plain] for one in times)
        bar = f" (bar {BAR:.0f})" if name == "monuseg --help" else ""
        print(f"{name:32} {median:.3f} s   ratio {ratio:.2f}{bar}")
    more = statistics.median(one[PACKAGE] - one[PYTHON] for one in times) * 1000
    print(f"{PACKAGE:32} {more:.1f} ms more than {PYTHON} (bar {PACKAGE_BAR_MS})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
