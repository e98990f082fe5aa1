"""Any activation: its expectations by Hermite expansion or quadrature, and how far off they are."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.core.precision import full_products
from wilsonian.core.quadrature import gauss_hermite
from wilsonian.kernels import safe_sqrt
from wilsonian.networks.layers.activations import AbstractActivation, Numbers
from wilsonian.networks.layers.angles import correlation


@functools.cache
def hermite_table(nodes: int, terms: int) -> np.ndarray:
    """Normalized Hermite polynomials at the nodes, times the weights, (terms, nodes)."""
    points, weights = gauss_hermite(nodes)
    rows = [np.ones(nodes), points]
    for k in range(1, terms):  # sqrt(k+1) h_(k+1) = x h_k - sqrt(k) h_(k-1)
        rows.append((points * rows[k] - math.sqrt(k) * rows[k - 1]) / math.sqrt(k + 1))
    return np.array(rows[:terms]) * weights


def slope_of(function: Callable) -> Callable:
    """The derivative of a function of one number, of arrays."""
    flat = jax.vmap(jax.grad(function))
    return lambda x: flat(x.ravel()).reshape(x.shape)


class HermiteExpansion(AbstractActivation):
    r"""Any activation, expanded in Hermite polynomials of each unit's own standard deviation:

    .. math::
        E[\phi(u) \phi(v)] = \sum_{j < J} a_j(q_x) a_j(q_z) \rho^j, \quad
        a_j(q) = E_{t \sim N(0, 1)} \phi(\sqrt q\, t) \frac{He_j(t)}{\sqrt{j!}}, \quad
        \rho = \frac{k}{\sqrt{q_x q_z}}

    (Mehler's formula; Daniely et al. 2016), and the same for :math:`\phi'`, the derivative that
    JAX finds. The :math:`a_j` are found per input and not per pair, by quadrature, so that a Gram
    matrix costs `terms` multiplications and additions per entry. :meth:`error_bounds` states the
    error, which falls exponentially for smooth functions and as a power of `terms` at a kink.

    `function` maps arrays element by element, and is traceable. Raises ArchitectureError for
    counts below one.
    """

    function: Callable = eqx.field(static=True)
    terms: int = eqx.field(static=True, default=48)
    nodes: int = eqx.field(static=True, default=160)

    def __check_init__(self):
        self.check_count("terms", self.terms)
        self.check_count("nodes", self.nodes)
        if not callable(self.function):
            raise self.error(f"`function` must be a function of arrays, got {self.function!r}.")

    @property
    def name(self):
        return f"HermiteExpansion({getattr(self.function, '__name__', 'function')})"

    def __call__(self, x):
        return self.function(x)

    def _coefficients(self, function: Callable, variance: Numbers) -> Numbers:
        """:math:`a_j` for every variance, (terms, ...)."""
        points, _ = gauss_hermite(self.nodes)
        values = function(safe_sqrt(variance)[..., None] * jnp.asarray(points, variance.dtype))
        table = jnp.asarray(hermite_table(self.nodes, self.terms), variance.dtype)
        return jnp.moveaxis(jnp.matmul(values, table.T, precision="highest"), -1, 0)

    def _mean_product(self, function, x_variance, z_variance, cosine):
        x, z = (self._coefficients(function, q) for q in (x_variance, z_variance))
        total = x[-1] * z[-1] + jnp.zeros_like(cosine)
        for j in reversed(range(self.terms - 1)):
            total = total * cosine + x[j] * z[j]
        return total

    def moments(self, x_variance, z_variance, covariance):
        x_variance, z_variance, covariance = map(jnp.asarray, (x_variance, z_variance, covariance))
        cosine, _ = correlation(x_variance, z_variance, covariance)
        arguments = x_variance, z_variance, cosine
        return (
            self._mean_product(self.function, *arguments),
            self._mean_product(slope_of(self.function), *arguments),
        )

    def second_moment(self, variance):
        return self._mean_square(self.function, variance)

    def slope_moment(self, variance):
        return self._mean_square(slope_of(self.function), variance)

    def _mean_square(self, function, variance):
        # By the same sum as for pairs: an input would otherwise not be itself.
        return jnp.sum(self._coefficients(function, jnp.asarray(variance)) ** 2, axis=0)

    def error_bounds(self, variance: Numbers) -> tuple[Numbers, Numbers]:
        r"""Bounds of the errors of both moments for inputs of this variance: what the terms left
        out have of :math:`E[\phi^2]`, :math:`\sum_{j \geq J} a_j^2`, which at correlation
        :math:`\rho` is less by :math:`|\rho|^J`. (For two variances, the geometric mean.) It is
        found with `nodes` points, which must resolve the function."""
        variance = jnp.asarray(variance)
        points, weights = gauss_hermite(self.nodes)

        @full_products
        def missing(function):
            values = function(safe_sqrt(variance)[..., None] * points)
            total = values**2 @ jnp.asarray(weights, values.dtype)
            return jnp.maximum(total - self._mean_square(function, variance), 0.0)

        return missing(self.function), missing(slope_of(self.function))


class GaussHermite(AbstractActivation):
    r"""Any activation by Gauss-Hermite quadrature over pairs, :math:`E[\phi(u) \phi(v)] = \sum_{ij}
    w_i w_j \phi(u_i) \phi(v_{ij})` with :math:`u = \sqrt{q_x} s`, :math:`v = \sqrt{q_z} (\rho s +
    \sqrt{1 - \rho^2}\, t)`.

    Exact for polynomials of degree below `nodes`; costs `nodes^2` evaluations per entry of a Gram
    matrix, a few thousand times more than :class:`HermiteExpansion`, of which it is the check.
    """

    function: Callable = eqx.field(static=True)
    nodes: int = eqx.field(static=True, default=48)

    def __check_init__(self):
        self.check_count("nodes", self.nodes)
        if not callable(self.function):
            raise self.error(f"`function` must be a function of arrays, got {self.function!r}.")

    @property
    def name(self):
        return f"GaussHermite({getattr(self.function, '__name__', 'function')})"

    def __call__(self, x):
        return self.function(x)

    def moments(self, x_variance, z_variance, covariance):
        x_variance, z_variance, covariance = map(jnp.asarray, (x_variance, z_variance, covariance))
        slope = slope_of(self.function)

        # By Price's theorem and by parts, because the angle of the quadrature has no derivative at
        # correlation +-1: dE/dk = E[phi' phi'], 2 q_x dE/dq_x = E[u phi'(u) phi(v)] - k dE/dk.
        @jax.custom_jvp
        def product(x_variance, z_variance, covariance):
            return _mean_product(self.function, self.nodes, x_variance, z_variance, covariance)

        @product.defjvp
        def derivative(primals, tangents):
            x, z, k = primals
            both = _mean_product(slope, self.nodes, x, z, k)

            def weighted(u):
                return u * slope(u)

            at_x = _mean_product(weighted, self.nodes, x, z, k, self.function) - k * both
            at_z = _mean_product(self.function, self.nodes, x, z, k, weighted) - k * both
            parts = (_half(at_x, x), _half(at_z, z), both)
            change = sum(part * tangent for part, tangent in zip(parts, tangents, strict=True))
            return product(*primals), change

        shape = jnp.broadcast_shapes(x_variance.shape, z_variance.shape, covariance.shape)
        pairs = [jnp.broadcast_to(q, shape) for q in (x_variance, z_variance, covariance)]
        return product(*pairs), _mean_product(slope, self.nodes, *pairs)

    def second_moment(self, variance):
        return self._mean_square(self.function, jnp.asarray(variance))

    def slope_moment(self, variance):
        return self._mean_square(slope_of(self.function), jnp.asarray(variance))

    @full_products
    def _mean_square(self, function, variance):
        points, weights = gauss_hermite(self.nodes)
        values = function(safe_sqrt(variance)[..., None] * jnp.asarray(points, variance.dtype))
        return values**2 @ jnp.asarray(weights, values.dtype)


def _half(value: Numbers, variance: Numbers) -> Numbers:
    positive = variance > 0
    return jnp.where(positive, value / (2 * jnp.where(positive, variance, 1.0)), 0.0)


def _mean_product(function, nodes, x_variance, z_variance, covariance, other=None):
    """E[f(u) g(v)], one node of `u` after the other to save memory."""
    other = function if other is None else other
    points, weights = gauss_hermite(nodes)
    points = jnp.asarray(points, covariance.dtype)
    weights = jnp.asarray(weights, covariance.dtype)
    cosine, squared_sine = correlation(x_variance, z_variance, covariance)
    cosine, sine = (z * safe_sqrt(z_variance) for z in (cosine, safe_sqrt(squared_sine)))

    @full_products
    def add(total, node):
        point, weight = node
        v = (cosine * point)[..., None] + sine[..., None] * points
        means = other(v) @ weights
        return total + weight * function(safe_sqrt(x_variance) * point) * means, None

    start = jnp.zeros(jnp.broadcast_shapes(x_variance.shape, cosine.shape), covariance.dtype)
    return jax.lax.scan(add, start, (points, weights))[0]
