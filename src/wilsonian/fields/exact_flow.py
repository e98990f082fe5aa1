r"""The exact renormalization group equation of one degree of freedom, checked by convolution.

.. math:: \partial_t P = \tfrac12\dot C P'' + (\dot C\hat S' P)', \qquad
   \partial_t S = \tfrac12\dot C(S'' - S'^2) + \dot C\hat S' S' - \dot C\hat S''

and its reading as optimal transport: with :math:`Q \propto e^{-2\hat S}`,
:math:`\frac{d}{dt}KL(P\|Q) = -\frac12\int P\,\dot C\,|\nabla\log(P/Q)|^2`. No equation is stepped:
the law at any time is a convolution, and the equations are held against it
(docs/science/exact-rg.md, "The equation").
"""

from __future__ import annotations

import dataclasses

import numpy as np

from wilsonian.fields.scalar_law import ScalarLaw


@dataclasses.dataclass(frozen=True, eq=False)
class ScalarFlow:
    r"""A law under :math:`d\phi = -k\phi\,dt + \sqrt{\Omega}\,dW`: seed action
    :math:`\hat S = k\phi^2/2\Omega`, kernel :math:`\dot C = \Omega`."""

    law: ScalarLaw
    rate: float = 1.0
    omega: float = 1.0

    def channel(self, time: float) -> tuple[float, float]:
        """(M, Sigma) at a time; ValueError before or at zero, where the law is the start's."""
        if not time > 0:
            raise ValueError(f"the time is {time}; the coarse law is for positive times.")
        multiplier = np.exp(-self.rate * time)
        return float(multiplier), float(
            self.omega * -np.expm1(-2 * self.rate * time) / 2 / self.rate
        )

    def action(self, field: np.ndarray, time: float) -> np.ndarray:
        """S_t, minus the log of the normalized coarse law."""
        return -self.law.log_density(field, *self.channel(time))

    def action_residual(
        self, field: np.ndarray, time: float, spacing: float = 0.01, step: float = 1e-3
    ) -> np.ndarray:
        """Left less right side of the equation for S, by fourth-order differences."""
        first, second = _derivatives(lambda shift: self.action(field + shift, time), spacing)
        in_time, _ = _derivatives(lambda shift: self.action(field, time + shift), step)
        seed_slope = self.rate * field / self.omega
        right = 0.5 * self.omega * (second - first**2)
        right += self.omega * seed_slope * first - self.rate
        return in_time - right

    def density_residual(
        self, field: np.ndarray, time: float, spacing: float = 0.01, step: float = 1e-3
    ) -> np.ndarray:
        """Left less right side of the equation for P."""

        def density(shift: float, later: float = 0.0) -> np.ndarray:
            return np.exp(-self.action(field + shift, time + later))

        _, second = _derivatives(density, spacing)
        drift, _ = _derivatives(lambda shift: self.rate * (field + shift) * density(shift), spacing)
        in_time, _ = _derivatives(lambda later: density(0.0, later), step)
        return in_time - (0.5 * self.omega * second + drift)

    def relative_entropy(self, time: float) -> tuple[float, float]:
        r"""(KL(P‖Q), Fisher term :math:`\int P\,\Omega\,|\nabla\log(P/Q)|^2`) at a time.

        The first falls at half the rate of the second: the flow is the steepest descent of the
        relative entropy.
        """
        variance = self.omega / (2 * self.rate)
        reach = np.abs(self.law.nodes).max() + 8 * np.sqrt(variance)
        field = np.linspace(-reach, reach, 4001)
        spacing = field[1] - field[0]
        channel = self.channel(time)
        log_density = self.law.log_density(field, *channel)
        density = np.exp(log_density)
        log_end = -(field**2) / (2 * variance) - 0.5 * np.log(2 * np.pi * variance)
        slope = self.law.score(field, *channel) + field / variance
        divergence = spacing * (density @ (log_density - log_end))
        return float(divergence), float(self.omega * spacing * (density @ slope**2))


def _derivatives(function, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """First and second derivative at zero, fourth order."""
    two_back, back, here, ahead, two_ahead = (function(k * spacing) for k in (-2, -1, 0, 1, 2))
    first = (two_back - 8 * back + 8 * ahead - two_ahead) / (12 * spacing)
    second = (-two_back + 16 * back - 30 * here + 16 * ahead - two_ahead) / (12 * spacing**2)
    return first, second
