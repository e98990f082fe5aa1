"""Rows, and other parts of a sum, shared among threads."""

from __future__ import annotations

import collections
import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

# At a time: their numbers stay in the cache, and most cores get some of a few thousand. Of fewer
# rows a fourth, so that two cores get as many.
ROWS, LEAST_ROWS = 512, 256
SMALL = 1024  # rows of a matrix that one thread factorizes in a fraction of a second
# glibc returns arrays to the system as they are freed, and clears the pages of the next, a fifth of
# the time of a step, until it has seen one freed that is larger: of at most 32 MiB.
LARGEST = 2**25 - 2**14  # bytes

Part = TypeVar("Part")
Result = TypeVar("Result")


class _Helpers(ThreadPoolExecutor):
    """Threads beside the one that asks, which works too: one less to be woken."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


_pool: ContextVar[_Helpers | None] = ContextVar("pool", default=None)


@contextlib.contextmanager
def _using(pool: _Helpers | None) -> Iterator[None]:
    before = _pool.set(pool)
    try:
        yield
    finally:
        _pool.reset(before)


@contextlib.contextmanager
def shared_rows() -> Iterator[None]:
    """Inside, :func:`by_parts` works on as many at once as the BLAS had threads, and this has one.
    Its own threads wait busily for each other: where other work holds a core a product takes ten
    times as long, and between small products half the time is spent waiting."""
    np.empty(LARGEST, np.uint8)  # freed at once, and never touched
    blas = _blas()
    # NumPy and SciPy may each have one, of their own size.
    count = min((pool["num_threads"] for pool in blas.info()), default=1)
    with blas.limit(limits=1):
        if count == 1:
            yield
            return
        with _Helpers(count - 1) as pool, _using(pool):
            yield


@functools.cache
def _blas() -> ThreadpoolController:
    """Those of NumPy and SciPy: to look for them takes some milliseconds."""
    import scipy.linalg  # noqa: F401  or there might be one more later

    return ThreadpoolController().select(user_api="blas")


def one_thread_for(size: int) -> contextlib.AbstractContextManager[None]:
    """For factorizations of matrices of that size: a few of small ones gain nothing from threads of
    the BLAS, and where other work holds a core these wait for each other for seconds."""
    return shared_rows() if size <= SMALL else contextlib.nullcontext()


def by_parts(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """What `work` makes of each part, in their order, whoever did it: sums of these do not depend
    on the number of threads. The thread that asks works too."""
    pool = _pool.get()
    if pool is None or len(parts) == 1:
        return [work(part) for part in parts]
    results: list[Any] = [None] * len(parts)
    left = collections.deque(range(len(parts)))

    def take() -> None:
        while left:
            try:
                index = left.popleft()
            except IndexError:  # another was faster
                return
            results[index] = work(parts[index])

    asked = [pool.submit(take) for _ in range(min(pool.size, len(parts) - 1))]
    try:
        with _using(None):  # a part is not shared again
            take()
    finally:
        left.clear()
        for helper in asked:
            if not helper.cancel():  # one that is still busy beside has not begun
                helper.result()
    return results


def by_rows(work: Callable[[slice], Result], rows: int, most: int = ROWS) -> list[Result]:
    """:func:`by_parts` of some rows at a time, `most` of them."""
    size = min(most, max(LEAST_ROWS, -(-rows // 4)))
    return by_parts(work, [slice(start, min(start + size, rows)) for start in range(0, rows, size)])


def beside(work: Callable[[], Result]) -> Callable[[], Result]:
    """`work` begun on one of the threads, and what it made for whoever asks later; done at once
    where there is one thread only."""
    pool = _pool.get()
    if pool is None:
        made = work()
        return lambda: made
    return pool.submit(work).result
