import threading
import time
from collections.abc import Iterator

import pytest

from monuseg_cli.core.stages import StageClock, usable_cores


def busy(seconds: float) -> None:
    began = time.thread_time()
    while time.thread_time() - began < seconds:
        pass


def shares_of(summary: str) -> dict[str, int]:
    listed = summary.split(": ", 1)[1].split(";")[0].split(", ")
    return {part.rsplit(" ", 2)[0]: int(part.split()[-2]) for part in listed}


def test_the_work_of_each_stage_is_counted_in_every_thread_and_waiting_is_not() -> None:
    clock = StageClock("the rest")

    def nuclei() -> None:
        with clock.stage("nuclei"):
            busy(0.2)
            time.sleep(0.2)

    threads = [threading.Thread(target=nuclei) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with clock.stage("writing"):
        busy(0.4)
    busy(0.2)
    shares = shares_of(clock.summary(2))
    assert shares == pytest.approx({"nuclei": 40, "writing": 40, "the rest": 20}, abs=5)


def test_evaluating_items_and_functions_is_counted() -> None:
    clock = StageClock("the rest")

    def read() -> Iterator[int]:
        for number in range(2):
            busy(0.1)
            yield number

    def double(number: int) -> int:
        busy(0.1)
        return 2 * number

    doubled = map(clock.timed("doubling", double), clock.each("reading", read()))
    assert list(doubled) == [0, 2]
    assert shares_of(clock.summary(1)) == pytest.approx({"reading": 50, "doubling": 50, "the rest": 0}, abs=5)


def test_cores_are_idle_while_nothing_runs() -> None:
    clock = StageClock("the rest")
    time.sleep(0.3)
    assert "2 cores busy for 0 % of 0." in clock.summary(2)


def test_there_is_a_core() -> None:
    assert usable_cores() >= 1
