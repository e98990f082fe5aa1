"""Sufficient statistics of data seen once, in blocks: memory rank^2 + block * rank."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.regression.inducing_features import InducingFeatures


class Block(NamedTuple):
    """Some rows of a stream."""

    X: np.ndarray  # (rows, d)
    y: np.ndarray  # (rows, outputs)
    weights: np.ndarray | None = None  # (rows,), repetitions; one each if None
    row_noise: np.ndarray | None = None  # (rows,), known variances, squared units of y


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Everything a uniform-ridge regression needs of the data, in float64; statistics of disjoint
    data add up. Targets are counted from `offset`, so that a large mean costs no digits."""

    rows: int
    weight: float  # sum of sample weights w
    gram: np.ndarray  # (rank, rank), sum of w f f^T
    features: np.ndarray  # (rank,), sum of w f
    cross: np.ndarray  # (rank, outputs), sum of w f y
    target: np.ndarray  # (outputs,), sum of w y
    target_square: np.ndarray  # (outputs,), sum of w y^2
    diagonal: float  # sum of w k(x, x)
    offset: np.ndarray  # (outputs,)

    @classmethod
    def empty(cls, rank: int, offset: np.ndarray) -> Statistics:
        """No data yet."""
        outputs = len(offset)
        return cls(
            0,
            0.0,
            np.zeros((rank, rank)),
            np.zeros(rank),
            np.zeros((rank, outputs)),
            np.zeros(outputs),
            np.zeros(outputs),
            0.0,
            np.asarray(offset, float),
        )

    def __add__(self, other: Statistics) -> Statistics:
        if not np.array_equal(self.offset, other.offset):
            raise ValueError("statistics counted from different target offsets do not add up.")
        sums = {
            field.name: getattr(self, field.name) + getattr(other, field.name)
            for field in dataclasses.fields(self)
            if field.name != "offset"
        }
        return Statistics(**sums, offset=self.offset)

    def add(
        self, features: InducingFeatures, X: np.ndarray, y: np.ndarray, weights: np.ndarray | None
    ) -> Statistics:
        """With one more block of rows: inputs (rows, d), targets (rows, outputs)."""
        dtype = features.inducing_points.dtype
        weights = np.ones(len(X)) if weights is None else weights
        y = y - self.offset
        filler = padded_rows(len(X)) - len(X)
        sums = _block(
            features,
            np.pad(X.astype(dtype), ((0, filler), (0, 0)), mode="edge"),
            np.pad(y.astype(dtype), ((0, filler), (0, 0))),
            np.pad(np.sqrt(weights).astype(dtype), (0, filler)),
        )
        gram, feature_sum, cross, diagonal = (np.asarray(value, float) for value in sums)
        block = Statistics(
            len(X),
            float(weights.sum()),
            gram,
            feature_sum,
            cross,
            weights @ y,
            weights @ y**2,
            float(diagonal),
            self.offset,
        )
        return self + block


def padded_rows(rows: int) -> int:
    """Rows to fill a block up to, with rows of no weight: every new length is a new compilation,
    and blocks of a table lose some rows each to the held-out set."""
    return 1 << (rows - 1).bit_length() if rows < 256 else -(-rows // 256) * 256


@eqx.filter_jit
def _block(features, X, y, root_weights):
    # Most of the work: two matrix products of the block with (rank, rank).
    weighted = features(X) * root_weights[:, None]
    high = jax.lax.Precision.HIGHEST
    gram = jnp.matmul(weighted.T, weighted, precision=high)
    cross = jnp.matmul(weighted.T, y * root_weights[:, None], precision=high)
    diagonal = jnp.sum(features.kernel.diagonal(X) * root_weights**2)
    return gram, weighted.T @ root_weights, cross, diagonal


def accumulate(
    features: InducingFeatures,
    statistics: Statistics,
    blocks: Iterable[Block],
) -> Iterator[Statistics]:
    """Add block after block; yields the running statistics, so that a caller can report progress,
    store them, and start again from what it stored."""
    for X, y, weights, _ in blocks:
        statistics = statistics.add(features, X, y, weights)
        yield statistics


def row_blocks(
    X: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray | None,
    block_size: int,
    first: int = 0,
    row_noise: np.ndarray | None = None,
) -> Iterator[Block]:
    """Consecutive blocks of rows of arrays in memory, from that of number `first` on."""
    for start in range(first * block_size, len(X), block_size):
        rows = slice(start, start + block_size)
        parts = (None if part is None else part[rows] for part in (weights, row_noise))
        yield Block(X[rows], y[rows], *parts)


def chunks(X: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Consecutive blocks of at most `size` rows."""
    for start in range(0, len(X), size):
        yield X[start : start + size]
