r"""The first site drawn: a law of one number, :math:`\exp(\theta_2z^2+\theta_4z^4+\theta_6z^6
+\theta_8z^8)`, even, fitted by Newton's method on a grid."""

from __future__ import annotations

import dataclasses

import numpy as np

from wilsonian.fields.decimation.density import GRID, SPACING, WINDOW

EVEN = np.array([2, 4, 6, 8])


@dataclasses.dataclass(frozen=True, eq=False)
class FirstSite:
    """Log density of z = phi / sigma at the nodes, up to a constant."""

    log_values: np.ndarray
    sigma: float


def fit_first_site(values: np.ndarray) -> FirstSite:
    """Fit the law of one site's field to draws of it (any shape)."""
    fields = np.asarray(values, float).ravel()
    sigma = float(np.sqrt((fields**2).mean()))
    z = np.clip(fields / sigma, GRID[0], GRID[-1])
    powers = GRID[:, None] ** EVEN / 3.0**EVEN  # scaled, so that curvatures are comparable
    aim = (z[:, None] ** EVEN / 3.0**EVEN).mean(0)
    theta = np.array([-0.5, 0, 0, 0]) * 3.0**EVEN

    def state(theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        logs = powers @ theta - WINDOW
        top = logs.max()
        weight = np.exp(logs - top)
        log_z = np.log(weight.sum() * SPACING) + top
        weight /= weight.sum()
        mean = weight @ powers
        covariance = (powers * weight[:, None]).T @ powers - np.outer(mean, mean)
        return float(theta @ aim - log_z), aim - mean, covariance

    value, slope, curvature = state(theta)
    for _ in range(50):
        step = np.linalg.solve(curvature + 1e-9 * np.eye(4), slope)
        length = 1.0
        while length > 1e-4 and state(theta + length * step)[0] < value:
            length /= 2
        theta = theta + length * step
        before, (value, slope, curvature) = value, state(theta)
        if value - before < 1e-10:
            break
    return FirstSite(powers @ theta - WINDOW, sigma)
