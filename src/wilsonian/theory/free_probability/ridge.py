"""The ridge at which a fixed spectrum stands for its free product with random matrices."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.precision import compiled
from wilsonian.core.roots import root_or_zero
from wilsonian.core.types import Scalar
from wilsonian.theory.free_probability.ensemble import (
    AbstractEnsemble,
    check_number,
    check_spectrum,
    parameter,
)


def renormalized_ridge(
    eigenvalues: Any, ridge: Scalar, *ensembles: AbstractEnsemble
) -> Float[Array, ""]:
    r"""The :math:`\kappa` at which a fixed :math:`\Sigma` stands for its free product :math:`A`
    with random matrices, :math:`A (A + \lambda)^{-1} \simeq \Sigma (\Sigma + \kappa)^{-1}`:

    .. math:: \kappa = \lambda \prod_j S_j(t), \qquad
        t = -\frac1D \sum_i \frac{\lambda_i}{\lambda_i + \kappa}

    (arXiv:2405.00592, section III). For `WhiteWishart(D / n)` this is
    :func:`~wilsonian.core.effective_ridge.effective_ridge` at ridge :math:`n \lambda`, over n. Zero
    when `ridge` is and the random matrices leave enough rank. Differentiable.

    Raises ValueError when the eigenvalues are not one list of finite nonnegative numbers, or the
    ridge is negative.
    """
    check_spectrum(eigenvalues)
    check_number(ridge >= 0, "ridge", ridge, "must be at least 0")
    # The dtype is named: an array first seen in double precision would keep it.
    eigenvalues = jnp.asarray(eigenvalues, jnp.result_type(float))
    return _renormalized_ridge(eigenvalues, parameter(ridge), ensembles)


@compiled
def _renormalized_ridge(eigenvalues, ridge, ensembles):
    def bare(value):
        freedom = jnp.mean(eigenvalues / (eigenvalues + value))
        factors = [ensemble.t_transform(-freedom) for ensemble in ensembles]
        return value * jnp.prod(jnp.stack([jnp.ones_like(freedom), *factors]))

    return root_or_zero(bare, ridge, jnp.max(eigenvalues))
