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


class LandmarkFeatures(eqx.Module):
    r"""Whitened landmark features :math:`f(x) = L^{-1} k(Z, x)` with :math:`L L^T = k(Z, Z)`, so
    that :math:`f(x) \cdot f(z)` is the Nystrom kernel."""

    kernel: Kernel
    landmarks: Any  # (rank, d)
    whitening: Any  # (rank, rank), L^{-T}

    @classmethod
    def of(cls, kernel: Kernel, landmarks: np.ndarray, root: np.ndarray) -> LandmarkFeatures:
        """Features of the landmarks whose kernel matrix has the lower Cholesky factor `root`."""
        identity = np.eye(len(root))
        whitening = scipy.linalg.solve_triangular(root, identity, lower=True).T
        dtype = landmarks.dtype
        return cls(with_precision(kernel, dtype), landmarks, whitening.astype(dtype))

    @property
    def rank(self) -> int:
        return self.landmarks.shape[0]

    def __call__(self, X: jax.Array) -> jax.Array:
        """Features (rows, rank) of the rows of `X`."""
        gram = self.kernel.gram(X, self.landmarks)
        return jnp.matmul(gram, self.whitening, precision=jax.lax.Precision.HIGHEST)
