"""Log evidence of a reduced theory as a differentiable function of its hyperparameters."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.types import Scalar
from wilsonian.kernels import Kernel
from wilsonian.kernels.learnable import learnable


class Candidate(eqx.Module):
    """Hyperparameters as an optimizer moves them: positive numbers by their logarithms."""

    log_kernel: Any  # the kernel's learnable leaves, None elsewhere
    log_amplitude: Array
    log_noise_variance: Array
    inducing_points: Array  # (rank, d)

    @classmethod
    def of(
        cls, kernel: Kernel, amplitude: float, noise_variance: float, inducing_points: Any
    ) -> tuple[Candidate, Any]:
        """A candidate, and the part of the kernel that stays fixed."""
        moved, fixed = eqx.partition(kernel, learnable(kernel))
        logs = jax.tree.map(lambda leaf: jnp.log(jnp.asarray(leaf, float)), moved)
        scale = jnp.log(jnp.asarray(amplitude, float)), jnp.log(jnp.asarray(noise_variance, float))
        return cls(logs, *scale, jnp.asarray(inducing_points)), fixed

    def kernel(self, fixed: Any) -> Kernel:
        return eqx.combine(jax.tree.map(jnp.exp, self.log_kernel), fixed)


def inducing_evidence(
    kernel: Kernel,
    amplitude: Scalar,
    noise_variance: Scalar,
    inducing_points: Float[Array, "rank d"],
    X: Float[Array, "rows d"],
    y: Float[Array, "rows outputs"],
    weights: Float[Array, " rows"],
    *,
    input_dependent: bool = False,
) -> Float[Array, ""]:
    r"""Log evidence, in nats, of the theory of all modes of the inducing points with the rest
    integrated out: :math:`y \sim N(0, a F F^T + R)`, :math:`F = K_{XZ} L^{-T}`, :math:`L L^T =
    K_{ZZ}`.

    The ridge :math:`R` is uniform, :math:`\sigma^2 + c` with :math:`c` the mean of the unresolved
    diagonal :math:`K_>(x, x)`; or input-dependent, :math:`\sigma^2 + K_>(x, x)`: the likelihood of
    FITC (Snelson and Ghahramani 2006). Differentiable in everything but the weights, which count
    rows. Products run in the precision of `X`, factorizations in JAX's widest enabled one.
    """
    rank = inducing_points.shape[0]
    square = kernel.gram(inducing_points, inducing_points).astype(float)
    # Inducing points that move, or that were chosen for another kernel, can become dependent; the
    # jitter is what the precision of the products resolves anyway.
    jitter = 10 * jnp.finfo(X.dtype).eps * jnp.mean(jnp.diagonal(square))
    lower = jnp.linalg.cholesky(square + jitter * jnp.eye(rank))
    # One inverse and a matrix product: a triangular solve with many right-hand sides and its
    # derivative are several times slower on a CPU.
    whitening = jax.scipy.linalg.solve_triangular(lower, jnp.eye(rank), lower=True).T
    features = kernel.gram(X, inducing_points) @ whitening.astype(X.dtype)
    tail = jnp.maximum(kernel.diagonal(X) - jnp.sum(features**2, axis=1), 0.0)
    if not input_dependent:
        tail = jnp.full_like(tail, weights @ tail / jnp.sum(weights))
    ridge = noise_variance + amplitude * tail
    precision = (weights / ridge)[:, None].astype(X.dtype)
    inner = (amplitude * ((features * precision).T @ features)).astype(float) + jnp.eye(rank)
    inner_lower = jnp.linalg.cholesky(inner)
    cross = (jnp.sqrt(amplitude) * (features.T @ (precision * y))).astype(float)
    explained = jax.scipy.linalg.solve_triangular(inner_lower, cross, lower=True)
    quadratic = jnp.sum(precision * y**2) - jnp.sum(explained**2)
    log_determinant = 2 * jnp.sum(jnp.log(jnp.diagonal(inner_lower)))
    log_determinant += weights @ jnp.log(2 * jnp.pi * ridge)
    return -0.5 * (quadratic + y.shape[1] * log_determinant)


@eqx.filter_jit
def loss_and_gradient(
    candidate: Candidate,
    fixed: Any,
    X: Array,
    y: Array,
    weights: Array,
    input_dependent: bool,
    move_inducing_points: bool,
) -> tuple[Array, Candidate]:
    """Negative log evidence per row and output, and its gradient."""

    def loss(candidate):
        inducing_points = candidate.inducing_points
        evidence = inducing_evidence(
            candidate.kernel(fixed),
            jnp.exp(candidate.log_amplitude),
            jnp.exp(candidate.log_noise_variance),
            inducing_points if move_inducing_points else jax.lax.stop_gradient(inducing_points),
            X,
            y,
            weights,
            input_dependent=input_dependent,
        )
        return -evidence / (jnp.sum(weights) * y.shape[1])

    return jax.value_and_grad(loss)(candidate)
