r"""Long waves given, short ones drawn: conditional fields, corrected by independence Metropolis.

A coarse field fixes the sites of a spacing; the flow's fine half draws the others, and the chain of
proposals at a fixed coarse field accepts with :math:`\min(1, w'/w)`, :math:`\log w = -S - \log q`,
whose law is the theory's given the coarse sites. Coarse fields from the theory come back as fields
of the theory (docs/science/exact-rg.md, "Refinement").
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.fields.decimation.flow import DecimationFlow, actions, check_spacing
from wilsonian.fields.ensembles import Ensemble
from wilsonian.fields.lattice import check_fields


@dataclasses.dataclass(frozen=True, eq=False)
class Refinement:
    """Fine fields of coarse ones."""

    ensemble: Ensemble
    spacing: int
    acceptance: float  # of the proposals after the first
    log_weight_variance: float  # at a fixed coarse field, mean over them


def decimate(fields: np.ndarray, spacing: int) -> np.ndarray:
    """Sites of a spacing only: the coarse fields of decimation, exact draws of the coarse law."""
    return fields[(slice(None), *(slice(None, None, spacing),) * (fields.ndim - 1))]


def check_coarse(coarse: np.ndarray, side: int, proposals: int) -> int:
    """The spacing of coarse fields on a lattice of `side`; ValueError when they do not fit, hold
    NaN, or fewer than two proposals are asked."""
    sides = coarse.shape[1:]
    if len(sides) != 2 or sides[0] != sides[1] or sides[0] == 0 or side % sides[0]:
        raise ValueError(
            f"coarse fields of shape {coarse.shape} do not fit a lattice of side {side}; pass "
            "(count, side / spacing, side / spacing) with a spacing of 2, 4, ..."
        )
    if proposals < 2:
        raise ValueError(f"{proposals} proposals cannot correct anything; make it 2 or more.")
    check_fields(coarse, sides)
    spacing = side // sides[0]
    check_spacing(spacing, side)
    return spacing


def refine(
    flow: DecimationFlow,
    coarse: np.ndarray,
    key: jax.Array,
    proposals: int = 8,
    progress: Callable[[str, float], None] | None = None,
) -> Refinement:
    """Fine fields with the given coarse sites, `proposals` tries each.

    ValueError when the coarse lattice does not fit, holds NaN, or fewer than two tries are asked.
    """
    side = flow.theory.shape[0]
    spacing = check_coarse(coarse, side, proposals)
    fine = flow.below(spacing)
    known = np.zeros((len(coarse), side, side), np.float32)
    known[:, ::spacing, ::spacing] = coarse
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    fields, logs = np.empty_like(known), np.full(len(coarse), -np.inf)
    accepted, all_logs = 0, []
    for attempt in range(proposals):
        drawn, density = fine.complete(jax.random.fold_in(key, attempt), jnp.asarray(known))
        proposed = -actions(flow.theory, drawn) - density
        take = np.log(rng.uniform(size=len(logs))) < proposed - logs
        fields = np.where(take[:, None, None], np.asarray(drawn), fields)
        logs = np.where(take, proposed, logs)
        accepted += int(take.sum()) if attempt else 0
        all_logs.append(proposed)
        if progress is not None:
            progress("refining", (attempt + 1) / proposals)
    how = {"method": "refinement", "spacing": spacing, "proposals": proposals}
    return Refinement(
        Ensemble(flow.theory, fields, None, 0, how),
        spacing,
        accepted / ((proposals - 1) * len(coarse)),
        float(np.median(np.var(all_logs, axis=0, ddof=1))),
    )
