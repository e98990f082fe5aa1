r"""One degree of freedom exactly: its law under a channel, the posterior, score and information.

.. math:: e^{-S_t(\phi)} = \int d\phi_0\, p_0(\phi_0)\, N(\phi; M\phi_0, \Sigma)

by quadrature, so the identities between coarse graining and inference can be checked to the last
digits (docs/science/exact-rg.md, "Dictionary"). NumPy, float64.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp


@dataclasses.dataclass(frozen=True, eq=False)
class ScalarLaw:
    """A law on nodes: `log_weights` are log of (density times the node's width), normalized."""

    nodes: np.ndarray
    log_weights: np.ndarray
    log_slope: np.ndarray  # d log p / d phi at the nodes

    @classmethod
    def of(
        cls,
        log_density: Callable[[np.ndarray], np.ndarray],
        log_slope: Callable[[np.ndarray], np.ndarray],
        reach: float = 6.0,
        count: int = 2001,
    ) -> ScalarLaw:
        """From an unnormalized log density and its slope, on equidistant nodes in ±`reach`.

        Equidistant nodes are spectrally accurate for a smooth law that has died out at `reach`.
        ValueError when it has not.
        """
        nodes = np.linspace(-reach, reach, count)
        values = np.asarray(log_density(nodes), float)
        if max(values[0], values[-1]) > values.max() - 32:
            raise ValueError(
                f"the law has not died out at ±{reach:g}; pass a larger `reach`, or check its sign."
            )
        return cls(nodes, values - logsumexp(values), np.asarray(log_slope(nodes), float))

    def moment(self, power: int) -> float:
        """Mean of a power of phi."""
        return float(np.exp(self.log_weights) @ self.nodes**power)

    def _joint(self, field: np.ndarray, multiplier: float, variance: float) -> np.ndarray:
        distance = np.asarray(field)[..., None] - multiplier * self.nodes
        constant = 0.5 * np.log(2 * np.pi * variance)
        return self.log_weights - distance**2 / (2 * variance) - constant

    def log_density(self, field: np.ndarray, multiplier: float, variance: float) -> np.ndarray:
        """Log of the coarse law, minus the action, at each value of the coarse field."""
        return logsumexp(self._joint(field, multiplier, variance), axis=-1)

    def posterior(
        self, field: np.ndarray, multiplier: float, variance: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the fine field given the coarse one (arrays like `field`)."""
        joint = self._joint(field, multiplier, variance)
        weight = np.exp(joint - logsumexp(joint, axis=-1, keepdims=True))
        mean = weight @ self.nodes
        return mean, np.maximum(weight @ self.nodes**2 - mean**2, 0)

    def score(self, field: np.ndarray, multiplier: float, variance: float) -> np.ndarray:
        r"""Tweedie: :math:`\nabla\log p_t = (M\,E[\phi_0|\phi] - \phi)/\Sigma`."""
        mean, _ = self.posterior(field, multiplier, variance)
        return (multiplier * mean - np.asarray(field)) / variance

    def target_score(self, field: np.ndarray, multiplier: float, variance: float) -> np.ndarray:
        r"""The same from the fine law: :math:`M^{-1} E[\nabla\log p_0(\phi_0)|\phi]`."""
        joint = self._joint(field, multiplier, variance)
        weight = np.exp(joint - logsumexp(joint, axis=-1, keepdims=True))
        return weight @ self.log_slope / multiplier

    def action_curvature(self, field: np.ndarray, multiplier: float, variance: float) -> np.ndarray:
        r""":math:`S_t'' = \Sigma^{-1} - \Sigma^{-2} M^2\,\mathrm{Var}(\phi_0|\phi)`."""
        _, spread = self.posterior(field, multiplier, variance)
        return 1 / variance - multiplier**2 * spread / variance**2

    def information(self, precision: float, count: int = 4001) -> tuple[float, float]:
        r"""(I, mmse) between :math:`\phi_0` and :math:`\phi_0 + N(0, 1/T)`, T = `precision`.

        I-MMSE, any law: :math:`dI/dT = \frac12\mathrm{mmse}(T)`. Nats.
        """
        if not precision > 0:
            raise ValueError(f"`precision` is {precision}; the amount of data must be positive.")
        reach = np.abs(self.nodes).max() + 10 / np.sqrt(precision)
        field = np.linspace(-reach, reach, count)
        spacing = field[1] - field[0]
        log_density = self.log_density(field, 1.0, 1 / precision)
        density = np.exp(log_density)
        entropy = -spacing * (density @ log_density)
        noise_entropy = 0.5 * np.log(2 * np.pi * np.e / precision)
        _, variance = self.posterior(field, 1.0, 1 / precision)
        return float(entropy - noise_entropy), float(spacing * (density @ variance))


def double_well(mass: float = 1.0, coupling: float = 0.6, count: int = 801) -> ScalarLaw:
    r"""The law :math:`\propto e^{m\phi^2 - g\phi^4}`, two peaks for m > 0."""
    if not coupling > 0:
        raise ValueError(f"`coupling` is {coupling:g}; the law needs a positive one.")
    return ScalarLaw.of(
        lambda x: mass * x**2 - coupling * x**4,
        lambda x: 2 * mass * x - 4 * coupling * x**3,
        reach=(100 / coupling) ** 0.25 + np.sqrt(max(mass, 0) / coupling),
        count=count,
    )
