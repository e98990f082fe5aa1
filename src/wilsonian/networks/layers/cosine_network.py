r"""Cos-nets: cosine features whose momenta and amplitudes build a kernel in Fourier space.

One hidden layer of :math:`A(p) \cos(p \cdot x + \varphi)`, :math:`\varphi` uniform, has the
stationary kernel :math:`K(x - y) = \frac12 E_p[A(p)^2 \cos p \cdot (x - y)]`. With the momenta of
a ball and :math:`A^2 \propto 1 / (p^2 + m^2)` it is a free field under a cutoff (Halverson, Maiti
and Stoner 2021, arXiv:2008.08601, section 2; Demirtas et al. 2023, arXiv:2307.03223).
"""

from __future__ import annotations

import abc
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Float

from wilsonian.core.types import Scalar
from wilsonian.networks.layers.covariances import Covariances, Own, OwnPass, Scope
from wilsonian.networks.layers.layer import AbstractLayer
from wilsonian.networks.layers.signals import RAW, as_signal


class AbstractMomenta(eqx.Module):
    """A law of momenta and an amplitude for each, hence a stationary kernel."""

    @abc.abstractmethod
    def draw(self, key: Array, count: int, dimension: int) -> Float[Array, "count d"]:
        """Random momenta."""

    @abc.abstractmethod
    def squared_amplitude(self, momenta: Float[Array, "... d"]) -> Float[Array, "..."]:
        r""":math:`A(p)^2 / 2`, so that its mean is the variance of the kernel."""

    @abc.abstractmethod
    def kernel(self, squared: Float[Array, "..."], dimension: int) -> Float[Array, "..."]:
        r""":math:`\frac12 E_p[A(p)^2 \cos p \cdot r]` from squared distances :math:`r^2`."""


class GaussianMomenta(AbstractMomenta):
    r"""Normal momenta of standard deviation :math:`1 / \ell`: the squared exponential
    :math:`e^{-r^2 / 2 \ell^2}`."""

    length_scale: Scalar = 1.0

    def draw(self, key, count, dimension):
        return jax.random.normal(key, (count, dimension)) / self.length_scale

    def squared_amplitude(self, momenta):
        return jnp.ones(momenta.shape[:-1], momenta.dtype)

    def kernel(self, squared, dimension):
        return jnp.exp(-squared / (2 * self.length_scale**2))


class FreeField(AbstractMomenta):
    r"""The propagator of a free field under a cutoff,

    .. math:: K(r) = v \int_{\mu < |p| < \Lambda} d^dp\; \frac{e^{i p \cdot r}}{p^2 + m^2} ,

    by momenta uniform in the shell and :math:`A(p)^2 / 2 = v\, V / (p^2 + m^2)` with :math:`V` its
    volume; or, with `sampling="propagator"`, by momenta of density :math:`\propto 1 / (p^2 + m^2)`
    and one amplitude, :math:`A^2 / 2 = K(0)`: the same kernel at any width, with less spread
    between networks (in up to three dimensions). `lowest` :math:`\mu` above zero makes the
    momentum shell of a renormalization step: the kernels of adjacent shells add up. Evaluated by
    `nodes` Gauss points in :math:`|p|`, and in the direction unless d is 1 or 3; exact to rounding
    while :math:`\Lambda r` is below `nodes`.

    Raises ValueError unless 0 <= `lowest` < `cutoff`.
    """

    cutoff: float = eqx.field(static=True)
    mass: Scalar = 1.0
    variance: Scalar = 1.0
    lowest: float = eqx.field(static=True, default=0.0)
    nodes: int = eqx.field(static=True, default=64)
    sampling: str = eqx.field(static=True, default="uniform")

    def __check_init__(self):
        if self.sampling not in ("uniform", "propagator"):
            raise ValueError(
                f"`sampling` must be 'uniform' or 'propagator', got {self.sampling!r}."
            )
        if not 0 <= self.lowest < self.cutoff < math.inf:
            raise ValueError(
                f"a shell of momenta needs 0 <= `lowest` < `cutoff`, got {self.lowest!r} and "
                f"{self.cutoff!r}."
            )

    def draw(self, key, count, dimension):
        radius_key, direction_key = jax.random.split(key)
        normal = jax.random.normal(direction_key, (count, dimension))
        direction = normal / jnp.linalg.norm(normal, axis=1, keepdims=True)
        if self.sampling == "propagator":
            return self._propagator_radii(radius_key, count, dimension) * direction
        lowest, highest = self.lowest**dimension, self.cutoff**dimension
        volumes = jax.random.uniform(radius_key, (count, 1), minval=lowest, maxval=highest)
        return volumes ** (1 / dimension) * direction

    def _propagator_radii(self, key: Array, count: int, dimension: int) -> Array:
        r"""Radii of density :math:`\propto p^{d-1} / (p^2 + m^2)`, by its inverse."""
        share = jax.random.uniform(key, (count, 1))
        below = self._radial(self.lowest, dimension)
        target = below + share * (self._radial(self.cutoff, dimension) - below)
        mass = jnp.asarray(self.mass)
        if dimension == 1:
            return mass * jnp.tan(mass * target)
        if dimension == 2:
            return mass * jnp.sqrt(jnp.expm1(2 * target))
        low = jnp.full_like(target, self.lowest)
        high = jnp.full_like(target, self.cutoff)
        for _ in range(50):  # bisection: the density vanishes at zero, where Newton would stall
            middle = (low + high) / 2
            beyond = self._radial(middle, dimension) > target
            low, high = jnp.where(beyond, low, middle), jnp.where(beyond, middle, high)
        return (low + high) / 2

    def _radial(self, momentum: Any, dimension: int) -> Array:
        r""":math:`\int_0^p q^{d-1} dq / (q^2 + m^2)`."""
        mass = jnp.asarray(self.mass)
        if dimension == 1:
            return jnp.arctan(momentum / mass) / mass
        if dimension == 2:
            return jnp.log1p((momentum / mass) ** 2) / 2
        if dimension == 3:
            return momentum - mass * jnp.arctan(momentum / mass)
        raise ValueError(
            f"sampling='propagator' is for up to 3 dimensions, got {dimension}; use 'uniform'."
        )

    def variance_at_a_point(self, dimension: int) -> Array:
        r""":math:`K(0)`, in closed form in up to three dimensions."""
        shell = self._radial(self.cutoff, dimension) - self._radial(self.lowest, dimension)
        return self.variance * dimension * ball_volume(dimension) * shell

    def squared_amplitude(self, momenta):
        dimension = momenta.shape[-1]
        if self.sampling == "propagator":
            whole = self.variance_at_a_point(dimension)
            return jnp.broadcast_to(whole, momenta.shape[:-1]).astype(momenta.dtype)
        shell = (self.cutoff**dimension - self.lowest**dimension) * ball_volume(dimension)
        return self.variance * shell / (jnp.sum(momenta**2, axis=-1) + self.mass**2)

    def kernel(self, squared, dimension):
        points, weights = np.polynomial.legendre.leggauss(self.nodes)
        half = (self.cutoff - self.lowest) / 2
        momenta = half * points + (self.cutoff + self.lowest) / 2
        weights = half * weights * momenta ** (dimension - 1) * dimension * ball_volume(dimension)
        distance = jnp.sqrt(jnp.where(squared > 0, squared, 1.0))
        distance = jnp.where(squared > 0, distance, 0.0)

        def add(total, node):
            momentum, weight = node
            share = weight / (momentum**2 + self.mass**2)
            return total + share * plane_wave_mean(momentum * distance, dimension, self.nodes), None

        nodes = (jnp.asarray(momenta, squared.dtype), jnp.asarray(weights, squared.dtype))
        return self.variance * jax.lax.scan(add, jnp.zeros_like(squared), nodes)[0]


def ball_volume(dimension: int) -> float:
    """Volume of the unit ball."""
    return math.pi ** (dimension / 2) / math.gamma(dimension / 2 + 1)


def plane_wave_mean(t: Float[Array, "..."], dimension: int, nodes: int) -> Float[Array, "..."]:
    r"""Mean of :math:`\cos(t\, e_1 \cdot n)` over unit vectors :math:`n`."""
    if dimension == 1:
        return jnp.cos(t)
    if dimension == 3:
        return jnp.sinc(t / jnp.pi)
    # The first component has density (1 - u^2)^((d - 3) / 2). The cosine is even: half the points.
    count = 2 * nodes
    if dimension == 2:
        points, weights = scipy.special.roots_chebyt(count)
    else:
        points, weights = scipy.special.roots_gegenbauer(count, (dimension - 2) / 2)
    upper = points > 0
    points, weights = points[upper], weights[upper] / weights[upper].sum()
    return sum(weight * jnp.cos(t * point) for point, weight in zip(points, weights, strict=True))


class CosineFeatures(AbstractLayer):
    r"""First layer of a cos-net: `width` features :math:`A(p_i) \cos(p_i \cdot x + \varphi_i)` of
    vectors, with :math:`p_i` and :math:`A` from `momenta` and :math:`\varphi_i` uniform.

    Its kernel per feature is `momenta.kernel(|x - z|^2)`. Momenta and phases are not trained. A
    Dense without bias makes it a field. Raises ArchitectureError behind another layer or on images.
    """

    width: int = eqx.field(static=True)
    momenta: AbstractMomenta

    def __check_init__(self):
        self.check_count("width", self.width)
        if not isinstance(self.momenta, AbstractMomenta):
            raise self.error(
                f"`momenta` must be a law such as FreeField(10.0), got {self.momenta!r}."
            )

    def signal(self, signal):
        if signal.law != RAW or signal.spatial:
            raise self.error(
                f"it reads vectors of raw inputs, got {signal.law} of shape {signal.shape}; put it "
                "first."
            )
        return signal.changed(
            shape=(self.width,), law="cosine features", weights=True, centered=False
        )

    def init(self, key, input_shape):
        momentum_key, phase_key = jax.random.split(key)
        return {
            "momenta": self.momenta.draw(momentum_key, self.width, as_signal(input_shape).channels),
            "phases": jax.random.uniform(phase_key, (self.width,), maxval=2 * jnp.pi),
        }

    def apply(self, params, X, *, key=None):
        momenta, phases = (jax.lax.stop_gradient(params[name]) for name in ("momenta", "phases"))
        amplitude = jnp.sqrt(2 * self.momenta.squared_amplitude(momenta))
        return amplitude * jnp.cos(X @ momenta.T + phases)

    def needs(self, scope: Scope, *, own: bool) -> Scope:
        return max(scope, Scope.POSITIONS) if own else scope

    def propagate(self, state: Covariances, scope: Scope, own: Own) -> Covariances:
        x, z = own.variances(state)  # of raw inputs: squared norms over the dimension
        if isinstance(own, OwnPass):
            squared = jnp.zeros_like(state.covariance)
        else:
            distance = x + z - 2 * state.covariance
            # As in `squared_distance`: below the rounding of the subtraction it is zero.
            rounding = 8 * jnp.finfo(distance.dtype).eps * (x + z)
            squared = state.channels * jnp.where(distance > rounding, distance, 0.0)
        covariance = self.momenta.kernel(squared, state.channels)
        return state.changed(covariance=covariance, tangent=None, channels=self.width)
