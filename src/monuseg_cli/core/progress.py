"""How a stage reports what it does, without knowing whether anybody looks."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One bar of progress."""

    def advance(self, steps: int = 1) -> None:
        """Count `steps` further steps as done."""

    def status(self, text: str) -> None:
        """Show `text` beside the bar until it is replaced."""


class Progress(Protocol):
    """What a stage is given to report to."""

    def task(self, description: str, total: int | None, unit: str) -> AbstractContextManager[Task]:
        """Open a bar of `total` steps, counted in `unit` (a plural); None where the total is not known."""

    def info(self, message: str) -> None:
        """Report one line of what was decided or finished."""

    def warn(self, message: str) -> None:
        """Report one line that the user should not miss."""

    def detail(self, message: str) -> None:
        """Report one line for who wants to know more: which file, which engine, which settings."""


class _SilentTask:
    def advance(self, steps: int = 1) -> None:
        """Count nothing."""

    def status(self, text: str) -> None:
        """Show nothing."""


SILENT_TASK = _SilentTask()


class Silent:
    """The progress of library calls: nothing is shown."""

    @contextmanager
    def task(self, description: str, total: int | None, unit: str) -> Iterator[Task]:
        """Open a bar that is never drawn."""
        yield SILENT_TASK

    def info(self, message: str) -> None:
        """Drop the message."""

    def warn(self, message: str) -> None:
        """Drop the message."""

    def detail(self, message: str) -> None:
        """Drop the message."""


SILENT = Silent()


class Lines(Silent):
    """The progress of a notebook: lines on standard error for what was decided, and no bars."""

    def info(self, message: str) -> None:
        """Write the message."""
        sys.stderr.write(f"{message}\n")

    def warn(self, message: str) -> None:
        """Write the message behind the word "warning"."""
        sys.stderr.write(f"warning: {message}\n")
