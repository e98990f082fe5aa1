"""Outputs of one amplitude and noise with all their modes: equations solved over all rows."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import scipy.linalg

from wilsonian.core.precision import compiled, with_precision
from wilsonian.kernels import Kernel, Rescaled, compiled_diagonal, compiled_gram
from wilsonian.regression.exact.conjugate_gradients import solve
from wilsonian.regression.exact.kernel_products import KernelMatrix
from wilsonian.regression.exact.preconditioner import (
    SMALL_SHARE,
    affordable_rank,
    nystrom_features,
    preconditioner,
)
from wilsonian.regression.processes.reduced import ReducedProcess
from wilsonian.regression.statistics import chunks, padded_rows

# With less noise than this, in units of the amplitude, single precision is too coarse.
COARSE_NOISE = 1e-4
DENSE_ROWS = 4096  # up to here the variance is that of all rows, by one factorization
BATCH = 32  # points whose neighbours are factorized at once
ROWS = 4096  # whose features are in memory at a time in double precision
POINTS = 256  # points whose kernel with all rows is held at once

Watch = Callable[[int, float, np.ndarray], None]


@dataclasses.dataclass(frozen=True)
class CorrectedOutputs:
    r"""Posterior of a Gaussian process with all its modes, from a reduced one.

    .. math:: \bar f(x) = k_x \cdot \alpha, \qquad A \alpha = y, \qquad A = K + \sigma^2 / w .

    The variance :math:`k(x, x) - k_x A^{-1} k_x` is that of a variational subspace: kept modes
    :math:`E` (:math:`E^T A E = 1`, so that all rows count in them) and the `neighbours` rows N
    nearest to x, which is where eliminated modes answer to data,

    .. math:: k_x A^{-1} k_x \ge |E^T k_x|^2 + u\,(A_{NN} - C_N C_N^T)^{-1} u, \quad
        C = A E, \quad u = (k_x)_N - C_N E^T k_x .

    It is never below the exact one, and equal to it once all rows are neighbours.
    """

    process: ReducedProcess
    amplitude: float
    noise_variance: float  # of a new label
    stretch: float  # of the kernel's length scales; all three are those of the whole process
    rows: np.ndarray  # (n, d)
    noise: np.ndarray  # (n,), variance of each row's label, targets scaled
    dual: np.ndarray  # (n, outputs), alpha with targets scaled
    rotation: np.ndarray  # (kept, kept): E is the kept features at the rows times this
    shared: np.ndarray  # (n, kept), C; without rows where the variance needs none, or is not known
    neighbours: int
    residual: np.ndarray  # (outputs,), root mean square of y - A alpha over the rows; NaN unsolved
    steps: int
    converged: bool

    @classmethod
    def solved(
        cls,
        process: ReducedProcess,
        amplitude: float,
        noise_variance: float,
        stretch: float,
        rows: np.ndarray,
        targets: np.ndarray,
        noise: np.ndarray,
        ridge: np.ndarray,
        start: np.ndarray,
        *,
        tolerance: float,
        max_steps: int,
        variance: bool,
        neighbours: int,
        watch: Watch,
    ) -> CorrectedOutputs:
        """Solve for scaled targets (n, outputs) from a `start` (n, outputs), given each row's noise
        and renormalized `ridge`, (n,); with `variance` also make ready for standard deviations (one
        more pass over the kernel)."""
        kernel, origin = _stretched(process, stretch), process.modes.features.origin
        matrix = KernelMatrix(kernel, rows, origin)
        rotation, shared = np.zeros((process.kept, 0)), np.zeros((0, process.kept), np.float32)
        residual, steps, converged = np.full(targets.shape[1], np.nan), 0, False

        def times(dtype: Any) -> Callable[[np.ndarray], np.ndarray]:
            return lambda V: amplitude * matrix.product(V, dtype) + noise[:, None] * V

        coarse = np.float64 if noise.min() < COARSE_NOISE * amplitude else np.float32
        local = variance and len(rows) > DENSE_ROWS
        if max_steps:
            exact = times(np.float64)
            found = solve(
                exact,
                exact if coarse is np.float64 else times(coarse),
                _neighbour(process, kernel, amplitude, rows, noise, ridge),
                targets,
                start=start,
                tolerance=tolerance,
                max_steps=max_steps,
                watch=watch,
            )
            start, steps, converged = found.vectors, found.steps, found.converged
            residual = np.sqrt(np.mean(found.residual**2, axis=0))
        if local:
            features = _kept_features(process, rows)
            rotation, shared = _orthonormal(features, times(np.float32)(features))
        return cls(
            process,
            amplitude,
            noise_variance,
            stretch,
            rows,
            noise,
            start,
            rotation,
            shared,
            neighbours,
            residual,
            steps,
            converged,
        )

    @property
    def kernel(self) -> Kernel:
        """Of unit amplitude, with the length scales of the whole process."""
        return _stretched(self.process, self.stretch)

    def diagonal(self, X: np.ndarray) -> np.ndarray:
        """Its values `k(x, x)`, (points,)."""
        kernel = with_precision(self.kernel, float)
        return np.asarray(compiled_diagonal(kernel, self._near(X, float)))

    def mean(self, X: np.ndarray) -> np.ndarray:
        """Posterior mean (points, outputs), in the target's units."""
        modes, features = self.process.modes, self.process.modes.features
        dtype = features.inducing_points.dtype
        matrix = KernelMatrix(self.kernel, self.rows, features.origin)
        found = self.amplitude * matrix.across(X, self.dual, dtype)
        return modes.target_mean + modes.target_scale * found

    def variance(self, X: np.ndarray) -> np.ndarray:
        """Posterior variance (points,) of the latent function, targets scaled."""
        prior = self.amplitude * self.diagonal(X)
        explained = [
            self._explained(block, len(block) if len(X) <= POINTS else POINTS)
            for block in chunks(X, POINTS)
        ]
        return np.maximum(prior - np.concatenate(explained), 0.0)

    def bound(self) -> np.ndarray:
        r"""(outputs,): no posterior mean, anywhere, is farther from the solution of the equations
        than this times its prior standard deviation, targets scaled:
        :math:`|k_x A^{-1} r|^2 \le k_x A^{-1} k_x \; r A^{-1} r \le k(x, x)\, |r|^2 / \sigma^2`."""
        return self.residual * np.sqrt(len(self.rows) / self.noise.min())

    def _near(self, X: np.ndarray, dtype: Any) -> np.ndarray:
        """Inputs counted from where the features count them, and then rounded."""
        return (X - self.process.modes.features.origin).astype(dtype)

    @functools.cached_property
    def _kernel(self) -> tuple[Kernel, Any, np.ndarray]:
        """In the precision that the variance needs, with rows filled up to a length compiled."""
        count = len(self.rows)
        fine = count <= DENSE_ROWS or self.noise.min() < COARSE_NOISE * self.amplitude
        dtype = np.float64 if fine else np.float32
        size = padded_rows(count) if count <= ROWS else -(-count // ROWS) * ROWS
        points = np.pad(self._near(self.rows, dtype), ((0, size - count), (0, 0)), mode="edge")
        return with_precision(self.kernel, dtype), dtype, points

    @functools.cached_property
    def _basis(self) -> np.ndarray:
        """E, (n, kept)."""
        return (_kept_features(self.process, self.rows) @ self.rotation).astype(np.float32)

    @functools.cached_property
    def _lower(self) -> np.ndarray:
        """Cholesky factor of A, of few rows."""
        kernel = with_precision(self.kernel, float)
        gram = np.array(compiled_gram(kernel, self.rows, self.rows))
        gram *= self.amplitude
        gram[np.diag_indices_from(gram)] += self.noise
        return np.linalg.cholesky(gram)

    def _explained(self, X: np.ndarray, size: int) -> np.ndarray:
        """:math:`k_x A^{-1} k_x`, (points,)."""
        kernel, dtype, points = self._kernel
        filled = np.pad(X, ((0, padded_rows(size) - len(X)), (0, 0)), mode="edge")
        across = np.asarray(compiled_gram(kernel, self._near(filled, dtype), points))
        across = self.amplitude * across[: len(X), : len(self.rows)]
        if len(self.rows) <= DENSE_ROWS:
            whitened = scipy.linalg.solve_triangular(self._lower, across.T, lower=True)
            return np.einsum("ij,ij->j", whitened, whitened)
        projected = across.astype(np.float32) @ self._basis
        count = min(self.neighbours, (len(self.rows) - self.process.kept) // 2)
        gain = across**2 / (self.amplitude * self._diagonal + self.noise)
        nearest = np.argpartition(gain, -count, axis=1)[:, -count:]
        found = np.einsum("ij,ij->i", projected.astype(float), projected.astype(float))
        for first in range(0, len(X), BATCH):
            some = range(first, min(first + BATCH, len(X)))
            chosen = np.resize(nearest[first : first + BATCH], (BATCH, count))
            grams = np.asarray(_grams(kernel, self._near(self.rows[chosen], dtype)), float)
            for point, rows, gram in zip(some, chosen, grams, strict=False):
                shared = self.shared[rows].astype(dtype)
                rest = across[point, rows] - shared @ projected[point]
                gram = self.amplitude * gram - shared @ shared.T
                gram[np.diag_indices(count)] += self.noise[rows]
                found[point] += _squared(gram, rest)
        return found

    @functools.cached_property
    def _diagonal(self) -> np.ndarray:
        return self.diagonal(self.rows)


def _kept_features(process: ReducedProcess, rows: np.ndarray) -> np.ndarray:
    """(n, kept), in single precision: a preconditioner need not be exact."""
    parts = [process.kept_features(block).astype(np.float32) for block in chunks(rows, ROWS)]
    return np.concatenate(parts)


def _stretched(process: ReducedProcess, stretch: float) -> Kernel:
    kernel = process.modes.features.kernel
    return kernel if stretch == 1 else Rescaled(kernel, stretch)


def _neighbour(
    process: ReducedProcess,
    kernel: Kernel,
    amplitude: float,
    rows: np.ndarray,
    noise: np.ndarray,
    ridge: np.ndarray,
) -> Callable[[np.ndarray], np.ndarray]:
    """Solutions of equations that are near those of all modes: of the reduced process with its
    renormalized ridge (n,), or of one with more modes where they pay."""
    rank = affordable_rank(len(rows))
    if rank <= process.kept:
        scale = np.float32((amplitude / process.amplitude) ** 0.5)
        return preconditioner(_kept_features(process, rows) * scale, ridge)
    origin = process.modes.features.origin
    negligible = SMALL_SHARE * float(noise.min()) / amplitude
    features, lost = nystrom_features(kernel, rows - origin, rank, negligible)
    features *= np.float32(amplitude**0.5)
    return preconditioner(features, noise + amplitude * lost)


def _orthonormal(features: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For features F and images A F: the rotation T with (F T)^T A (F T) = 1, and A F T."""
    norms = np.sqrt(np.maximum(np.einsum("ij,ij->j", features, features), 1e-300))
    products = (features.T.astype(float) @ images) / norms / norms[:, None]
    values, vectors = np.linalg.eigh((products + products.T) / 2)
    # Modes that rounding cannot tell from others say nothing of their own.
    kept = values > 1e-6 * np.min(np.diagonal(products))
    rotation = vectors[:, kept] / np.sqrt(values[kept]) / norms[:, None]
    return rotation, (images @ rotation).astype(np.float32)


@compiled
def _grams(kernel: Kernel, rows: Any) -> jax.Array:
    """Kernel matrices (batch, m, m) of batches of rows (batch, m, d)."""
    return jax.vmap(kernel.gram)(rows, rows)


def _squared(matrix: np.ndarray, vector: np.ndarray) -> float:
    """:math:`v A^{-1} v`; where rounding left a matrix indefinite, of one that is a little more.
    Raises ValueError for one that is not finite."""
    ridge = np.finfo(np.float32).eps * float(np.max(np.diagonal(matrix)))
    while np.isfinite(ridge):
        try:
            lower = np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            matrix[np.diag_indices_from(matrix)] += ridge
            ridge *= 2
        else:
            solved = scipy.linalg.solve_triangular(lower, vector, lower=True, check_finite=False)
            return float(solved @ solved)
    raise ValueError(
        "the kernel matrix of neighbouring rows holds no finite variances; look for rows whose "
        "kernel overflows."
    )
