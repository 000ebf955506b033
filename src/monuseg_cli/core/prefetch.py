"""What is made is made in a thread of its own, a few ahead of what is in use."""

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Iterator[T], most: int = 2) -> Generator[T]:
    """Make items in a thread, up to `most` ahead of the one in use; what fails there is raised here.

    The one that is being made counts: with 1, an item is begun when the one before it is taken. Close it where it is
    left before its end, with `contextlib.closing`: the thread has ended then.
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
        except BaseException as error:  # raised again by whom it concerns
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
