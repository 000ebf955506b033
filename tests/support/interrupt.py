"""Trainings that are interrupted at a certain patch."""

from collections.abc import Iterator
from contextlib import contextmanager

from monuseg_cli.core.progress import SILENT_TASK, Task


class StopAt:
    """Interrupts, as Ctrl-C does, when a number of patches was trained on; and keeps what it is told."""

    def __init__(self, patches: int) -> None:
        self.left = patches
        self.lines: list[str] = []

    @contextmanager
    def task(self, description: str, total: int | None, unit: str) -> Iterator[Task]:
        del description, total
        yield self if unit == "patches" else SILENT_TASK

    def advance(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left < 0:
            raise KeyboardInterrupt

    def status(self, text: str) -> None:
        del text

    def detail(self, message: str) -> None:
        del message

    def info(self, message: str) -> None:
        self.lines.append(message)

    def warn(self, message: str) -> None:
        self.lines.append(message)
