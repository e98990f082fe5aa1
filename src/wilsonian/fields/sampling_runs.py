"""Long runs into folders, block by block; a run that was cut off goes on where it was.

The key of a round of chains depends on the number of trajectories before it, and the key of a draw
on its number, so a run in two parts gives the same fields as a run in one.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.fields.actions import AbstractFieldTheory
from wilsonian.fields.decimation.geometry import check_side
from wilsonian.fields.ensemble_files import EnsembleWriter, load_ensemble
from wilsonian.fields.ensembles import Ensemble
from wilsonian.fields.flow_files import fingerprint
from wilsonian.fields.hmc import HmcSettings, HmcState, Progress, hmc_steps, how_drawn
from wilsonian.fields.inverse_flow import InverseFlow, Method
from wilsonian.fields.theories import SampledTheory
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
            how = {**how_drawn(state, settings, acceptances), "seed": seed}
            writer.append(
                np.concatenate(pending), chains=settings.chains, how=how, state=_stored(state)
            )
            pending = []
        if progress is not None:
            progress("trajectories", min(done / count, 1.0))
        if done >= count:
            break
    return load_ensemble(folder, theory)


@dataclasses.dataclass(frozen=True, eq=False)
class FittedRun:
    """A flow that was fitted, or read, and the chains that it was fitted to."""

    inverse: InverseFlow
    training: Ensemble | None  # None when the flow was read and its chains are not there
    seconds: float | None  # of hybrid Monte Carlo; None unless all chains ran now


def fitted_flow(
    theory: SampledTheory,
    method: Method,
    count: int,
    seed: int,
    *,
    flow: StrPath | None = None,
    chains: StrPath | None = None,
    progress: Progress | None = None,
) -> FittedRun:
    """The flow in the folder `flow` if there is one; else one fitted to `count` fields of hybrid
    Monte Carlo and kept there. The fields are kept in `chains`, and gone on with there.

    ValueError when a folder holds something else.
    """
    if flow is not None and Path(flow).exists():
        inverse = InverseFlow.load(flow, theory)
        if inverse.sampler.method != method:
            raise ValueError(
                f"{str(flow)!r} holds a flow by {inverse.sampler.method}, not by {method}; choose "
                "another folder, or that method."
            )
        if chains is None or not Path(chains).exists():
            return FittedRun(inverse, None, None)
        return FittedRun(inverse, load_ensemble(chains, theory), None)
    if method == "decimation":
        check_side(theory.shape)  # before the chains run, not after
    begun, start = chains is not None and Path(chains).exists(), time.perf_counter()
    if chains is None:
        training = theory.hmc(count, jax.random.key(seed), progress=progress)
    else:
        training = run_hmc(theory, count, seed, HmcSettings(), chains, progress=progress)
    seconds = None if begun else time.perf_counter() - start
    inverse = InverseFlow.fit(theory, training, method, seed=seed, progress=progress)
    if flow is not None:
        inverse.save(flow)
    return FittedRun(inverse, training, seconds)


def open_draws(
    theory: AbstractFieldTheory, method: str, seed: int, folder: StrPath
) -> EnsembleWriter:
    """The folder of draws of a flow, new or begun; ValueError when it holds other fields."""
    return EnsembleWriter(folder, theory, {"method": method, "seed": seed})


def run_draws(
    inverse: InverseFlow,
    count: int,
    seed: int,
    folder: StrPath,
    *,
    block: int = 2048,
    progress: Progress | None = None,
) -> Ensemble:
    """At least `count` weighted draws in `folder`, written every `block`; read back whole.

    A folder that holds some of them is gone on with; ValueError when it holds others', or draws
    of another fit.
    """
    writer = open_draws(inverse.theory, inverse.sampler.method, seed, folder)
    mark = fingerprint(inverse.sampler)
    found = writer.index["how"].get("flow", mark)
    if found != mark:
        raise ValueError(
            f"the draws in {str(folder)!r} are of another fit ({found}, not {mark}); give the flow "
            "that made them, or another folder."
        )
    begun, key = writer.count, jax.random.key(seed)
    while (done := writer.count) < count:
        part = inverse.sample(key, min(block, count - done), first=done)
        how = {**part.how, "seed": seed, "flow": mark}
        writer.append(part.fields, part.log_weights, how=how)
        if progress is not None:
            progress("drawing", (writer.count - begun) / (count - begun))
    return load_ensemble(folder, inverse.theory)


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
