"""Reading ahead changes neither items nor order nor errors, and stops when its user stops."""

from __future__ import annotations

import threading
import time

import pytest

from wilsonian.support.reading_ahead import read_ahead


def test_items_come_in_order_and_one_ahead():
    read = []

    def items():
        for number in range(5):
            read.append(number)
            yield number

    ahead = read_ahead(items())
    assert next(ahead) == 0
    for _ in range(200):  # the reader holds one more item and makes the next
        if len(read) == 3:
            break
        time.sleep(0.01)
    assert read == [0, 1, 2]
    assert list(ahead) == [1, 2, 3, 4]
    assert list(read_ahead([])) == []


def test_errors_of_the_reader_are_raised_after_what_was_read():
    def items():
        yield 1
        raise ValueError("row 7 is damaged")

    ahead = read_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="row 7"):
        next(ahead)


def test_who_stops_early_stops_the_reading():
    closed = threading.Event()

    def items():
        try:
            yield from range(1000)
        finally:
            closed.set()

    ahead = read_ahead(items())
    next(ahead)
    ahead.close()
    assert closed.is_set()
    assert not any(thread.name == "reading ahead" for thread in threading.enumerate())
