"""Whether features are non-Gaussian in the way that matters: variances that move together."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.spectrum import Spectrum
from wilsonian.support.number_text import format_percent
from wilsonian.theory.averaged import AveragedTheory
from wilsonian.theory.non_gaussian.cumulants import hermite_basis
from wilsonian.theory.non_gaussian.self_consistent import (
    FeatureMoments,
    error_field,
    self_consistent_ridge,
)

THRESHOLD = 0.05  # collective relative variance of the ridge that starts to matter
SIGNIFICANCE = 4.0  # standard errors of independent features


@dataclasses.dataclass(frozen=True)
class FeatureDiagnosis:
    r"""How much the ridge :math:`\sigma^2(x) = \sigma^2 + K_>(x, x)` varies between inputs, and
    why. Variances are relative to the squared mean ridge :math:`\sigma_c^4`."""

    points: int
    kept: int
    ridge: float  # sigma_c^2, the mean over the points
    total: float  # variance of the ridge
    independent: float  # sum_q lambda_q^2 Var(phi_q^2): what independent features would have
    collective: float  # the rest: sum over q != q' of lambda_q lambda_q' Cov(phi_q^2, phi_q'^2)
    collective_error: float  # its standard error
    null_error: float  # its standard deviation if the features were independent
    explained: float  # variance of E[ridge | first kept modes], to second order, unbiased
    explained_error: float  # its standard deviation if the ridge did not depend on those
    weight_shift: float  # sigma_c^2 E[1 / sigma^2(x)] - 1
    kurtosis: float  # excess, of the eliminated features, weighted by their eigenvalues
    threshold: float

    @property
    def significance(self) -> float:
        """The collective part in standard deviations of independent features."""
        return self.collective / self.null_error

    @property
    def matters(self) -> bool:
        """Whether the collective part is both certain and large."""
        return self.significance > SIGNIFICANCE and self.collective > self.threshold

    def sentence(self) -> str:
        """What the numbers say."""
        spread = format_percent(math.sqrt(max(self.collective, 0.0)), 2)
        numbers = (
            f"collective variance {self.collective:.3g} +- {self.collective_error:.1g}, "
            f"independent features {self.independent:.2g}, excess kurtosis {self.kurtosis:.2g}"
        )
        if self.matters:
            return (
                f"Use an input-dependent ridge: the variances of the features beyond mode "
                f"{self.kept} move together, so the ridge they leave varies by {spread} between "
                f"inputs ({numbers})."
            )
        if self.significance > SIGNIFICANCE:
            return (
                f"A uniform ridge is nearly right: the variances of the features beyond mode "
                f"{self.kept} do move together, but the ridge they leave varies only by {spread} "
                f"between inputs ({numbers})."
            )
        return (
            f"A uniform ridge is right: the variances of the features beyond mode {self.kept} are "
            f"uncorrelated within {self.null_error:.1g} ({numbers})."
        )


def diagnose_features(
    spectrum: Spectrum,
    kept: int,
    ridge: float,
    *,
    features: int = 5,
    threshold: float = THRESHOLD,
) -> FeatureDiagnosis:
    r"""Tell harmful from harmless non-Gaussian features, from modes of the population at points
    drawn from it.

    What independent features of any law leave is nearly constant; correlated variances are what
    makes the ridge depend on the input (docs/science/non-gaussian.md, section 1). The relative
    variance of :math:`\sigma^2(x)` is split into the part of each feature by itself, which knows
    their kurtosis, and the collective part

    .. math:: \frac{1}{\sigma_c^4} \sum_{q \ne q' > \kappa} \lambda_q \lambda_{q'}
        \mathrm{Cov}(\phi_q^2, \phi_{q'}^2) .

    Under independence its estimate has mean zero and, over permutations of each feature's values,
    the variance :math:`2 \sum_{q \ne q'} \lambda_q^2 \lambda_{q'}^2 v_q v_{q'} / (N - 1)
    \sigma_c^8` with :math:`v_q` the sample variance of :math:`\phi_q^2`: the null the significance
    refers to. Features of very heavy tails (Student's t of five degrees of freedom) exceed it more
    often than a normal law would, by chance outliers at the same point; those are seldom large
    enough to matter. The tail counts as one more feature. `explained` is the part that the first
    `features` of the kept modes know through :math:`\mathrm{Cov}(K_>, \phi_k)` and
    :math:`\mathrm{Cov}(K_>, \phi_k \phi_{k'})`: the adjusted :math:`R^2` (Ezekiel 1930) of least
    squares on their quadratic polynomials, times the variance.

    A collective relative variance of `threshold` is where the ridge matters: at 0.13 the squared
    error of the predictor under a uniform ridge was half again that under an input-dependent one
    (docs/science/non-gaussian.md, section 8, second row). It is the size of an effect, not its
    significance. What it changes in the mean squared error depends on where the target is hard: on
    real data of 0.08 to 0.17 it was from less than 0.1 to 7 % (`benchmarks/non_gaussian.py`);
    :func:`error_shift` says.

    Of a fitted estimator: `diagnose_features(wilsonian.spectrum_at(gp, X), gp.spectrum_.kept,
    gp.noise_variance_)`, at rows `X` of its inputs.

    Raises ValueError unless the spectrum holds modes at points, 0 <= `kept` < number of modes, the
    ridge is positive, and the points are more than ten.
    """
    if not isinstance(spectrum, Spectrum):
        raise ValueError(
            f"`spectrum` must hold modes at points, which a {type(spectrum).__name__} does not; of "
            "a fitted estimator pass wilsonian.spectrum_at(gp, X), X being rows of its inputs."
        )
    points, count = spectrum.modes.shape
    if not 0 <= kept < count:
        raise ValueError(
            f"`kept` must lie between 0 and {count - 1}, got {kept}: of {count} modes at least "
            "one must be eliminated to leave a ridge."
        )
    if not 0 < ridge < math.inf:
        raise ValueError(f"`ridge` must be positive and finite, got {ridge}.")
    if points <= 10:
        raise ValueError(f"{points} points are too few to tell; pass a thousand.")
    modes = np.asarray(spectrum.modes, float)
    eigenvalues = np.asarray(spectrum.kept_eigenvalues, float)
    parts = np.column_stack([modes[:, kept:] ** 2 * eigenvalues[kept:], spectrum.tail])
    local = ridge + parts.sum(axis=1)
    mean = float(local.mean())
    deviations = (parts - parts.mean(axis=0)) / mean
    collective_sample = deviations.sum(axis=1) ** 2 - (deviations**2).sum(axis=1)
    variances = deviations.var(axis=0, ddof=1)
    pairs = max(float(variances.sum() ** 2 - (variances**2).sum()), 0.0)
    total = float(local.var(ddof=1)) / mean**2
    explained, explained_error = _explained(local / mean, modes[:, : min(features, kept)])
    return FeatureDiagnosis(
        points=points,
        kept=kept,
        ridge=mean,
        total=total,
        independent=float(variances.sum()),
        collective=total - float(variances.sum()),
        collective_error=float(collective_sample.std(ddof=1)) / points**0.5,
        # Squares of signs are constant: nothing but rounding is left to compare.
        null_error=max(math.sqrt(2 * pairs / (points - 1)), np.finfo(float).eps),
        explained=explained,
        explained_error=explained_error,
        weight_shift=float(np.mean(mean / local)) - 1,
        kurtosis=_mean_kurtosis(modes[:, kept:], eigenvalues[kept:]),
        threshold=threshold,
    )


def error_shift(
    spectrum: Spectrum,
    kept: int,
    ridge: float,
    n_samples: float,
    coefficients: Float[Array, " modes"],
    label_noise: float = 0.0,
) -> float:
    r"""Relative change of the predicted mean squared error when the ridge may depend on the input:
    that of :func:`wilsonian.error_field`, with the first `kept` modes by value,
    over that of the uniform theory (:class:`wilsonian.AveragedTheory`), less one.

    A consequence for one target, where :func:`diagnose_features` knows the features only. Sampling
    of the modes changes it by a few times `kept` over the number of points.

    Raises ValueError as the functions it calls.
    """
    moments = FeatureMoments.of(spectrum, kept)
    field = error_field(self_consistent_ridge(moments, ridge, n_samples), coefficients, label_noise)
    uniform = AveragedTheory.of(
        spectrum.kept_eigenvalues,
        jnp.asarray(coefficients) ** 2,
        ridge + jnp.mean(spectrum.tail),
        n_samples,
        label_noise,
    )
    return float(field.test_error / uniform.test_error()) - 1


def _explained(local: np.ndarray, kept: np.ndarray) -> tuple[float, float]:
    """Variance of the best quadratic of the kept features, without what chance explains, and its
    standard deviation when there is nothing to explain."""
    points = len(local)
    centred = kept - kept.mean(axis=0)
    varying = centred.std(axis=0) > 1e-6
    if not varying.any():
        return 0.0, 0.0
    standard = centred[:, varying] / centred[:, varying].std(axis=0)
    basis: Any = np.asarray(hermite_basis(standard, 2), float)
    fitted = basis @ np.linalg.lstsq(basis, local, rcond=None)[0]
    count = np.linalg.matrix_rank(basis) - 1
    if points <= 2 * count + 1:
        raise ValueError(f"{points} points are too few for {count} polynomials; lower `features`.")
    variance = float(local.var(ddof=1))
    left = float(np.sum((local - fitted) ** 2)) / (points - 1 - count)
    return variance - left, variance * math.sqrt(2 * count) / points


def _mean_kurtosis(modes: np.ndarray, weights: np.ndarray) -> float:
    centred = modes - modes.mean(axis=0)
    second = np.mean(centred**2, axis=0)
    positive = second > 0
    ratio = np.mean(centred**4, axis=0)[positive] / second[positive] ** 2 - 3
    total = weights[positive].sum()
    return float(weights[positive] @ ratio / total) if total > 0 else 0.0
