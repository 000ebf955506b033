"""Write constraints.txt: the version of every package in this environment, in which the tests have passed.

usage: python tools/lock.py
"""

import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAD = """\
# The versions of all packages with which the tests passed: Python {python}, {system}, {machine}. Constraints, not
# requirements, so they install nothing by themselves:
#   pip install -c constraints.txt 'monuseg-cli[fast]'
# Written by tools/lock.py, after the tests have passed in a fresh environment with the extras dev and docs.
"""


def frozen() -> list[str]:
    """List the packages of this environment as ``name==version``, without monuseg itself, in order of name."""
    command = [sys.executable, "-m", "pip", "freeze", "--exclude-editable", "--exclude", "monuseg-cli"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted((line for line in lines if "==" in line), key=str.lower)


def main() -> None:
    """Write the file."""
    python = ".".join(platform.python_version_tuple()[:2])
    head = HEAD.format(python=python, system=platform.system(), machine=platform.machine())
    lines = [f"{line}\n" for line in frozen()]
    (ROOT / "constraints.txt").write_text("".join([head, *lines]), encoding="utf-8")


if __name__ == "__main__":
    main()
