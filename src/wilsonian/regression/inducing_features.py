"""Whitened features of inducing points, whose inner product is the Nystrom kernel."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from wilsonian.core.precision import with_precision
from wilsonian.kernels import Kernel


class InducingFeatures(eqx.Module):
    r"""Whitened features :math:`f(x) = L^{-1} k(Z, x)` with :math:`L L^T = k(Z, Z)`,
    so that :math:`f(x) \cdot f(z)` is the Nystrom kernel."""

    kernel: Kernel
    inducing_points: Any  # (rank, d)
    whitening: Any  # (rank, rank), L^{-T}

    @classmethod
    def of(cls, kernel: Kernel, inducing_points: np.ndarray, root: np.ndarray) -> InducingFeatures:
        """Features of the inducing points whose kernel matrix has the lower Cholesky factor
        `root`."""
        identity = np.eye(len(root))
        whitening = scipy.linalg.solve_triangular(root, identity, lower=True).T
        dtype = inducing_points.dtype
        return cls(with_precision(kernel, dtype), inducing_points, whitening.astype(dtype))

    @property
    def rank(self) -> int:
        return self.inducing_points.shape[0]

    def __call__(self, X: jax.Array) -> jax.Array:
        """Features (rows, rank) of the rows of `X`."""
        gram = self.kernel.gram(X, self.inducing_points)
        return jnp.matmul(gram, self.whitening, precision=jax.lax.Precision.HIGHEST)
