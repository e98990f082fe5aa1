"""Ensembles trained by gradient descent, their soft directions sent back to their own start."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp

from wilsonian.information.kernel_information import FlowedPrediction
from wilsonian.networks.dynamics import GradientFlow


def descent_cut(ensemble: GradientFlow, kept: int, steps: int, Z: Any = None) -> FlowedPrediction:
    r"""Ensemble of infinitely wide networks trained by gradient descent, of whose directions only
    the `kept` stiffest stay trained while all others go back to each member's own initial values.

    With the tangent kernel's modes :math:`\Theta = \sum \kappa_A u_A u_A^T` and :math:`A_q =
    \Theta_* \sum_{A \le q} \kappa_A^{-1} (1 - (1 - \eta \kappa_A)^s) u_A u_A^T` the mean is
    :math:`A_q y` and the covariance :math:`K_{**} - A_q K_*^T - K_* A_q^T + A_q K A_q^T`
    (docs/science/information.md, section 3). With all modes kept this is the ensemble's own
    `predict_after(steps)`. The filter of descent is no fraction of information, so no cutoff of
    the library does this.

    Raises ValueError unless `kept` is between zero and the number of points.
    """
    count = len(ensemble.points)
    if not 0 <= kept <= count:
        raise ValueError(f"`kept` must be between 0 and {count}, the number of modes; got {kept}.")
    # A mode of no stiffness does not respond: its parameters are where they were.
    largest_first = jnp.arange(count)[::-1]
    still = eqx.tree_at(
        lambda flow: flow.eigenvalues,
        ensemble,
        jnp.where(largest_first < kept, ensemble.eigenvalues, -ensemble.ridge),
    )
    found = still.predict_after(steps, Z)
    return FlowedPrediction(found.mean, found.variance)
