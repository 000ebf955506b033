"""Commands in processes of their own, which can be killed, limited and measured."""

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monuseg_cli.cli.app import app


@dataclass(frozen=True, slots=True)
class Child:
    """A command in a process of its own."""

    pid: int
    errors: Path

    def wait(self) -> int:
        """Give its exit code, or the signal that ended it as a negative number."""
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def fork(folder: Path, words: tuple[object, ...], prepare: Callable[[], None] = lambda: None) -> Child:
    """Run a command in a copy of this process, which spares it the imports; its standard error goes to a file."""
    if not hasattr(os, "fork"):
        pytest.skip("only POSIX forks")
    errors = folder / f"unused errors of {len(list(folder.glob('unused*')))}"
    errors.touch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads, which xdist has; the child uses none of them
        pid = os.fork()
    if pid:
        return Child(pid, errors)
    code = 99
    try:
        prepare()
        result = CliRunner().invoke(app, [str(word) for word in words])
        errors.write_text(result.stderr, encoding="utf-8")
        code = result.exit_code
    finally:
        os._exit(code)


# A small process in between: what a process forks begins with its peak, and pytest's own may be large.
_TELL_PEAK = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, end="", file=sys.stderr)
sys.exit(code)
"""


def measure(*words: object) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run a command in a fresh process, and give its most memory, in GiB."""
    if sys.platform == "win32":
        pytest.skip("only POSIX tells how much memory a process took")
    command = [sys.executable, "-m", "monuseg_cli", *map(str, words)]
    done = subprocess.run([sys.executable, "-c", _TELL_PEAK, *command], capture_output=True, text=True, check=False)
    errors, _, peak = done.stderr.rpartition("\n")
    unit = 1 if sys.platform == "darwin" else 1024
    return subprocess.CompletedProcess(command, done.returncode, done.stdout, errors), int(peak) * unit / 2**30
