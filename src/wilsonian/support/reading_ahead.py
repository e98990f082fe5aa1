"""The next item of an iteration, made while the last one is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")


def read_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items in the same order, each read by a thread while the one before is in use: two
    are held at a time. What goes wrong in reading is raised here; whoever stops early, stops the
    reading too."""
    ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(maxsize=1)
    done, stop = object(), threading.Event()

    def offer(item: Any, error: BaseException | None = None) -> bool:
        while not stop.is_set():
            try:
                ready.put((item, error), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def read() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not offer(item):
                    return
        except BaseException as error:  # raised again where the items are used
            offer(done, error)
        else:
            offer(done)
        finally:
            if hasattr(iterator, "close"):  # files are closed by the thread that opened them
                iterator.close()

    reader = threading.Thread(target=read, name="reading ahead", daemon=True)
    reader.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is done:
                return
            yield item
    finally:
        stop.set()
        reader.join()
