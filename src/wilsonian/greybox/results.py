"""What inference says of each parameter, with how it went."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

CONFOUNDED = 0.3  # confounding index above which a sentence says what the interval means


@dataclasses.dataclass(frozen=True)
class ParameterPosterior:
    """The posterior of one parameter, one entry per signal."""

    name: str
    points: np.ndarray  # (signals, points) sorted, physical units
    weights: np.ndarray  # (signals, points) sum to one
    grid: bool  # cells of equal width in the parameter's own units
    confounding: np.ndarray  # (signals,) share of the knowledge that the residual costs
    prior_spread: float
    samples: np.ndarray  # (signals, draws)

    @property
    def mean(self) -> np.ndarray:
        return np.sum(self.weights * self.points, axis=1)

    @property
    def sd(self) -> np.ndarray:
        off = self.points - self.mean[:, None]
        return np.sqrt(np.sum(self.weights * off**2, axis=1))

    def _edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Edges of cells and the distribution function there."""
        middle = (self.points[:, 1:] + self.points[:, :-1]) / 2
        first = 2 * self.points[:, :1] - middle[:, :1]
        last = 2 * self.points[:, -1:] - middle[:, -1:]
        edges = np.concatenate([first, middle, last], axis=1)
        below = np.concatenate([np.zeros((len(edges), 1)), np.cumsum(self.weights, axis=1)], axis=1)
        return edges, below

    def quantile(self, probability: float | Sequence[float]) -> np.ndarray:
        """(signals,) or (signals, probabilities)."""
        edges, below = self._edges()
        rows = [np.interp(probability, b, e) for e, b in zip(edges, below, strict=True)]
        return np.array(rows)

    def interval(self, level: float = 0.9) -> np.ndarray:
        """(signals, 2), as much probability below it as above.

        Raises ValueError for a level outside (0, 1).
        """
        if not 0 < level < 1:
            raise ValueError(f"`level` must lie between 0 and 1, got {level!r}; try 0.9.")
        return self.quantile([(1 - level) / 2, (1 + level) / 2])

    def rank(self, truth: np.ndarray) -> np.ndarray:
        """Posterior probability below the truth (the PIT value)."""
        edges, below = self._edges()
        rows = zip(np.asarray(truth, float), edges, below, strict=True)
        return np.array([np.interp(t, e, b) for t, e, b in rows])

    @property
    def sentence(self) -> str:
        """What the intervals mean, in words."""
        index = float(np.median(self.confounding))
        if index > CONFOUNDED:
            return (
                f"{self.name}: the residual costs {index:.0%} of what the signals say about it, so "
                "its interval depends on what was assumed of the residual; compare residuals "
                "before you trust it."
            )
        return f"{self.name}: the residual costs {index:.0%} of what the signals say about it."


@dataclasses.dataclass(frozen=True)
class Inference:
    """Posteriors of all parameters for each signal; `result["omega"]`."""

    parameters: dict[str, ParameterPosterior]
    log_evidence: np.ndarray  # (signals,) nats
    k_hat: np.ndarray  # (signals,) of the importance weights; 0 for grids
    physics: np.ndarray  # (signals, channels, times) the simulator's part
    fitted: np.ndarray  # simulator and residual
    coefficients: np.ndarray  # (signals, coefficients) of the residual at the posterior mean
    learnability: np.ndarray  # (signals, coefficients)

    def __getitem__(self, name: str) -> ParameterPosterior:
        try:
            return self.parameters[name]
        except KeyError:
            known = ", ".join(self.parameters)
            raise KeyError(f"no parameter {name!r}; there are {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.parameters)

    def table(self, level: float = 0.9) -> tuple[list[str], np.ndarray]:
        """Names and columns: mean, sd, interval and confounding of each parameter."""
        names, columns = [], []
        for name, found in self.parameters.items():
            low, high = found.interval(level).T
            names += [f"{name}", f"{name}_sd", f"{name}_low", f"{name}_high", f"{name}_confounding"]
            columns += [found.mean, found.sd, low, high, found.confounding]
        return [*names, "log_evidence"], np.column_stack([*columns, self.log_evidence])
