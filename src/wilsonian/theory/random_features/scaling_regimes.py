r"""Scaling regimes of random-feature regression: what limits the error, and how fast it falls.

Source and capacity: :math:`\lambda_i \sim i^{-\alpha}`, :math:`v_i^2 \sim i^{-(2 \alpha r + 1)}`; P
samples, :math:`N = P^q` linear features, ridge :math:`\lambda = P^{-\ell}` on the mean squared
loss, label noise :math:`\sigma_\varepsilon^2 = P^{-s}`. The inputs feel
:math:`u \sim \max(P^{-\alpha}, N^{-\alpha}, \lambda)`, and from the decomposition of
:mod:`wilsonian.theory.random_features`

.. math:: E_g - \sigma_\varepsilon^2 \sim \max\Big( u^{2 \min(r, 1)},\;
    \frac{u^{\min(2 r, 1) - 1 / \alpha}}{N},\; \sigma_\varepsilon^2 \frac{u^{-1 / \alpha}}{P} \Big):

squared bias (with the variance due to data, of the same order), variance of the features :math:`V_F
= \sum_i \frac{v_i^2 u \lambda_i}{(\lambda_i + u)^2} \cdot \frac{\mathrm{df}_1 - \mathrm{df}_2}{N -
\mathrm{df}_2}`, and variance of the noise (docs/science/random-features.md, section 5;
arXiv:2405.00592, section VI).
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from wilsonian.theory.datasets import check_positive

Regime = Literal[
    "data-limited", "feature-limited", "ridge-limited", "feature-variance-limited", "noise-limited"
]
REGIMES: tuple[Regime, ...] = (
    "data-limited",
    "feature-limited",
    "ridge-limited",
    "feature-variance-limited",
    "noise-limited",
)


@dataclasses.dataclass(frozen=True)
class ScalingRow:
    r"""One regime: :math:`E \sim P^{-a} N^{-b} \lambda^{c} \sigma_\varepsilon^{2 d}`."""

    regime: Regime
    ridge_set_by: Literal["samples", "features", "ridge"]  # which sets u
    samples: float  # a
    features: float  # b
    ridge: float  # c
    noise: float  # d

    def rate(self, feature_exponent: Any, ridge_exponent: Any, noise_exponent: Any) -> np.ndarray:
        """Exponent of P at which the row's term falls."""
        shape = np.broadcast_shapes(np.shape(feature_exponent), np.shape(ridge_exponent))
        rate = np.full(shape, self.samples)
        if self.noise and np.isinf(noise_exponent):
            return rate + np.inf
        exponents = (feature_exponent, ridge_exponent, noise_exponent)
        for power, given in zip((self.features, self.ridge, self.noise), exponents, strict=True):
            if power:  # an infinite exponent is no ridge, which other rows may not meet
                rate = rate + power * np.asarray(given, float)
        return rate


def scaling_regimes(capacity: float, source: float) -> tuple[ScalingRow, ...]:
    r"""Every regime of a capacity :math:`\alpha` and source :math:`r`, by what sets the ridge
    :math:`u` that the inputs feel and which part of the error is largest.

    Raises ValueError unless the capacity exceeds one (the kernel's variance is then finite) and
    the source is positive.
    """
    check_source(capacity, source)
    bias, variance = 2 * min(source, 1.0), min(2 * source, 1.0)
    free = variance - 1 / capacity  # of u, in the variance of the features
    rows = [
        ScalingRow("data-limited", "samples", capacity * bias, 0.0, 0.0, 0.0),
        # Here bias and feature variance are of one order for r <= 1/2; beyond, the latter.
        ScalingRow("feature-limited", "features", 0.0, capacity * variance, 0.0, 0.0),
        ScalingRow("ridge-limited", "ridge", 0.0, 0.0, bias, 0.0),
        ScalingRow("feature-variance-limited", "samples", capacity * free, 1.0, 0.0, 0.0),
        ScalingRow("feature-variance-limited", "ridge", 0.0, 1.0, free, 0.0),
        ScalingRow("noise-limited", "samples", 0.0, 0.0, 0.0, 1.0),
        ScalingRow("noise-limited", "features", 1.0, -1.0, 0.0, 1.0),
        ScalingRow("noise-limited", "ridge", 1.0, 0.0, -1 / capacity, 1.0),
    ]
    return tuple(rows)


def scaling_exponent(
    capacity: float,
    source: float,
    feature_exponent: Any,
    ridge_exponent: Any,
    noise_exponent: float = np.inf,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Exponent :math:`e` of :math:`E_g - \sigma_\varepsilon^2 \sim P^{-e}` and the regime, for
    (broadcast) :math:`N = P^q` and :math:`\lambda = P^{-\ell}`; no label noise at `noise_exponent`
    infinity. Where rates tie the regime named first in :func:`scaling_regimes` is returned.

    Raises ValueError as :func:`scaling_regimes` does, or for a negative exponent.
    """
    rows = scaling_regimes(capacity, source)
    features, ridge = np.broadcast_arrays(
        np.asarray(feature_exponent, float), np.asarray(ridge_exponent, float)
    )
    for name, values in (("feature_exponent", features), ("ridge_exponent", ridge)):
        if not np.all(values >= 0):
            raise ValueError(f"`{name}` must be at least 0, got {np.min(values)}.")
    if not noise_exponent >= 0:
        raise ValueError(f"`noise_exponent` must be at least 0, got {noise_exponent}.")
    by_number = capacity * np.minimum(1.0, features)
    set_by = np.where(ridge < by_number, "ridge", np.where(features < 1, "features", "samples"))
    rates = np.stack(
        [
            np.where(set_by == row.ridge_set_by, row.rate(features, ridge, noise_exponent), np.inf)
            for row in rows
        ]
    )
    # Ties are decided for the first row, not by rounding.
    slowest = np.argmax(rates <= rates.min(axis=0) + 1e-12, axis=0)
    names = np.array([row.regime for row in rows])
    return rates.min(axis=0), names[slowest]


def check_source(capacity: float, source: float) -> None:
    """Raise ValueError unless capacity and source describe a target of finite power."""
    check_positive(capacity=capacity, source=source)
    if capacity <= 1:
        raise ValueError(
            f"`capacity` must exceed 1, got {capacity}: eigenvalues i^-capacity would have no "
            "finite sum."
        )
