"""The ridge as a function of kept features: its estimate, its flow, and the loss it reweights."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.coarse_graining import AbstractSpectralTheory
from wilsonian.core.spectrum import Spectrum
from wilsonian.core.types import Scalar
from wilsonian.theory.non_gaussian.cumulants import (
    ConditionalExpectation,
    Method,
    conditional_expectation,
    hermite_basis,
)


class ConditionalRidge(eqx.Module):
    r""":math:`\sigma^2(\phi_<) = \sigma^2 + \sum_{q > \kappa} \lambda_q E[\phi_q^2 | \phi_<]`, a
    function of kept features (docs/science/non-gaussian.md, section 2). Where the fitted polynomial
    falls below the bare ridge, which no average of squares does, it is the bare ridge."""

    bare: Scalar
    lost: ConditionalExpectation  # of K_>(x, x)

    def __call__(self, kept: Float[Array, "points features"]) -> Float[np.ndarray, " points"]:
        return self.bare + np.maximum(self.lost(kept)[:, 0], 0.0)

    def standard_error(self, kept: Float[Array, "points features"]) -> Float[np.ndarray, " points"]:
        """Of the estimate at kept features."""
        return self.lost.standard_error(kept)[:, 0]


def conditional_ridge(
    spectrum: Spectrum,
    kept: int,
    ridge: Scalar,
    *,
    features: int | None = None,
    method: Method = "regression",
    degree: int = 2,
) -> ConditionalRidge:
    r"""Estimate :math:`\sigma^2(\phi_<)` from the modes of the population at points drawn from it.

    The sum over eliminated modes, :math:`K_>(x, x)` with the tail, is seen at every point, so one
    regression on the first `features` of the `kept` modes (all when left out) gives it.

    Raises ValueError unless 1 <= `features` <= `kept` <= number of modes, and as
    :func:`wilsonian.theory.non_gaussian.cumulants.conditional_expectation`.
    """
    features = _check_features(spectrum, kept, features)
    lost = _lost(spectrum, kept).diagonal()
    expectation = conditional_expectation(
        lost[:, None], spectrum.modes[:, :features], method=method, degree=degree
    )
    return ConditionalRidge(ridge, expectation)


class EffectiveTarget(eqx.Module):
    """The target that kept modes are regressed on: `values` at the points, and the variance of what
    eliminated modes add to it there."""

    values: Float[np.ndarray, " points"]
    noise_variance: Float[np.ndarray, " points"]


def effective_target(
    spectrum: Spectrum,
    coefficients: Float[Array, " modes"],
    kept: int,
    *,
    features: int | None = None,
    method: Method = "regression",
    degree: int = 2,
) -> EffectiveTarget:
    r"""The target after elimination, where :math:`E[\phi_q | \phi_<] \ne 0`:

    .. math::
        y_{\rm eff}(x) = \sum_{k \le \kappa} y_k \phi_k + E[y_> | \phi_<], \qquad
        s(x) = \mathrm{Var}[y_> | \phi_<], \qquad y_> = \sum_{q > \kappa} y_q \phi_q

    (docs/science/non-gaussian.md, section 2). Both are estimated on the first `features` of the
    kept modes.

    Raises ValueError as :func:`conditional_ridge`, or unless there is one coefficient per mode.
    """
    features = _check_features(spectrum, kept, features)
    if jnp.shape(coefficients) != spectrum.eigenvalues.shape:
        raise ValueError(
            f"`coefficients` has shape {jnp.shape(coefficients)}; pass one number for each of the "
            f"{spectrum.eigenvalues.shape[0]} modes."
        )
    modes, target = np.asarray(spectrum.modes, float), np.asarray(coefficients, float)
    known = modes[:, :features]
    lost = modes[:, kept:] @ target[kept:]
    mean = conditional_expectation(lost[:, None], known, method=method, degree=degree)(known)[:, 0]
    square = (lost - mean)[:, None] ** 2
    variance = conditional_expectation(square, known, method=method, degree=degree)(known)[:, 0]
    values = modes[:, :kept] @ target[:kept] + mean
    return EffectiveTarget(values, np.maximum(variance, 0.0))


class ReweightedTheory(eqx.Module):
    r"""Equivalent-kernel regression with a ridge that depends on the input, averaged over data sets
    (docs/science/non-gaussian.md, section 3).

    The loss at an input counts :math:`w(x) = \sigma_c^2 / \sigma^2(x)` times, with
    :math:`\sigma_c^2` the mean of the ridge; so modes mix through
    :math:`W_{kq} = \int d\mu\, \phi_k \phi_q / \sigma^2(x)`. Points are drawn from the measure.
    """

    eigenvalues: Float[Array, " modes"]
    modes: Float[Array, "points modes"]
    ridge: Float[Array, " points"]
    target: Float[Array, " points"]
    n_samples: Scalar

    @classmethod
    def of(
        cls,
        spectrum: Spectrum,
        kept: int,
        ridge: Float[Array, " points"],
        target: Float[Array, " points"],
        n_samples: Scalar,
    ) -> ReweightedTheory:
        """The theory of the first `kept` modes.

        Raises ValueError unless ridge and target have one value per point, and the ridge is
        positive.
        """
        points, modes = spectrum.modes.shape
        if not 1 <= kept <= modes:
            raise ValueError(f"`kept` must lie between 1 and the {modes} modes, got {kept}.")
        if jnp.shape(ridge) != (points,) or jnp.shape(target) != (points,):
            raise ValueError(
                f"`ridge` has shape {jnp.shape(ridge)} and `target` {jnp.shape(target)}; pass one "
                f"value for each of the {points} points."
            )
        ridge = eqx.error_if(
            ridge, jnp.any(ridge <= 0), "`ridge` must be positive at every point; add the bare one."
        )
        eigenvalues = spectrum.kept_eigenvalues[:kept]
        return cls(eigenvalues, spectrum.modes[:, :kept], ridge, target, n_samples)

    def mean_ridge(self) -> Float[Array, ""]:
        r""":math:`\sigma_c^2`."""
        return jnp.mean(self.ridge)

    def point_weights(self) -> Float[Array, " points"]:
        r""":math:`w(x) = \sigma_c^2 / \sigma^2(x)`."""
        return self.mean_ridge() / self.ridge

    def weight_matrix(self) -> Float[Array, "modes modes"]:
        r""":math:`W_{kq} = \int d\mu\, \phi_k \phi_q / \sigma^2(x)`."""
        return (self.modes / self.ridge[:, None]).T @ self.modes / self.ridge.shape[0]

    def coefficients(self) -> Float[Array, " modes"]:
        r""":math:`\bar f = (\Lambda^{-1} + n W)^{-1} n \int d\mu\, \phi\, y / \sigma^2(x)`, which
        for a target within the modes is :math:`(\Lambda^{-1} + n W)^{-1} n W y`."""
        source = self.n_samples * jnp.mean(self.modes * (self.target / self.ridge)[:, None], axis=0)
        return self.posterior_covariance() @ source

    def posterior_covariance(self) -> Float[Array, "modes modes"]:
        r""":math:`(\Lambda^{-1} + n W)^{-1}`."""
        root = jnp.sqrt(self.eigenvalues)
        identity = jnp.eye(root.shape[0], dtype=root.dtype)
        inner = identity + self.n_samples * root[:, None] * self.weight_matrix() * root
        return root[:, None] * jnp.linalg.solve(inner, identity) * root

    def rediagonalized(self) -> Spectrum:
        r"""The kernel of the kept modes diagonalized anew in the measure :math:`w\, d\mu`, where
        the ridge is :math:`\sigma_c^2` everywhere and modes do not mix:
        :math:`\int w\, d\mu\, \psi_j \psi_l = \delta_{jl}`. Eigenvalues descend; an eigenvalue of
        zero has a mode of zeros."""
        root = jnp.sqrt(self.eigenvalues)
        inner = self.mean_ridge() * root[:, None] * self.weight_matrix() * root
        values, vectors = jnp.linalg.eigh(inner)
        values, vectors = jnp.maximum(values[::-1], 0.0), vectors[:, ::-1]
        floor = jnp.finfo(values.dtype).eps * values.shape[0] * values[0]
        inverse = jnp.where(values > floor, 1 / jnp.sqrt(jnp.where(values > floor, values, 1)), 0.0)
        return Spectrum.of(values, (self.modes * root) @ (vectors * inverse))


class RidgeField(AbstractSpectralTheory):
    r"""The ridge as a function of the kept features, on points of the population, under the
    functional flow

    .. math:: \sigma^2_{\kappa-1}(\phi_{<\kappa}) = E[\sigma^2_\kappa(\phi_{<\kappa}, \phi_\kappa)
        + \lambda_\kappa \phi_\kappa^2 \,|\, \phi_{<\kappa}]

    (docs/science/non-gaussian.md, section 4). Expectations are least squares on polynomials of the
    kept ones among the first `features` modes, over the points. These spaces are nested, so the
    expectations obey the tower law to rounding: two steps equal one.
    """

    spectrum: Spectrum
    values: Float[Array, " points"]
    features: int = eqx.field(static=True)
    degree: int = eqx.field(static=True)

    @classmethod
    def of(
        cls, spectrum: Spectrum, ridge: Scalar, *, features: int = 8, degree: int = 2
    ) -> RidgeField:
        """The constant bare ridge, every mode kept and the tail absorbed.

        Raises ValueError when the points are less than twice the polynomials.
        """
        points, modes = spectrum.modes.shape
        features = min(features, modes)
        count = 1 + features + (features * (features + 1) // 2 if degree == 2 else 0)
        if features < 1 or degree not in (1, 2) or points < 2 * count:
            raise ValueError(
                f"{points} points do not carry {count} polynomials of degree {degree} in "
                f"{features} features; use features=1 to 8 and degree 1 or 2."
            )
        field = cls(spectrum, jnp.full(points, ridge, spectrum.modes.dtype), features, degree)
        everything = spectrum.weighted(spectrum.weights)
        values = field._conditional(spectrum.tail + field.values, everything.weights)
        return cls(everything, values, features, degree)

    def absorb(self, kept, lost):
        values = self.values + self.spectrum.weighted(lost).diagonal()
        values = self._conditional(values, kept)
        return RidgeField(self.spectrum.weighted(kept), values, self.features, self.degree)

    def _conditional(self, values: jax.Array, weights: jax.Array) -> jax.Array:
        """Projection on polynomials of the features that are still kept."""
        kept = jnp.where(weights[: self.features] > 0, 1.0, 0.0).astype(values.dtype)
        features = self.spectrum.modes[:, : self.features]
        center = jnp.mean(features, axis=0, keepdims=True)
        scale = jnp.sqrt(jnp.mean((features - center) ** 2, axis=0, keepdims=True))
        standard = (features - center) / jnp.where(scale > 1e-6, scale, jnp.inf)
        # A lost feature is a zero column, and its square a constant one: the span is unchanged.
        basis = hermite_basis(standard * kept[None, :], self.degree)
        return basis @ jnp.linalg.lstsq(basis, values)[0]

    def summary(self):
        mean = jnp.mean(self.values)
        spread = jnp.sqrt(jnp.mean((self.values / mean - 1) ** 2))
        return RidgeFieldSummary(
            jnp.sum(self.weights), mean, spread, jnp.min(self.values), jnp.max(self.values)
        )


class RidgeFieldSummary(eqx.Module):
    """What a flow records of a :class:`RidgeField`."""

    kept: Float[Array, "..."]
    mean: Float[Array, "..."]  # of the ridge, over the points
    spread: Float[Array, "..."]  # its relative standard deviation
    lowest: Float[Array, "..."]
    highest: Float[Array, "..."]


def _lost(spectrum: Spectrum, kept: int) -> Spectrum:
    """What is integrated out below the first `kept` modes, the tail included."""
    weights = jnp.where(jnp.arange(spectrum.eigenvalues.shape[0]) >= kept, spectrum.weights, 0.0)
    return Spectrum(spectrum.eigenvalues, weights, spectrum.modes, spectrum.tail)


def _check_features(spectrum: Spectrum, kept: int, features: int | None) -> int:
    modes = spectrum.eigenvalues.shape[0]
    features = kept if features is None else features
    if not 1 <= features <= kept <= modes:
        raise ValueError(
            f"needs 1 <= features <= kept <= modes, got features={features}, kept={kept} and "
            f"{modes} modes."
        )
    return features
