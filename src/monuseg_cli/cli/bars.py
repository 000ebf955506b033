"""Progress for people: bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.progress import Task as Bar
from rich.table import Column
from rich.text import Text

from monuseg_cli.cli.option_names import with_options
from monuseg_cli.core.progress import SILENT, Task

_SECONDS_BETWEEN_LINES = 30.0
_MEGABYTE = 1_000_000


class _Done(ProgressColumn):
    """Column of finished and total units."""

    def render(self, task: Bar) -> Text:
        total = _count(task.total, task.fields["unit"]) if task.total is not None else "?"
        return Text(f"{_count(task.completed, task.fields['unit'])}/{total}", style="progress.download")


class _Rate(ProgressColumn):
    """Column of units per second."""

    def render(self, task: Bar) -> Text:
        speed = task.finished_speed or task.speed
        return Text(_rate(speed, task.fields["unit"]) if speed else "", style="progress.data.speed")


def _count(number: float, unit: str) -> str:
    return f"{number / _MEGABYTE:,.1f}" if unit == "bytes" else f"{number:,.0f}"


def _rate(speed: float, unit: str) -> str:
    return f"{speed / _MEGABYTE:,.1f} MB/s" if unit == "bytes" else f"{speed:,.1f} {unit}/s"


class _BarTask:
    """A bar on a terminal."""

    def __init__(self, bars: Bars, bar: TaskID) -> None:
        self._bars, self._bar = bars, bar

    def advance(self, steps: int = 1) -> None:
        self._bars.advance(self._bar, steps)

    def status(self, text: str) -> None:
        self._bars.update(self._bar, status=text)


class _LineTask:
    """A line every 30 seconds, without a terminal."""

    def __init__(self, console: Console, description: str, total: int | None, unit: str) -> None:
        self._console, self._description, self._total, self._unit = console, description, total, unit
        self._done = 0
        self._began = self._printed = time.monotonic()

    def advance(self, steps: int = 1) -> None:
        self._done += steps
        now = time.monotonic()
        if now - self._printed > _SECONDS_BETWEEN_LINES:
            self._printed = now
            speed = self._done / (now - self._began)
            of_total = f" of {_count(self._total, self._unit)}" if self._total else ""
            unit = "MB" if self._unit == "bytes" else self._unit
            left = f", {(self._total - self._done) / speed:.0f} s left" if self._total and speed else ""
            done = f"{_count(self._done, self._unit)}{of_total} {unit}"
            self._console.print(f"{self._description}: {done}, {_rate(speed, self._unit)}{left}")

    def status(self, text: str) -> None:
        """Print nothing: a status that changes with every step suits only a bar."""


class ConsoleProgress:
    """Progress on standard error: bars on a terminal, plain lines elsewhere; details with `verbose`."""

    def __init__(self, console: Console, verbose: bool) -> None:
        self._console, self._verbose = console, verbose
        self._began = time.monotonic()

    def task(self, description: str, total: int | None, unit: str) -> AbstractContextManager[Task]:
        """Show a bar while the body runs, or without a terminal a line now and then."""
        if self._console.is_terminal:
            return self._bar(description, total, unit)
        return nullcontext(_LineTask(self._console, description, total, unit))

    @contextmanager
    def _bar(self, description: str, total: int | None, unit: str) -> Iterator[Task]:
        # Always one line: a long name is truncated, and the status gets the remaining width.
        width = self._console.width
        name = Column(no_wrap=True, overflow="ellipsis", max_width=width // 3)
        rest = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        columns = (
            TextColumn("{task.description}", markup=False, table_column=name),
            BarColumn(bar_width=min(24, width // 8)),
            _Done(table_column=Column(no_wrap=True)),
            _Rate(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[status]}", markup=False, table_column=rest),
        )
        with Bars(*columns, console=self._console, transient=True, expand=True) as bars:
            yield _BarTask(bars, bars.add_task(description, total=total, unit=unit, status=""))

    def info(self, message: str) -> None:
        """Print a line."""
        self._console.print(with_options(message))

    def warn(self, message: str) -> None:
        """Print a line that begins with "warning"."""
        self._console.print(f"warning: {with_options(message)}", style="yellow")

    def detail(self, message: str) -> None:
        """Print a line that begins with the seconds since the start of the command; only with --verbose."""
        if self._verbose:
            self._console.print(f"{time.monotonic() - self._began:8.2f} s  {with_options(message)}", style="dim")


class QuietProgress(ConsoleProgress):
    """Progress that shows only warnings."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, verbose=False)

    def task(self, description: str, total: int | None, unit: str) -> AbstractContextManager[Task]:
        """Show nothing."""
        return SILENT.task(description, total, unit)

    def info(self, message: str) -> None:
        """Print nothing."""
