r"""Gaussian marginalization of a sector: coefficients that are integrated out become noise.

.. math:: e = J w + \varepsilon, \quad w \sim N(0, S), \quad \varepsilon \sim N(0, \sigma^2 I)
    \quad\Rightarrow\quad e \sim N(0, C), \quad C = \sigma^2 I + J S J^T

:math:`J S J^T` is to a simulator what the eliminated modes of a kernel are to its ridge
(docs/science/grey-box.md). An observation of infinite noise is a missing one.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.precision import full_products
from wilsonian.core.types import Scalar


class Marginal(eqx.Module):
    """What is known once a sector is integrated out."""

    log_evidence: Float[Array, ""]  # log N(e; 0, C), nats; of the observed entries
    coefficients: Float[Array, " modes"]  # posterior mean of w, in units of its prior scale
    learnability: Float[Array, " modes"]  # 1 - Var(w_k | e) / S_kk
    noise: Float[Array, " points"]  # posterior mean of the noise, in units of sigma
    noise_variance: Float[Array, " points"]  # prior minus posterior variance of it, same units


def whiten(
    jacobian: Float[Array, "points modes"],
    scale: Float[Array, " modes"],
    noise: Scalar | Float[Array, " points"],
) -> Float[Array, "points modes"]:
    r""":math:`J_{ik} \sqrt{S_{kk}} / \sigma_i`, zero where the noise is infinite."""
    return jacobian * scale[None, :] / jnp.broadcast_to(noise, jacobian.shape[:1])[:, None]


def normalization(noise: Float[Array, " points"]) -> Float[Array, ""]:
    r""":math:`\sum_i \log \sigma_i + \frac12 \log 2\pi` over the entries observed."""
    observed = jnp.isfinite(noise)
    logs = jnp.log(jnp.where(observed, noise, 1.0)) + 0.5 * jnp.log(2 * jnp.pi)
    return jnp.sum(jnp.where(observed, logs, 0.0))


@full_products
def marginalize(
    jacobian: Float[Array, "points modes"],
    scale: Float[Array, " modes"],
    noise: Scalar | Float[Array, " points"],
    error: Float[Array, " points"],
) -> Marginal:
    r"""Integrate out :math:`w`; in the smaller of the two spaces, so that no scale of the prior,
    zero included, is lost in rounding.

    With :math:`A = \sigma^{-1} J S^{1/2}`: posterior mean :math:`S^{1/2} A^T \alpha`,
    :math:`\alpha = (1 + A A^T)^{-1} \sigma^{-1} e`, learnability the diagonal of
    :math:`A^T (1 + A A^T)^{-1} A`, whose sum is the degrees of freedom.
    """
    points, modes = jacobian.shape
    noise = jnp.broadcast_to(jnp.asarray(noise, jacobian.dtype), (points,))
    whitened, error = whiten(jacobian, scale, noise), error / noise
    if modes < points:
        projected = whitened.T @ error
        factor = jnp.linalg.cholesky(jnp.eye(modes) + whitened.T @ whitened)
        solution = jax.scipy.linalg.cho_solve((factor, True), projected)
        residual = error - whitened @ solution
        half = jax.scipy.linalg.solve_triangular(factor, jnp.eye(modes), lower=True)
        learnability = 1.0 - jnp.sum(half**2, axis=0)
        diagonal = 1.0 - jnp.sum((whitened @ half.T) ** 2, axis=1)
    else:
        factor = jnp.linalg.cholesky(jnp.eye(points) + whitened @ whitened.T)
        residual = jax.scipy.linalg.cho_solve((factor, True), error)
        half = jax.scipy.linalg.solve_triangular(factor, jnp.eye(points), lower=True)
        learnability = jnp.sum((half @ whitened) ** 2, axis=0)
        diagonal = jnp.sum(half**2, axis=0)
    log_evidence = (
        -0.5 * error @ residual - jnp.sum(jnp.log(jnp.diag(factor))) - normalization(noise)
    )
    observed = jnp.isfinite(noise)
    return Marginal(
        log_evidence,
        whitened.T @ residual,
        learnability,
        residual,
        jnp.where(observed, diagonal, 0.0),
    )


@full_products
def marginal_information(
    jacobian: Float[Array, "points modes"],
    scale: Float[Array, " modes"],
    noise: Scalar | Float[Array, " points"],
    directions: Float[Array, "points parameters"],
) -> Float[Array, "parameters parameters"]:
    r"""Fisher information :math:`G^T C^{-1} G` of parameters that move the mean along the columns
    of `directions`, the sector being integrated out; with zero scales it is
    :math:`G^T G / \sigma^2`."""
    points, modes = jacobian.shape
    noise = jnp.broadcast_to(jnp.asarray(noise, jacobian.dtype), (points,))
    whitened, moved = whiten(jacobian, scale, noise), directions / noise[:, None]
    if modes < points:
        factor = jnp.linalg.cholesky(jnp.eye(modes) + whitened.T @ whitened)
        cross = jax.scipy.linalg.solve_triangular(factor, whitened.T @ moved, lower=True)
        return moved.T @ moved - cross.T @ cross
    factor = jnp.linalg.cholesky(jnp.eye(points) + whitened @ whitened.T)
    half = jax.scipy.linalg.solve_triangular(factor, moved, lower=True)
    return half.T @ half


def uniform_ridge(
    jacobian: Float[Array, "points modes"], scale: Float[Array, " modes"], noise: Scalar
) -> Float[Array, ""]:
    r"""Mean-field version of the noise, :math:`\sigma^2 + \mathrm{tr}(J S J^T) / n`."""
    return noise**2 + jnp.sum((jacobian * scale[None, :]) ** 2) / jacobian.shape[0]


@full_products
def directed_ridge(
    jacobian: Float[Array, "points modes"],
    scale: Float[Array, " modes"],
    noise: Scalar,
    direction: Float[Array, " points"],
) -> Float[Array, ""]:
    r"""The noise variance that one parameter feels whose derivative is `direction`,

    .. math:: \sigma_z^2 = \sigma^2 + \frac{g^T J S J^T g}{g^T g}

    Exactly :math:`g^T g` times the variance of its least-squares estimate in a linear model.
    """
    felt = (direction @ jacobian) * scale
    return noise**2 + felt @ felt / (direction @ direction)
