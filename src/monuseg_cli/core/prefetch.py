"""Iterators that are evaluated in a background thread, a few items ahead of the consumer."""

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Iterator[T], most: int = 2) -> Generator[T]:
    """Evaluate `items` in a thread, up to `most` ahead of the consumer; errors of the thread are raised here.

    The item being evaluated counts: with 1, an item is started when the one before it is taken. Wrap the generator in
    `contextlib.closing` if it may be left before its end; closing it joins the thread.
    """
    made: queue.SimpleQueue[tuple[T] | BaseException | None] = queue.SimpleQueue()
    room = threading.Semaphore(most)
    stopped = threading.Event()

    def make() -> None:
        try:
            room.acquire()
            for item in items:
                made.put((item,))
                room.acquire()
                if stopped.is_set():
                    return
            made.put(None)
        except BaseException as error:  # raised again by the consumer
            made.put(error)

    thread = threading.Thread(target=make, name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            room.release()
            yield item[0]
    finally:
        stopped.set()
        room.release()
        thread.join()
