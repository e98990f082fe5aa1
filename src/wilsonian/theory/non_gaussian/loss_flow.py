"""How any loss changes as modes are integrated out, and the loss that a spread of ridges makes."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.quadrature import gauss_hermite
from wilsonian.core.types import Scalar

Loss = Callable[[Array], Array]


def renormalized_loss(loss: Loss, variance: Scalar, *, nodes: int = 64) -> Loss:
    r"""The loss felt by the kept modes,

    .. math:: \ell_c(v) = -\log E_{z \sim N(0, c)}\, e^{-\ell(v + z)},

    once modes of total `variance` :math:`c` have been integrated out (docs/science/non-gaussian.md,
    section 5; exact at first cumulant, for features whose variances do not depend on the input).
    Steps compose: :math:`(\ell_a)_b = \ell_{a + b}`. The quadratic loss :math:`v^2 / 2 \sigma^2`
    becomes that of the ridge :math:`\sigma^2 + c`, and a constant.

    `loss` maps residuals to minus log likelihoods, one by one; by Gauss-Hermite quadrature with
    `nodes` points, which wants a loss that is smooth on the scale of :math:`\sqrt c`.

    Raises ValueError for a negative variance or no nodes.
    """
    if not isinstance(variance, jax.core.Tracer) and not 0 <= float(variance) < np.inf:
        raise ValueError(f"`variance` must be finite and at least zero, got {variance}.")
    if nodes < 1:
        raise ValueError(f"`nodes` must be positive, got {nodes}; 64 suits smooth losses.")
    points, weights = gauss_hermite(nodes)
    # Nodes of 400 and more have weights below the smallest number: their logarithm is -inf, as
    # it should be.
    with np.errstate(divide="ignore"):
        logs = np.log(weights)

    def renormalized(residual):
        residual = jnp.asarray(residual)
        shifts = jnp.sqrt(jnp.asarray(variance, residual.dtype)) * points.astype(residual.dtype)
        exponents = logs.astype(residual.dtype) - loss(residual[..., None] + shifts)
        return -jax.nn.logsumexp(exponents, axis=-1)

    return renormalized


def spread_loss(
    residual: Float[Array, "..."], ridges: Float[Array, " points"]
) -> Float[Array, "..."]:
    r""":math:`-\log E\, e^{-v^2 / 2 \sigma^2(x)}` over equally likely `ridges`: the loss that is
    left where :math:`\sigma^2(x)` still varies at given kept features
    (docs/science/non-gaussian.md, section 5). It grows more slowly than any quadratic one: outliers
    count less."""
    exponents = -0.5 * jnp.asarray(residual)[..., None] ** 2 / ridges
    return -jax.nn.logsumexp(exponents, axis=-1) + jnp.log(ridges.shape[0])


def quartic_spread_loss(
    residual: Float[Array, "..."], ridge: Scalar, variance: Scalar
) -> Float[Array, "..."]:
    r"""Leading correction to the quadratic loss from a spread of ridges of mean :math:`\sigma^2`
    and small `variance` :math:`V`,

    .. math:: \frac{v^2}{2 \sigma^2} - \frac{V}{2}
        \Big[\frac{v^4}{4 \sigma^8} - \frac{v^2}{\sigma^6}\Big],

    to the first order in :math:`V` (docs/science/non-gaussian.md, section 5). For :math:`v^2 \ll
    \sigma^2` it raises the weight, to the harmonic mean."""
    square = jnp.asarray(residual) ** 2 / ridge
    return square / 2 - 0.5 * variance / ridge**2 * (square**2 / 4 - square)
