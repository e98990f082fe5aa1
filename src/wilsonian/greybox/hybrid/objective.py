r"""The loss in nats (docs/science/grey-box.md, section 6), and the released one.

.. math:: \mathcal L = \frac{\|x - x_{PAB}\|^2}{2 \sigma^2} + \frac n2 \log 2 \pi \sigma^2
    + \beta_{KL} \mathrm{KL} + \alpha \frac{D}{2 \sigma^2} + \beta \frac{R_{DA2}}{2 \sigma^2}
    + \gamma \frac{R_{DA1}}{2 \sigma^2}
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from wilsonian.core.types import Scalar
from wilsonian.greybox.hybrid.decoder import Decodings


class Weights(NamedTuple):
    """Weights of the terms, and the noise."""

    log_noise: float  # ln sigma^2
    alpha: float = 0.0
    beta: float = 0.0
    gamma: float = 0.0
    kl: float = 1.0  # beta_KL


class Terms(NamedTuple):
    """Means over a batch; squares are summed over a signal."""

    square: Array  # ||x - x_PAB||^2
    kl: Array  # nats
    residual: Array  # D
    augmented: Array  # R_DA2
    unmixed: Array  # R_DA1


def residual_relevance(x: Decodings) -> Array:
    r""":math:`D = \frac14 (\|x_{PA} - x_P\|^2 + \|x_{PB} - x_P\|^2 + \|x_{PAB} - x_{PA}\|^2 +
    \|x_{PAB} - x_{PB}\|^2)` of every signal."""
    pairs = ((x.inner, x.physics), (x.outer, x.physics), (x.both, x.inner), (x.both, x.outer))
    squares = [jnp.sum((one - two) ** 2, axis=-1) for one, two in pairs]
    return 0.25 * sum(squares[1:], start=squares[0])


def loss_in_nats(terms: Terms, weights: Weights, size: int) -> Array:
    """Per signal."""
    twice = 2 * jnp.exp(weights.log_noise)
    gauss = size / 2 * (jnp.log(2 * jnp.pi) + weights.log_noise)
    squares = (
        terms.square
        + weights.alpha * terms.residual
        + weights.beta * terms.augmented
        + weights.gamma * terms.unmixed
    )
    return squares / twice + gauss + weights.kl * terms.kl


def released_loss(terms: Terms, weights: Weights) -> Array:
    r"""As in the released code, :math:`2 \sigma^2 \mathcal L` less its constant at
    :math:`\beta_{KL} = (1 + \alpha) / 2`."""
    variance = jnp.exp(weights.log_noise)
    return (
        terms.square
        + variance * (1 + weights.alpha) * terms.kl
        + weights.alpha * terms.residual
        + weights.beta * terms.augmented
        + weights.gamma * terms.unmixed
    )


def gaussian_kl(mean: Array, log_scale: Array, prior_mean: Scalar, prior_sd: Scalar) -> Array:
    """KL of diagonal Gaussians, nats, summed over the last axis."""
    ratio = (mean - prior_mean) / prior_sd
    variance = jnp.exp(2 * log_scale) / prior_sd**2
    return 0.5 * jnp.sum(variance + ratio**2 - 1 - jnp.log(variance), axis=-1)
