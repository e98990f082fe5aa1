"""The shapes that a learning curve may have: power laws, and the averaged theory's own."""

from __future__ import annotations

import abc
import dataclasses

import numpy as np
from scipy.special import log_ndtr

FARTHEST = 600.0  # place where an exponential has long ended
NEWTON_STEPS = 8  # from a start within log 2 of the root, of a convex function


@dataclasses.dataclass(frozen=True)
class CurveShape(abc.ABC):
    r"""One candidate: :math:`\log E(n) / E(n_\star)` of parameters that are standard normal before
    anything is measured; :math:`n_\star` is the largest size measured.

    `places` are logarithms of n over that size. `span` is minus the place of the smallest size.
    """

    span: float

    name = ""
    dimensions = 0

    @abc.abstractmethod
    def log_error(self, parameters: np.ndarray, places: np.ndarray) -> np.ndarray:
        """(draws, dimensions) and (sizes,) to (draws, sizes); zero at place zero."""

    @abc.abstractmethod
    def log_floor(self, parameters: np.ndarray) -> np.ndarray:
        """The limit of `log_error` at n without end, (draws,)."""

    def across(self, normal: np.ndarray) -> np.ndarray:
        """A place anywhere near those measured."""
        return max(self.span, 1.5) * normal - self.span / 2


class Plateau(CurveShape):
    """:math:`E = c`: more samples buy nothing more."""

    name = "plateau"
    dimensions = 0

    def log_error(self, parameters, places):
        return np.zeros((len(parameters), len(places)))

    def log_floor(self, parameters):
        return np.zeros(len(parameters))


class PowerLaw(CurveShape):
    r""":math:`E = a n^{-b}`, b about 1/2 (a tenth to two)."""

    name = "power law"
    dimensions = 1

    def log_error(self, parameters, places):
        return -_exponent(parameters[:, 0])[:, None] * places

    def log_floor(self, parameters):
        return np.full(len(parameters), -np.inf)


class FlooredPowerLaw(CurveShape):
    r""":math:`E = a n^{-b} + c`; the share of c in the last error is uniform."""

    name = "power law with floor"
    dimensions = 2

    def log_error(self, parameters, places):
        fall = _exponent(parameters[:, 0])[:, None] * places
        return _above_floor(parameters[:, 1], fall)

    def log_floor(self, parameters):
        return log_ndtr(parameters[:, 1])


class DelayedPowerLaw(CurveShape):
    r""":math:`E = a (n + n_0)^{-b} + c`: learning that sets in near :math:`n_0`, and with a large
    b falls like an exponential."""

    name = "power law with floor and onset"
    dimensions = 3

    def log_error(self, parameters, places):
        onset = self.across(parameters[:, 2])
        later = np.logaddexp(places, onset[:, None]) - np.logaddexp(0, onset)[:, None]
        exponent = _exponent(parameters[:, 0], spread=1.2)
        return _above_floor(parameters[:, 1], exponent[:, None] * later)

    def log_floor(self, parameters):
        return log_ndtr(parameters[:, 1])


class Exponential(CurveShape):
    r""":math:`E = a e^{-n/s} + c`: no theory's, but curves that stop falling within a decade are
    measured, and without it the power laws would forecast that they go on."""

    name = "exponential with floor"
    dimensions = 2

    def log_error(self, parameters, places):
        rate = np.exp(-self.across(parameters[:, 1]))[:, None]  # the largest size over s
        return _above_floor(parameters[:, 0], rate * np.expm1(np.minimum(places, FARTHEST)))

    def log_floor(self, parameters):
        return log_ndtr(parameters[:, 0])


class BestRidge(CurveShape):
    r"""The averaged theory of a power-law spectrum and target, at the best ridge of every n.

    With x modes learned the error is :math:`(A x^{-u} + \sigma^2) / (1 - \gamma)`, overfitting
    :math:`\gamma` proportional to x / n. At its minimum over x,

    .. math:: n = n_0 \frac{R}{(R - 1)^{1 + 1/u}}, \qquad R = E / \sigma^2,

    so that the error falls as :math:`n^{-u}` while the noise is small beside it, and what is above
    the noise as :math:`n^{-u/(1+u)}` after that. Valid where the target is no smoother than
    functions of the kernel; `docs/science/forecast.md`, section 7.
    """

    name = "averaged theory, best ridge"
    dimensions = 2

    def log_error(self, parameters, places):
        u, share = _exponent(parameters[:, 0], 0.8), parameters[:, 1]
        last = log_ndtr(-share) - log_ndtr(share)  # log(R - 1) at the largest size
        slope = (1 + 1 / u)[:, None]
        aim = (np.logaddexp(0, last) - slope[:, 0] * last)[:, None] + places
        # log n is convex and falls in log(R - 1): from the left Newton's steps do not overshoot.
        above = np.maximum(-aim / slope, -aim * u[:, None])
        for _ in range(NEWTON_STEPS):
            found = np.logaddexp(0, above) - slope * above
            above = above - (found - aim) / (_sigmoid(above) - slope)
        return np.logaddexp(0, above) - np.logaddexp(0, last)[:, None]

    def log_floor(self, parameters):
        return log_ndtr(parameters[:, 1])


class FixedRidge(CurveShape):
    r"""The averaged theory of eigenvalues :math:`k^{-\alpha}` at one ridge for all n.

    .. math::
        n = s (x + x^\alpha), \qquad \gamma = \frac{1 - 1/\alpha}{1 + x^{\alpha - 1}}, \qquad
        E = \frac{A x^{-u} + \sigma^2}{1 - \gamma}

    Below the crossover s the data regularize themselves, the error falls as :math:`n^{-u}` and the
    noise counts :math:`\alpha` times; above it the ridge does, and the error falls as
    :math:`n^{-u/\alpha}`. `docs/science/forecast.md`, section 7.
    """

    name = "averaged theory, one ridge"
    dimensions = 4

    def log_error(self, parameters, places):
        u, _, _ = self._law(parameters)
        modes, last = self._modes(parameters, places), self._modes(parameters, np.zeros(1))
        left = _above_floor(parameters[:, 1], u[:, None] * (modes - last))
        return left - self._kept(parameters, modes) + self._kept(parameters, last)

    def log_floor(self, parameters):
        last = self._modes(parameters, np.zeros(1))
        return log_ndtr(parameters[:, 1]) + self._kept(parameters, last)[:, 0]

    def _law(self, parameters):
        """u, alpha, and the logarithm of the crossover over the largest size."""
        alpha = 1 + np.exp(0.7 * parameters[:, 2])
        return _exponent(parameters[:, 0], 0.8), alpha, self.across(parameters[:, 3])

    def _modes(self, parameters, places):
        """log x at those places."""
        _, alpha, crossover = self._law(parameters)
        aim, steep = places - crossover[:, None], (alpha - 1)[:, None]
        log = np.minimum(aim, aim / (1 + steep))
        for _ in range(NEWTON_STEPS):
            found = log + np.logaddexp(0, steep * log)
            log = log - (found - aim) / (1 + steep * _sigmoid(steep * log))
        return log

    def _kept(self, parameters, modes):
        """log(1 - gamma)."""
        _, alpha, _ = self._law(parameters)
        steep = (alpha - 1)[:, None]
        return np.log1p(-(1 - 1 / alpha)[:, None] * _sigmoid(-steep * modes))


SHAPES = (Plateau, PowerLaw, FlooredPowerLaw, DelayedPowerLaw, Exponential, BestRidge, FixedRidge)


def _exponent(normal: np.ndarray, median: float = 0.5, spread: float = 0.8) -> np.ndarray:
    return median * np.exp(spread * normal)


def _above_floor(share: np.ndarray, fall: np.ndarray) -> np.ndarray:
    """Logarithm of a floor, which is Phi(share) of one, and of the rest, which falls."""
    return np.logaddexp(log_ndtr(share)[:, None], log_ndtr(-share)[:, None] - fall)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(values / 2))
