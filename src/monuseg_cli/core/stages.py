"""CPU time of the stages of a pipeline whose stages run in several threads at once."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class StageClock:
    """Adds up the CPU time of stages, from any thread, from now on.

    Parameters
    ----------
    others : str
        Name of the stages that run in threads of libraries, where only the process as a whole can be measured.
    """

    def __init__(self, others: str) -> None:
        self._others = others
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()
        self._began, self._cpu_before = time.perf_counter(), time.process_time()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the CPU time of this thread, until the context ends, as that of a stage."""
        began = time.thread_time()
        try:
            yield
        finally:
            seconds = time.thread_time() - began
            with self._lock:
                self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def each(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """Iterate over items, whose evaluation counts as a stage."""
        iterator = iter(items)
        while True:
            with self.stage(name):
                item = next(iterator, self)
            if item is self:
                return
            yield item  # type: ignore[misc] # the clock itself is no item

    def timed(self, name: str, function: Callable[[T], R]) -> Callable[[T], R]:
        """Return the function, whose evaluation counts as a stage."""

        def run(item: T) -> R:
            with self.stage(name):
                return function(item)

        return run

    def summary(self, cores: int) -> str:
        """Return the share of each stage, and the share of the time that `cores` were busy, as one line."""
        wall, cpu = time.perf_counter() - self._began, time.process_time() - self._cpu_before
        with self._lock:
            seconds = dict(self._seconds)
        seconds[self._others] = max(cpu - sum(seconds.values()), 0.0)
        total = max(sum(seconds.values()), 1e-9)
        shares = ", ".join(f"{name} {100 * part / total:.0f} %" for name, part in seconds.items())
        busy = 100 * cpu / max(wall * cores, 1e-9)
        return f"{cpu:.1f} s of CPU: {shares}; {cores} cores busy for {busy:.0f} % of {wall:.1f} s"
