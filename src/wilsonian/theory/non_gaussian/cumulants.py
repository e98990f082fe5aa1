"""Cumulants of features, and expectations given the kept ones, estimated from data with errors."""

from __future__ import annotations

import itertools
import math
from typing import Any, Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Method = Literal["regression", "edgeworth"]
Values: TypeAlias = Array | np.ndarray  # taken from either library; what is returned is NumPy's


class Estimate(eqx.Module):
    """A value measured on data, and its standard error."""

    value: Float[np.ndarray, "..."]
    standard_error: Float[np.ndarray, "..."]


def joint_cumulant(*features: Float[Values, "points ..."]) -> Estimate:
    r"""Joint cumulant of two, three or four features, with its standard error.

    .. math::
        \kappa_{abc} &= E[a b c], \\
        \kappa_{abcd} &= E[a b c d] - E[a b] E[c d] - E[a c] E[b d] - E[a d] E[b c]

    of centred features. The first axis counts points, further axes broadcast: with `lost` of shape
    (points, q) and `kept` (points, k), `joint_cumulant(lost[:, :, None], lost[:, :, None],
    kept[:, None, :])` is :math:`\kappa_{qqk}`. The error is that of the mean of the influence
    function, which knows that the centring was estimated, too; the estimate is biased by a part
    in the number of points.

    Raises ValueError unless two to four features of as many points are given.
    """
    if not 2 <= len(features) <= 4:
        raise ValueError(f"a joint cumulant needs two to four features, got {len(features)}.")
    sizes = {np.shape(feature)[:1] for feature in features}
    if len(sizes) > 1 or min(sizes) < (2,):
        raise ValueError(
            f"features must share a first axis of at least two points, got {sorted(sizes)}."
        )
    values = [np.asarray(feature, float) for feature in features]
    centred = [feature - feature.mean(axis=0) for feature in values]
    order = len(centred)

    def product(places):
        return math.prod(centred[place] for place in places)

    def moment(places):
        return np.mean(product(places), axis=0)

    everything = tuple(range(order))
    influence = product(everything)
    value = moment(everything)
    if order > 2:
        for place in everything:
            rest = tuple(other for other in everything if other != place)
            influence = influence - centred[place] * moment(rest)
    if order == 4:
        for pair in ((0, 1), (0, 2), (0, 3)):
            rest = tuple(place for place in everything if place not in pair)
            left, right = moment(pair), moment(rest)
            value = value - left * right
            influence = influence - product(pair) * right - product(rest) * left
    points = influence.shape[0]
    return Estimate(value, np.std(influence, axis=0, ddof=1) / points**0.5)


class ConditionalExpectation(eqx.Module):
    r"""Polynomial estimate of :math:`E[v | \phi_<]`,

    .. math:: E[v | \phi_<] \simeq \sum_b c_b H_b(z), \qquad z = A^T (\phi_< - m),

    with Hermite polynomials :math:`1, z_k, z_k z_{k'}, (z_k^2 - 1) / \sqrt 2` of the standardized
    kept features, orthonormal where those are Gaussian. Call it with kept features (points, kept)
    for values (points, outputs).
    """

    center: Float[np.ndarray, " kept"]
    whitening: Float[np.ndarray, "kept directions"]
    coefficients: Float[np.ndarray, "basis outputs"]
    covariance: Float[np.ndarray, "outputs basis basis"]  # of the estimated coefficients
    degree: int = eqx.field(static=True)

    def basis(self, kept: Float[Values, "points kept"]) -> Float[np.ndarray, "points basis"]:
        """The polynomials at kept features."""
        features = np.asarray(kept, float)
        if features.ndim != 2 or features.shape[1:] != self.center.shape:
            raise ValueError(
                f"kept features have shape {features.shape}; pass one column for each of the "
                f"{self.center.shape[0]} features that were conditioned on."
            )
        return hermite_basis((features - self.center) @ self.whitening, self.degree)

    def __call__(self, kept: Float[Values, "points kept"]) -> Float[np.ndarray, "points outputs"]:
        return self.basis(kept) @ self.coefficients

    def standard_error(
        self, kept: Float[Values, "points kept"]
    ) -> Float[np.ndarray, "points outputs"]:
        """Standard error of the estimate at kept features: that of its coefficients, not what
        polynomials of this degree leave out."""
        basis = self.basis(kept)
        variance = np.einsum("ia,oab,ib->io", basis, self.covariance, basis)
        return np.sqrt(np.maximum(variance, 0.0))


def conditional_expectation(
    values: Float[Values, "points outputs"],
    kept: Float[Values, "points kept"],
    *,
    method: Method = "regression",
    degree: int = 2,
) -> ConditionalExpectation:
    r"""Estimate :math:`E[v | \phi_<]` from `values` of :math:`v` at points where the `kept`
    features are known: :math:`\phi_q` or :math:`\phi_q^2` of eliminated modes (one output each), or
    the ridge :math:`K_>(x, x)` they leave.

    `"edgeworth"` takes the polynomials to be orthonormal, as for nearly Gaussian kept features:
    coefficients are moments, and for standardized features

    .. math::
        E[\phi_q | \phi_<] &= \tfrac12 \sum_{kk'} \kappa_{qkk'} (\phi_k \phi_{k'} - \delta_{kk'}),
        \\
        E[\phi_q^2 | \phi_<] &= 1 + \sum_k \kappa_{qqk} \phi_k
            + \tfrac12 \sum_{kk'} \kappa_{qqkk'} (\phi_k \phi_{k'} - \delta_{kk'})

    (docs/science/non-gaussian.md, section 2). `"regression"` is least squares on the same
    polynomials, right for kept features of any law as far as polynomials of this degree reach.
    Errors are robust to a spread that depends on the input (White 1980). Directions in which the
    kept features are constant, such as the first mode of a positive kernel, drop out.

    Raises ValueError when shapes do not fit, `degree` is not 1 or 2, or the points are less than
    twice the polynomials.
    """
    values, kept = _check(values, kept, method, degree)
    center = np.mean(kept, axis=0)
    spread, directions = np.linalg.eigh(np.atleast_2d(np.cov(kept.T, bias=True)))
    # Standard deviations below 1e-4 of the largest feature's root mean square are rounding.
    varying = spread > 1e-8 * max(np.max(np.mean(kept**2, axis=0)), np.finfo(float).tiny)
    if varying.all():
        # Symmetric, so that uncorrelated features stay themselves, with their signs and order.
        whitening = (directions / np.sqrt(spread)) @ directions.T
    else:
        whitening = directions[:, varying] / np.sqrt(spread[varying])
    basis = hermite_basis((kept - center) @ whitening, degree)
    points, count = basis.shape
    if points < 2 * count:
        raise ValueError(
            f"{points} points are too few for the {count} polynomials of degree {degree} in "
            f"{whitening.shape[1]} kept features; condition on fewer of them, or use degree=1."
        )
    if method == "edgeworth":
        products = basis[:, :, None] * values[:, None, :]
        coefficients = np.mean(products, axis=0)
        residual = products - coefficients
        covariance = np.einsum("iao,ibo->oab", residual, residual) / (points * (points - 1))
    else:
        # A feature of few values (a sign) has a constant square: fewer polynomials than columns.
        inverse = np.linalg.pinv(basis.T @ basis, hermitian=True)
        coefficients = inverse @ (basis.T @ values)
        residual = values - basis @ coefficients
        middle = np.einsum("ia,io,ib->oab", basis, residual**2, basis)
        covariance = points / (points - count) * (inverse @ middle @ inverse)
    return ConditionalExpectation(center, whitening, coefficients, covariance, degree)


class ConditionalMoments(eqx.Module):
    """First and second moment of every eliminated feature, as functions of kept ones."""

    mean: ConditionalExpectation  # one output per eliminated mode
    square: ConditionalExpectation


def conditional_moments(
    modes: Float[Values, "points modes"],
    kept: int,
    *,
    features: int | None = None,
    method: Method = "regression",
    degree: int = 2,
) -> ConditionalMoments:
    r""":math:`E[\phi_q | \phi_<]` and :math:`E[\phi_q^2 | \phi_<]` of all modes beyond the first
    `kept`, from values of modes at points of the population (`spectrum.modes`, or
    `eigenfunctions.modes(X)`), given the first `features` of the kept ones (all when left out).

    Raises ValueError unless 1 <= `features` <= `kept` < number of modes, and as
    :func:`conditional_expectation`.
    """
    values = np.asarray(modes, float)
    features = kept if features is None else features
    if values.ndim != 2 or not 1 <= features <= kept < values.shape[1]:
        raise ValueError(
            f"needs 1 <= features <= kept < modes, got features={features}, kept={kept} and "
            f"modes of shape {values.shape}."
        )
    known, lost = values[:, :features], values[:, kept:]
    mean, square = (
        conditional_expectation(moment, known, method=method, degree=degree)
        for moment in (lost, lost**2)
    )
    return ConditionalMoments(mean, square)


def hermite_basis(features: Any, degree: int) -> Any:
    r"""Polynomials (points, basis) up to `degree` (1 or 2) of `features` (points, features), arrays
    of NumPy or of JAX, that are orthonormal for independent standard normal
    features: :math:`1`, :math:`z_k`, and :math:`z_k z_{k'}` or :math:`(z_k^2 - 1) / \sqrt 2` in the
    order of pairs (0, 0), (0, 1), ..., (1, 1), ..."""
    xp: Any = jnp if isinstance(features, jax.Array) else np
    columns = [xp.ones_like(features[:, :1]), features]
    if degree == 2 and features.shape[1]:
        left, right = np.array(
            list(itertools.combinations_with_replacement(range(features.shape[1]), 2))
        ).T
        same = (left == right)[None, :]
        products = features[:, left] * features[:, right] - same
        columns.append(products / np.where(same, 2.0**0.5, 1.0).astype(features.dtype))
    return xp.concatenate(columns, axis=1)


def _check(values: Any, kept: Any, method: str, degree: int) -> tuple[np.ndarray, np.ndarray]:
    values, kept = np.asarray(values, float), np.asarray(kept, float)
    if values.ndim != 2 or kept.ndim != 2 or values.shape[0] != kept.shape[0]:
        raise ValueError(
            f"`values` has shape {values.shape} and `kept` {kept.shape}; pass one row per point "
            "in both, one column per output and per kept feature."
        )
    if method not in ("regression", "edgeworth"):
        raise ValueError(f"`method` must be 'regression' or 'edgeworth', got {method!r}.")
    if degree not in (1, 2):
        raise ValueError(f"`degree` must be 1 or 2, got {degree!r}.")
    bad = int(np.sum(~np.isfinite(values)) + np.sum(~np.isfinite(kept)))
    if bad:
        raise ValueError(f"`values` and `kept` hold {bad} values that are NaN or infinite.")
    return values, kept
