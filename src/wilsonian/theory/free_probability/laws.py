"""Random matrices of known law: white Wishart, projections, a given spectrum, and inverses."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.precision import compiled
from wilsonian.core.roots import WIDE, increasing_root
from wilsonian.core.types import Scalar
from wilsonian.theory.free_probability.ensemble import (
    AbstractEnsemble,
    check_number,
    check_spectrum,
    elementwise,
    parameter,
    r_from_t,
)


class WhiteWishart(AbstractEnsemble):
    r""":math:`X^T X / n` with n rows of D independent standard entries, :math:`q = D / n`:
    :math:`S(t) = 1 / (1 + q t)`, :math:`R(g) = 1 / (1 - q g)` (Marchenko and Pastur 1967).

    Raises ValueError unless `aspect` :math:`q` is positive.
    """

    aspect: Scalar = eqx.field(converter=parameter)

    def __check_init__(self):
        check_number(self.aspect > 0, "aspect", self.aspect, "is D / n, columns over rows; try 0.5")

    def t_transform(self, t):
        return 1 + self.aspect * jnp.asarray(t)

    def r_transform(self, g):
        return 1 / (1 - self.aspect * jnp.asarray(g))

    def stieltjes(self, z):
        z, q = jnp.asarray(z), self.aspect
        left, right = (1 - jnp.sqrt(q)) ** 2, (1 + jnp.sqrt(q)) ** 2
        root = _complex_sqrt(z - left) * _complex_sqrt(z - right)
        # Rationalized: the two terms of z - (1 - q) - root cancel at large z.
        return 2 / (z - (1 - q) + root)

    def bound(self):
        return (1 + jnp.sqrt(self.aspect)) ** 2


class OrthogonalProjection(AbstractEnsemble):
    r"""A projection onto a random subspace of dimension :math:`\alpha D`: :math:`S(t) = (1 + t) /
    (\alpha + t)`. Its eigenvalues are zero and one; `(1 / alpha) * OrthogonalProjection(alpha)` has
    mean one (docs/science/free-probability.md, section 2).

    Raises ValueError unless `fraction` :math:`\alpha` lies between 0 (excluded) and 1.
    """

    fraction: Scalar = eqx.field(converter=parameter)

    def __check_init__(self):
        inside = (self.fraction > 0) & (self.fraction <= 1)
        check_number(inside, "fraction", self.fraction, "is rank / D, above 0 and at most 1")

    def t_transform(self, t):
        t = jnp.asarray(t)
        return (self.fraction + t) / (1 + t)

    def r_transform(self, g):
        g = jnp.asarray(g)
        return 2 * self.fraction / (1 - g + jnp.sqrt((1 - g) ** 2 + 4 * self.fraction * g))

    def stieltjes(self, z):
        z = jnp.asarray(z)
        return self.fraction / (z - 1) + (1 - self.fraction) / z

    def bound(self):
        return jnp.ones(())


class Identity(AbstractEnsemble):
    r"""The identity, :math:`S = R = 1`: `0.3 * Identity()` scales it, `ensemble + 0.3` adds it."""

    def t_transform(self, t):
        return jnp.ones_like(jnp.asarray(t, float))

    def r_transform(self, g):
        return jnp.ones_like(jnp.asarray(g, float))

    def stieltjes(self, z):
        return 1 / (jnp.asarray(z) - 1)

    def bound(self):
        return jnp.ones(())


class Deterministic(AbstractEnsemble):
    r"""A given spectrum: :math:`T(t) = R(g) = \mathrm{tr} A (A + \kappa)^{-1} / \mathrm{tr} (A +
    \kappa)^{-1}` at the :math:`\kappa` of that :math:`t` or :math:`g`, found numerically.

    Raises ValueError unless the eigenvalues are one list of finite nonnegative numbers, not all
    zero (shift a matrix of negative eigenvalues: `Deterministic(values + c) + (-c)`).
    """

    eigenvalues: Float[Array, " modes"] = eqx.field(converter=parameter)

    def __check_init__(self):
        check_spectrum(self.eigenvalues)

    def _resolvent(self, ridge: Scalar) -> tuple[Array, Array]:
        """Normalised traces of :math:`A (A + \\kappa)^{-1}` and :math:`(A + \\kappa)^{-1}`."""
        inverse = 1 / (jnp.asarray(self.eigenvalues) + ridge)
        return jnp.mean(self.eigenvalues * inverse), jnp.mean(inverse)

    def _at(self, function: Callable, target: Array) -> Array:
        scale = jnp.max(jnp.asarray(self.eigenvalues))
        ridge = increasing_root(function, target, scale / WIDE, scale * WIDE)
        freedom, inverse = self._resolvent(ridge)
        return freedom / inverse

    @compiled
    def t_transform(self, t):
        def one(t):
            return self._at(lambda ridge: ridge * self._resolvent(ridge)[1], 1 + t)

        return elementwise(one, t)

    @compiled
    def r_transform(self, g):
        def one(g):
            target = 1 / jnp.maximum(-g, jnp.finfo(g.dtype).tiny)
            return self._at(lambda ridge: 1 / self._resolvent(ridge)[1], target)

        return elementwise(one, g)

    def stieltjes(self, z):
        eigenvalues = jnp.asarray(self.eigenvalues)
        return jnp.vectorize(lambda z: jnp.mean(1 / (z - eigenvalues)))(jnp.asarray(z))

    def bound(self):
        return jnp.max(jnp.asarray(self.eigenvalues))


class Inverse(AbstractEnsemble):
    r""":math:`A^{-1}`: :math:`S_{A^{-1}}(t) = 1 / S_A(-1 - t)` (Haagerup and Schultz 2007, prop.
    3.13). `Inverse(WhiteWishart(q))` is the inverse Wishart ensemble, :math:`S(t) = 1 - q - q t`
    for :math:`q < 1`. `smallest` is a lower bound of the eigenvalues of :math:`A`, by default that
    of a white Wishart matrix.

    Raises ValueError unless the matrix has an inverse.
    """

    ensemble: AbstractEnsemble
    smallest: Scalar

    def __init__(self, ensemble: AbstractEnsemble, smallest: Scalar | None = None):
        if smallest is None:
            if not isinstance(ensemble, WhiteWishart):
                raise ValueError(
                    f"a lower bound of the eigenvalues of {type(ensemble).__name__} is not known; "
                    "pass `smallest`, a positive number."
                )
            below_one = ensemble.aspect < 1
            problem = "must be below 1 for an inverse: take more rows than columns"
            check_number(below_one, "aspect", ensemble.aspect, problem)
            smallest = (1 - ensemble.aspect**0.5) ** 2
        check_number(smallest > 0, "smallest", smallest, "must be positive for an inverse")
        self.ensemble, self.smallest = ensemble, parameter(smallest)

    def t_transform(self, t):
        return 1 / self.ensemble.t_transform(-1 - jnp.asarray(t))

    def r_transform(self, g):
        return r_from_t(self, g)

    def stieltjes(self, z):
        z = jnp.asarray(z)
        return 1 / z - self.ensemble.stieltjes(1 / z) / z**2

    def bound(self):
        return 1 / jnp.asarray(self.smallest)


def _complex_sqrt(z: Array) -> Array:
    """Principal root; real arguments off the spectrum may be negative."""
    return jnp.sqrt(z + 0j)
