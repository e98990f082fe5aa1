"""Kernels of what repeats: periodic, locally periodic, and mixtures of spectral lines."""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.types import Scalar
from wilsonian.kernels.formulas import RBF, squared_distance
from wilsonian.kernels.kernel import Kernel, Product, Scaled, divided


class Periodic(Kernel):
    r"""Functions that repeat, :math:`k = \exp\left(-2 \sum_j \sin^2(\pi (x_j - z_j) / p_j) /
    \ell_j^2\right)`: :class:`RBF` of each column wound onto a circle (MacKay 1998; Rasmussen and
    Williams 2006, eq. 4.31).

    `period` is in the units of the columns; `length_scale` has no unit and says how much happens
    within a period: below one, more than the first harmonics. Both are one number, or one for each
    column.
    """

    length_scale: Scalar | Float[Array, " d"] = 1.0
    period: Scalar | Float[Array, " d"] = 1.0

    @property
    def shift_invariant(self) -> bool:
        return True

    def evaluate(self, x, z):
        return jnp.exp(-squared_distance(self._wound(x), self._wound(z)) / 2)

    def gram(self, X, Z):
        # Only differences matter: phases far from the origin would lose digits.
        centre = jnp.mean(Z, axis=0, keepdims=True)
        return super().gram(X - centre, Z - centre)

    def diagonal(self, X):
        return jnp.ones(X.shape[0], X.dtype)

    def _wound(self, x: Float[Array, " d"]) -> Float[Array, " 2d"]:
        """Every column as a point of a circle of radius one over the length scale; the chord
        between two is 2 sin(pi (x - z) / p) / l."""
        angle = 2 * jnp.pi * divided(x, self.period, "period")
        return jnp.concatenate(
            [divided(wave, self.length_scale) for wave in (jnp.cos(angle), jnp.sin(angle))]
        )


class Cosine(Kernel):
    r"""Waves of one period, :math:`k = \prod_j \cos(2 \pi (x_j - z_j) / p_j)`; times :class:`RBF`
    a spectral line of finite width."""

    period: Scalar | Float[Array, " d"] = 1.0

    @property
    def shift_invariant(self) -> bool:
        return True

    def evaluate(self, x, z):
        # Cosines of differences as products of waves: these are of a point each, so that rounding
        # of large phases leaves the Gram matrix positive. Column by column: batched, an array of
        # all differences would be pairs times columns.
        columns = [
            jnp.cos(a) * jnp.cos(b) + jnp.sin(a) * jnp.sin(b)
            for a, b in zip(self._angles(x), self._angles(z), strict=True)
        ]
        return functools.reduce(jnp.multiply, columns)

    def _angles(self, x: Float[Array, " d"]) -> Float[Array, " d"]:
        return 2 * jnp.pi * divided(x, self.period, "period")

    def gram(self, X, Z):
        centre = jnp.mean(Z, axis=0, keepdims=True)  # as of Periodic
        return super().gram(X - centre, Z - centre)

    def diagonal(self, X):
        return jnp.ones(X.shape[0], X.dtype)


def locally_periodic(length_scale: Any = 1.0, period: Any = 1.0, decay: Any = 10.0) -> Kernel:
    """Functions whose shape repeats but changes slowly: :class:`Periodic` times :class:`RBF` of
    length scale `decay`, both in the units of the columns (Rasmussen and Williams 2006,
    section 5.4.3)."""
    return Product(Periodic(length_scale, period), RBF(decay))


def spectral_mixture(components: int = 3, period: Any = 1.0, length_scale: Any = 1.0) -> Kernel:
    r"""A spectral density of `components` Gaussians, :math:`k = \sum_q w_q \prod_j
    e^{-2 \pi^2 \tau_j^2 v_{qj}} \cos(2 \pi \tau_j \mu_{qj})` (Wilson and Adams 2013, eq. 12): a sum
    of :class:`Cosine` (:math:`p = 1 / \mu`) times :class:`RBF` (:math:`\ell = 1 / 2 \pi \sqrt v`).

    The periods start at `period`, a half of it, a quarter ..., so that no two are the same.

    Raises ValueError unless there is at least one component.
    """
    if not isinstance(components, int) or components < 1:
        raise ValueError(f"`components` must be a positive whole number, got {components!r}.")
    lines = [
        Scaled(Product(Cosine(period / 2.0**q), RBF(length_scale)), 1.0 / components)
        for q in range(components)
    ]
    mixture: Kernel = lines[0]
    for line in lines[1:]:
        mixture = mixture + line
    return mixture
