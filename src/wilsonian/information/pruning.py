r"""Removing weights one by one instead of directions: scores, the predicted cost, and its repair.

Weights S moved by :math:`\delta_S` cost :math:`g_S \delta_S + \frac12 \delta_S^T F_{SS} \delta_S`;
the others K repair what they can by :math:`\delta_K = -(F + 1)_{KK}^{-1} (F + 1)_{KS} \delta_S`
(docs/science/information.md, section 5; Hassibi and Stork 1993). Trust a repair only where the
cost without it is small, and measure it.
"""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import numpy as np
import scipy.linalg
from jaxtyping import Bool

from wilsonian.information import products
from wilsonian.information.arguments import checked_number
from wilsonian.information.fisher_spectrum import FisherSpectrum
from wilsonian.information.modes import ParameterModes
from wilsonian.support.trees import raveled, unraveled

Score = Literal["damage", "magnitude", "fisher", "random"]


class Pruned(eqx.Module):
    """Costs in nats per example of setting the `removed` weights to zero, before and after the
    others were moved to repair it; the measured ones are the network's own."""

    removed: Bool[np.ndarray, " p"]
    predicted: float
    measured: float
    repaired_predicted: float
    repaired: float
    pruned_point: Any  # whitened parameters, not repaired
    point: Any  # whitened parameters, repaired


def prune(
    spectrum: FisherSpectrum, fraction: float, *, score: Score = "damage", seed: int = 0
) -> Pruned:
    r"""Set the `fraction` of weights with the smallest score to zero: `"damage"` is
    :math:`F_{ii} u_i^2` (optimal brain damage), `"magnitude"` :math:`|u_i|`, `"fisher"`
    :math:`F_{ii}`, all in units of the prior.

    Raises ValueError for a spectrum without its modes as parameters (route "dense"), and for a
    fraction outside (0, 1).
    """
    network, modes = spectrum.network, spectrum.modes
    if not isinstance(modes, ParameterModes):
        raise ValueError("pruning needs all of F; compute the spectrum with route='dense'.")
    checked_number("fraction", fraction, "between 0 and 1", above=0)
    if not fraction < 1:
        raise ValueError(f"`fraction` must be between 0 and 1, got {fraction!r}.")
    with network.arithmetic():
        fisher = (modes.vectors * modes.information) @ modes.vectors.T
        u, slope = raveled(network.point), raveled(products.gradient(network))
        removed = np.zeros(len(u), bool)
        order = np.argsort(_scores(score, fisher, u, seed), kind="stable")
        removed[order[: round(fraction * len(u))]] = True
        step = np.where(removed, -u, 0.0)
        repair = step.copy()
        stiff = fisher + np.eye(len(u))
        repair[~removed] = -scipy.linalg.solve(
            stiff[np.ix_(~removed, ~removed)],
            stiff[np.ix_(~removed, removed)] @ step[removed],
            assume_a="pos",
        )
        before = network.loss().mean()

        def costs(move: np.ndarray) -> tuple[float, float]:
            predicted = slope @ move + move @ fisher @ move / 2
            point = unraveled(u + move, network.point)
            measured = network.loss(network.evaluate(network.inputs, point)).mean() - before
            return float(predicted / network.examples), float(measured)

        predicted, measured = costs(step)
        repaired_predicted, repaired = costs(repair)
        return Pruned(
            removed=removed,
            predicted=predicted,
            measured=measured,
            repaired_predicted=repaired_predicted,
            repaired=repaired,
            pruned_point=unraveled(u + step, network.point),
            point=unraveled(u + repair, network.point),
        )


def _scores(score: Score, fisher: np.ndarray, u: np.ndarray, seed: int) -> np.ndarray:
    if score == "damage":
        return np.diagonal(fisher) * u**2
    if score == "magnitude":
        return np.abs(u)
    if score == "fisher":
        return np.diagonal(fisher)
    if score == "random":
        return np.random.RandomState(seed).random_sample(len(u))
    raise ValueError(f"`score` must be 'damage', 'magnitude', 'fisher' or 'random', got {score!r}.")
