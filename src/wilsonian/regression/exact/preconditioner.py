"""A solvable neighbour of the equations over all rows: a reduced theory of more modes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg

from wilsonian.core.precision import with_precision
from wilsonian.kernels import Kernel, compiled_diagonal, compiled_gram
from wilsonian.regression.inducing_points import choose_inducing_points
from wilsonian.regression.statistics import padded_rows
from wilsonian.support.row_threads import by_parts, shared_rows

# Twice the modes halve the steps and take four times as long to set up. A step costs n^2, the
# set-up n rank^2, and the steps grow with the square root of n: both cost alike at so many modes
# times the square root of n (measured on kin40k, 12,000 rows, float64).
RANK_PER_ROOT = 16
MEMORY = 2**29  # bytes of features, in single precision
POOL = 4  # rows for each inducing point, among which they are chosen
FIRST_RANK = 256  # doubled until what is left is a small share of the noise
SMALL_SHARE = 0.1
BLOCK = 1024  # rows worked on at once in double precision


def affordable_rank(rows: int) -> int:
    """Modes of a preconditioner of so many rows: where its set-up costs what the steps do, within
    the memory, and at most half the rows."""
    return min(int(RANK_PER_ROOT * rows**0.5), rows // 2, MEMORY // (4 * rows))


def nystrom_features(
    kernel: Kernel, points: np.ndarray, rank: int, negligible: float
) -> tuple[np.ndarray, float]:
    r"""Features (n, at most `rank`) of the rows `points` (n, d), in single precision: their
    products are :math:`k(X, Z)\, k(Z, Z)^{-1} k(Z, X)`, Z chosen by randomly pivoted Cholesky among
    some of the rows until the mean variance that they leave is `negligible`. And that mean over all
    rows. In float64: call it where that is enabled. Raises ValueError if the kernel is not positive
    semidefinite.
    """
    kernel, random = with_precision(kernel, float), np.random.default_rng(0)
    pool = points
    if len(points) > POOL * rank:
        pool = points[np.sort(random.choice(len(points), POOL * rank, replace=False))]
    chosen = choose_inducing_points(
        kernel,
        pool,
        min(FIRST_RANK, rank),
        rank,
        random,
        lambda chosen: bool(np.mean(chosen.residual) <= negligible),
    )
    inducing_points, root = pool[chosen.indices], chosen.root.copy()
    del chosen
    features, lost = np.empty((len(points), len(root)), np.float32), 0.0
    size = padded_rows(min(len(points), BLOCK))
    for first in range(0, len(points), size):
        block = points[first : first + size]
        filled = np.pad(block, ((0, size - len(block)), (0, 0)), mode="edge")
        gram = np.asarray(compiled_gram(kernel, filled, inducing_points))[: len(block)]
        found = scipy.linalg.solve_triangular(root, gram.T, lower=True)
        diagonal = np.asarray(compiled_diagonal(kernel, filled))[: len(block)]
        lost += float(np.sum(np.maximum(diagonal - np.einsum("ij,ij->j", found, found), 0.0)))
        features[first : first + size] = found.T
    return features, lost / len(points)


def preconditioner(features: np.ndarray, ridge: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    r"""Solutions of a reduced theory, :math:`(\Phi \Phi^T + D)^{-1}` with features (n, modes) at
    the rows and its renormalized ridge D (n,), by Woodbury's identity: of vectors (n, s).

    Features may be in single precision, whose rounding is that of another reduced theory; sums are
    in double precision, since modes cancel against the ridge."""
    roots = np.sqrt(ridge)[:, None]
    precision = np.eye(features.shape[1])
    blocks = [slice(first, first + BLOCK) for first in range(0, len(features), BLOCK)]
    for rows in blocks:
        scaled = features[rows] / roots[rows]
        precision += scaled.T @ scaled
    factor = scipy.linalg.cho_factor(precision.T, lower=True, overwrite_a=True)

    def apply(vectors: np.ndarray) -> np.ndarray:
        scaled = vectors / ridge[:, None]

        def projected(rows: slice) -> np.ndarray:
            return features[rows].astype(float).T @ scaled[rows]

        def subtract(rows: slice) -> None:
            scaled[rows] -= (features[rows].astype(float) @ inner) / ridge[rows, None]

        with shared_rows():
            inner = scipy.linalg.cho_solve(factor, sum(by_parts(projected, blocks)))
            by_parts(subtract, blocks)
        return scaled

    return apply
