"""Iterators that are evaluated in background threads, a few items ahead of the consumer."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch(items: Iterator[T], most: int = 2) -> Generator[T]:
    """Evaluate `items` in a thread, up to `most` ahead of the consumer; errors of the thread are raised here.

    The item being evaluated counts: with 1, an item is started when the one before it is taken; with 0, it is evaluated
    by the consumer, without a thread. Wrap the generator in `contextlib.closing` if it may be left before its end;
    closing it joins the thread.
    """
    if most == 0:
        yield from items
        return
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


def in_threads(function: Callable[[T], R], items: Iterable[T], threads: int) -> Generator[R]:
    """Apply a function to items in several threads, and yield its results in the order of the items.

    No more than `threads` items are taken whose results were not; `items` itself is evaluated by the consumer. An error
    of an item is raised in its turn. Wrap the generator in `contextlib.closing` if it may be left before its end;
    closing it waits for the items that are being worked on.
    """
    if threads <= 1:
        yield from map(function, items)
        return
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="in_threads")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) == threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
