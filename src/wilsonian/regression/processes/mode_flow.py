"""The flow of a theory of modes at every cutoff at once, by cumulative sums."""

from __future__ import annotations

import dataclasses

import numpy as np

GRID = 129  # ridges at which the evidence of every cutoff is compared before it is maximized
NEWTON_STEPS = 8


@dataclasses.dataclass(frozen=True)
class ModeSums:
    r"""Evidence of the first k modes at a ridge, for all k = 0, ..., m, of signals :math:`s_j = n
    \lambda_j` and squared targets :math:`t_j^2` (summed over p outputs),

    .. math:: -2 E_k(\rho) = \frac{Y - n \sum_{j \le k} t_j^2}{\rho} + n \sum_{j \le k}
        \frac{t_j^2}{\rho + s_j} + p \Big[\sum_{j \le k} \log(\rho + s_j) + (n - k) \log \rho
        + n \log 2 \pi\Big],

    the evidence of :class:`wilsonian.regression.processes.modes.ModeTheory` with its sums taken
    apart.
    """

    signals: np.ndarray  # (m,)
    powers: np.ndarray  # (m,), n t^2
    target_square: float  # Y
    outputs: int
    n_samples: float

    def at_each(self, ridges: np.ndarray) -> np.ndarray:
        """(m + 1,): the evidence of the first k modes at `ridges[k]`, in nats."""
        total = ridges[:, None] + self.signals
        first = np.tri(len(ridges), len(self.signals), -1, dtype=bool)
        quadratic = np.sum(self.powers / total, axis=1, where=first)
        logarithms = np.sum(np.log(total), axis=1, where=first)
        return self._assembled(quadratic, logarithms, ridges)

    def best_ridges(self) -> np.ndarray:
        r"""(m + 1,): the ridge of greatest evidence of the first k modes, for each k: the best of a
        grid over :math:`10^{-10}` to 10 of the targets' mean square, then Newton's steps in its
        logarithm between the neighbours there."""
        mean_square = self.target_square / self.n_samples / self.outputs
        grid = np.linspace(np.log(1e-10 * mean_square), np.log(10 * mean_square), GRID)
        evidence = np.stack([self.at_all(np.exp(point)) for point in grid])
        at = evidence.argmax(axis=0)
        low, high = grid[np.maximum(at - 1, 0)], grid[np.minimum(at + 1, GRID - 1)]
        point = grid[at]
        for _ in range(NEWTON_STEPS):
            slope, curvature = self._slopes(np.exp(point))
            # Uphill where the evidence is not concave; never out of the bracket.
            newton = np.where(curvature < 0, -slope / np.minimum(curvature, -1e-300), high - low)
            step = np.where(curvature < 0, newton, np.sign(slope) * newton / 4)
            low, high = np.where(slope > 0, point, low), np.where(slope < 0, point, high)
            inside = (point + step >= low) & (point + step <= high)
            point = np.where(inside, point + step, (low + high) / 2)
        return np.exp(point)

    def at_all(self, ridge: float) -> np.ndarray:
        """(m + 1,): the evidence of the first k modes at one ridge."""
        total = ridge + self.signals
        quadratic = np.append(0.0, np.cumsum(self.powers / total))
        logarithms = np.append(0.0, np.cumsum(np.log(total)))
        return self._assembled(quadratic, logarithms, np.full(len(quadratic), ridge))

    def _assembled(
        self, quadratic: np.ndarray, logarithms: np.ndarray, ridges: np.ndarray
    ) -> np.ndarray:
        left = self.target_square - np.append(0.0, np.cumsum(self.powers))
        kept = np.arange(len(ridges))
        constant = self.n_samples * np.log(2 * np.pi)
        determinant = logarithms + (self.n_samples - kept) * np.log(ridges) + constant
        return -0.5 * (left / ridges + quadratic + self.outputs * determinant)

    def _slopes(self, ridges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and second derivatives in the logarithm of the ridge, (m + 1,) each."""
        inverse = 1 / (ridges[:, None] + self.signals)
        inverse *= np.tri(len(ridges), len(self.signals), -1)
        left = self.target_square - np.append(0.0, np.cumsum(self.powers))
        rest = self.n_samples - np.arange(len(ridges))
        squares, cubes = inverse**2 @ self.powers, inverse**3 @ self.powers
        first = -left / ridges**2 - squares
        first += self.outputs * (inverse.sum(axis=1) + rest / ridges)
        second = 2 * left / ridges**3 + 2 * cubes
        second -= self.outputs * ((inverse**2).sum(axis=1) + rest / ridges**2)
        return -0.5 * ridges * first, -0.5 * (ridges * first + ridges**2 * second)
