"""Inducing points of a kernel by randomly pivoted Cholesky, in blocks with rejection."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy.linalg

from wilsonian.kernels import Kernel, host_diagonal, host_gram
from wilsonian.support.row_threads import by_rows


@dataclasses.dataclass(frozen=True)
class InducingPoints:
    """Pivots of a partial Cholesky factorization of a kernel on a pool of points."""

    indices: np.ndarray  # (rank,) rows of the pool, in the order they were chosen
    factor: np.ndarray  # (pool, rank), K approx factor @ factor.T
    residual: np.ndarray  # (pool,), diagonal of K - factor @ factor.T
    exhausted: bool  # nothing above rounding was left to choose

    @property
    def rank(self) -> int:
        return len(self.indices)

    @property
    def root(self) -> np.ndarray:
        """Lower Cholesky factor of the kernel matrix of the inducing points, (rank, rank)."""
        return self.factor[self.indices]


def randomly_pivoted_cholesky(
    kernel: Kernel,
    pool: np.ndarray,
    rank: int,
    random: np.random.Generator,
    *,
    block_size: int = 64,
    start: InducingPoints | None = None,
) -> InducingPoints:
    """Choose up to `rank` inducing points from `pool`, each with probability proportional to the
    residual variance there (Chen, Epperly, Tropp and Webber, arXiv:2207.06503, algorithm 2.1).

    Proposals come in blocks drawn from the current residual; within a block each is accepted with
    the ratio of its updated to its proposed residual, so that the law of the pivots is that of
    one-at-a-time sampling (Epperly, Tropp and Webber, arXiv:2410.03969, algorithm 2.1) at the
    price of matrix products. `start` continues an earlier choice from the same pool.

    Computes in the precision of `pool`. Raises ValueError if a residual turns negative by more
    than rounding: the kernel is not positive semidefinite.
    """
    size = len(pool)
    diagonal = host_diagonal(kernel, pool)
    if not np.all(np.isfinite(diagonal)) or np.any(diagonal < 0) or not np.any(diagonal > 0):
        raise ValueError(
            "the kernel's diagonal must be finite, nonnegative and not all zero, got values from "
            f"{diagonal.min():.3g} to {diagonal.max():.3g}; check the kernel and its inputs."
        )
    rank = min(rank, size)
    # Below this a pivot is rounding error of the factor (products of `rank` terms), and solving
    # with a block of such pivots would amplify it at every one of them.
    floor = block_size * np.sqrt(rank) * np.finfo(pool.dtype).eps * diagonal.max()
    factor = np.zeros((size, rank), pool.dtype)
    residual, indices, count = diagonal.copy(), np.empty(rank, int), 0
    if start is not None:
        count = min(len(start.indices), rank)
        factor[:, :count], indices[:count] = start.factor[:, :count], start.indices[:count]
        residual = start.residual.copy()
    while count < rank:
        residual[residual < floor] = 0.0
        total = residual.sum()
        if total <= 0:
            break
        proposals = random.choice(size, size=min(block_size, size), p=residual / total)
        block = np.array(host_gram(kernel, pool[proposals], pool[proposals]))
        block -= factor[proposals, :count] @ factor[proposals, :count].T
        if block.diagonal().min() < -1e3 * floor - 1e-6 * diagonal.max():
            raise ValueError(_not_semidefinite(block.diagonal().min()))
        kept, lower = _accept(block, residual[proposals], random, rank - count, floor)
        if not len(kept):  # the tracked residual was rounding error: correct it and draw again
            residual[proposals] = np.where(block.diagonal() > floor, block.diagonal(), 0.0)
            continue
        pivots = proposals[kept]
        columns = host_gram(kernel, pool, pool[_padded(pivots, block_size)])
        _extend(factor, residual, count, pivots, columns, lower)
        if residual.min() < -1e3 * floor - 1e-6 * diagonal.max():
            raise ValueError(_not_semidefinite(residual.min()))
        residual[pivots] = 0.0
        indices[count : count + len(pivots)] = pivots
        count += len(pivots)
    residual = np.maximum(residual, 0.0)
    return InducingPoints(indices[:count], factor[:, :count], residual, count < rank)


def _extend(
    factor: np.ndarray,
    residual: np.ndarray,
    count: int,
    pivots: np.ndarray,
    columns: np.ndarray,
    lower: np.ndarray,
) -> None:
    """Write the columns of further `pivots` after the first `count` of the factor, and take them
    off the residual."""
    known, further = factor[pivots, :count].T, slice(count, count + len(pivots))

    def extend(rows: slice) -> None:
        rest = columns[rows, : len(pivots)] - factor[rows, :count] @ known
        new = scipy.linalg.solve_triangular(lower, rest.T, lower=True).T
        factor[rows, further] = new
        residual[rows] -= np.einsum("ij,ij->i", new, new)

    by_rows(extend, len(factor))


def choose_inducing_points(
    kernel: Kernel,
    pool: np.ndarray,
    rank: int,
    budget: int,
    random: np.random.Generator,
    enough: Callable[[InducingPoints], bool],
) -> InducingPoints:
    """`rank` inducing points from `pool`, doubled until they are `enough`, exhaust the kernel or
    reach the `budget`."""
    chosen = None
    while True:
        chosen = randomly_pivoted_cholesky(kernel, pool, rank, random, start=chosen)
        if rank >= budget or chosen.exhausted or enough(chosen):
            return chosen
        rank = min(2 * rank, budget)


def _accept(
    block: np.ndarray, proposed: np.ndarray, random: np.random.Generator, limit: int, floor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Sequential Cholesky of a proposed block with rejection: accepted positions and their
    lower factor."""
    block = block.copy()
    kept: list[int] = []
    for position, variance in enumerate(proposed):
        pivot = block[position, position]
        if len(kept) < limit and pivot > floor and random.random() * variance < pivot:
            column = block[position:, position] / np.sqrt(pivot)
            block[position:, position:] -= np.outer(column, column)
            block[position:, position] = column
            kept.append(position)
    return np.array(kept, int), np.tril(block[np.ix_(kept, kept)])


def _padded(pivots: np.ndarray, size: int) -> np.ndarray:
    """`pivots` filled up to a fixed length, so that the compiled kernel serves every block."""
    return np.concatenate([pivots, np.zeros(max(size - len(pivots), 0), int)])


def _not_semidefinite(value: float) -> str:
    return (
        f"the kernel is not positive semidefinite: a residual variance of {value:.3g} appeared "
        "while choosing inducing points; use a valid kernel."
    )
