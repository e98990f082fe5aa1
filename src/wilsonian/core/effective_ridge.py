"""The effective ridge: the self-consistent noise of a theory whose modes are integrated out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.roots import Root, bracketed_newton
from wilsonian.core.types import Numbers, Scalar


@jax.jit  # compiled once per shape: an eager loop would be compiled at every call
def solve_effective_ridge(
    eigenvalues: Float[Numbers, " modes"],
    ridge: Scalar,
    n_samples: Scalar,
    multiplicity: Scalar | Float[Numbers, " modes"] = 1.0,
) -> Root:
    r"""Solution :math:`s` of :math:`s = \sigma^2 + \sum_q m_q \lambda_q s / (s + n \lambda_q)`,
    :math:`m_q` the `multiplicity` of each eigenvalue (one when left out).

    The right side is increasing and concave, so there is one positive solution, between
    :math:`\sigma^2` and :math:`\sigma^2 + \sum_q m_q \lambda_q`; Newton's method finds it in doubly
    logarithmic coordinates, where both limits are straight lines. Equals :math:`n \kappa` of
    learning-curve theory (Canatar et al. 2021, eq. 4). With a zero ridge and at most n positive
    eigenvalues the solution is zero.

    Differentiable, also there: :math:`\partial s / \partial \sigma^2 = 1 / (1 - \gamma)`,
    :math:`\gamma = \sum_q m_q [\lambda_q / (s + n \lambda_q)]^2 n` (docs/science/wilsonian.md,
    section 4).
    """
    dtype = jnp.result_type(eigenvalues, ridge, n_samples, multiplicity, 1.0)
    eigenvalues, ridge, n_samples, multiplicity = (
        jnp.asarray(value, dtype) for value in (eigenvalues, ridge, n_samples, multiplicity)
    )
    tiny = 1e6 * jnp.finfo(dtype).tiny

    def renormalized(value, eigenvalues, ridge, n_samples):
        total = value + n_samples * eigenvalues
        share = jnp.where(total > 0, value / jnp.where(total > 0, total, 1.0), 1.0)
        return ridge + jnp.sum(multiplicity * eigenvalues * share)

    def solve(*_):
        def excess(log_value):
            value = jnp.exp(log_value)
            return log_value - jnp.log(renormalized(value, eigenvalues, ridge, n_samples))

        low = jnp.log(jnp.maximum(ridge, tiny))
        high = jnp.log(jnp.maximum(ridge + jnp.sum(multiplicity * eigenvalues), tiny))
        root = bracketed_newton(excess, low, high, high)
        value = jnp.exp(root.value)
        rank = jnp.sum(multiplicity * (eigenvalues > 0))
        # Multiplicities add up with rounding.
        vanishes = (ridge <= 0) & (rank <= n_samples * (1 + 1e3 * jnp.finfo(dtype).eps))
        # One more iteration of the equation itself removes the rounding of the logarithm.
        value = renormalized(value, eigenvalues, ridge, n_samples)
        return jnp.where(vanishes, 0.0, value), (root.residual, root.steps.astype(dtype))

    value, (residual, steps) = jax.lax.custom_root(
        lambda value: renormalized(value, eigenvalues, ridge, n_samples) - value,
        jnp.zeros((), dtype),
        solve,
        lambda tangent, right: right / tangent(jnp.ones_like(right)),
        has_aux=True,
    )
    # Auxiliary outputs must be floating-point to be differentiated past.
    return Root(value, residual, jnp.round(steps).astype(int))


def effective_ridge(
    eigenvalues: Float[Numbers, " modes"],
    ridge: Scalar,
    n_samples: Scalar,
    multiplicity: Scalar | Float[Numbers, " modes"] = 1.0,
) -> Float[Array, ""]:
    """The value that :func:`solve_effective_ridge` finds."""
    return solve_effective_ridge(eigenvalues, ridge, n_samples, multiplicity).value
