r"""Hybrid Monte Carlo with Fourier acceleration and an exact free part, many chains at once.

.. math:: H = S(\phi) + \tfrac12\sum_p |\pi(p)|^2/m(p), \qquad m(p) = c\,(\hat p^2 + m_0^2)

The quadratic part :math:`\frac12\sum m(p)|\phi(p)|^2` is rotated exactly, every mode at the same
frequency; only the rest of the force is stepped. With the mass of the kinetic term set from the
susceptibility seen while thermalising, four to eight steps serve any size
(docs/science/exact-rg.md, "Hybrid Monte Carlo"). Memory: about 8 arrays of chains × volume.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from wilsonian.fields.actions import AbstractFieldTheory
from wilsonian.fields.ensembles import Ensemble
from wilsonian.fields.mode_basis import ModeBasis

Progress = Callable[[str, float], None]


@dataclasses.dataclass(frozen=True)
class HmcSettings:
    """How the chains run. None lets the thermalisation choose."""

    chains: int = 128
    thermalization: int = 300  # trajectories
    gap: int = 10  # trajectories between kept fields
    steps: int | None = None  # force evaluations per trajectory
    kinetic_mass: float | None = None  # m_0^2
    shortest: float = 0.9  # trajectory length, uniform between these
    longest: float = 1.8
    acceptance: float = 0.85  # aimed at when `steps` is chosen

    def __post_init__(self) -> None:
        counts = (self.chains, self.gap)
        if min(counts) < 1 or self.thermalization < 0:
            raise ValueError(
                f"{self.chains} chains, gap {self.gap}, thermalization {self.thermalization}: "
                "chains and gap are at least 1, and thermalization is not negative."
            )


@dataclasses.dataclass(frozen=True, eq=False)
class HmcState:
    """Chains at one moment; enough to go on from."""

    modes: Array  # amplitudes, (chains, *shape)
    fields: Array  # the same in space
    trajectories: int
    steps: int
    kinetic_mass: float


def start_state(theory: AbstractFieldTheory, settings: HmcSettings, key: jax.Array) -> HmcState:
    """Even chains disordered, odd ones ordered with random signs: they must come to agree."""
    noise, sign = jax.random.split(key)
    shape = (settings.chains, *theory.shape)
    ones = (1,) * len(theory.shape)
    fields = 0.3 * jax.random.normal(noise, shape, jnp.float32)
    signs = jnp.where(jax.random.bernoulli(sign, 0.5, (settings.chains, *ones)), 1.0, -1.0)
    ordered = (jnp.arange(settings.chains) % 2 == 1).reshape(-1, *ones)
    fields = fields + jnp.where(ordered, 0.9 * signs, 0.0)
    modes = ModeBasis(theory.shape).to_modes(fields)
    return HmcState(modes, fields, 0, settings.steps or 6, settings.kinetic_mass or 0.1)


@functools.lru_cache(maxsize=16)
def make_run(theory: AbstractFieldTheory, shortest: float, longest: float):  # type: ignore[no-untyped-def]
    """Compiled ``run(modes, fields, key, steps, kinetic_mass, trajectories)``, for lengths of
    trajectories between the two given.

    Returns (modes, fields, acceptance, mean of the squared magnetization).
    """
    basis = ModeBasis(theory.shape)
    momenta = jnp.asarray(basis.momenta_squared(), jnp.float32)
    stiffness = theory.kinetic_stiffness()
    axes = tuple(range(1, 1 + len(theory.shape)))
    bounds = (shortest, longest)

    def trajectory(state: Any, key: Array, steps: Array, mass: Array) -> Any:
        modes, fields, accepted, squared = state
        inertia = stiffness * (momenta + mass)
        for_momenta, for_length, for_test = jax.random.split(key, 3)
        momentum = jax.random.normal(for_momenta, modes.shape, modes.dtype) * jnp.sqrt(inertia)
        angle = jax.random.uniform(for_length, (), minval=bounds[0], maxval=bounds[1]) / steps
        cosine, sine = jnp.cos(angle), jnp.sin(angle)

        def energy(fields: Array, momentum: Array) -> Array:
            return theory.action(fields) + 0.5 * (momentum**2 / inertia).sum(axes)

        def rest(modes: Array, fields: Array) -> Array:
            return basis.to_modes(theory.force(fields)) - inertia * modes

        def rotate(modes: Array, momentum: Array) -> tuple[Array, Array]:
            turned = momentum * cosine - inertia * modes * sine
            return modes * cosine + momentum / inertia * sine, turned

        before = energy(fields, momentum)
        pushed = momentum - 0.5 * angle * rest(modes, fields)

        def step(_: Any, pair: tuple[Array, Array]) -> tuple[Array, Array]:
            moved, pushed = rotate(*pair)
            return moved, pushed - angle * rest(moved, basis.to_fields(moved))

        moved, pushed = jax.lax.fori_loop(0, steps - 1, step, (modes, pushed))
        moved, pushed = rotate(moved, pushed)
        proposed = basis.to_fields(moved)
        pushed = pushed - 0.5 * angle * rest(moved, proposed)
        after = energy(proposed, pushed)
        # A trajectory that ran away has an energy that is not a number and is refused.
        accept = jnp.log(jax.random.uniform(for_test, before.shape)) < before - after
        wide = accept.reshape(-1, *(1,) * len(axes))
        fields = jnp.where(wide, proposed, fields)
        return (
            jnp.where(wide, moved, modes),
            fields,
            accepted + accept.mean(),
            squared + (fields.mean(axes) ** 2).mean(),
        )

    @jax.jit
    def run(  # type: ignore[no-untyped-def]
        modes: Array, fields: Array, key: Array, steps: Array, mass: Array, trajectories: Array
    ):
        def body(index: Any, state: Any) -> Any:
            return trajectory(state, jax.random.fold_in(key, index), steps, mass)

        state = (modes, fields, jnp.zeros(()), jnp.zeros(()))
        modes, fields, accepted, squared = jax.lax.fori_loop(0, trajectories, body, state)
        return modes, fields, accepted / trajectories, squared / trajectories

    return run


def thermalise(
    theory: AbstractFieldTheory,
    settings: HmcSettings,
    key: jax.Array,
    run: Any,
    progress: Progress | None = None,
) -> HmcState:
    """Run the chains in, choosing the kinetic mass and the number of steps on the way.

    The mass is the inverse susceptibility, :math:`1/(c\\,V\\langle M^2\\rangle)`; the steps rise
    or fall until the acceptance is about what is aimed at. Both then stay fixed.
    """
    start_key, run_key = jax.random.split(key)
    state = start_state(theory, settings, start_key)
    modes, fields = state.modes, state.fields
    steps, mass = state.steps, state.kinetic_mass
    acceptance: Any = 1.0
    pieces = 12
    length = max(1, -(-settings.thermalization // pieces)) if settings.thermalization else 0
    done = 0
    for piece in range(pieces if length else 0):
        part = jax.random.fold_in(run_key, piece)
        modes, fields, acceptance, squared = run(
            modes,
            fields,
            part,
            jnp.asarray(steps),
            jnp.asarray(mass, jnp.float32),
            jnp.asarray(length),
        )
        done += length
        if settings.kinetic_mass is None and 1 <= piece <= 6:
            measured = 1 / (theory.kinetic_stiffness() * theory.volume * float(squared) + 1e-6)
            mass = float(np.clip(1.5 * measured, 0.01, 4.0))
        if settings.steps is None and piece <= 9:
            low = float(acceptance) < settings.acceptance - 0.03
            high = float(acceptance) > settings.acceptance + 0.09
            steps = int(np.clip(steps + low - high + 2 * (float(acceptance) < 0.5), 3, 64))
        if progress is not None:
            progress("thermalising", (piece + 1) / pieces)
    if length and (float(acceptance) < 0.01 or not bool(jnp.isfinite(fields).all())):
        raise ValueError(
            "no trajectory was accepted at the end of thermalising: chains ran away; the action "
            "may be unbounded below, or its gradient not finite."
        )
    return HmcState(modes, fields, done, steps, mass)


def hmc_steps(
    theory: AbstractFieldTheory,
    settings: HmcSettings,
    key: jax.Array,
    progress: Progress | None = None,
    resume: HmcState | None = None,
) -> Iterator[tuple[HmcState, float]]:
    """Endless (state, acceptance) every `gap` trajectories, from thermalised chains or `resume`."""
    run = make_run(theory, settings.shortest, settings.longest)
    heat, go = jax.random.split(key)
    state = resume or thermalise(theory, settings, heat, run, progress)
    steps, mass = jnp.asarray(state.steps), jnp.asarray(state.kinetic_mass, jnp.float32)
    while True:
        part = jax.random.fold_in(go, state.trajectories)
        modes, fields, acceptance, _ = run(
            state.modes, state.fields, part, steps, mass, jnp.asarray(settings.gap)
        )
        trajectories = state.trajectories + settings.gap
        state = dataclasses.replace(state, modes=modes, fields=fields, trajectories=trajectories)
        yield state, float(acceptance)


def how_drawn(state: HmcState, settings: HmcSettings, rates: list[float]) -> dict[str, Any]:
    """What an ensemble says of its making, from the acceptance `rates` of its rounds."""
    return {
        "method": "hmc",
        "trajectories": state.trajectories,
        "gap": settings.gap,
        "acceptance": float(np.mean(rates)),
        "steps": state.steps,
        "kinetic_mass": state.kinetic_mass,
        "evaluations_per_field": state.steps * settings.gap,
    }


def sample_hmc(
    theory: AbstractFieldTheory,
    count: int,
    key: jax.Array,
    settings: HmcSettings | None = None,
    progress: Progress | None = None,
) -> Ensemble:
    """`count` fields or a few more (whole rounds of all chains). ValueError for no fields."""
    if count < 1:
        raise ValueError(f"{count} fields were asked for; ask for at least one.")
    settings = settings or HmcSettings()
    rounds = -(-count // settings.chains)
    kept: list[np.ndarray] = []
    rates: list[float] = []
    for state, acceptance in hmc_steps(theory, settings, key, progress):
        kept.append(np.asarray(state.fields))
        rates.append(acceptance)
        if progress is not None:
            progress("trajectories", len(kept) / rounds)
        if len(kept) == rounds:
            break
    how = how_drawn(state, settings, rates)
    return Ensemble(theory, np.concatenate(kept), None, settings.chains, how)


@dataclasses.dataclass(frozen=True)
class Thermalisation:
    """Whether the chains forgot where they started, judged on V M^2."""

    start_pull: float  # disordered against ordered starts, in standard errors
    drift_pull: float  # first half against second half

    @property
    def reached(self) -> bool:
        """Both within four standard errors."""
        return bool(max(abs(self.start_pull), abs(self.drift_pull)) < 4)


def thermalisation(ensemble: Ensemble) -> Thermalisation:
    """Compare chains from both starts, and early fields with late ones.

    Chains are independent, so errors come from their spread. ValueError without 8 chains of 2.
    """
    chains = ensemble.chains
    if chains < 8 or len(ensemble) < 2 * chains:
        raise ValueError(
            f"{chains} chains of {len(ensemble) // max(chains, 1)} fields cannot tell; keep at "
            "least 2 fields of 8 chains or more."
        )
    squared = ensemble.fields.reshape(len(ensemble), -1).mean(1, dtype=float) ** 2
    squared = ensemble.theory.volume * squared.reshape(-1, chains)
    by_chain = squared.mean(0)
    half = len(squared) // 2
    change = squared[half:].mean(0) - squared[:half].mean(0)

    def error(values: np.ndarray) -> float:
        return float(values.std(ddof=1) / np.sqrt(len(values)))

    cold, hot = by_chain[1::2], by_chain[::2]
    start = (cold.mean() - hot.mean()) / np.hypot(error(cold), error(hot))
    return Thermalisation(float(start), float(change.mean() / error(change)))
