"""Rows shared among threads."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import TypeVar

from threadpoolctl import threadpool_limits

ROWS = 512  # at a time: their numbers stay in the cache, and most cores get some of a few thousand

Part = TypeVar("Part")
_pool: ContextVar[ThreadPoolExecutor | None] = ContextVar("pool", default=None)


@contextlib.contextmanager
def shared_rows() -> Iterator[None]:
    """Inside, :func:`by_rows` works on as many parts at once as the BLAS had threads, and this has
    one. Its own threads wait busily for each other: where other work holds a core a product takes
    ten times as long, and between small products half the time is spent waiting."""
    with threadpool_limits(1, user_api="blas") as limits:
        count = limits.get_original_num_threads()["blas"]
        if count is None or count == 1:
            yield
            return
        with ThreadPoolExecutor(count) as pool:
            before = _pool.set(pool)
            try:
                yield
            finally:
                _pool.reset(before)


def by_rows(work: Callable[[slice], Part], rows: int, size: int = ROWS) -> list[Part]:
    """What `work` makes of `size` rows at a time, in their order, whoever did it: sums of these do
    not depend on the number of threads."""
    parts = [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
    pool = _pool.get()
    if pool is None or len(parts) == 1:
        return [work(part) for part in parts]
    return list(pool.map(work, parts))
