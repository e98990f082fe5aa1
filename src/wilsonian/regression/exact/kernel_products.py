"""Products with a kernel matrix that is never held: tile by tile, each used for both halves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.core.precision import with_precision
from wilsonian.kernels import Kernel
from wilsonian.regression.statistics import padded_rows

TILE = 1024  # rows and columns of a tile: 4 MiB in single precision, within a processor's cache


@dataclasses.dataclass(frozen=True)
class KernelMatrix:
    r"""The matrix :math:`k(x_i, x_j)` of some rows, known by its products.

    Memory is that of the rows, of the vectors and of one tile. Tiles of few shapes are compiled
    once: what is missing is filled up with rows that no vector sees.
    """

    kernel: Kernel
    rows: np.ndarray  # (n, d)
    origin: np.ndarray | float = 0.0  # (d,), subtracted in float64 before inputs are rounded

    def product(
        self, vectors: np.ndarray, dtype: Any, watch: Callable[[], None] = lambda: None
    ) -> np.ndarray:
        """`k(rows, rows) @ vectors` for vectors (n, s), added up in float64; tiles are evaluated in
        `dtype`. `watch` is called after every row of tiles."""
        kernel, points, size = self._prepared(dtype)
        filled = np.zeros((len(points), vectors.shape[1]), dtype)
        filled[: len(vectors)] = vectors
        result = np.zeros(filled.shape)
        for first in range(0, len(points), size):
            one = slice(first, first + size)
            for second in range(first, len(points), size):
                two = slice(second, second + size)
                here, there = _both(kernel, points[one], points[two], filled[two], filled[one])
                result[one] += here
                if second > first:
                    result[two] += there
            watch()
        return result[: len(vectors)]

    def across(self, X: np.ndarray, vectors: np.ndarray, dtype: Any) -> np.ndarray:
        """`k(X, rows) @ vectors` for other points X (m, d), added up in float64."""
        kernel, points, size = self._prepared(dtype)
        short = padded_rows(min(len(X), TILE))
        others = _filled((X - self.origin).astype(dtype), -(-len(X) // short) * short)
        filled = np.zeros((len(points), vectors.shape[1]), dtype)
        filled[: len(vectors)] = vectors
        result = np.zeros((len(others), vectors.shape[1]))
        for first in range(0, len(others), short):
            one = slice(first, first + short)
            for second in range(0, len(points), size):
                two = slice(second, second + size)
                result[one] += _one(kernel, others[one], points[two], filled[two])
        return result[: len(X)]

    def _prepared(self, dtype: Any) -> tuple[Kernel, np.ndarray, int]:
        size = padded_rows(min(len(self.rows), TILE))
        points = _filled((self.rows - self.origin).astype(dtype), -(-len(self.rows) // size) * size)
        return with_precision(self.kernel, dtype), points, size


def _filled(X: np.ndarray, rows: int) -> np.ndarray:
    return np.pad(X, ((0, rows - len(X)), (0, 0)), mode="edge")


@eqx.filter_jit
def _both(kernel: Kernel, X: Any, Z: Any, right: Any, left: Any) -> tuple[jax.Array, jax.Array]:
    gram, high = kernel.gram(X, Z), jax.lax.Precision.HIGHEST
    # A tile transposed would be copied: twice the time of a step.
    there = jnp.matmul(left.T, gram, precision=high).T
    return jnp.matmul(gram, right, precision=high), there


@eqx.filter_jit
def _one(kernel: Kernel, X: Any, Z: Any, right: Any) -> jax.Array:
    return jnp.matmul(kernel.gram(X, Z), right, precision=jax.lax.Precision.HIGHEST)
