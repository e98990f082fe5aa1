"""Products with a kernel matrix that is never held: tile by tile, each used for both halves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.core.precision import compiled, with_precision
from wilsonian.kernels import Kernel
from wilsonian.regression.statistics import padded_rows

# Rows and columns of a tile: 4 MiB in single precision, within a processor's cache; an accelerator
# wants fewer and larger ones.
TILE, LARGE_TILE = 1024, 8192
# Vectors multiplied at once: sums of more take more memory than all the rest, and a tile evaluated
# again is little beside its products with them.
WIDE = 256


@dataclasses.dataclass(frozen=True)
class KernelMatrix:
    r"""The matrix :math:`k(x_i, x_j)` of some rows, known by its products.

    Memory is that of the rows, of the vectors and of some tiles. Tiles of few shapes are compiled
    once: what is missing is filled up with rows that no vector sees. Sums stay on the device, and
    tiles come in an order in which few wait for another's.
    """

    kernel: Kernel
    rows: np.ndarray  # (n, d)
    origin: np.ndarray | float = 0.0  # (d,), subtracted in float64 before inputs are rounded

    def product(
        self, vectors: np.ndarray, dtype: Any, watch: Callable[[], None] = lambda: None
    ) -> np.ndarray:
        """`k(rows, rows) @ vectors` for vectors (n, s), added up in float64; tiles are evaluated in
        `dtype`. `watch` is called now and then: about as often as there are tiles of rows."""
        if vectors.shape[1] > WIDE:
            starts = range(0, vectors.shape[1], WIDE)
            parts = [self.product(vectors[:, at : at + WIDE], dtype, watch) for at in starts]
            return np.concatenate(parts, axis=1)
        kernel, points = self._prepared(self.rows, dtype)
        size = len(points[0])
        known = _tiles(np.asarray(vectors, dtype), size)
        sums = list(_tiles(np.zeros(vectors.shape), size))
        for pairs in _rounds(len(points)):
            for one, two in pairs:
                here, there = _both(kernel, points[one], points[two], known[two], known[one])
                sums[one] += here
                if one != two:
                    sums[two] += there
            jax.block_until_ready(sums)  # what waits for its turn takes memory
            watch()
        return np.concatenate([np.asarray(each) for each in sums])[: len(vectors)]

    def across(self, X: np.ndarray, vectors: np.ndarray, dtype: Any) -> np.ndarray:
        """`k(X, rows) @ vectors` for other points X (m, d), added up in float64."""
        kernel, points = self._prepared(self.rows, dtype)
        known = _tiles(np.asarray(vectors, dtype), len(points[0]))
        found = []
        for some in self._prepared(X, dtype)[1]:
            parts = [
                _one(kernel, some, tile, part) for tile, part in zip(points, known, strict=True)
            ]
            found.append(np.asarray(sum(parts)))
        return np.concatenate(found)[: len(X)]

    def _prepared(self, X: np.ndarray, dtype: Any) -> tuple[Kernel, list[jax.Array]]:
        """The kernel, and some points in tiles of one size."""
        most = TILE if jax.default_backend() == "cpu" else LARGE_TILE
        size = padded_rows(-(-len(X) // -(-len(X) // most)))
        points = (X - self.origin).astype(dtype)
        return with_precision(self.kernel, dtype), _tiles(points, size, mode="edge")


def _tiles(values: np.ndarray, size: int, **filling: Any) -> list[jax.Array]:
    """Of so many rows each, filled up at the end."""
    count = -(-len(values) // size)
    filled = np.pad(values, ((0, count * size - len(values)), (0, 0)), **filling)
    return [jnp.asarray(tile) for tile in np.split(filled, count)]


def _rounds(count: int) -> list[list[tuple[int, int]]]:
    """All pairs of so many, each with itself first, in rounds in which none is met twice: as in a
    tournament, where the first keeps its seat and the others move on by one."""
    rounds = [[(one, one) for one in range(count)]]
    seats = list(range(count + count % 2))
    for _ in seats[1:]:
        facing = zip(seats[: len(seats) // 2], reversed(seats), strict=False)
        rounds.append([pair for pair in facing if max(pair) < count])
        seats = [seats[0], seats[-1], *seats[1:-1]]
    return rounds


@compiled
def _both(kernel: Kernel, X: Any, Z: Any, right: Any, left: Any) -> tuple[jax.Array, jax.Array]:
    gram = kernel.gram(X, Z)
    # A tile transposed would be copied: twice the time of a step.
    return (gram @ right).astype(float), (left.T @ gram).T.astype(float)


@compiled
def _one(kernel: Kernel, X: Any, Z: Any, right: Any) -> jax.Array:
    return (kernel.gram(X, Z) @ right).astype(float)
