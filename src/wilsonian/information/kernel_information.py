r"""Information spectra of kernel regression: any kernel, infinite networks among them.

With parameters that enter linearly and Gaussian labels all is exact. The Fisher eigenmodes of the
training set are the eigenmodes :math:`u_A` of its Gram matrix, :math:`k_A = \kappa_A / \sigma^2`.
Modes of the *sample* decouple: cutting them renormalizes nothing; modes of the *population* do
renormalize the ridge, which is :class:`wilsonian.PointTheory`'s work (docs/science/information.md,
section 3).
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.coarse_graining import AbstractTheory
from wilsonian.core.information import degrees_of_freedom, nats
from wilsonian.core.precision import compiled, full_products
from wilsonian.core.types import Scalar
from wilsonian.kernels import Kernel, as_kernel, check_points, check_widths


class FlowedPrediction(eqx.Module):
    """Mean and variance of the function at each point."""

    mean: Float[Array, " points"]
    variance: Float[Array, " points"]


class KernelInformation(AbstractTheory):
    r"""Kernel regression under an information cutoff, with removed modes reset to their prior:

    .. math:: m(x) = \sum_A \frac{w_A K_* u_A\, u_A^T y}{w_A \kappa_A + \sigma^2}, \qquad
        C = K_{**} - \sum_A \frac{w_A K_* u_A\, u_A^T K_*^T}{w_A \kappa_A + \sigma^2} .

    Without a cutoff it is the posterior; the cut mean is regression with a truncated spectrum, and
    the covariance gives removed modes their prior variance back. Made by
    :func:`kernel_information`.
    """

    kernel: Kernel
    points: Float[Array, "n d"]
    targets: Float[Array, " n"]
    noise_variance: Scalar
    gram_eigenvalues: Float[Array, " modes"]  # kappa, descending
    vectors: Float[Array, "n modes"]
    kept_weights: Float[Array, " modes"]

    @property
    def eigenvalues(self):
        """Information of every mode, :math:`k_A`: cutoffs are in its units."""
        return self.gram_eigenvalues / self.noise_variance

    @property
    def weights(self):
        return self.kept_weights

    def absorb(self, kept, lost):
        return eqx.tree_at(lambda theory: theory.kept_weights, self, kept)

    def summary(self):
        kept = self.eigenvalues * self.kept_weights
        return KernelSummary(
            jnp.sum(self.kept_weights),
            degrees_of_freedom(kept),
            nats(kept),
            self.expected_training_error(),
        )

    def counting_data(self, times: Scalar) -> KernelInformation:
        """Every example counted `times` times, above one too: noise :math:`\\sigma^2 / times`."""
        weights = times * jnp.ones_like(self.kept_weights)
        return eqx.tree_at(lambda theory: theory.kept_weights, self, weights)

    def _gains(self) -> Float[Array, " modes"]:
        return self.kept_weights / (self.kept_weights * self.gram_eigenvalues + self.noise_variance)

    @property
    @full_products
    def target_coefficients(self) -> Float[Array, " modes"]:
        """:math:`y_A = u_A^T y`."""
        return self.vectors.T @ self.targets

    @full_products
    def predict(self, Z: Any) -> FlowedPrediction:
        """Law of the function at the rows of `Z`."""
        cross, Z = self._cross(Z)
        gains = self._gains()
        variance = self.kernel.diagonal(Z) - (cross**2) @ gains
        return FlowedPrediction(
            cross @ (gains * self.target_coefficients), jnp.maximum(variance, 0.0)
        )

    @full_products
    def covariance(self, Z: Any) -> Float[Array, "m m"]:
        """Covariance of the function between the rows of `Z`: the flowed kernel."""
        cross, Z = self._cross(Z)
        return self.kernel.gram(Z, Z) - (cross * self._gains()) @ cross.T

    def expected_training_error(self) -> Float[Array, ""]:
        r"""Mean squared distance between targets and a draw of the function, on average,
        :math:`\frac1T \sum_A [(m_A - y_A)^2 + C_{AA}]` with the part of the targets outside all
        modes."""
        kappa, y = self.gram_eigenvalues, self.target_coefficients
        gains = self._gains()
        errors = (1 - gains * kappa) ** 2 * y**2 + kappa * (1 - gains * kappa)
        outside = jnp.sum(self.targets**2) - jnp.sum(y**2)
        return (jnp.sum(errors) + outside) / len(self.targets)

    def nats_lost(self) -> Float[Array, ""]:
        r"""Information lost, :math:`\frac12 \sum \log(1 + k) - \frac12 \sum \log(1 + w k)`: of a
        sharp cutoff the mean over data drawn from the model of the divergence between the
        posterior and the cut one."""
        return nats(self.eigenvalues) - nats(self.eigenvalues * self.kept_weights)

    @full_products
    def _cross(self, Z: Any) -> tuple[Array, Array]:
        """:math:`K_* U`, and the checked points."""
        Z = check_points(Z, "Z")
        check_widths(self.points, Z)
        return self.kernel.gram(Z, self.points) @ self.vectors, Z


class KernelSummary(eqx.Module):
    """What a flow records of a :class:`KernelInformation`."""

    kept: Float[Array, "..."]
    degrees_of_freedom: Float[Array, "..."]
    nats: Float[Array, "..."]
    training_error: Float[Array, "..."]


def kernel_information(kernel: Any, X: Any, y: Any, noise_variance: Scalar) -> KernelInformation:
    """Information spectrum of regression with `kernel` (of an infinite network its NNGP) on the
    rows of `X` with targets `y` whose labels carry noise of variance `noise_variance`.

    Runs in the precision of JAX's arrays; modes below its rounding are left out. Raises ValueError
    for shapes that do not fit and for noise that is not positive.
    """
    kernel, X = as_kernel(kernel), check_points(X, "X")
    y = jnp.asarray(y, X.dtype)
    if y.shape != (len(X),):
        raise ValueError(f"`y` has shape {y.shape} for {len(X)} points; pass one target per point.")
    if not float(noise_variance) > 0:
        raise ValueError(
            f"`noise_variance` must be positive, got {noise_variance}; without noise every "
            "mode has infinite information."
        )
    values, vectors = _eigenpairs(kernel, X)
    floor = jnp.finfo(values.dtype).eps * len(X) * values[0]
    count = int(np.sum(np.asarray(values) > float(floor)))
    values, vectors = values[:count], vectors[:, :count]
    return KernelInformation(kernel, X, y, noise_variance, values, vectors, jnp.ones_like(values))


@compiled
def _eigenpairs(kernel, X):
    gram = kernel.gram(X, X)
    values, vectors = jnp.linalg.eigh((gram + gram.T) / 2)
    return values[::-1], vectors[:, ::-1]
