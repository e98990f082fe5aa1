"""Features of inducing points, and the sufficient statistics of rows seen once, in blocks: memory
rank^2 + block * rank."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from wilsonian.core.precision import compiled, full_products, with_precision
from wilsonian.kernels import Kernel, compiled_gram, host_diagonal, host_gram
from wilsonian.kernels.host_grams import has_host_form
from wilsonian.regression.sample import Sample
from wilsonian.support.row_threads import by_rows, one_thread_for, shared_rows
from wilsonian.support.triangles import added_square, square_lengths, times_transposed

SHARED_ROWS = 1024  # from so many rows on threads are worth their start, some milliseconds


class Block(NamedTuple):
    """Some rows of a stream."""

    X: np.ndarray  # (rows, d)
    y: np.ndarray  # (rows, outputs)
    weights: np.ndarray | None = None  # (rows,), repetitions; one each if None
    row_noise: np.ndarray | None = None  # (rows,), known variances, squared units of y


@dataclasses.dataclass(frozen=True)
class Trust:
    """What rows weigh in the mean and scale of the targets and in the modes' measure: where their
    noise is known, rows much noisier than the median row weigh little. The fit itself then takes
    every row at its own noise."""

    usual: float | None = None  # known variance of the median row
    unit: float = 1.0

    @classmethod
    def of(cls, sample: Sample) -> Trust:
        """By the rows of a sample, whose weights stay the same in all."""
        known, weights = sample.row_noise, sample.weights
        if known is None:
            return cls()
        order = np.argsort(known)
        half = np.searchsorted(np.cumsum(weights[order]), 0.5 * weights.sum())
        usual = float(known[order][half]) or float(np.average(known, weights=weights)) or 1.0
        return cls(usual, float(np.average(usual / (usual + known), weights=weights)))

    def weights(self, rows: Any) -> np.ndarray:
        """Of the rows of a sample or block."""
        weights = np.ones(len(rows.X)) if rows.weights is None else rows.weights
        if self.usual is None or rows.row_noise is None:
            return weights
        return weights * self.usual / (self.usual + rows.row_noise) / self.unit


class InducingFeatures(eqx.Module):
    r"""Whitened features :math:`f(x) = L^{-1} k(Z, x)` with :math:`L L^T = k(Z, Z)`,
    so that :math:`f(x) \cdot f(z)` is the Nystrom kernel.

    Inputs are counted from `origin`, subtracted in float64: no precision of the products to come
    rounds away what columns far from zero say."""

    kernel: Kernel
    inducing_points: Any  # (rank, d), from the origin
    whitening: Any  # (rank, rank), L^{-T}
    origin: np.ndarray  # (d,), float64
    compiled: bool = eqx.field(static=True, default=False)  # on the host, too, as 0.1.0 did

    @classmethod
    def of(
        cls, kernel: Kernel, points: np.ndarray, dtype: Any, origin: np.ndarray | None = None
    ) -> InducingFeatures:
        """Features of inducing `points` (rank, d), which are counted from `origin` (d,), zero if
        None, for products in the precision `dtype`. Raises ValueError when their kernel matrix is
        not positive semidefinite."""
        kernel = with_precision(kernel, float)
        with one_thread_for(len(points)):
            whitening = _whitening(kernel, points, dtype)
        origin = np.zeros(points.shape[1]) if origin is None else origin
        points, whitening = points.astype(dtype), whitening.astype(dtype)
        return cls(with_precision(kernel, dtype), points, whitening, origin)

    @property
    def rank(self) -> int:
        return self.inducing_points.shape[0]

    def near(self, X: np.ndarray) -> np.ndarray:
        """Inputs (rows, d) counted from the origin, in the precision of the features."""
        return (X - self.origin).astype(self.inducing_points.dtype)

    @full_products
    def __call__(self, X: jax.Array) -> jax.Array:
        """Features (rows, rank) of the rows of `X`, counted from the origin."""
        return self.kernel.gram(X, self.inducing_points) @ self.whitening

    def at(self, X: np.ndarray) -> np.ndarray:
        """The features in float64, whatever the precision they are computed in. Of a kernel with a
        form on the host nothing is compiled, but for models of 0.1.0, whose bits stay the same."""
        near = self.near(X)
        if self.compiled or not has_host_form(self.kernel, near):
            return np.asarray(_at(self, near), float)
        with shared_if_many(len(near)):
            return np.asarray(_on_host(self, near), float)

    def diagonal(self, X: np.ndarray) -> np.ndarray:
        """`k(x, x)` at the rows of `X`, (rows,)."""
        return np.asarray(host_diagonal(self.kernel, self.near(X)), float)

    def unresolved(self, X: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Prior variance (rows,) outside the span of the inducing points, at the rows of `X` with
        these features."""
        return np.maximum(self.diagonal(X) - np.einsum("ij,ij->i", features, features), 0.0)


def _whitening(kernel: Kernel, points: np.ndarray, dtype: Any) -> np.ndarray:
    square = host_gram(kernel, points, points)
    # The jitter is relative to the diagonal and to the precision of the products to come.
    jitter = np.finfo(dtype).eps * np.mean(np.diagonal(square))
    for _ in range(20):
        try:
            root = np.linalg.cholesky(square + jitter * np.eye(len(points)))
            break
        except np.linalg.LinAlgError:
            jitter *= 10
    else:
        raise ValueError(
            f"the kernel matrix of the {len(points)} inducing points is not positive "
            "semidefinite; use a valid kernel or other inducing points."
        )
    return scipy.linalg.solve_triangular(root, np.eye(len(root)), lower=True).T


@compiled
def _at(features: InducingFeatures, X: Any) -> jax.Array:
    return features(X)


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Everything a uniform-ridge regression needs of the data, in float64. Targets are counted from
    `offset`, so that a large mean costs no digits."""

    rows: int
    weight: float  # sum of sample weights w
    gram: np.ndarray  # (rank, rank), sum of w f f^T
    features: np.ndarray  # (rank,), sum of w f
    cross: np.ndarray  # (rank, outputs), sum of w f y
    target: np.ndarray  # (outputs,), sum of w y
    target_square: np.ndarray  # (outputs,), sum of w y^2
    diagonal: float  # sum of w k(x, x)
    offset: np.ndarray  # (outputs,)
    largest_unresolved: float = 0.0  # of k(x, x) - |f|^2, over rows that weigh anything

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

    def add(
        self, features: InducingFeatures, X: np.ndarray, y: np.ndarray, weights: np.ndarray | None
    ) -> Statistics:
        """With one more block of rows: inputs (rows, d), targets (rows, outputs)."""
        dtype = features.inducing_points.dtype
        weights = np.ones(len(X)) if weights is None else weights
        y = y - self.offset
        filler = padded_rows(len(X)) - len(X)
        products = _products_on_host if jax.default_backend() == "cpu" else _products
        sums = products(
            features,
            self.gram,
            np.pad(features.near(X), ((0, filler), (0, 0)), mode="edge"),
            np.pad(y.astype(dtype), ((0, filler), (0, 0))),
            np.pad(np.sqrt(weights).astype(dtype), (0, filler)),
        )
        gram, feature_sum, cross, diagonal, unresolved = (np.asarray(value) for value in sums)
        return Statistics(
            self.rows + len(X),
            self.weight + float(weights.sum()),
            gram,
            self.features + feature_sum,
            self.cross + cross,
            self.target + weights @ y,
            self.target_square + weights @ y**2,
            self.diagonal + float(diagonal),
            self.offset,
            max(self.largest_unresolved, float(unresolved)),
        )


def padded_rows(rows: int) -> int:
    """Rows to fill a block up to, with rows of no weight: every new length is a new compilation,
    and blocks of a table lose some rows each to the held-out set."""
    return 1 << (rows - 1).bit_length() if rows < 256 else -(-rows // 256) * 256


def shared_if_many(rows: int) -> contextlib.AbstractContextManager[None]:
    """Rows shared among threads, if there are enough of them."""
    return shared_rows() if rows >= SHARED_ROWS else contextlib.nullcontext()


def _on_host(features: InducingFeatures, X: np.ndarray) -> np.ndarray:
    """Features (rows, rank) by a triangular product, half the work of a full one."""
    kernel, points, lower = features.kernel, features.inducing_points, features.whitening.T
    found = np.empty((len(X), len(points)), X.dtype)
    whole = None if has_host_form(kernel, X) else np.asarray(compiled_gram(kernel, X, points))

    def fill(rows: slice) -> None:
        gram = host_gram(kernel, X[rows], points) if whole is None else whole[rows]
        found[rows] = times_transposed(gram, lower)

    by_rows(fill, len(X))
    return found


def _products_on_host(features, total, X, y, root_weights):
    """As `_products`, by BLAS: a symmetric product is half the work of a full one."""
    diagonal = host_diagonal(features.kernel, X)
    with shared_if_many(len(X)):
        weighted = _on_host(features, X)
        unresolved = diagonal - square_lengths(weighted, weighted.dtype)
        if not np.all(root_weights == 1):
            weighted *= root_weights[:, None]
        second = added_square(total, weighted)
        sums = weighted.T @ np.column_stack([root_weights, y * root_weights[:, None]])
    largest = np.max(unresolved, where=root_weights > 0, initial=0.0)
    return second, sums[:, 0], sums[:, 1:], diagonal @ root_weights**2, largest


@compiled
def _products(features, total, X, y, root_weights):
    # Most of the work: two matrix products of the block with (rank, rank).
    found = features(X)
    weighted = found * root_weights[:, None]
    gram = total + weighted.T @ weighted
    cross = weighted.T @ (y * root_weights[:, None])
    diagonal = features.kernel.diagonal(X)
    unresolved = jnp.where(root_weights > 0, diagonal - jnp.sum(found**2, axis=1), 0.0)
    largest = jnp.max(unresolved, initial=0.0)
    return gram, weighted.T @ root_weights, cross, jnp.sum(diagonal * root_weights**2), largest


def accumulate(
    features: InducingFeatures,
    statistics: Statistics,
    blocks: Iterable[Block],
    trust: Trust,
) -> Iterator[Statistics]:
    """Add block after block; yields the running statistics, so that a caller can report progress,
    store them, and start again from what it stored."""
    for block in blocks:
        statistics = statistics.add(features, block.X, block.y, trust.weights(block))
        yield statistics


def row_blocks(sample: Sample, block_size: int, first: int = 0) -> Iterator[Block]:
    """Consecutive blocks of rows in memory, from that of number `first` on."""
    for start in range(first * block_size, len(sample.X), block_size):
        rows = slice(start, start + block_size)
        known = None if sample.row_noise is None else sample.row_noise[rows]
        yield Block(sample.X[rows], sample.y[rows], sample.weights[rows], known)


def gathered(blocks: Iterable[Block]) -> Sample:
    """All rows of a stream, in memory."""
    X, y, weights, known = zip(*blocks, strict=True)
    counts = [np.ones(len(x)) if w is None else w for x, w in zip(X, weights, strict=True)]
    noise = None if known[0] is None else np.concatenate(known)
    return Sample(np.concatenate(X), np.concatenate(y), np.concatenate(counts), noise)


def chunks(X: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Consecutive blocks of at most `size` rows."""
    for start in range(0, len(X), size):
        yield X[start : start + size]
