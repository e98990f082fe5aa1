"""Hybrid Monte Carlo into a folder, block by block; a run that was cut off goes on where it was.

The key of each round depends on the number of trajectories before it, so a run in two parts gives
the same fields as a run in one.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.fields.actions import AbstractFieldTheory
from wilsonian.fields.ensemble_files import EnsembleWriter, load_ensemble
from wilsonian.fields.ensembles import Ensemble
from wilsonian.fields.hmc import HmcSettings, HmcState, Progress, hmc_steps
from wilsonian.support.files import StrPath


def run_hmc(
    theory: AbstractFieldTheory,
    count: int,
    seed: int,
    settings: HmcSettings,
    folder: StrPath,
    *,
    block: int = 2048,
    progress: Progress | None = None,
) -> Ensemble:
    """At least `count` fields into `folder`, written every `block` fields or so; read back whole.

    A folder that holds part of the same run is gone on with; ValueError when it holds another's.
    """
    described = {"method": "hmc", "seed": seed, **dataclasses.asdict(settings)}
    writer = EnsembleWriter(folder, theory, described)
    rounds_per_block = max(1, block // settings.chains)
    pending: list[np.ndarray] = []
    acceptances: list[float] = []
    if writer.count >= count:
        return load_ensemble(folder, theory)
    stored = writer.state()
    resume = None if stored is None else _restore(stored)
    for state, acceptance in hmc_steps(theory, settings, jax.random.key(seed), progress, resume):
        pending.append(np.asarray(state.fields))
        acceptances.append(acceptance)
        done = writer.count + len(pending) * settings.chains
        if len(pending) == rounds_per_block or done >= count:
            how = {
                "method": "hmc",
                "trajectories": state.trajectories,
                "gap": settings.gap,
                "acceptance": float(np.mean(acceptances)),
                "steps": state.steps,
                "kinetic_mass": state.kinetic_mass,
                "evaluations_per_field": state.steps * settings.gap,
                "seed": seed,
            }
            writer.append(
                np.concatenate(pending), chains=settings.chains, how=how, state=_stored(state)
            )
            pending = []
        if progress is not None:
            progress("trajectories", min(done / count, 1.0))
        if done >= count:
            break
    return load_ensemble(folder, theory)


def _stored(state: HmcState) -> dict[str, np.ndarray]:
    return {
        "modes": np.asarray(state.modes),
        "fields": np.asarray(state.fields),
        "trajectories": np.array(state.trajectories),
        "steps": np.array(state.steps),
        "kinetic_mass": np.array(state.kinetic_mass),
    }


def _restore(stored: dict[str, np.ndarray]) -> HmcState:
    return HmcState(
        jnp.asarray(stored["modes"]),
        jnp.asarray(stored["fields"]),
        int(stored["trajectories"]),
        int(stored["steps"]),
        float(stored["kinetic_mass"]),
    )
