r"""Targets that are Gaussian with a known covariance: what exact Gaussian-process regression is
everywhere, whatever the covariance is made of."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.precision import full_products


class GaussianTargets(eqx.Module):
    r""":math:`y \sim N(0, C)`, one or several outputs of the same covariance, for regression with a
    kernel :math:`C = K + \sigma^2` (Rasmussen and Williams 2006, sec. 2.2).

    Factorized in the precision of the covariance, which must be positive definite."""

    targets: Float[Array, "n ..."]
    lower: Float[Array, "n n"]  # Cholesky factor of C
    dual: Float[Array, "n ..."]  # C^-1 y

    @classmethod
    def of(cls, covariance: Float[Array, "n n"], targets: Float[Array, "n ..."]) -> GaussianTargets:
        lower = jnp.linalg.cholesky(covariance)
        return cls(targets, lower, jax.scipy.linalg.cho_solve((lower, True), targets))

    @full_products
    def reduction(self, cross: Float[Array, "n m"]) -> Float[Array, "m m"]:
        r""":math:`k^T C^{-1} k`: by what the targets reduce the covariance of quantities whose
        covariances with them are the columns of `cross`."""
        whitened = self.whitened(cross)
        return whitened.T @ whitened

    def whitened(self, cross: Float[Array, "n m"]) -> Float[Array, "n m"]:
        r""":math:`L^{-1} k`, whose squares add up to the diagonal of :meth:`reduction`."""
        return jax.scipy.linalg.solve_triangular(self.lower, cross, lower=True)

    @full_products
    def log_evidence(self) -> Float[Array, ""]:
        """Log probability density of the targets in nats, summed over outputs (eq. 2.30)."""
        points = self.lower.shape[0]
        outputs = self.targets.size / points
        log_determinant = 2 * jnp.sum(jnp.log(jnp.diagonal(self.lower)))
        constant = points * jnp.log(2 * jnp.pi)
        return -0.5 * (jnp.vdot(self.targets, self.dual) + outputs * (log_determinant + constant))
