r"""Transforms of large random matrices, and what they become in products and sums.

Source: Atanasov, Zavatone-Veth and Pehlevan, arXiv:2405.00592, sections II and III; Mingo and
Speicher, *Free Probability and Random Matrices*, 2017. With :math:`\mathrm{tr}` the normalised
trace, a matrix :math:`A \ge 0` is described by :math:`\kappa \mapsto t = -\mathrm{tr}\,
A (A + \kappa)^{-1}`, its negative degrees of freedom, and :math:`g = -\mathrm{tr} (A +
\kappa)^{-1}`; then

.. math:: T(t) = 1 / S(t) = \frac{-t \kappa}{1 + t} = R(g), \qquad g = t\,S(t).

:math:`T` multiplies and :math:`R` adds for matrices in free position. The reciprocal :math:`T` of
the S-transform (Dykema 2007) is the primitive here: where a matrix runs out of rank it is zero,
not infinite.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.precision import compiled
from wilsonian.core.roots import WIDE, increasing_root
from wilsonian.core.types import Scalar, is_number
from wilsonian.theory.free_probability.convolution import product_stieltjes, sum_stieltjes


class AbstractEnsemble(eqx.Module):
    """Spectral law of a large symmetric random matrix in free position to all others.

    `a * b` is the free product, `a + b` the free sum; numbers scale and shift. Transforms take
    arrays and are elementwise.
    """

    @abc.abstractmethod
    def t_transform(self, t: Any) -> Float[Array, "..."]:
        r"""Reciprocal S-transform :math:`T(t) = 1 / S(t)` for :math:`-1 < t \le 0`, of a matrix
        with no negative eigenvalue."""

    @abc.abstractmethod
    def r_transform(self, g: Any) -> Float[Array, "..."]:
        r"""R-transform :math:`R(g) = \zeta(g) - 1 / g` for :math:`g \le 0`, :math:`\zeta` the
        inverse of :math:`\mathrm{tr} (z - A)^{-1}` left of the spectrum."""

    @abc.abstractmethod
    def stieltjes(self, z: Any) -> Array:
        r""":math:`\mathrm{tr} (z - A)^{-1}` for complex :math:`z` off the spectrum."""

    @abc.abstractmethod
    def bound(self) -> Float[Array, ""]:
        """A number no eigenvalue exceeds in size."""

    def s_transform(self, t: Any) -> Float[Array, "..."]:
        r"""S-transform :math:`S(t) = \frac{1 + t}{t} \chi(t)`, :math:`\chi` the inverse of
        :math:`\psi(z) = \sum_k m_k z^k`; infinite where the matrix runs out of rank."""
        return 1 / self.t_transform(t)

    def __mul__(self, other: Any) -> AbstractEnsemble:
        if is_number(other):
            return Scaled(self, other)
        return FreeProduct(self, other) if isinstance(other, AbstractEnsemble) else NotImplemented

    __rmul__ = __mul__

    def __add__(self, other: Any) -> AbstractEnsemble:
        if is_number(other):
            return Shifted(self, other)
        return FreeSum(self, other) if isinstance(other, AbstractEnsemble) else NotImplemented

    __radd__ = __add__


def parameter(value: Any) -> Any:
    """Numbers as a NumPy array in double precision: a Python number would be a constant to the
    compiler, and each new value a new compilation. JAX arrays, traced ones too, stay."""
    return value if isinstance(value, jax.Array) else np.asarray(value, float)


class Scaled(AbstractEnsemble):
    r""":math:`c A`: :math:`T \to c T`, :math:`R(g) \to c R(c g)`. Raises ValueError unless
    `factor` :math:`c` is positive."""

    ensemble: AbstractEnsemble
    factor: Scalar = eqx.field(converter=parameter)

    def __check_init__(self):
        check_number(self.factor > 0, "factor", self.factor, "must be positive")

    def t_transform(self, t):
        return self.factor * self.ensemble.t_transform(t)

    def r_transform(self, g):
        return self.factor * self.ensemble.r_transform(self.factor * jnp.asarray(g))

    def stieltjes(self, z):
        return self.ensemble.stieltjes(jnp.asarray(z) / self.factor) / self.factor

    def bound(self):
        return self.factor * self.ensemble.bound()


class Shifted(AbstractEnsemble):
    r""":math:`A + c`: :math:`R \to R + c`. A T-transform it has if no eigenvalue is negative."""

    ensemble: AbstractEnsemble
    shift: Scalar = eqx.field(converter=parameter)

    def t_transform(self, t):
        return t_from_r(self, t)

    def r_transform(self, g):
        return self.ensemble.r_transform(g) + self.shift

    def stieltjes(self, z):
        return self.ensemble.stieltjes(jnp.asarray(z) - self.shift)

    def bound(self):
        return self.ensemble.bound() + jnp.abs(self.shift)


class FreeProduct(AbstractEnsemble):
    r""":math:`A^{1/2} B A^{1/2}` in free position: :math:`T = T_A T_B`. A structured Wishart
    matrix is `Deterministic(eigenvalues) * WhiteWishart(q)`."""

    left: AbstractEnsemble
    right: AbstractEnsemble

    def t_transform(self, t):
        return self.left.t_transform(t) * self.right.t_transform(t)

    def r_transform(self, g):
        return r_from_t(self, g)

    def stieltjes(self, z):
        return product_stieltjes(self.left.stieltjes, self.right.stieltjes, z, self.bound())

    def bound(self):
        return self.left.bound() * self.right.bound()


class FreeSum(AbstractEnsemble):
    r""":math:`A + B` in free position: :math:`R = R_A + R_B`."""

    left: AbstractEnsemble
    right: AbstractEnsemble

    def t_transform(self, t):
        return t_from_r(self, t)

    def r_transform(self, g):
        return self.left.r_transform(g) + self.right.r_transform(g)

    def stieltjes(self, z):
        return sum_stieltjes(self.left.stieltjes, self.right.stieltjes, z, self.bound())

    def bound(self):
        return self.left.bound() + self.right.bound()


@compiled
def t_from_r(ensemble: AbstractEnsemble, t: Any) -> Float[Array, "..."]:
    r""":math:`T(t) = R(g)` where :math:`g R(g) = t`, whose left side increases with :math:`g`."""

    def one(t):
        scale = 1 / ensemble.bound()
        inverse = increasing_root(
            lambda inverse: inverse * ensemble.r_transform(-inverse),
            *(-t, scale / WIDE, scale * WIDE),
        )
        return ensemble.r_transform(-inverse)

    return elementwise(one, t)


@compiled
def r_from_t(ensemble: AbstractEnsemble, g: Any) -> Float[Array, "..."]:
    r""":math:`R(g) = T(t)` where :math:`t / T(t) = g`, whose left side increases with :math:`t`."""

    def one(g):
        # 1 + t runs over all magnitudes where the matrix is nearly singular, -t where g is small;
        # the odds of the degrees of freedom, -t / (1 + t), over both.
        def inverse(odds):
            freedom = odds / (1 + odds)
            # Beyond the rank of the matrix the closed forms of T turn negative.
            factor = jnp.maximum(ensemble.t_transform(-freedom), jnp.finfo(odds.dtype).tiny)
            return freedom / factor

        odds = increasing_root(inverse, -g, 1 / WIDE, 1e12)
        return ensemble.t_transform(-odds / (1 + odds))

    return elementwise(one, g)


def elementwise(function: Callable[[Array], Array], values: Any) -> Array:
    """`function` of every element of a floating-point array."""
    return jnp.vectorize(function)(1.0 * jnp.asarray(values))


def check_number(condition: Any, name: str, value: Any, meaning: str) -> None:
    """Raise ValueError when a condition on a number fails; in a compiled function it is let be."""
    if isinstance(condition, jax.core.Tracer):
        return
    if not np.all(condition) or np.ndim(value) != 0:
        raise ValueError(f"`{name}` {meaning}, got {value}.")


def check_spectrum(eigenvalues: Any) -> None:
    """Raise ValueError unless eigenvalues are one list of finite nonnegative numbers, not all
    zero; in a compiled function only the shape is looked at."""
    if np.ndim(eigenvalues) != 1 or not np.size(eigenvalues):
        raise ValueError(
            f"`eigenvalues` must be one list of numbers, got shape {np.shape(eigenvalues)}."
        )
    if isinstance(eigenvalues, jax.core.Tracer):
        return
    values = np.asarray(eigenvalues)
    if not np.all(np.isfinite(values)) or values.min() < 0 or values.max() == 0:
        raise ValueError(
            "`eigenvalues` must be finite, nonnegative and not all zero, got values from "
            f"{values.min():.3g} to {values.max():.3g}; clip rounding errors to zero."
        )
