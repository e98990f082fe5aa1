"""Rows of a stream, put together anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

Arrays = tuple[np.ndarray, ...]


def batches(parts: Iterable[Arrays], size: int) -> Iterator[Arrays]:
    """Rows of arrays that belong together, in their order, `size` at a time and the rest last;
    nothing where there are none."""
    waiting: list[Arrays] = []
    for part in parts:
        waiting.append(part)
        if sum(len(arrays[0]) for arrays in waiting) < size:
            continue
        together = _joined(waiting)
        whole = len(together[0]) // size * size
        for start in range(0, whole, size):
            yield tuple(array[start : start + size] for array in together)
        waiting = [tuple(array[whole:] for array in together)]
    rest = _joined(waiting)
    if rest and len(rest[0]):
        yield rest


def _joined(parts: list[Arrays]) -> Arrays:
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
