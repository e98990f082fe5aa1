"""Random choices over a stream of blocks that do not depend on when a block is read."""

from __future__ import annotations

import numpy as np


def held_out(seed: int, block_index: int, rows: int, test_fraction: float) -> np.ndarray:
    """Mask of the rows of a block that are kept for testing.

    It depends on its arguments only, so a resumed or repeated pass draws the same rows. Their
    number is `test_fraction * rows`, rounded up or down at random so that its mean is exact.
    """
    if not 0 <= test_fraction < 1:
        raise ValueError(
            f"`test_fraction` must be at least 0 and below 1, got {test_fraction}; try 0.2."
        )
    random = np.random.default_rng([seed, block_index])
    count = int(test_fraction * rows + random.random())
    mask = np.zeros(rows, bool)
    mask[random.permutation(rows)[:count]] = True
    return mask


class Reservoir:
    """A uniform random sample of at most `size` rows of a stream, without replacement.

    Every row draws a uniform key from its block's own generator; those with the smallest keys
    stay. The sample is therefore the same in whatever order the blocks arrive.
    """

    def __init__(self, size: int, seed: int) -> None:
        if size < 1:
            raise ValueError(f"`size` must be positive, got {size}; it is the rows to keep.")
        self.size, self.seed = size, seed
        self._parts: list[tuple[np.ndarray, ...]] = []  # keys, blocks, rows, X, y
        self._threshold = np.inf  # keys above it cannot stay

    def update(self, X: np.ndarray, y: np.ndarray, block_index: int) -> None:
        """Offer the rows of one block; a block must be offered once, and always the same rows."""
        # The trailing 1 sets this stream apart from the one of `held_out`.
        keys = np.random.default_rng([self.seed, block_index, 1]).random(len(X))
        chosen = np.flatnonzero(keys < self._threshold)
        blocks = np.full(len(chosen), block_index)
        self._parts.append((keys[chosen], blocks, chosen, X[chosen], y[chosen]))
        if sum(len(part[0]) for part in self._parts) > 2 * self.size:
            self._compact()

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows held so far, (X, y), in the order of the stream."""
        if not self._parts:
            raise ValueError("the reservoir has seen no rows; call update first.")
        self._compact()
        _, _, _, X, y = self._parts[0]
        return X, y

    def _compact(self) -> None:
        columns = tuple(np.concatenate(values) for values in zip(*self._parts, strict=True))
        keys = columns[0]
        if len(keys) > self.size:
            kept = np.argpartition(keys, self.size - 1)[: self.size]
            self._threshold = float(keys[kept].max())
        else:
            kept = np.arange(len(keys))
        kept = kept[np.lexsort((columns[2][kept], columns[1][kept]))]
        self._parts = [tuple(values[kept] for values in columns)]
