"""Rows, and other parts of a sum, shared among threads."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import TypeVar

from threadpoolctl import threadpool_info, threadpool_limits

# At a time: their numbers stay in the cache, and most cores get some of a few thousand. Of fewer
# rows a fourth, so that two cores get as many.
ROWS, LEAST_ROWS = 512, 64

Part = TypeVar("Part")
Result = TypeVar("Result")
_pool: ContextVar[ThreadPoolExecutor | None] = ContextVar("pool", default=None)


@contextlib.contextmanager
def shared_rows() -> Iterator[None]:
    """Inside, :func:`by_parts` works on as many at once as the BLAS had threads, and this has one.
    Its own threads wait busily for each other: where other work holds a core a product takes ten
    times as long, and between small products half the time is spent waiting."""
    pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    count = min(pools, default=1)  # NumPy and SciPy may each have one, of their own size
    with threadpool_limits(1, user_api="blas"):
        if count == 1:
            yield
            return
        with ThreadPoolExecutor(count) as pool:
            before = _pool.set(pool)
            try:
                yield
            finally:
                _pool.reset(before)


def by_parts(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """What `work` makes of each part, in their order, whoever did it: sums of these do not depend
    on the number of threads."""
    pool = _pool.get()
    if pool is None or len(parts) == 1:
        return [work(part) for part in parts]
    return list(pool.map(work, parts))


def by_rows(work: Callable[[slice], Result], rows: int) -> list[Result]:
    """:func:`by_parts` of some rows at a time."""
    size = min(ROWS, max(LEAST_ROWS, -(-rows // 4)))
    return by_parts(work, [slice(start, min(start + size, rows)) for start in range(0, rows, size)])
