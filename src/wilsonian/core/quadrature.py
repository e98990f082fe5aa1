"""Means over a standard normal number by Gauss-Hermite quadrature."""

from __future__ import annotations

import functools

import numpy as np


@functools.cache
def gauss_hermite(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the mean over a standard normal number, exact for polynomials of degree
    `2 nodes - 1`. Raises ValueError for no nodes."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    return points, weights / np.sqrt(2 * np.pi)
