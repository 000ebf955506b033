"""The interface by which a stage reports its progress."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One progress bar."""

    def advance(self, steps: int = 1) -> None:
        """Count `steps` further steps as done."""

    def status(self, text: str) -> None:
        """Show `text` beside the bar until it is replaced."""


class Progress(Protocol):
    """What a stage reports to."""

    def task(self, description: str, total: int | None, unit: str) -> AbstractContextManager[Task]:
        """Open a bar of `total` steps, counted in `unit` (a plural); None if the total is not known."""

    def info(self, message: str) -> None:
        """Report, in one line, what was decided or finished."""

    def warn(self, message: str) -> None:
        """Report, in one line, what the user should not miss."""

    def detail(self, message: str) -> None:
        """Report one line of verbose output: which file, which engine, which settings."""


class _SilentTask:
    def advance(self, steps: int = 1) -> None:
        """Count nothing."""

    def status(self, text: str) -> None:
        """Show nothing."""


SILENT_TASK = _SilentTask()


class Silent:
    """Progress that shows nothing, the default of library calls."""

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


class Held(Silent):
    """Progress that keeps messages until they are shown, for work whose turn has not come."""

    def __init__(self) -> None:
        self._messages: list[Callable[[Progress], None]] = []

    def info(self, message: str) -> None:
        """Keep the message."""
        self._messages.append(lambda progress: progress.info(message))

    def warn(self, message: str) -> None:
        """Keep the message."""
        self._messages.append(lambda progress: progress.warn(message))

    def detail(self, message: str) -> None:
        """Keep the message."""
        self._messages.append(lambda progress: progress.detail(message))

    def show(self, progress: Progress) -> None:
        """Report all messages, in order."""
        for report in self._messages:
            report(progress)


class Lines(Silent):
    """The progress of a notebook: lines on standard error for what was decided, and no bars."""

    def info(self, message: str) -> None:
        """Write the message."""
        sys.stderr.write(f"{message}\n")

    def warn(self, message: str) -> None:
        """Write the message behind the word "warning"."""
        sys.stderr.write(f"warning: {message}\n")
