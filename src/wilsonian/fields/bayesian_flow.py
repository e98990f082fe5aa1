r"""Dynamical Bayesian inference: a posterior that grows with the amount of data T.

.. math:: \partial_T\pi = -\pi\,(D - \langle D\rangle), \qquad \pi_T = \pi_0 e^{-TD}/Z_T, \qquad
          D(\theta) = KL(p_*\|p_\theta)

so :math:`\frac{d}{dT}\langle O\rangle = -\mathrm{Cov}(O,D)` and
:math:`\log Z_T = -\int_0^T\langle D\rangle`; 2T<D>/d tends to one. On a grid, in exponential
families and for Gaussians, exactly and for any real T >= 0: nothing is stepped in time
(docs/science/exact-rg.md, "Inference"). NumPy, float64.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.special import betaln, digamma, gammaln, logsumexp


def _check_data(amount: float) -> None:
    if not (np.isfinite(amount) and amount >= 0):
        raise ValueError(f"the amount of data is {amount}; it is a number from 0 upwards.")


@dataclasses.dataclass(frozen=True, eq=False)
class GridInference:
    """A law of one parameter on rising `nodes`, kept as a logarithm.

    `log_prior` and `divergence` are arrays like `nodes`; only differences of either matter.
    """

    nodes: np.ndarray
    log_prior: np.ndarray
    divergence: np.ndarray

    def __post_init__(self) -> None:
        if not (np.diff(self.nodes) > 0).all():
            raise ValueError("`nodes` must rise; sort them, with prior and divergence alike.")

    def _log_mass(self, amount: float) -> np.ndarray:
        _check_data(amount)
        gaps = np.diff(self.nodes)
        widths = np.concatenate([gaps[:1], gaps[1:] + gaps[:-1], gaps[-1:]]) / 2  # trapezoid
        return self.log_prior - amount * self.divergence + np.log(widths)

    def posterior(self, amount: float) -> np.ndarray:
        """Density at the nodes after an amount of data."""
        mass = self._log_mass(amount)
        return np.exp(self.log_prior - amount * self.divergence - logsumexp(mass))

    def log_evidence(self, amount: float) -> float:
        r""":math:`\log Z_T`, relative to the prior's."""
        return float(logsumexp(self._log_mass(amount)) - logsumexp(self._log_mass(0.0)))

    def mean(self, values: np.ndarray, amount: float) -> float:
        """Posterior mean of a function given at the nodes."""
        mass = self._log_mass(amount)
        return float(np.exp(mass - logsumexp(mass)) @ values)

    def covariance(self, first: np.ndarray, second: np.ndarray, amount: float) -> float:
        """Posterior covariance of two functions; minus the speed of one when `second` is D."""
        centred = first - self.mean(first, amount)
        return self.mean(centred * (second - self.mean(second, amount)), amount)


@dataclasses.dataclass(frozen=True, eq=False)
class GaussianInference:
    r""":math:`D = \frac12(\theta-\theta_*)^\top I(\theta-\theta_*)`: :math:`P_T = P_0 + TI`,
    :math:`\mu_T = P_T^{-1}(P_0\mu_0 + TI\theta_*)`."""

    prior_mean: np.ndarray  # (d,)
    prior_precision: np.ndarray  # (d, d)
    fisher: np.ndarray  # (d, d), per unit of data
    truth: np.ndarray  # (d,)

    def posterior(self, amount: float) -> tuple[np.ndarray, np.ndarray]:
        """(mean (d,), covariance (d, d)) after an amount of data."""
        _check_data(amount)
        precision = self.prior_precision + amount * self.fisher
        weighted = self.prior_precision @ self.prior_mean + amount * self.fisher @ self.truth
        return np.linalg.solve(precision, weighted), np.linalg.inv(precision)

    def speed(self, amount: float) -> tuple[np.ndarray, np.ndarray]:
        r"""Derivatives by T: :math:`\dot\mu = -\Sigma I(\mu-\theta_*)`,
        :math:`\dot\Sigma = -\Sigma I\Sigma`."""
        mean, covariance = self.posterior(amount)
        gain = covariance @ self.fisher
        return -gain @ (mean - self.truth), -gain @ covariance

    def mean_divergence(self, amount: float) -> float:
        """<D> after an amount of data; d/2T in the end."""
        mean, covariance = self.posterior(amount)
        away = mean - self.truth
        return float(0.5 * (np.trace(self.fisher @ covariance) + away @ self.fisher @ away))


@dataclasses.dataclass(frozen=True)
class BernoulliInference:
    """Coins: the prior Beta(a, b) becomes Beta(a + Tp, b + T(1-p))."""

    a: float
    b: float
    truth: float  # p

    def posterior(self, amount: float) -> tuple[float, float]:
        _check_data(amount)
        return self.a + amount * self.truth, self.b + amount * (1 - self.truth)

    def mean_divergence(self, amount: float) -> float:
        """<D> in nats, from the digamma function."""
        a, b = self.posterior(amount)
        p = self.truth
        entropy = p * np.log(p) + (1 - p) * np.log1p(-p)
        expected = p * (digamma(a) - digamma(a + b)) + (1 - p) * (digamma(b) - digamma(a + b))
        return float(entropy - expected)

    def log_evidence(self, amount: float) -> float:
        """log Z_T = -∫<D>."""
        a, b = self.posterior(amount)
        p = self.truth
        entropy = p * np.log(p) + (1 - p) * np.log1p(-p)
        return float(betaln(a, b) - betaln(self.a, self.b) - amount * entropy)


@dataclasses.dataclass(frozen=True)
class PoissonInference:
    """Counts: the prior Gamma(a, rate b) becomes Gamma(a + T lambda, b + T)."""

    a: float
    b: float
    truth: float  # lambda

    def posterior(self, amount: float) -> tuple[float, float]:
        _check_data(amount)
        return self.a + amount * self.truth, self.b + amount

    def mean_divergence(self, amount: float) -> float:
        r"""<D> of :math:`D = \theta - \lambda + \lambda\log(\lambda/\theta)`."""
        a, b = self.posterior(amount)
        rate = self.truth
        return float(a / b - rate + rate * (np.log(rate) - digamma(a) + np.log(b)))

    def log_evidence(self, amount: float) -> float:
        a, b = self.posterior(amount)
        constant = self.truth * np.log(self.truth) - self.truth
        grown = gammaln(a) - a * np.log(b) - gammaln(self.a) + self.a * np.log(self.b)
        return float(grown - amount * constant)
