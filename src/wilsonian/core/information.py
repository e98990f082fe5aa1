"""What data teach about a mode: learnability, degrees of freedom and nats from signal to noise."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.types import Numbers, Scalar


@jax.jit
def learnability(
    eigenvalues: Float[Numbers, "..."],
    ridge: Scalar | Float[Numbers, "..."],
    n_samples: Scalar | Float[Numbers, "..."],
) -> Float[Array, "..."]:
    r"""Fraction of a mode's coefficient that n samples teach,
    :math:`n \lambda / (\sigma^2 + n \lambda)` (paper eq. 37); zero for a mode of no variance,
    whatever the ridge."""
    return learned_fraction(jnp, eigenvalues, ridge, n_samples)


def learned_fraction(numpy: Any, eigenvalues: Any, ridge: Any, n_samples: Any) -> Any:
    """:func:`learnability` by the functions of NumPy, which compile nothing, or by JAX's."""
    signal = n_samples * eigenvalues
    total = ridge + signal
    return numpy.where(total > 0, signal / numpy.where(total > 0, total, 1.0), 0.0)


@jax.jit
def degrees_of_freedom(
    signal_to_noise: Float[Numbers, "..."], multiplicity: Scalar | Float[Numbers, "..."] = 1.0
) -> Float[Array, ""]:
    r"""Number of modes that are learned, :math:`\sum_k m_k s_k / (1 + s_k)`, each by its
    learnability at signal to noise :math:`s_k` (:math:`n \lambda_k / \sigma^2` of a kernel, an
    eigenvalue of whitened Fisher information, :math:`C M^2 / \Sigma` of a Gaussian channel)."""
    return jnp.sum(multiplicity * signal_to_noise / (1 + signal_to_noise))


@jax.jit
def nats(
    signal_to_noise: Float[Numbers, "..."], multiplicity: Scalar | Float[Numbers, "..."] = 1.0
) -> Float[Array, ""]:
    r"""Information of independent Gaussian modes in nats, :math:`\frac12 \sum_k m_k \log(1 +
    s_k)`: what an observation at signal to noise :math:`s_k` tells of each."""
    return jnp.sum(multiplicity * jnp.log1p(signal_to_noise)) / 2
