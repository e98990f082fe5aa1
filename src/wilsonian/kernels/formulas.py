"""Kernels with a formula: stationary ones, linear and polynomial."""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.types import Scalar
from wilsonian.kernels.kernel import Kernel, divided, inner_product, safe_sqrt


def squared_distance(x: Float[Array, " d"], z: Float[Array, " d"]) -> Float[Array, ""]:
    """Squared Euclidean distance from inner products (so that a Gram is one GEMM).

    Distances below the rounding of the subtraction are set to exactly zero; otherwise a point
    would lie at distance ~sqrt(eps) |x| from itself and kernels with a cusp would notice.
    """
    x_norm, z_norm = inner_product(x, x), inner_product(z, z)
    distance = x_norm + z_norm - 2 * inner_product(x, z)
    rounding = 8 * jnp.finfo(distance.dtype).eps * (x_norm + z_norm)
    return jnp.where(distance > rounding, distance, 0.0)


def _shrink(X: Array, Z: Array) -> Array:
    """What to divide points by so that their squares do not overflow: one, unless coordinates lie
    beyond 1e150 (in float32 1e16)."""
    largest = jnp.maximum(*(jnp.max(jnp.abs(points), initial=0) for points in (X, Z)))
    largest = jax.lax.stop_gradient(largest)
    return jnp.where(largest > jnp.finfo(X.dtype).max ** 0.45, largest, 1.0).astype(X.dtype)


def _grown(squared: Array, shrink: Array) -> Array:
    """Squared distances of the points before they were divided, at most a value that profiles can
    multiply without overflow."""
    most = jnp.finfo(squared.dtype).max / 64
    return jnp.minimum(squared, most / shrink / shrink) * shrink * shrink


class AbstractStationary(Kernel):
    """Kernels of the distance between points divided by `length_scale` (a scalar, or one per
    column for ARD)."""

    length_scale: eqx.AbstractVar[Scalar | Float[Array, " d"]]

    @abc.abstractmethod
    def profile(self, squared: Float[Array, ""]) -> Float[Array, ""]:
        """Covariance at a squared scaled distance; one at distance zero."""

    @property
    def shift_invariant(self) -> bool:
        return True

    def evaluate(self, x, z):
        x, z = divided(x, self.length_scale), divided(z, self.length_scale)
        shrink = _shrink(x, z)
        return self.profile(_grown(squared_distance(x / shrink, z / shrink), shrink))

    def gram(self, X, Z):
        # Only differences matter: a common shift keeps the subtraction inside
        # `squared_distance` accurate when the data lie far from the origin.
        centre = jax.lax.stop_gradient(jnp.mean(Z, axis=0, keepdims=True))
        X, Z = divided(X - centre, self.length_scale), divided(Z - centre, self.length_scale)
        pair = jax.vmap(jax.vmap(squared_distance, (None, 0)), (0, None))
        shrink = _shrink(X, Z)
        return self.profile(_grown(pair(X / shrink, Z / shrink), shrink))

    def diagonal(self, X):
        return jnp.ones(X.shape[0], X.dtype)


class RBF(AbstractStationary):
    r"""Squared exponential, :math:`k = \exp(-r^2 / 2)`, :math:`r = |(x - z) / \ell|`
    (Rasmussen and Williams 2006, eq. 4.9)."""

    length_scale: Scalar | Float[Array, " d"] = 1.0

    def profile(self, squared):
        return jnp.exp(-squared / 2)


class Matern12(AbstractStationary):
    r"""Exponential, :math:`k = e^{-r}` (Rasmussen and Williams 2006, eq. 4.18)."""

    length_scale: Scalar | Float[Array, " d"] = 1.0

    def profile(self, squared):
        return jnp.exp(-safe_sqrt(squared))


class Matern32(AbstractStationary):
    r"""Matern 3/2, :math:`k = (1 + \sqrt3 r) e^{-\sqrt3 r}` (Rasmussen and Williams 2006,
    eq. 4.17)."""

    length_scale: Scalar | Float[Array, " d"] = 1.0

    def profile(self, squared):
        r = safe_sqrt(3 * squared)
        return (1 + r) * jnp.exp(-r)


class Matern52(AbstractStationary):
    r"""Matern 5/2, :math:`k = (1 + \sqrt5 r + 5 r^2 / 3) e^{-\sqrt5 r}` (Rasmussen and Williams
    2006, eq. 4.17)."""

    length_scale: Scalar | Float[Array, " d"] = 1.0

    def profile(self, squared):
        r = safe_sqrt(5 * squared)
        return (1 + r + r**2 / 3) * jnp.exp(-r)


class RationalQuadratic(AbstractStationary):
    r"""Rational quadratic, :math:`k = (1 + r^2 / 2 \alpha)^{-\alpha}` (Rasmussen and Williams
    2006, eq. 4.19), a scale mixture of :class:`RBF`."""

    length_scale: Scalar | Float[Array, " d"] = 1.0
    alpha: Scalar = 1.0

    def profile(self, squared):
        return jnp.exp(-self.alpha * jnp.log1p(squared / (2 * self.alpha)))


class Linear(Kernel):
    r"""Linear regression as a kernel, :math:`k = v\, x \cdot z + b`; with `bias_variance` zero
    equal to ridge regression without intercept."""

    variance: Scalar = 1.0
    bias_variance: Scalar = 0.0

    def evaluate(self, x, z):
        return self.variance * inner_product(x, z) + self.bias_variance


class Polynomial(Kernel):
    r"""Polynomial, :math:`k = (v\, x \cdot z + b)^p`.

    Raises ValueError when `degree` is not a positive integer.
    """

    degree: int = eqx.field(static=True, default=2)
    variance: Scalar = 1.0
    bias_variance: Scalar = 1.0

    def __check_init__(self):
        if not isinstance(self.degree, int) or self.degree < 1:
            raise ValueError(f"`degree` must be a positive integer, got {self.degree!r}.")

    def evaluate(self, x, z):
        return (self.variance * inner_product(x, z) + self.bias_variance) ** self.degree
