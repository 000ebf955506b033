import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from monuseg_cli.core.prefetch import in_threads


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    def later_if_earlier(item: int) -> int:
        time.sleep(0.02 / (item + 1))
        return item * item

    assert list(in_threads(later_if_earlier, range(12), threads)) == [item * item for item in range(12)]


def test_several_items_are_worked_on_at_once() -> None:
    together = threading.Barrier(3, timeout=30)
    assert list(in_threads(lambda item: together.wait() >= 0 and item, range(1, 4), 3)) == [1, 2, 3]


def test_few_items_are_taken_ahead() -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    with closing(in_threads(str, items(), 2)) as results:
        assert next(results) == "0"
        assert len(taken) == 2


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_is_raised_in_its_turn(threads: int) -> None:
    results = in_threads(lambda item: 1 // item, [1, -1, 0, 1], threads)
    assert [next(results), next(results)] == [1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_leaving_early_waits_for_what_is_running_and_starts_nothing_more() -> None:
    before, finished = threading.active_count(), []

    def work(item: int) -> int:
        time.sleep(0.05)
        finished.append(item)
        return item

    with closing(in_threads(work, iter(range(100)), 2)) as results:
        next(results)
    assert len(finished) <= 4
    assert threading.active_count() == before
