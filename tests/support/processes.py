"""Commands in processes of their own, which can be killed, limited and measured."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import pytest
from typer.testing import CliRunner

from monuseg_cli.cli.app import app

# Children are forked by a server that has no threads of its own, and has done the imports. A fork of pytest's process
# could inherit a lock that some thread holds, and wait for it for ever.
_CONTEXT = multiprocessing.get_context("forkserver") if hasattr(os, "fork") else None
if _CONTEXT:
    _CONTEXT.set_forkserver_preload(
        [
            "monuseg_cli.cli.app",
            "monuseg_cli.dataset.download",
            "monuseg_cli.evaluation.evaluate",
            "monuseg_cli.prediction.batch",
            "monuseg_cli.training.train",
        ]
    )


@dataclass(frozen=True, slots=True)
class Child:
    """A command in a process of its own."""

    process: Any
    errors: Path

    def wait(self) -> int:
        """Wait for its end; returns its exit code, or the signal that ended it as a negative number."""
        self.process.join()
        return int(self.process.exitcode)


def start(folder: Path, words: tuple[object, ...], prepare: Callable[[], None] | None = None) -> Child:
    """Run a command in a process of its own; its standard error goes to a file.

    Parameters
    ----------
    folder : Path
        Where that file is made.
    words : tuple
        The command line, without ``monuseg``.
    prepare : callable, optional
        Called in the process first; a function of a module, or a partial of one.
    """
    if _CONTEXT is None:
        pytest.skip("only POSIX forks")
    errors = folder / f"unused errors of {len(list(folder.glob('unused*')))}"
    errors.touch()
    process = _CONTEXT.Process(target=_run, args=([str(word) for word in words], errors, prepare))
    process.start()
    return Child(process, errors)


def _run(words: list[str], errors: Path, prepare: Callable[[], None] | None) -> NoReturn:
    code = 99
    try:
        if prepare:
            prepare()
        result = CliRunner().invoke(app, words)
        errors.write_text(result.stderr, encoding="utf-8")
        code = result.exit_code
    finally:
        os._exit(code)


def kill_at_the_second_file() -> None:
    """Have this process killed when its second file or folder is written and about to be moved to its place."""
    replace, moved = Path.replace, []

    def killing(path: Path, target: Path) -> Path:
        moved.append(target)
        if len(moved) > 1 or path.is_dir() or target.suffix == ".onnx":
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(path, target)

    Path.replace = killing  # type: ignore[method-assign,assignment] # of the child alone


_CHANGES = {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}


def kill_before_change(folder: Path, number: int) -> None:
    """Have this process killed right before its `number`-th change of files below `folder`.

    Changes are files opened for writing, moved or removed, and folders made or removed, as Python's audit events name
    them. Removals by a name relative to an open folder, as shutil does them, count, too.
    """
    changes = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal changes
        if event not in _CHANGES or not isinstance(arguments[0], str | os.PathLike):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        path = Path(arguments[0])
        if path.is_relative_to(folder) or (not path.is_absolute() and event in ("os.remove", "os.rmdir")):
            changes += 1
            if changes == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def kill_at_every_change(words: tuple[object, ...], begun: Path, folder: Path) -> int:
    """Run a command in copies of a home: once undisturbed, then killed before its first change, before its second ...

    The copies are ``undisturbed``, and ``killed 1``, ``killed 2`` ...; in a copy of each of these, ``again 1``, ``again
    2`` ..., the command runs a second time, to its end.

    Parameters
    ----------
    words : tuple
        The command line, without ``monuseg`` and ``--home``.
    begun : Path
        The home as it is before the command.
    folder : Path
        Where the copies are made.

    Returns
    -------
    int
        How many times it was killed.
    """
    if _CONTEXT is None:
        pytest.skip("only POSIX forks")
    process = _CONTEXT.Process(target=_kill_at_every_change, args=([str(word) for word in words], begun, folder))
    process.start()
    process.join()
    assert process.exitcode == 0
    return len(list(folder.glob("again *")))


def _kill_at_every_change(words: list[str], begun: Path, folder: Path) -> None:
    shutil.copytree(begun, folder / "undisturbed")
    # It runs in this process, so that those forked from it have everything imported, which takes longer than the work.
    assert CliRunner().invoke(app, [*words, "--home", str(folder / "undisturbed")]).exit_code == 0
    for number in count(1):
        killed, again = folder / f"killed {number}", folder / f"again {number}"
        shutil.copytree(begun, killed)
        end = _fork([*words, "--home", str(killed)], partial(kill_before_change, killed, number))
        if end == 0:
            return
        assert end == -signal.SIGKILL, end
        shutil.copytree(killed, again)
        assert _fork([*words, "--home", str(again)]) == 0


def _fork(words: list[str], prepare: Callable[[], None] | None = None) -> int:
    process = os.fork()
    if process == 0:
        _run(words, Path(os.devnull), prepare)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


# A small process in between: what a process forks begins with its peak, and pytest's own may be large.
_TELL_PEAK = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, end="", file=sys.stderr)
sys.exit(code)
"""


_WITHOUT = """
import importlib.util, sys
find, lacking = importlib.util.find_spec, sys.argv.pop(1)
importlib.util.find_spec = lambda name, *more: None if name == lacking else find(name, *more)
from monuseg_cli.cli.app import main
main()
"""


def run_without(package: str, *words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, in a process in which a package cannot be found."""
    command = [sys.executable, "-c", _WITHOUT, package, *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def measure(*words: object) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run a command in a fresh process, and give its most memory, in GiB."""
    if sys.platform == "win32":
        pytest.skip("only POSIX tells how much memory a process took")
    command = [sys.executable, "-m", "monuseg_cli", *map(str, words)]
    done = subprocess.run([sys.executable, "-c", _TELL_PEAK, *command], capture_output=True, text=True, check=False)
    errors, _, peak = done.stderr.rpartition("\n")
    unit = 1 if sys.platform == "darwin" else 1024
    return subprocess.CompletedProcess(command, done.returncode, done.stdout, errors), int(peak) * unit / 2**30
